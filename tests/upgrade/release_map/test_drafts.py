"""What a map asks a person to declare, and which declared bug it contradicts."""

import tomllib
from dataclasses import replace

from pydantic import TypeAdapter

from qualification.core.declarations import KnownBug
from qualification.models.loading import load_registry
from qualification.upgrade.release_map.advice import Causes
from qualification.upgrade.release_map.drafts import contradictions, drafts
from qualification.upgrade.replay import Regression
from tests.upgrade.release_map.test_causes import with_versions
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, release_map
from tests.upgrade.release_map.test_document import CANARY

BUG = replace(
    load_registry().bugs[0],
    package="xllamacpp",
    versions=">=2.0,<4.0",
    deployments=("tiny-*",),
    tests=("test_answers_held_out_questions",),
)


def drafted(causes, *rights):
    """The tables of the text."""
    sample = with_versions(release_map(*rights), numpy=["1"] * len(rights))
    return tomllib.loads(drafts(replace(sample, day="2026-11-30"), {NAME: CANARY}, causes))


def test_a_fault_without_a_cause_is_drafted_for_both_files():
    """As they read it; its range ends with the release that is good again."""
    tables = drafted(Causes(), GOOD, HALF, GOOD)
    (bug,) = TypeAdapter(list[KnownBug]).validate_python(tables["bugs"])
    assert (bug.package, bug.versions) == ("xllamacpp", ">=2.0,<3.0")
    assert bug.deployments == ("tiny-canary-*@llama.cpp",)
    assert "80 of 120 correct" in bug.title
    (row,) = TypeAdapter(list[Regression]).validate_python(tables["regressions"])
    assert (row.good, row.bad, row.fixed) == (
        ("xllamacpp==1.0",),
        ("xllamacpp==2.0",),
        ("xllamacpp==3.0",),
    )
    assert row.caught_by == ("answers",)


def test_a_fault_from_the_beginning_is_no_regression():
    """And one whose cause is declared is no draft."""
    assert drafted(Causes(), HALF, GOOD).keys() == {"bugs"}
    assert drafted(Causes([replace(BUG, versions="==2.0")]), GOOD, HALF, GOOD) == {}
    assert drafted(Causes(), None, GOOD) == {}


def test_a_bug_in_whose_range_a_canary_is_good_is_contradicted():
    """One of both is wrong; a bug of another test says nothing of answers."""
    sample = release_map(GOOD, HALF, GOOD, GOOD)
    assert list(contradictions(sample, [BUG])) == [(BUG, NAME, "3.0")]
    for bug in (
        replace(BUG, versions="==2.0"),
        replace(BUG, package="mlx"),
        replace(BUG, deployments=("x*",)),
        replace(BUG, tests=("test_webp",)),
    ):
        assert list(contradictions(sample, [bug])) == []
