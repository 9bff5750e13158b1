"""The catalogue of past regressions, and what a verdict means for each of its pairs."""

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qualification.core.errors import DeclarationError, SelectionError
from qualification.models.known_bugs import concerns, in_range, remedy
from qualification.models.loading import load_registry
from qualification.upgrade.gate.records import CHECKS
from qualification.upgrade.replay import (
    Replayed,
    as_json,
    document,
    outcome,
    read_catalogue,
    select,
)

CATALOGUE = read_catalogue()


def pins(texts):
    """Canonical name -> pin."""
    return {canonicalize_name(Requirement(text).name): text for text in texts}


@pytest.mark.parametrize("regression", CATALOGUE.regressions, ids=lambda entry: entry.identifier)
def test_an_entry_differs_in_its_package_alone(regression):
    """Otherwise a verdict would not be about that release."""
    good, bad = pins(regression.good), pins(regression.bad)
    moved = {name for name in {*good, *bad} if good.get(name) != bad.get(name)}
    assert moved == {canonicalize_name(regression.package)}


@pytest.mark.parametrize("regression", CATALOGUE.regressions, ids=lambda entry: entry.identifier)
def test_an_entry_names_canaries_and_checks_that_there_are(regression):
    """A misspelt name would be a regression that is never caught."""
    registry = load_registry()
    for name in regression.deployments:
        assert registry.deployment(name).source.weights == "canary"
    assert {check.partition("[")[0] for check in regression.caught_by} <= set(CHECKS)


@pytest.mark.parametrize(
    "regression",
    [entry for entry in CATALOGUE.regressions if entry.known_bug],
    ids=lambda entry: entry.identifier,
)
def test_an_entry_of_a_known_bug_is_in_its_range_where_it_is_bad(regression):
    """And out of it where it is good."""
    registry = load_registry()
    (bug,) = [bug for bug in registry.bugs if bug.identifier == regression.known_bug]
    for side, is_bad in (("good", False), ("bad", True), ("fixed", False)):
        for pin in getattr(regression, side):
            if Requirement(pin).name == bug.package:
                version = pin.partition("==")[2]
                assert in_range(version, bug.versions) == is_bad
    for name in regression.deployments:
        assert concerns(bug, registry.deployment(name).declared_as)


@pytest.mark.parametrize(
    ("against", "verdict", "expected"),
    [
        ("bad", "regressed", "caught"),
        ("bad", "inconclusive", "missed"),
        ("bad", "pass", "missed"),
        ("fixed", "regressed", "false alarm"),
        ("good", "inconclusive", "quiet"),
        ("good", "pass", "quiet"),
    ],
)
def test_only_a_regressed_verdict_catches(against, verdict, expected):
    """Inconclusive is not caught, and no false alarm either."""
    assert outcome(against, verdict, ["answers"], ["answers"]) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["growth", "answers"], "caught"),
        (["given_as[bytes]"], "caught"),
        (["growth"], "caught by another check"),
        ([], "caught by another check"),
    ],
)
def test_a_regression_is_caught_by_a_check_that_is_declared_for_it(named, expected):
    """Another check may be regressed by chance; a variant of a check counts as the check."""
    assert outcome("bad", "regressed", named, ["answers", "given_as"]) == expected


def test_regressions_are_chosen_by_row_identifier_or_pattern():
    """The error for an unknown one names those that there are."""
    regression = CATALOGUE.regressions[0]
    assert select(CATALOGUE, [regression.identifier]) == (regression,)
    assert regression in select(CATALOGUE, [str(regression.row)])
    assert select(CATALOGUE, ["*"]) == CATALOGUE.regressions
    with pytest.raises(SelectionError, match=regression.identifier):
        select(CATALOGUE, ["nothing"])


def test_the_record_counts_the_outcomes():
    """One caught, one false alarm, one that could not be installed."""
    name = CATALOGUE.regressions[0].identifier
    versions = {"a": {"mlx-vlm": "0.6.3"}, "b": {"mlx-vlm": "0.6.4"}}
    replayed = [
        Replayed(name, 1, "bad", "regressed", ("answers",), "caught", "", 60.0, **versions),
        Replayed(name, 1, "fixed", "regressed", (), "false alarm", "", 60.0, **versions),
        Replayed(name, 1, "good", "", (), "not installable", "", 0.0, {}, {}),
    ]
    text = document(replayed, CATALOGUE, "2026-01-01")
    assert "1 caught, 1 false alarm, 1 not installable" in text
    assert "mlx-vlm 0.6.3 → 0.6.4" in text
    assert len(as_json(replayed, CATALOGUE, "2026-01-01")["pairs"]) == 3


def test_the_record_says_what_to_do_about_each_regression():
    """Where it was reported, and the workaround of its declared bug."""
    (declared, *_) = [entry for entry in CATALOGUE.regressions if entry.known_bug]
    (undeclared, *_) = [entry for entry in CATALOGUE.regressions if not entry.known_bug]
    replayed = [
        Replayed(entry.identifier, entry.row, "bad", "pass", (), "missed", "", 60.0, {}, {})
        for entry in (declared, undeclared)
    ]
    bugs = load_registry().bugs
    (bug,) = [bug for bug in bugs if bug.identifier == declared.known_bug]
    lines = document(replayed, CATALOGUE, "2026-01-01", bugs).splitlines()
    assert (
        f"| {declared.identifier} | {declared.source} | `{bug.identifier}`, {remedy(bug)} |"
        in lines
    )
    assert f"| {undeclared.identifier} | {undeclared.source} | not declared |" in lines


def test_an_unknown_key_in_the_catalogue_is_an_error(tmp_path):
    """File and key are named."""
    (tmp_path / "regressions.toml").write_text('[[regressions]]\nidentifer = "x"\n')
    with pytest.raises(DeclarationError, match=r"regressions\.toml"):
        read_catalogue(tmp_path)
