"""A metric of another package: the example of docs/extending.md, installed and used."""

import sqlite3

import pytest

from tests.support.installed_extension import files_of_section
from tests.support.toy_project import CHIPS, TIERS, write_declarations

pytestmark = pytest.mark.slow

IDLE = """
import dataclasses

from qualification.results import conclude

judge = conclude.judge


def judged_as_idle(deployment, tier, machine, evidence, *rest):
    return judge(deployment, tier, machine, dataclasses.replace(evidence, conditions=()), *rest)


conclude.judge = judged_as_idle
"""
"""A conftest.py under which the load of this machine leaves no run unfit."""


@pytest.fixture
def project(extended_project):
    """The project of the page, with the scripted backend's deployment on this machine's tier."""
    extended_project.add(files_of_section("A metric"))
    write_declarations(extended_project.path / "declared", tiers_toml=TIERS, chips_toml=CHIPS)
    (extended_project.path / "conftest.py").write_text(IDLE)
    return extended_project


def run(project, *arguments):
    """pytest in the project."""
    return project.pytest("--declarations", "declared", *arguments)


def test_it_is_recorded_stored_and_shown(project):
    """Five raw values with its unit in the database, and a row in both documents."""
    run(project, "test_ten_tokens.py").assert_outcomes(passed=1)
    with sqlite3.connect(project.path / "reports/results.sqlite") as database:
        units = database.execute("select unit from trials where metric = 'ten_tokens_s'").fetchall()
    assert units == [("s",)] * 5
    assert project.qualify("report", "--declarations", "declared").ret == 0
    for name in ("recommendations.md", "recommendations.html"):
        document = (project.path / "reports/latest" / name).read_text(encoding="utf-8")
        assert "time to ten tokens" in document, name


def test_it_is_compared_with_an_accepted_session(project):
    """By its own limits: the second run has a finding about it."""
    run(project, "test_ten_tokens.py").assert_outcomes(passed=1)
    assert project.qualify("accept", "--declarations", "declared").ret == 0
    run(project, "test_ten_tokens.py")
    with sqlite3.connect(project.path / "reports/results.sqlite") as database:
        records = "\n".join(database.iterdump())
    assert records.count("Time to ten tokens against") == 1
    assert "the margin is 1.20" in records


def test_an_unknown_metric_is_answered_with_the_nearest_name(project):
    """Those of other packages are among the names."""
    suite = "def test_typo(deployed):\n    deployed.record('ten_token_s', 1.0)\n"
    (project.path / "test_typo.py").write_text(suite)
    result = run(project, "test_typo.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*no metric is named 'ten_token_s'; the nearest is 'ten_tokens_s'*"]
    )
