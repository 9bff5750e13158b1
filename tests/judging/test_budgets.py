"""Findings against absolute limits: budgets, the roofline, consistency, checks, drift."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from qualification.core.declarations import Deployment, Source
from qualification.core.results import Accelerator, Check, Machine, Trial
from qualification.judging.budgets import load_limit_s
from qualification.judging.verdicts import Evidence, judge
from qualification.models.loading import load_registry
from tests.support.verdict_sample import (
    AIR,
    CANARY,
    GB,
    GOOD,
    HOT,
    MACHINE,
    PASSED,
    QWEN_7B,
    REAL,
    SMALL,
    earlier_session,
    findings_of,
    judged,
    trials,
)

# ------------------------------------------------------------------- budgets


def test_loading_longer_than_the_limit_fails() -> None:
    """10 s for a 7B; both figures are in the sentence."""
    verdict = judged({"load_s": [35.4]})
    assert (verdict.name, verdict.advice) == ("failed", "not recommended")
    assert findings_of(verdict, "load_s") == [
        ("fail", "Loading took 35.4 s; the limit for this size is 10.0 s.")
    ]


@pytest.mark.parametrize("change", [{"load_s": [35.4]}, {"decode_tps": [14.0, 20.1, 20.3]}])
def test_a_timing_budget_whose_check_was_left_out_is_not_judged(
    change: dict[str, list[float]],
) -> None:
    """``-k "not test_load_within_limit and not test_speed_repeats"`` of a shared machine."""
    verdict = judged(change, checks=(PASSED,))
    assert verdict.name == "no_baseline"
    assert verdict.advice == "usable"
    (sentence,) = [f.sentence for f in verdict.findings if "was not asked for" in f.sentence]
    assert sentence.startswith(("Loading took 35.4 s", "Decoding speed"))
    assert judged(change).name == "failed"


def test_one_slow_load_of_three_does_not_fail() -> None:
    """The middle one counts."""
    assert judged({"load_s": [5.8, 35.4, 5.9]}).name == "no_baseline"


def test_a_larger_model_may_load_longer_in_proportion() -> None:
    """A smaller one no shorter."""
    larger = replace(REAL, model=replace(QWEN_7B, parameters=33_200_000_000))
    assert load_limit_s(larger, AIR) == pytest.approx(40.0)
    assert load_limit_s(replace(REAL, model=SMALL), AIR) == 10.0
    assert load_limit_s(REAL, None) == 10.0


@pytest.mark.parametrize(
    ("peak", "status", "words"),
    [
        (5.9e9, "pass", "18% of 32.0 GB, within the budget"),
        (6.1e9, "warn", "over the 6.00 GB that system, server and applications leave"),
        (25e9, "warn", "over the warning threshold of 75%"),
        (28e9, "fail", "over the critical threshold of 87%"),
    ],
)
def test_peak_memory_is_compared_with_the_thresholds_and_the_budget(
    peak: float, status: str, words: str
) -> None:
    """Warns over the warning threshold or the headroom; fails over the critical threshold."""
    findings = findings_of(judged({"peak_memory_bytes": [1e9, peak]}), "peak_memory_bytes")
    assert any(status == actual and words in sentence for actual, sentence in findings)


def test_a_warning_is_usable_and_not_recommended() -> None:
    """The budgets hold, but with a doubt."""
    verdict = judged({"peak_memory_bytes": [7e9]})
    assert (verdict.name, verdict.advice) == ("no_baseline", "usable")


def test_the_published_94_tokens_per_second_are_rejected_on_an_air() -> None:
    """It would take three times the bandwidth of the machine."""
    verdict = judged({"decode_tps": [94.58, 95.37, 96.26]})
    assert verdict.name == "failed"
    ((status, sentence),) = findings_of(verdict, "decode_tps")
    assert status == "fail"
    assert "96.3 tok/s is over 30.2 tok/s" in sentence


@pytest.mark.parametrize(
    ("speed", "status"),
    [(31.0, "fail"), (29.0, "warn"), (27.0, "pass"), (14.0, "pass"), (13.0, "fail")],
)
def test_decoding_speed_is_compared_with_shares_of_the_roofline(speed: float, status: str) -> None:
    """Over 92 % of it is suspicious, under the tier's 45 % too slow."""
    verdict = judged({"decode_tps": [speed] * 3})
    assert findings_of(verdict, "decode_tps")[0][0] == status


