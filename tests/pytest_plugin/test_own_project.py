"""A test of one's own in one's own project, with other plugins and options; and no test of ours."""

import json
import re
import subprocess
import sys

import pytest

SUITE = """
import pytest

def test_red(deployed):
    assert deployed.ask("Hello") == "red"

def test_wrong(deployed):
    assert deployed.ask("Hello") == "blue"

def test_its_own_matter():
    pass
"""


def test_it_runs_without_a_cache(toy_project):
    """-p no:cacheprovider: nothing of ours needs pytest's cache."""
    result = toy_project.run("-p", "no:cacheprovider", suite=SUITE)
    result.assert_outcomes(passed=2, failed=1)
    assert not (toy_project.path / ".pytest_cache").exists()


def test_the_last_failures_run_again(toy_project):
    """--lf: the names of tests are stable."""
    toy_project.run(suite=SUITE).assert_outcomes(passed=2, failed=1)
    toy_project.run("--lf", suite=SUITE).assert_outcomes(failed=1)


def test_it_runs_beside_benchmarks_of_the_project(toy_project):
    """pytest-benchmark serves both."""
    suite = (
        SUITE
        + """
def test_speed(benchmark):
    assert benchmark(lambda: 1) == 1

def test_speed_of_an_answer(benchmark, deployed):
    assert benchmark.pedantic(lambda: deployed.ask("Hello"), rounds=2) == "red"
"""
    )
    toy_project.run(suite=suite).assert_outcomes(passed=4, failed=1)


@pytest.mark.slow
def test_it_runs_in_several_processes(toy_project):
    """-n: canaries only, and the parts are one session."""
    suite = "import pytest\n" + SUITE.replace("import pytest", "").replace("blue", "red")
    result = toy_project.run("-n", "2", suite=suite)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "real models need the machine for themselves: run without -n" in str(result.outlines)


@pytest.mark.slow
def test_all_tests_of_a_model_run_in_one_process(toy_project):
    """-n: a model is loaded once, and a test without a deployment runs wherever there is room."""
    suite = SUITE + "".join(f"\ndef test_other_{n}(): pass" for n in range(4))
    result = toy_project.run("-n", "2", "-v", suite=suite)
    processes = {
        line.split()[0] for line in result.outlines if line.startswith("[gw") and "toy-bf16" in line
    }
    assert len(processes) == 1, "\n".join(result.outlines)


def test_a_test_is_chosen_by_tier_backend_and_weights(toy_project):
    """A marker on the command line, in a project that has only the plugin installed."""
    for expression, count in (("linux_cpu", 2), ("fake and synthetic", 2), ("mlx", 0)):
        result = toy_project.run("-m", expression, "--collect-only", "-q", suite=SUITE)
        assert sum("toy-bf16" in line for line in result.outlines) == count


def test_a_tier_may_mark_a_test(toy_project):
    """--strict-markers knows it before the declarations are read."""
    suite = "import pytest\n@pytest.mark.air_m4\n@pytest.mark.needs('video')\ndef test_it(): pass\n"
    toy_project.run("--strict-markers", suite=suite).assert_outcomes(passed=1)


def test_the_declarations_of_the_project_hold_without_an_option(pytester, toy_project):
    """[tool.qualification] is read from the rootdir, also when started below it."""
    toy_project.run(suite=SUITE)
    pytester.makepyprojecttoml('[tool.qualification]\ndeclarations = "declared"\n')
    folder = pytester.mkdir("below")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "../test_suite.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in done.stdout


def test_wrong_declarations_are_one_sentence_for_a_test_that_takes_a_deployment(pytester):
    """Also where nothing on the command line speaks of a qualification."""
    pytester.makepyfile(SUITE)
    pytester.makepyprojecttoml("[tool.other]\n")
    result = pytester.runpytest_subprocess("--declarations", "nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no such folder of declarations" in str(result.errlines)


def test_python_files_of_the_project_do_not_hide_the_suites(pytester):
    """A project may name its tests otherwise."""
    pytester.makeini("[pytest]\npython_files = check_*.py\n")
    result = pytester.runpytest_subprocess("-m", "canary and load", "--collect-only", "-q")
    assert result.ret == 0
    assert any("test_load" in line for line in result.outlines)


def test_a_projects_own_marker_of_our_name_stays_its_own(pytester):
    """No suite of ours is collected for it."""
    pytester.makeini("[pytest]\nmarkers =\n    canary: a canary deployment\n    load: under load\n")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.canary\n@pytest.mark.load\ndef test_it(): pass\n"
    )
    pytester.runpytest_subprocess("-m", "canary").assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-m", "load").assert_outcomes(passed=1)


def test_a_project_that_asks_for_nothing_gets_nothing(pytester):
    """No model library, no declarations, no database driver is imported, and nothing is written."""
    pytester.makepyfile(
        """
        import sys

        def test_it():
            heavy = ("pydantic", "sqlalchemy", "numpy", "scipy", "gguf", "jinja2")
            assert not {name.partition(".")[0] for name in sys.modules} & set(heavy)
            assert "qualification.models.registry" not in sys.modules
        """
    )
    plugins = ("-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest")
    result = pytester.runpytest_subprocess(*plugins)
    result.assert_outcomes(passed=1)
    output = re.sub(r"qualification-[\d.]+", "", "".join(result.outlines))
    assert "qualification" not in output.replace(str(pytester.path), "")
    assert not (pytester.path / "reports").exists()


def test_the_distribution_of_a_projects_own_tests_is_not_changed(pytester):
    """xdist's default, load, splits one file over processes; whole models are for deployments."""
    pytester.makepyfile("def test_it(): pass\n\ndef test_another(): pass\n")
    result = pytester.runpytest_subprocess("-n", "2", "-v")
    assert {line.split()[0] for line in result.outlines if "PASSED" in line} == {"[gw0]", "[gw1]"}


def test_results_that_cannot_be_kept_are_refused_before_a_model_is_loaded(toy_project):
    """In one sentence with the remedy; listing tests is allowed."""
    place = ("--results", "/proc/nowhere/results.sqlite")
    result = toy_project.run(*place, suite=SUITE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "every result would be lost" in str(result.errlines)
    assert toy_project.run(*place, "--collect-only", suite=SUITE).ret == 0


def test_a_session_is_stored_where_the_option_says(toy_project):
    """A plain file name is a database too."""
    toy_project.run("--results", "elsewhere.sqlite", suite=SUITE)
    assert (toy_project.path / "elsewhere.sqlite").is_file()
    assert not (toy_project.path / "reports/results.sqlite").exists()
    assert json.dumps(toy_project.metrics()) == "{}"


def test_a_pyproject_that_pytest_does_not_read_is_no_matter_of_ours(pytester):
    """A damaged one beside the configuration that is named stops nothing that asks for nothing."""
    pytester.makepyprojecttoml("[tool.qualification")
    (pytester.path / "other.ini").write_text("[pytest]\n")
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_subprocess("-c", "other.ini").assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("-c", "other.ini", "-m", "canary")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *pyproject.toml: cannot be read as TOML: *; correct it"])
