"""Observations of both sides become findings and one verdict, and only those they support."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.upgrade.gate.compare import behaviour_findings, to_confirm
from qualification.upgrade.gate.decide import decide, metric_finding, overall, wanted_pairs
from qualification.upgrade.gate.records import (
    Answer,
    Behaviour,
    DeploymentRef,
    Growth,
    Pair,
    Probe,
    ProcessSample,
)
from tests.support import gate_sample

TOY = "toy-f32@fake"
TOY_REF = DeploymentRef(TOY, "hub")
VERDICTS = ("pass", "regressed", "inconclusive", "unfit")


def answered(*texts, expected="red", tokens=10):
    """One question for each text; an answer is correct if it is ``expected``."""
    return tuple(
        Answer(f"q{number}", "colour", expected, text, (), tokens, text == expected)
        for number, text in enumerate(texts)
    )


def behaviour(side, attempt=0, *, deployment=TOY, growth=None, warnings=(), answers=None, **probes):
    """An observation that loads; probes by name: True is ok, False is wrong, a text its failure."""
    outcomes = [Probe("load", "ok")] if "load" not in probes else []
    for name, good in probes.items():
        if isinstance(good, str):
            outcomes.append(Probe(name, "error", good, "backend_failed"))
        else:
            outcomes.append(Probe(name, "ok" if good else "wrong", "" if good else "it differs"))
    if answers is not None:
        outcomes.append(Probe("answers", "ok"))
    if growth is not None:
        outcomes.append(Probe("growth", "ok"))
    return Behaviour(
        deployment, side, attempt, tuple(outcomes), answers or (), tuple(warnings), growth
    )


def verdicts(*observations, policy="note"):
    """Check -> verdict of what follows from the observations."""
    findings = behaviour_findings([TOY_REF], observations, policy)
    return {finding.check: finding.verdict for finding in findings}


def notes(*observations):
    """Check -> note."""
    findings = behaviour_findings([TOY_REF], observations)
    return {finding.check: finding.note for finding in findings}


def pairs(ratios, metric="decode_tps", deployment=TOY):
    """Pairs in which the candidate has so much of the baseline's 100."""
    return [
        Pair(
            deployment,
            number,
            "a",
            ProcessSample({metric: 100.0}),
            ProcessSample({metric: 100.0 * ratio}),
        )
        for number, ratio in enumerate(ratios)
    ]


def test_a_check_that_fails_in_the_candidate_alone_and_again_is_regressed():
    """One failure is not enough, two are; one that does not repeat is inconclusive."""
    once = behaviour("a", state=True), behaviour("b", state=False)
    assert to_confirm(TOY_REF, *once)
    assert verdicts(*once)["state"] == "inconclusive"
    good, bad = behaviour("a", 1, state=True), behaviour("b", 1, state=False)
    assert verdicts(*once, good, bad)["state"] == "regressed"
    assert verdicts(*once, good, replace(good, side="b"))["state"] == "inconclusive"
    assert verdicts(*once, replace(bad, side="a"), bad)["state"] == "inconclusive"


def test_a_check_that_the_baseline_fails_too_does_not_count_against_the_candidate():
    """Both fail: no regression, and a note; only the baseline fails: an improvement."""
    a, b = behaviour("a", state=False), behaviour("b", state=False)
    assert not to_confirm(TOY_REF, a, b)
    assert verdicts(a, b)["state"] == "pass"
    assert notes(a, b)["state"] == "both fail"
    assert notes(a, behaviour("b", state=True))["state"] == "improved"


def test_a_load_that_fails_in_the_candidate_is_regressed_when_it_fails_again():
    """A gate is for an import error of the new release, among others."""
    broken = Behaviour(TOY, "b", 0, (Probe("load", "error", "No module", "backend_unavailable"),))
    observations = behaviour("a"), broken, behaviour("a", 1), replace(broken, attempt=1)
    assert verdicts(*observations) == {"load": "regressed"}


def test_a_deployment_that_does_not_load_in_the_baseline_is_not_compared():
    """Neither side loads: nothing is known, so nothing passes; the candidate alone: improved."""
    broken = Behaviour(TOY, "a", 0, (Probe("load", "error", "no", "backend_failed"),))
    assert not to_confirm(TOY_REF, broken, replace(broken, side="b"))
    assert verdicts(broken, replace(broken, side="b")) == {"load": "inconclusive"}
    assert notes(broken, behaviour("b")) == {"load": "improved"}


def test_equal_answers_pass_without_a_test_even_wrong_ones():
    """The same answer twice is no regression, whatever it is."""
    same = answered("red", "blue", "green")
    a, b = behaviour("a", answers=same), behaviour("b", answers=same)
    assert verdicts(a, b)["answers"] == "pass"
    assert not to_confirm(TOY_REF, a, b)