def test_a_short_context_is_not_called_impossible() -> None:
    """29.9 is over the bound with a cache of 1,024 tokens and under the one with none."""
    assert findings_of(judged({"decode_tps": [29.9] * 3}), "decode_tps")[0][0] == "warn"


def test_far_under_the_roofline_the_software_is_to_be_investigated() -> None:
    """3B or more on one die, whatever the floor; the words are the same everywhere."""
    low = replace(REAL, source=replace(REAL.source, speed_floors={"air_m4": 5.0}))
    ((status, sentence),) = findings_of(judged({"decode_tps": [9.0] * 3}, of=low), "decode_tps")
    assert status == "pass"
    assert "30% of the roofline of 30.2 tok/s (under 45%: investigate the software)" in sentence
    small = findings_of(
        judged({"decode_tps": [9.0] * 3}, of=replace(REAL, model=SMALL)), "decode_tps"
    )
    assert "investigate" not in small[0][1]


def test_a_model_under_3b_or_two_dies_only_warns_under_the_floor() -> None:
    """They do not fill the memory bus; a larger model on one die fails."""
    slow = {"decode_tps": [9.0] * 3}
    assert judged(slow).name == "failed"
    assert judged(slow, of=replace(REAL, model=SMALL)).name == "no_baseline"
    ultra = replace(MACHINE, chip="Apple M3 Ultra")
    assert findings_of(judged(slow, machine=ultra), "decode_tps")[0][0] == "warn"


def test_a_declared_floor_comes_before_the_share() -> None:
    """In tok/s, for this tier only, and without a known bandwidth as well."""
    source = replace(REAL.source, speed_floors={"air_m4": 25.0, "cuda": 1.0})
    declared = replace(REAL, source=source)
    for machine in (MACHINE, replace(MACHINE, bandwidth=None)):
        ((status, sentence),) = findings_of(judged(of=declared, machine=machine), "decode_tps")
        assert status == "fail"
        assert "at 20.2 tok/s" in sentence
        assert "the declared floor is 25.0 tok/s" in sentence


@pytest.mark.parametrize(
    ("machine", "of_", "words"),
    [
        (replace(MACHINE, bandwidth=None), REAL, "the memory bandwidth of Apple M4 is not known"),
        (replace(MACHINE, bandwidth=math.inf), REAL, "bandwidth of Apple M4 is not known"),
        (MACHINE, replace(REAL, model=replace(QWEN_7B, shape=None)), "shape is not declared"),
        (MACHINE, replace(REAL, source=Source("mlx", "AutoRound")), "of AutoRound are not known"),
        (replace(MACHINE, bandwidth=None), CANARY, "the memory bandwidth of Apple M4 is not known"),
    ],
)
def test_an_unknown_roofline_is_said_to_be_unknown(
    machine: Machine, of_: Deployment, words: str
) -> None:
    """Never guessed; and what cannot be compared with a floor is not recommended."""
    verdict = judged(machine=machine, of=of_)
    ((status, sentence),) = findings_of(verdict, "decode_tps")
    assert status == "unknown"
    assert words in sentence
    assert verdict.advice == "usable"


def test_a_machine_of_unknown_memory_leaves_memory_unknown() -> None:
    """No division by nothing."""
    verdict = judged(machine=replace(MACHINE, memory_bytes=0))
    assert findings_of(verdict, "peak_memory_bytes")[0][0] == "unknown"


def test_a_machine_of_no_tier_has_the_default_thresholds_and_no_recommendation() -> None:
    """The same defaults as the suites use."""
    assert judged(tier=None).advice == "usable"
    assert judged({"peak_memory_bytes": [28e9]}, tier=None).name == "failed"
    assert judged({"load_s": [11.0]}, tier=None).name == "failed"


def test_what_was_not_measured_is_said() -> None:
    """A run of one suite is not a reason to recommend."""
    verdict = judge(REAL, AIR, MACHINE, Evidence(trials({"load_s": [5.8]}), [PASSED]))
    unknown = {f.metric for f in verdict.findings if f.status == "unknown"}
    assert unknown == {"peak_memory_bytes", "decode_tps", "consistency"}
    assert (verdict.name, verdict.advice) == ("no_baseline", "usable")


# ------------------------------------------------------------------- consistency


