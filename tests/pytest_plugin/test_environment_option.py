"""Running the suites under another environment, the draft for bugs.toml, and gated suspects."""

import json
import re
import sys

import pytest

from qualification.judging.baselines.storage import accept
from qualification.results.store import Store
from tests.support.toy_project import bug_toml

PEAK = """
def test_peak(deployed):
    deployed.record("peak_memory_bytes", {0}e6)
"""


@pytest.mark.slow
def test_workers_run_in_the_environment_that_is_named(toy_project):
    """An interpreter by its path; the session's record has its name and versions."""
    suite = """
    def test_interpreter(deployed):
        assert deployed.ask("Hello") == "red"
    """
    toy_project.run("--environment", sys.executable, suite=suite).assert_outcomes(passed=1)
    ((record,),) = toy_project.query("select record from sessions")
    environment = json.loads(record)["environment"]
    assert environment["name"] != "current"
    assert environment["versions"]["pillow"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--environment", "seed-1999"),
        ("--candidate", "mlx-vlm"),
        ("--environment", "/no/python"),
        ("--as-of", "2026-03-31"),
    ],
)
def test_an_unknown_environment_is_reported_in_one_sentence(toy_project, option, value):
    """A usage error, before anything runs."""
    result = toy_project.run(option, value)
    assert result.ret == 4
    assert not re.search("Traceback", result.stdout.str() + result.stderr.str())


def test_a_bug_that_no_longer_fails_drafts_the_edit(toy_project):
    """The diff of bugs.toml is printed: its range ends before the installed version."""
    result = toy_project.run(bugs_toml=bug_toml(">=0"))
    result.stdout.fnmatch_lines(["*no longer fails*", '-versions = ">=0"', '+versions = ">=0,<*"'])


@pytest.mark.slow
def test_a_suspect_starts_no_gate_where_the_libraries_are_the_same(toy_project):
    """Twice the memory of the accepted sessions, under the same releases: the reason is shown."""
    store = f"sqlite:///{toy_project.path}/reports/results.sqlite"
    for _ in range(2):
        toy_project.run(suite=PEAK.format(100))
        results = Store(store).results(Store(store).latest())
        accept(toy_project.path / "baselines", results.session, results.trials)
    result = toy_project.run("--gate-suspects", suite=PEAK.format(200))
    result.stdout.fnmatch_lines(["*no gate was started for the suspect toy-bf16*"])
