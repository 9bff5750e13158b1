"""What follows from a map, with the public cause of a fault where one is declared."""

from dataclasses import replace

from qualification.models.loading import load_registry
from qualification.upgrade.release_map.advice import Causes, advice_of
from qualification.upgrade.replay import read_catalogue
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, release_map
from tests.upgrade.release_map.test_document import CANARY

BUG = load_registry().bugs[0]
ROW = read_catalogue().regressions[0]


def advice(causes, *rights):
    """Of the only canary."""
    (entry,) = advice_of(release_map(*rights), {NAME: CANARY}, causes)
    return entry


def test_the_pin_and_each_fault_are_told():
    """The pin is the newest good release, and the family is the canary's."""
    entry = advice(Causes(), GOOD, HALF, GOOD)
    assert (entry.package, entry.pin, entry.newest) == ("xllamacpp", "3.0", "3.0")
    assert (entry.family, entry.engine) == ("smolvlm", "llama.cpp")
    ((since, until, evidence, cause),) = [
        (span.since, span.until, span.evidence, span.cause) for span in entry.wrong
    ]
    assert (since, until, cause) == ("2.0", "3.0", "")
    assert evidence == "wrong: 80 of 120 correct"


def test_a_release_that_is_too_old_for_the_files_is_not_called_wrong():
    """Nobody who has it installed is warned of it."""
    assert [span.since for span in advice(Causes(), None, GOOD, HALF, GOOD).wrong] == ["3.0"]


def test_the_cause_is_a_known_bug_of_the_first_wrong_release():
    """By its issue; else by its name and where it is told."""
    bug = replace(BUG, package="xllamacpp", versions="==2.0", deployments=("tiny-*",), issue="a#1")
    assert advice(Causes([bug]), GOOD, HALF).wrong[0].cause == "a#1"
    bug = replace(bug, issue="", identifier="blind", source="this project's canary")
    assert advice(Causes([bug]), GOOD, HALF).wrong[0].cause == "blind, this project's canary"
    for changes in ({"versions": "<2.0"}, {"versions": ">=2.0"}, {"tests": ("test_given_as",)}):
        elsewhere = replace(bug, **changes)
        assert advice(Causes([elsewhere]), GOOD, HALF, GOOD).wrong[0].cause == ""


def test_the_cause_is_a_row_of_the_catalogue_in_the_same_releases():
    """Whose bad release is one of them, for the same canary."""
    row = replace(ROW, package="xllamacpp", bad=("xllamacpp==2.0",), deployments=(NAME,))
    assert advice(Causes([], [row]), GOOD, HALF, GOOD).wrong[0].cause == row.source
    later = replace(row, bad=("xllamacpp==3.0",), fixed=())
    assert advice(Causes([], [later]), GOOD, HALF, GOOD).wrong[0].cause == ""
    causes = Causes([], [replace(row, fixed=("xllamacpp==3.0",))])
    for bad, good, cause in (
        ("2.0", "1.0", row.source),
        ("1.0", "0.1", ""),
        ("2.5", "3.0", row.source),
        ("3.0", "4.0", ""),
        ("1.5", "", row.source),
    ):
        assert causes.of("xllamacpp", NAME, bad, good) == cause