def test_the_published_runs_are_judged_as_their_document_does() -> None:
    """94.58, 95.37, 96.26 are consistent; 8.77, 12.28, 34.36 are not."""
    studio = replace(MACHINE, chip="Apple M4 Max", bandwidth=546e9)
    steady = judged({"decode_tps": [94.58, 95.37, 96.26]}, machine=studio)
    erratic = judged({"decode_tps": [8.77, 12.28, 34.36]}, machine=studio)
    ((status, sentence),) = findings_of(steady, "consistency")
    assert status == "pass"
    assert "has a CV of 0.9%" in sentence
    ((status, sentence),) = findings_of(erratic, "consistency")
    assert status == "fail"
    assert "8.77 to 34.4 tok/s in 3 equal requests) has a CV of 75.1%" in sentence
    assert (erratic.name, erratic.advice) == ("failed", "not recommended")


def test_two_repetitions_say_nothing_about_consistency() -> None:
    """Three do."""
    assert findings_of(judged({"decode_tps": [20.0, 20.1]}), "consistency")[0][0] == "unknown"


def test_requests_of_different_suites_are_not_compared_with_each_other() -> None:
    """Each suite asks its own question."""
    repetitions = [
        Trial(REAL.identifier, "decode_tps", value, "tok/s", number, suite)
        for suite, value in (("throughput", 20.0), ("context", 14.0))
        for number in range(3)
    ]
    verdict = judge(REAL, AIR, MACHINE, Evidence(repetitions, [PASSED]))
    assert [status for status, _ in findings_of(verdict, "consistency")] == ["pass", "pass"]


# ------------------------------------------------------------------- checks


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_a_failed_check_fails_in_any_state_of_the_machine(outcome: str) -> None:
    """Wrong answers do not come from heat."""
    wrong = Check(REAL.identifier, "capability", "test_sees", outcome, "said <b>blue</b>")  # type: ignore[arg-type]
    for conditions in ((), (HOT,)):
        verdict = judged(checks=(wrong,), conditions=conditions)
        assert (verdict.name, verdict.advice) == ("failed", "not recommended")
        assert "blue" not in " ".join(f.sentence for f in verdict.findings)


def test_a_known_bug_is_named_and_is_no_failure() -> None:
    """But it keeps the model from being recommended."""
    expected = Check(REAL.identifier, "state", "test_again", "xfailed", known_bug="llava-state")
    verdict = judged(checks=(PASSED, expected))
    assert (verdict.name, verdict.advice) == ("no_baseline", "usable")
    assert findings_of(verdict, "known_bug") == [
        ("warn", "llava-state makes test_again fail, as it is known to.")
    ]


def test_a_known_bug_that_is_declared_is_named_once_with_what_to_do() -> None:
    """However many tests it makes fail; the sentence is the terminal's and the report's."""
    (bug,) = [bug for bug in load_registry().bugs if bug.identifier == "llava-state-corruption"]
    expected = [
        Check(REAL.identifier, "state", test, "xfailed", known_bug=bug.identifier)
        for test in ("test_again", "test_later")
    ]
    evidence = Evidence(checks=[PASSED, *expected], bugs=[bug])
    assert findings_of(judge(REAL, AIR, MACHINE, evidence), "known_bug") == [
        (
            "warn",
            "llava-state-corruption makes test_again, test_later fail, as it is known to; "
            "workaround: load the model again for each image, or use mlx-vlm 0.4.1 or later; "
            "see mlx-vlm#821.",
        )
    ]


def test_a_known_bug_that_no_longer_fails_asks_for_a_change() -> None:
    """The model did nothing wrong."""
    gone = Check(REAL.identifier, "state", "test_again", "xpassed", known_bug="llava-state")
    verdict = judged(checks=(PASSED, gone))
    assert verdict.name == "no_baseline"
    assert "bugs.toml" in findings_of(verdict, "known_bug")[0][1]


def test_a_known_bug_that_fails_in_another_way_is_a_failure() -> None:
    """And is called another one."""
    failed = Check(REAL.identifier, "state", "test_again", "failed", known_bug="llava-state")
    verdict = judged(checks=(failed,))
    assert verdict.name == "failed"
    assert "in another way than llava-state" in findings_of(verdict, "check")[0][1]


def test_skipped_checks_of_one_reason_are_one_finding() -> None:
    """The reason is ours, on one line and of bounded length."""
    skipped = tuple(
        Check(REAL.identifier, "load", f"test_{n}", "skipped", "backend mlx\n\x1b[31m" + "x" * 999)
        for n in range(3)
    )
    ((status, sentence),) = findings_of(judged(checks=(PASSED, *skipped)), "check")
    assert status == "unknown"
    assert sentence.startswith("Skipped: test_0, test_1, test_2: backend mlx [31mxxx")
    assert len(sentence) < 600
    assert sentence.isprintable()


