"""The end of a run: one screen, one sentence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import KnownBug
from qualification.core.results import Check, Verdict
from qualification.results.closing import causes, known_bugs, not_run, sentence, table
from qualification.results.rows import Row
from qualification.session.session import NOT_LOADED

EMPTY = Row("", False, False, Verdict("", "pass", "usable"), None, *[()] * 5, None, (), {})


def row(name, verdict="pass", advice="usable", *checks, suite="quality", findings=(), **changes):
    """A row of the report."""
    checked = tuple(Check(name, suite, f"test_{n}", *check) for n, check in enumerate(checks))
    checked = checked or (Check(name, suite, "test_x", "passed"),)
    verdict = Verdict(name, verdict, advice, tuple(findings))
    return replace(EMPTY, identifier=name, verdict=verdict, checks=checked, **changes)


def wrong(name):
    """One that answers wrongly for a known reason."""
    check = Check(name, "quality", "test_answers_held_out_questions", "xfailed", "", "packing")
    return replace(row(name), checks=(check,))


ABSENT = ("skipped", "llama-server is not on the PATH; build it")
CASES = {
    "nothing": ([], "Nothing was tried."),
    "one": ([row("a@mlx")], "1 of 1 works."),
    "all": ([row("a@mlx"), row("b@mlx", "unfit")], "2 of 2 work."),
    "few asked": (
        [row("a@mlx", suite="load"), row("b@mlx", suite="capability")],
        "2 of 2 work, as far as the suites capability, load tell.",
    ),
    "known": (
        [row("a@mlx"), wrong("b@mlx")],
        "1 of 2 works, 1 answers wrongly because of a known bug.",
    ),
    "several": (
        [row("a@mlx"), row("e@mlx"), wrong("b@mlx"), wrong("c@mlx"), row("d@mlx", "failed")],
        "2 of 5 work, 2 answer wrongly because of known bugs, 1 fails.",
    ),
    "not tried": (
        [row("a@mlx"), row("b@llama-server", "inconclusive", "untested", ABSENT)],
        "1 of 2 works, 1 not tried: llama-server is not on the PATH.",
    ),
    "many reasons": (
        [
            row(f"{n}@mlx", "inconclusive", "untested", ("skipped", f"no {n}; get it"))
            for n in "abcde"
        ],
        "0 of 5 work, 5 not tried: no a; no b; no c; and 2 more reasons.",
    ),
    "too big": (
        [row("a@mlx", "does_not_fit", "does not fit"), row("b@mlx")],
        "1 of 2 works, 1 does not fit.",
    ),
    "interrupted": (
        [row("a@mlx", "unfit", untried=3)],
        "0 of 1 work, 1 was not tried to its end.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_closing_sentence(case):
    """Each deployment is counted once."""
    rows, expected = CASES[case]
    assert sentence(rows) == expected


@given(st.lists(st.sampled_from([row("a"), wrong("b"), row("c", "failed")])), st.randoms())
def test_no_order_changes_the_sentence(rows, rng):
    """It counts."""
    before = sentence(rows)
    rng.shuffle(rows)
    assert sentence(rows) == before


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_of_a_deployment_is_wider_than_the_terminal(width):
    """A long name is shortened, the figures stay."""
    name = "a-very-long-name-of-a-model-that-nobody-would-type-7b-4bit@transformers-serve"
    rows = [row(name, decode_tps=(1234.5,), ttft_s=(0.12,), accuracy=(0.93,))]
    head, line = table(rows, width)
    assert len(line) <= width
    assert line.endswith("93%")
    assert head.endswith("accuracy")
    assert "s-serve  " in line  # its backend tells it from its neighbours


def test_a_speed_of_an_unfit_machine_is_marked():
    """And says why."""
    lines = list(table([row("a@mlx", "unfit", decode_tps=(20.0,))], 80))
    assert "20.0*" in lines[1]
    assert lines[-1] == "* not judged: the machine was not fit for timing"


def test_a_rejected_record_shows_its_sentence_and_no_speed():
    """What physics forbids is never printed."""
    lines = list(table([row("a@mlx", "failed", rejected="94 tok/s is over the roofline")], 80))
    assert lines[1].split()[2] == "–"
    assert "94 tok/s is over the roofline" in lines[2]


def test_a_known_bug_is_one_line_for_all_its_tests():
    """With the number of deployments."""
    bug = KnownBug("webp", "WebP images are refused", "p", ">=1", ("*",), ("*",), "", "", "")
    checks = [
        Check(f"{name}@llamacpp", "capability", test, "xfailed", "", "webp")
        for name in "ab"
        for test in ("test_one", "test_two")
    ]
    assert list(known_bugs(checks, [bug], 80)) == ["webp    2 × WebP images are refused"]


def test_many_known_bugs_are_one_line_for_each_library():
    """As many names as one line holds; the report has all."""
    bugs = [
        KnownBug(f"bug-{number}", "title", package, "", ("*",), ("*",), "", "", "")
        for number, package in enumerate(["mlx-vlm"] * 10 + ["transformers"] * 10)
    ]
    checks = [
        Check(f"{name}@any", "capability", "test_one", "xfailed", "", bug.identifier)
        for bug in bugs
        for name in "ab"
    ]
    mlx, transformers = known_bugs(checks, bugs, 80)
    assert mlx.startswith("mlx-vlm, 10 in 2 deployments: bug-0, bug-1, ")
    assert transformers.startswith("transformers, 10 in 2 deployments: bug-10, bug-11, ")
    assert max(map(len, (mlx, transformers))) <= 80


def test_failures_are_grouped_by_their_cause():
    """Figures differ within one; the next command is there."""
    checks = [
        Check(f"{name}@mlx", "speed", "test_speed", "failed", f"took {number}.5 s")
        for number, name in enumerate("abc")
    ]
    cause, example, where, command, see = causes(checks)
    assert cause == "3 × took # s"
    assert where.strip() == "test_speed of a@mlx, b@mlx, c@mlx"
    assert example == "    such as: took 0.5 s"
    assert command.strip() == "pytest -v --deployment 'a@mlx' -k test_speed"
    assert see.endswith("qualify see 'a@mlx'")


def test_the_questions_behind_a_failure_are_no_part_of_its_cause():
    """Nor do they fill the screen."""
    checks = [
        Check(f"{name}@mlx", "quality", "test_says", "failed", f"{number} of 8 correct; {name}?")
        for number, name in enumerate("abc")
    ]
    assert next(causes(checks)) == "3 × # of # correct"


def test_a_hostile_failure_is_one_plain_line():
    """Model output with control characters and line breaks."""
    (cause, *_) = causes([Check("a@mlx", "s", "t", "failed", "\x1b[31mred\nsecond")])
    assert "\x1b" not in cause
    assert "second" not in cause


def test_skipped_tests_are_counted_by_their_reason():
    """Those of a deployment that did not load are a consequence and not listed."""
    checks = [
        Check("a@mlx", "load", "test_a", "skipped", "backend mlx is not installed"),
        Check("b@mlx", "load", "test_a", "skipped", "backend mlx is not installed"),
        Check("c@mlx", "load", "test_b", "skipped", f"out of memory{NOT_LOADED}"),
        Check("c@mlx", "load", "test_a", "passed", "backend mlx is not installed"),
    ]
    assert list(not_run(checks)) == ["   2 × backend mlx is not installed"]


def test_reasons_that_differ_in_names_and_figures_are_one():
    """Eleven repositories that nobody has said yes to; the first is named."""
    rows = [
        row(f"{name}@mlx", "untested", "untested", ("skipped", f"{name}/model lacks {number}.5 GB"))
        for number, name in enumerate("abc")
    ]
    checks = [check for line in rows for check in line.checks]
    assert list(not_run(checks)) == ["   3 × a/model lacks 0.5 GB, and 2 like it"]
    assert sentence(rows) == "0 of 3 work, 3 not tried: a/model lacks 0.5 GB, and 2 like it."


def test_answers_that_differ_are_one_cause():
    """Each model says something else."""
    checks = [
        Check(f"{name}@mlx", "quality", "test_says", "failed", f"said '{word}', not 'red'")
        for name, word in zip("abc", ("blue", "green", "a cat"), strict=True)
    ]
    assert next(causes(checks)) == "3 × said '…', not '…'"
