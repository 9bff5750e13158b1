"""Running the suites under another environment, the draft for bugs.toml, and gated suspects."""

import json
import re
import sqlite3
import sys

import pytest

from qualification.judging.baselines.storage import accept
from qualification.results.store import Store
from tests.pytest_plugin.test_hooks import house  # noqa: F401 - the fixture

PEAK = """
def test_peak(deployed):
    deployed.record("peak_memory_bytes", {0}e6)
"""


@pytest.fixture
def project(request):
    """The project of test_plugin; named here, because importing a fixture hides its name."""
    return request.getfixturevalue("house")


@pytest.mark.slow
def test_workers_run_in_the_environment_that_is_named(project):
    """An interpreter by its path; the session's record says which and with what."""
    suite = """
    def test_interpreter(deployed):
        assert deployed.ask("Hello") == "red"
    """
    project("--environment", sys.executable, suite=suite).assert_outcomes(passed=1)
    with sqlite3.connect(project.path / "reports/results.sqlite") as database:
        (record,) = database.execute("select record from sessions").fetchone()
    environment = json.loads(record)["environment"]
    assert environment["name"] != "current"
    assert environment["versions"]["pillow"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--environment", "seed-1999"), ("--candidate", "mlx-vlm"), ("--environment", "/no/python")],
)
def test_an_environment_that_is_none_is_one_sentence(project, option, value):
    """A usage error, before anything runs."""
    result = project(option, value)
    assert result.ret == 4
    assert not re.search("Traceback", result.stdout.str() + result.stderr.str())


def test_a_bug_that_no_longer_fails_drafts_the_edit(project):
    """The diff of bugs.toml is printed: its range ends before the installed version."""
    result = project(bug=">=0")
    result.stdout.fnmatch_lines(["*no longer fails*", '-versions = ">=0"', '+versions = ">=0,<*"'])


@pytest.mark.slow
def test_a_suspect_starts_no_gate_where_the_libraries_are_the_same(project):
    """Twice the memory of the accepted sessions, under the same releases: it is said why."""
    store = f"sqlite:///{project.path}/reports/results.sqlite"
    for _ in range(2):
        project(suite=PEAK.format(100))
        found = Store(store).results(Store(store).latest())
        accept(project.path / "baselines", found.session, found.trials)
    result = project("--gate-suspects", suite=PEAK.format(200))
    result.stdout.fnmatch_lines(["*no gate was started for the suspect toy-bf16*"])