def test_garbage_in_both_attempts_is_regressed():
    """All of forty questions lost, and all of a hundred others."""
    observations = [
        behaviour(side, attempt, answers=answered(*[text] * count))
        for attempt, count in ((0, 40), (1, 100))
        for side, text in (("a", "red"), ("b", "garbage"))
    ]
    assert verdicts(*observations)["answers"] == "regressed"


def test_another_correct_answer_here_and_there_is_no_regression():
    """One lost of forty, then none of 300 others: pass; lost again in part: cannot tell."""
    suspicion = [
        behaviour("a", answers=answered(*["red"] * 40)),
        behaviour("b", answers=answered("blue", *["red"] * 39)),
    ]
    assert to_confirm(TOY_REF, *suspicion)
    alike = [behaviour(side, 1, answers=answered(*["red"] * 300)) for side in "ab"]
    assert verdicts(*suspicion, *alike)["answers"] == "pass"
    lost = [alike[0], behaviour("b", 1, answers=answered(*["blue"] * 8, *["red"] * 292))]
    assert verdicts(*suspicion, *lost)["answers"] in ("inconclusive", "regressed")


def test_an_improvement_in_answers_passes():
    """The candidate is correct where the baseline was wrong."""
    observations = [
        behaviour(side, attempt, answers=answered(*[text] * count))
        for attempt, count in ((0, 40), (1, 100))
        for side, text in (("a", "blue"), ("b", "red"))
    ]
    assert verdicts(*observations)["answers"] == "pass"


def sure(side, attempt, margins, references, text="red"):
    """A behaviour whose answers are equal and whose margins are those."""
    answers = tuple(
        Answer(f"q{n}", "colour", "red", text, (), 10, True, margin, (reference, 2 * reference))
        for n, (margin, reference) in enumerate(zip(margins, references, strict=True))
    )
    return behaviour(side, attempt, answers=answers)


@pytest.mark.parametrize(
    ("a", "b", "expected", "note"),
    [
        (1.0, 1.0, "pass", ""),
        (1.0, 1.0005, "pass", ""),
        (1.0, 1.03, "regressed", ""),
        (1.03, 1.0, "pass", "improved"),
        (1.03, 1.03, "pass", ""),
        (1.03, 0.95, "inconclusive", ""),
    ],
)
def test_margins_tell_what_equal_answers_hide(a, b, expected, note):
    """Only the baseline as the reference, twice: regressed; only the candidate: improved."""
    references = [5.0 + n for n in range(40)]

    def of(side, attempt, factor):
        moved = [r * (factor if n % 7 == 0 else 1.0) for n, r in enumerate(references)]
        return sure(side, attempt, moved, references)

    observations = [
        of(side, attempt, factor) for attempt in (0, 1) for side, factor in (("a", a), ("b", b))
    ]
    assert verdicts(*observations)["margins"] == expected
    assert notes(*observations)["margins"] == note


def timed(side, attempt, seconds):
    """A behaviour whose answers took so long each."""
    answers = tuple(replace(answer, e2e_s=seconds) for answer in answered(*["red"] * 9))
    return behaviour(side, attempt, answers=answers)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.4,), "pass"),
        ((9.0,), "inconclusive"),
        ((9.0, 8.0), "regressed"),
        ((9.0, 1.1), "inconclusive"),
    ],
)
def test_gross_slowness_shows_without_timing(factors, expected):
    """Ten times as long, twice, is no other work on the machine."""
    observations = [
        timed(side, attempt, 0.1 * (factor if side == "b" else 1.0))
        for attempt, factor in enumerate(factors)
        for side in "ab"
    ]
    assert verdicts(*observations)["latency"] == expected


def test_without_a_reference_margins_are_not_judged():
    """A model of a user's own has none."""
    observations = [sure(side, 0, [5.0, 6.0], [0.0, 0.0]) for side in "ab"]
    assert set(verdicts(*observations).values()) == {"pass"}
    observations = [behaviour(side, answers=answered("red")) for side in "ab"]
    assert "margins" not in verdicts(*observations)


def test_growth_counts_if_the_candidate_surely_keeps_more_than_the_limit_and_the_baseline():
    """4 MB a request against 1 KB, twice; a baseline that leaks as much excuses the candidate."""
    leak, tight = Growth(4.2e6, 4.1e6, 4.3e6, 16), Growth(1e3, -1e3, 2e3, 16)
    a, b = behaviour("a", growth=tight), behaviour("b", growth=leak)
    again = replace(a, attempt=1), replace(b, attempt=1)
    assert verdicts(a, b)["growth"] == "inconclusive"
    assert verdicts(a, b, *again)["growth"] == "regressed"
    assert verdicts(behaviour("a", growth=leak), b)["growth"] == "pass"


