"""Suites of one's own and of another package: the example of docs/extending.md, run."""

import pytest

from tests.support.installed_extension import files_of_section
from tests.support.toy_project import write_declarations

pytestmark = pytest.mark.slow


@pytest.fixture
def project(extended_project):
    """The example's package and test file, and a scripted deployment that sees red."""
    extended_project.add(files_of_section("A suite"))
    write_declarations(extended_project.path / "declared", capabilities=("vision", "text_only"))
    return extended_project


def outcomes(result):
    """Test -> outcome, of a verbose run."""
    lines = (line.split() for line in result.outlines if "::" in line and "toy" in line)
    return {words[0].split("::")[1].split("[")[0]: words[1] for words in lines}


def test_a_suite_of_ones_own_is_selected_by_its_name(project):
    """Its marker is registered, and its name is stored with the outcome."""
    options = ("--declarations", "declared", "--strict-markers", "-v")
    result = project.pytest("-m", "brand", "test_brand_colours.py", *options)
    assert outcomes(result) == {"test_red_is_red": "PASSED"}
    result = project.pytest("-m", "not brand", "test_brand_colours.py", *options)
    assert outcomes(result) == {}


def test_a_suite_of_an_installed_package_runs_beside_those_that_ship(project):
    """Without a path; the project's own tests run too."""
    options = ("--declarations", "declared", "-v")
    result = project.pytest("-m", "synthetic and (politeness or brand or load)", *options)
    ran = outcomes(result)
    assert ran["test_a_greeting_is_answered"] == "PASSED"
    assert ran["test_red_is_red"] == "PASSED"
    assert any("test_load.py" in line for line in result.outlines)


@pytest.mark.parametrize("extended_project", [".venv", "environment"], indirect=True)
@pytest.mark.parametrize(
    ("processes", "outcomes"), [((), {"passed": 2}), (("-n", "2"), {"errors": 2})]
)
def test_suites_in_an_environment_inside_the_project_are_collected(project, processes, outcomes):
    """Once, and nothing else of it. (Real weights are refused in several processes.)"""
    for folder in (project.packages, project.packages.parent):
        (folder / "test_foreign.py").write_text("def test_it(): assert False")
    options = ("--declarations", "declared", "-v", *processes)
    result = project.pytest("-m", "synthetic and (politeness or brand)", *options)
    result.assert_outcomes(**outcomes)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("suite()", "write pytest.mark.suite"),
        ('suite("Brand colours", "?")', "small letters"),
        ('suite("brand")', "the question that it answers"),
        ('suite("mlx", "?")', "has the name of a marker of deployments"),
    ],
)
def test_a_wrong_suite_marker_is_one_sentence(project, marker, words):
    """With the test that has it."""
    text = f"import pytest\n@pytest.mark.{marker}\ndef test_it(deployed): pass\n"
    (project.path / "test_it.py").write_text(text)
    result = project.pytest("--declarations", "declared", "test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if "ERROR" in line]
    assert "test_it.py::test_it" in line
    assert words in line