def test_where_everything_was_skipped_nothing_is_said_of_the_model() -> None:
    """Inconclusive, untested."""
    skipped = replace(PASSED, outcome="skipped", detail="backend mlx is not installed")
    evidence = Evidence(checks=[skipped], conditions=[HOT])
    verdict = judge(REAL, AIR, MACHINE, evidence, [earlier_session(trials(GOOD))])
    assert (verdict.name, verdict.advice) == ("inconclusive", "untested")
    assert judge(REAL, AIR, MACHINE, Evidence()).advice == "untested"


def test_what_belongs_to_another_deployment_is_ignored() -> None:
    """Its failures and its numbers."""
    foreign = [replace(trial, deployment="other@mlx", value=math.nan) for trial in trials(GOOD)]
    failed = Check("other@mlx", "load", "test_loads", "failed")
    evidence = Evidence([*trials(GOOD), *foreign], [PASSED, failed])
    assert judge(REAL, AIR, MACHINE, evidence) == judged()


# ------------------------------------------------------------------- the machine's own speed


@pytest.mark.parametrize(
    ("metric", "within", "over"),
    [("token_drift", 1.099, 1.12), ("sentinel_drift", 1.049, 1.06)],
)
def test_a_machine_that_slowed_down_is_unfit_whatever_its_sensors_say(
    metric: str, within: float, over: float
) -> None:
    """10 % between quarters of the tokens, 5 % between the sentinel runs; the reason is named."""
    assert judged({metric: [within]}).name == "no_baseline"
    verdict = judged({metric: [within, over]}, earlier=(GOOD, GOOD))
    assert (verdict.name, verdict.advice) == ("unfit", "untested")
    ((status, sentence),) = findings_of(verdict, "conditions")
    assert status == "unknown"
    assert f"{over - 1:+.1%}" in sentence
    assert "did not stay in one state" in sentence


def test_getting_faster_within_a_request_is_no_throttling() -> None:
    """The drift has a direction; the sentinel has none and is a ratio of 1 or more."""
    assert judged({"token_drift": [0.7]}).name == "no_baseline"


def test_a_canarys_drift_is_recorded_and_not_judged() -> None:
    """Tens of milliseconds."""
    verdict = judged({"token_drift": [3.0], "sentinel_drift": [2.0]}, of=CANARY)
    assert verdict.name == "no_baseline"


# ------------------------------------------------------------------- memory of a GPU

CUDA = replace(
    MACHINE, system="linux", accelerators=(Accelerator("cuda", "a GPU", memory_bytes=24 * GB),)
)


@pytest.mark.parametrize(
    ("peak", "status", "name"),
    [(8e9, "pass", "no_baseline"), (19e9, "warn", "no_baseline"), (22e9, "fail", "failed")],
)
def test_gpu_memory_is_compared_with_the_same_thresholds(
    peak: float, status: str, name: str
) -> None:
    """Shares of the GPU's own memory; the host's peak is judged beside it."""
    verdict = judged({"peak_device_bytes": [peak]}, machine=CUDA)
    ((actual, sentence),) = findings_of(verdict, "peak_device_bytes")
    assert (actual, verdict.name) == (status, name)
    assert "24.0 GB" in sentence
    assert findings_of(verdict, "peak_memory_bytes")[0][0] == "pass"


def test_a_gpu_that_does_not_report_its_memory_is_not_recommended() -> None:
    """Nobody knows whether it fits."""
    verdict = judged(machine=CUDA)
    ((status, _),) = findings_of(verdict, "peak_device_bytes")
    assert (status, verdict.advice) == ("unknown", "usable")


def test_without_a_gpu_nothing_is_said_of_one() -> None:
    """No finding."""
    assert not findings_of(judged(), "peak_device_bytes")


def test_a_speed_that_was_not_recorded_has_its_reason() -> None:
    """The tokens came in bursts; nothing fails, and no speed is judged."""
    verdict = judged({**GOOD, "decode_tps": [], "burst_answers": [5.0]}, of=CANARY)
    ((status, sentence),) = findings_of(verdict, "burst_answers")
    assert status == "unknown"
    assert "no decoding speed: 5." in sentence
    assert findings_of(verdict, "decode_tps") == [("unknown", "Decoding speed was not measured.")]
    assert findings_of(judged(), "burst_answers") == []