def test_new_warnings_are_noted_or_fail_by_policy():
    """A warning of the baseline is nothing new."""
    a = behaviour("a", warnings=["FutureWarning: old"])
    b = behaviour("b", warnings=["FutureWarning: old", "DeprecationWarning: new"])
    assert verdicts(a, b)["warnings"] == "pass"
    assert notes(a, b)["warnings"] == "new warning"
    assert verdicts(a, b, policy="fail")["warnings"] == "regressed"
    assert verdicts(a, replace(a, side="b"), policy="fail")["warnings"] == "pass"


def test_another_number_of_prompt_tokens_is_noted():
    """The answers decide; the change of the prompt is a note."""
    a = behaviour("a", answers=answered("red", tokens=44))
    b = behaviour("b", answers=answered("red", tokens=36))
    assert notes(a, b)["prompt_tokens"] == "changed"


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([1.0] * 6, "pass"), ([0.8] * 12, "regressed"), ([0.8] * 6, "inconclusive")],
)
def test_a_metric_follows_the_rule(ratios, expected):
    """Equal speeds pass at six pairs; 20 % slower takes six more to confirm."""
    assert metric_finding(TOY, "decode_tps", pairs(ratios)).verdict == expected


def test_faster_is_a_note_and_a_pass():
    """Twenty per cent faster in every pair."""
    assert metric_finding(TOY, "decode_tps", pairs([1.2] * 9)).note == ""  # not confirmed yet
    finding = metric_finding(TOY, "decode_tps", pairs([1.2] * 12))
    assert (finding.verdict, finding.note) == ("pass", "improved")


def test_a_metric_that_neither_side_measures_is_left_out():
    """No GPU, no GPU memory."""
    assert metric_finding(TOY, "peak_device_bytes", pairs([1.0] * 6)) is None


def test_a_side_that_fails_to_be_timed_is_not_passed_over():
    """Three failures of the candidate alone regress; the baseline's, or both, leave it open."""
    failed, fine = ProcessSample(failure="crashed: SIGSEGV"), ProcessSample({"decode_tps": 100.0})

    def of(a, b, count=3):
        return [Pair(TOY, number, "a", a, b) for number in range(count)]

    assert metric_finding(TOY, "decode_tps", of(fine, failed)).verdict == "regressed"
    assert metric_finding(TOY, "decode_tps", of(failed, fine)).verdict == "inconclusive"
    assert metric_finding(TOY, "decode_tps", of(failed, failed)).verdict == "inconclusive"
    assert wanted_pairs(TOY, ["decode_tps"], of(fine, failed)) == 0


def test_pairs_are_wanted_until_every_metric_is_decided():
    """Six to begin with; six more to confirm; none once all is decided."""
    assert wanted_pairs(TOY, ["decode_tps"], []) == 6
    assert wanted_pairs(TOY, ["decode_tps"], pairs([0.8] * 6)) == 12
    assert wanted_pairs(TOY, ["decode_tps"], pairs([1.0] * 6)) == 0


@given(st.lists(st.sampled_from(VERDICTS), max_size=6))
def test_inconclusive_is_never_pass(names):
    """A gate passes only if all pass, and one regression is enough to fail."""
    verdict = overall(names)
    assert (verdict == "regressed") == ("regressed" in names)
    assert (verdict == "pass") == (bool(names) and set(names) == {"pass"})


@given(st.lists(st.floats(0.7, 1.3), max_size=70), st.data())
def test_a_decision_never_changes_with_more_pairs(ratios, data):
    """A resumed gate derives from a longer journal what was derived before."""
    cut = data.draw(st.integers(0, len(ratios)))
    before = metric_finding(TOY, "decode_tps", pairs(ratios[:cut]), finished=False)
    after = metric_finding(TOY, "decode_tps", pairs(ratios), finished=False)
    if before is not None and before.decision.name != "open":
        assert after.decision == before.decision


def test_a_deployment_that_was_not_compared_keeps_the_gate_from_passing():
    """An interrupted gate is not green for what it had time for."""
    plan = replace(
        gate_sample.plan(),
        deployments=gate_sample.refs(TOY, "other-f32@fake"),
        timed=(),
        metrics=(),
    )
    observations = [behaviour("a"), behaviour("b")]
    assert decide(plan, observations, []).verdict == "inconclusive"
    plan = replace(plan, deployments=gate_sample.refs(TOY))
    assert decide(plan, observations, []).verdict == "pass"
