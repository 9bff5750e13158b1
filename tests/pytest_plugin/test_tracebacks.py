"""What pytest shows of a failure: the source of a user's own test, the cause of one that ships."""

import pytest

from qualification.core.paths import canaries

AS_PYTEST_DOES = "-rfE"
"""pytest's default, over the ``-ra`` of the toy."""

BOTH = """
import pytest

def test_own(deployed): assert deployed.ask("What?") == "blue"
"""

MISTAKEN = """
import pytest

@pytest.fixture(autouse=True)
def lost(request):
    if request.path.name == "test_capability.py": {}["lost"]
"""
"""An exception that no check of a suite raises, for each of its tests."""


@pytest.fixture
def both(toy_project):
    """Run a suite that ships, of which the toy fails two tests, and a failing one of the user's."""

    def run(*words):
        """Both, with the words of a command line."""
        shipped = ("-k", "test_own or test_says_which_of_two_images or test_says_what_it_sees")
        toy_project.path.joinpath("test_own.py").write_text(BOTH)
        return toy_project.run(
            *(AS_PYTEST_DOES, *shipped, *words, "--pyargs", "qualification.suites", "test_own.py"),
            suite="",
            weights="canary",
            path=str(canaries() / "smolvlm"),
            capabilities=["vision", "multi_image", "text_only"],
            skills=["shape", "which"],
        )

    run.path = toy_project.path
    return run


def test_a_failed_check_that_ships_is_told_by_its_cause(both):
    """Neither its source nor a line of its own; an example is, and pytest's counts are right."""
    result = both()
    result.assert_outcomes(failed=3)
    output = result.stdout.str()
    assert "FAILURES" in output
    assert "test_own.py:4: AssertionError" in output
    assert "test_capability.py" not in output
    summary = output.partition("short test summary info")[2]
    assert [line.split()[1] for line in summary.splitlines() if line.startswith("FAILED")] == [
        "test_own.py::test_own[toy-bf16@fake]"
    ]
    result.stdout.fnmatch_lines(
        [
            "2 × AssertionError: # of # correct",
            "    such as: AssertionError: 0 of 8 correct; Which shape is it? -> 'red',",
            "    pytest -v --deployment 'toy-bf16@fake' -k test_says_what_it_sees",
        ]
    )


def test_nothing_is_wider_than_the_terminal(both, toy_project, monkeypatch):
    """But what pytest says of the user's own, and a path."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = both("--deselect", "test_own.py").outlines
    paths = str(toy_project.path)
    assert [line for line in lines if len(line) > 80 and paths not in line] == []


@pytest.mark.parametrize("option", ["-v", "--tb=short", "-ra", "-l"])
def test_who_asks_to_see_the_source_sees_it(both, option):
    """As pytest shows it."""
    output = both(option).stdout.str()
    assert "test_capability.py" in output.partition("FAILURES")[2] or option == "-ra"
    assert "test_says_which_of_two_images[toy-bf16@fake]" in output.partition("short test")[2]


def test_the_source_is_left_out_where_several_processes_measure(both):
    """The mark comes with the report."""
    result = both("-n", "2")
    result.assert_outcomes(failed=3)
    assert "test_capability.py" not in result.stdout.str()


def test_a_mistake_of_a_suite_keeps_its_source(both, monkeypatch):
    """Whoever mends it needs the line."""
    monkeypatch.setenv("PYTEST_PLUGINS", "mistaken")
    both.path.joinpath("mistaken.py").write_text(MISTAKEN)
    output = both().stdout.str()
    assert "KeyError: 'lost'" in output.partition("ERRORS")[2].partition("FAILURES")[0]
