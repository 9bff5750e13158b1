"""Verdicts: budgets, the roofline, consistency, checks, stored baselines, conditions."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.declarations import Deployment, MemoryBudget, Model, Shape, Source, Tier
from qualification.core.metrics import METRICS
from qualification.core.results import (
    Accelerator,
    Check,
    Condition,
    Environment,
    Machine,
    Trial,
    Verdict,
)
from qualification.judging.baselines.storage import AcceptedSession
from qualification.judging.verdicts import judge, load_limit_s

GB = 10**9
QWEN_7B = Model(
    name="qwen2.5-vl-7b",
    family="qwen2_5_vl",
    parameters=8_292_166_656,
    licence="apache-2.0",
    capabilities=("vision", "text_only"),
    sources=(),
    shape=Shape(28, 3584, 18944, 28, 4, 128, 152064),
)
SMALL = replace(QWEN_7B, name="small", parameters=500_000_000)
TINY = replace(QWEN_7B, name="canary", shape=Shape(4, 128, 384, 4, 2, 32, 264))
REAL = Deployment(QWEN_7B, Source("mlx", "4bit", tiers=("air_m4",)))
CANARY = Deployment(TINY, Source("torch", "f32", weights="canary"))
AIR = Tier(
    "air_m4",
    "MacBook Air M4",
    "macos",
    32e9,
    32e9,
    MemoryBudget(8e9, 2e9, 16e9),
    accelerator="metal",
)
MACHINE = Machine(
    "macos", "15.5", "Apple M4", "MacBook Air", "arm64", 10, 10, 32 * GB, bandwidth=120e9
)
PASSED = Check(REAL.identifier, "capability", "test_sees", "passed")
HOT = Condition("thermal", "heavy", False, "let the machine cool down first")
# Over 45 % of the roofline of 29.7 tok/s, load under 10 s, memory under what the budget leaves.
GOOD = {
    "load_s": [5.8],
    "peak_memory_bytes": [5.79e9],
    "decode_tps": [20.1, 20.3, 20.2, 20.2, 20.0],
    "ttft_s": [1.0, 1.01, 1.02],
}
ORDER = ("does_not_fit", "failed", "unfit", "inconclusive", "no_baseline", "pass")


def trials(values: dict[str, list[float]], of: Deployment = REAL) -> list[Trial]:
    """Repetitions in one suite."""
    return [
        Trial(of.identifier, metric, value, METRICS[metric][0], number, "throughput")
        for metric, numbers in values.items()
        for number, value in enumerate(numbers)
    ]


def earlier_session(
    found: list[Trial], machine: Machine = MACHINE, **versions: str
) -> AcceptedSession:
    """A stored session, of the same machine unless another one is named."""
    return AcceptedSession(
        "s", "2026-01-01T00:00:00+00:00", machine, environment(**versions), tuple(found)
    )


def environment(**versions: str) -> Environment:
    """Library versions by name, with _ for -."""
    return Environment(
        "current", "3.12.1", {name.replace("_", "-"): text for name, text in versions.items()}
    )


def verdict(
    change: dict[str, list[float]] | None = None,
    *,
    of: Deployment = REAL,
    tier: Tier | None = AIR,
    machine: Machine = MACHINE,
    checks: tuple[Check, ...] = (PASSED,),
    earlier: tuple[dict[str, list[float]], ...] = (),
    conditions: tuple[Condition, ...] = (),
) -> Verdict:
    """The good run, changed."""
    values = {**GOOD, **(change or {})}
    own = tuple(replace(check, deployment=of.identifier) for check in checks)
    baseline = [earlier_session(trials(session, of)) for session in earlier]
    return judge(of, tier, machine, trials(values, of), own, baseline, conditions)


def of(found: Verdict, metric: str) -> list[tuple[str, str]]:
    """Status and sentence of the findings of a metric."""
    return [(f.status, f.sentence) for f in found.findings if f.metric == metric]


def test_a_real_model_that_keeps_every_budget_is_recommended() -> None:
    """Without an earlier session it has no baseline; with one that agrees it passes."""
    found = verdict()
    assert (found.name, found.advice) == ("no_baseline", "recommended")
    again = verdict(earlier=(GOOD, GOOD))
    assert (again.name, again.advice) == ("pass", "recommended")
    assert {finding.status for finding in again.findings} == {"pass"}


# ------------------------------------------------------------------- budgets


def test_loading_longer_than_the_limit_fails() -> None:
    """10 s for a 7B; both figures are in the sentence."""
    found = verdict({"load_s": [35.4]})
    assert (found.name, found.advice) == ("failed", "not recommended")
    assert of(found, "load_s") == [
        ("fail", "Loading took 35.4 s; the limit for this size is 10.0 s.")
    ]


def test_one_slow_load_of_three_does_not_fail() -> None:
    """The middle one counts."""
    assert verdict({"load_s": [5.8, 35.4, 5.9]}).name == "no_baseline"


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
        (25e9, "warn", "over the warning mark of 75%"),
        (28e9, "fail", "over the critical mark of 87%"),
    ],
)
def test_peak_memory_is_held_against_the_marks_and_the_budget(
    peak: float, status: str, words: str
) -> None:
    """Warns over the warning mark or what the budget leaves; fails over the critical mark."""
    found = of(verdict({"peak_memory_bytes": [1e9, peak]}), "peak_memory_bytes")
    assert any(status == found_ and words in sentence for found_, sentence in found)


def test_a_warning_is_usable_and_not_recommended() -> None:
    """The budgets hold, but with a doubt."""
    found = verdict({"peak_memory_bytes": [7e9]})
    assert (found.name, found.advice) == ("no_baseline", "usable")


def test_the_published_94_tokens_per_second_are_rejected_on_an_air() -> None:
    """It would take three times the bandwidth of the machine."""
    found = verdict({"decode_tps": [94.58, 95.37, 96.26]})
    assert found.name == "failed"
    ((status, sentence),) = of(found, "decode_tps")
    assert status == "fail"
    assert "96.3 tok/s is over 30.2 tok/s" in sentence


@pytest.mark.parametrize(
    ("speed", "status"),
    [(31.0, "fail"), (29.0, "warn"), (27.0, "pass"), (14.0, "pass"), (13.0, "fail")],
)
def test_decoding_speed_is_held_against_shares_of_the_roofline(speed: float, status: str) -> None:
    """Over 92 % of it is suspicious, under the tier's 45 % too slow."""
    found = verdict({"decode_tps": [speed] * 3})
    assert of(found, "decode_tps")[0][0] == status


def test_a_short_context_is_not_called_impossible() -> None:
    """29.9 is over the bound with a cache of 1,024 tokens and under the one with none."""
    assert of(verdict({"decode_tps": [29.9] * 3}), "decode_tps")[0][0] == "warn"


def test_far_under_the_roofline_the_software_is_to_be_investigated() -> None:
    """3B or more on one die, whatever the floor; the words are the same everywhere."""
    low = replace(REAL, source=replace(REAL.source, speed_floors={"air_m4": 5.0}))
    ((status, sentence),) = of(verdict({"decode_tps": [9.0] * 3}, of=low), "decode_tps")
    assert status == "pass"
    assert "30% of the roofline of 30.2 tok/s (under 45%: investigate the software)" in sentence
    small = of(verdict({"decode_tps": [9.0] * 3}, of=replace(REAL, model=SMALL)), "decode_tps")
    assert "investigate" not in small[0][1]


def test_a_model_under_3b_or_two_dies_only_warns_under_the_floor() -> None:
    """They do not fill the memory bus; a larger model on one die fails."""
    slow = {"decode_tps": [9.0] * 3}
    assert verdict(slow).name == "failed"
    assert verdict(slow, of=replace(REAL, model=SMALL)).name == "no_baseline"
    ultra = replace(MACHINE, chip="Apple M3 Ultra")
    assert of(verdict(slow, machine=ultra), "decode_tps")[0][0] == "warn"


def test_a_declared_floor_comes_before_the_share() -> None:
    """In tok/s, for this tier only, and without a known bandwidth as well."""
    source = replace(REAL.source, speed_floors={"air_m4": 25.0, "cuda": 1.0})
    declared = replace(REAL, source=source)
    for machine in (MACHINE, replace(MACHINE, bandwidth=None)):
        ((status, sentence),) = of(verdict(of=declared, machine=machine), "decode_tps")
        assert status == "fail"
        assert "at 20.2 tok/s" in sentence
        assert "the declared floor is 25.0 tok/s" in sentence


@pytest.mark.parametrize(
    ("machine", "of_", "words"),
    [
        (replace(MACHINE, bandwidth=None), REAL, "the memory bandwidth of Apple M4 is not known"),
        (replace(MACHINE, bandwidth=math.inf), REAL, "bandwidth of Apple M4 is not known"),
        (MACHINE, replace(REAL, model=replace(QWEN_7B, shape=None)), "shape is not declared"),
        (MACHINE, replace(REAL, source=Source("mlx", "7bit")), "bytes per weight of 7bit"),
        (replace(MACHINE, bandwidth=None), CANARY, "the memory bandwidth of Apple M4 is not known"),
    ],
)
def test_an_unknown_roofline_is_said_to_be_unknown(
    machine: Machine, of_: Deployment, words: str
) -> None:
    """Never guessed; and what cannot be held against a floor is not recommended."""
    found = verdict(machine=machine, of=of_)
    ((status, sentence),) = of(found, "decode_tps")
    assert status == "unknown"
    assert words in sentence
    assert found.advice == "usable"


def test_a_machine_of_unknown_memory_leaves_memory_unknown() -> None:
    """No division by nothing."""
    found = verdict(machine=replace(MACHINE, memory_bytes=0))
    assert of(found, "peak_memory_bytes")[0][0] == "unknown"


def test_a_machine_of_no_tier_is_held_to_the_marks_and_not_recommended_on() -> None:
    """The same defaults as the suites use."""
    assert verdict(tier=None).advice == "usable"
    assert verdict({"peak_memory_bytes": [28e9]}, tier=None).name == "failed"
    assert verdict({"load_s": [11.0]}, tier=None).name == "failed"


def test_what_was_not_measured_is_said() -> None:
    """A run of one suite is not a reason to recommend."""
    found = judge(REAL, AIR, MACHINE, trials({"load_s": [5.8]}), [PASSED], [], [])
    unknown = {f.metric for f in found.findings if f.status == "unknown"}
    assert unknown == {"peak_memory_bytes", "decode_tps", "consistency"}
    assert (found.name, found.advice) == ("no_baseline", "usable")


# ------------------------------------------------------------------- consistency


def test_the_published_runs_are_judged_as_their_document_does() -> None:
    """94.58, 95.37, 96.26 are consistent; 8.77, 12.28, 34.36 are not."""
    studio = replace(MACHINE, chip="Apple M4 Max", bandwidth=546e9)
    steady = verdict({"decode_tps": [94.58, 95.37, 96.26]}, machine=studio)
    erratic = verdict({"decode_tps": [8.77, 12.28, 34.36]}, machine=studio)
    ((status, sentence),) = of(steady, "consistency")
    assert status == "pass"
    assert "varies by 0.9%" in sentence
    ((status, sentence),) = of(erratic, "consistency")
    assert status == "fail"
    assert "8.77 to 34.4 tok/s) varies by 75.1%" in sentence
    assert (erratic.name, erratic.advice) == ("failed", "not recommended")


def test_two_repetitions_say_nothing_about_consistency() -> None:
    """Three do."""
    assert of(verdict({"decode_tps": [20.0, 20.1]}), "consistency")[0][0] == "unknown"


def test_requests_of_different_suites_are_not_compared_with_each_other() -> None:
    """Each suite asks its own question."""
    own = [
        Trial(REAL.identifier, "decode_tps", value, "tok/s", number, suite)
        for suite, value in (("throughput", 20.0), ("context", 14.0))
        for number in range(3)
    ]
    found = judge(REAL, AIR, MACHINE, own, [PASSED], [], [])
    assert [status for status, _ in of(found, "consistency")] == ["pass", "pass"]


# ------------------------------------------------------------------- checks


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_a_failed_check_fails_in_any_state_of_the_machine(outcome: str) -> None:
    """Wrong answers do not come from heat."""
    wrong = Check(REAL.identifier, "capability", "test_sees", outcome, "said <b>blue</b>")  # type: ignore[arg-type]
    for conditions in ((), (HOT,)):
        found = verdict(checks=(wrong,), conditions=conditions)
        assert (found.name, found.advice) == ("failed", "not recommended")
        assert "blue" not in " ".join(f.sentence for f in found.findings)


def test_a_known_bug_is_named_and_is_no_failure() -> None:
    """But it keeps the model from being recommended."""
    known = Check(REAL.identifier, "state", "test_again", "xfailed", known_bug="llava-state")
    found = verdict(checks=(PASSED, known))
    assert (found.name, found.advice) == ("no_baseline", "usable")
    assert of(found, "known_bug") == [
        ("warn", "llava-state makes test_again fail, as it is known to.")
    ]


def test_a_known_bug_that_no_longer_fails_asks_for_a_change() -> None:
    """The model did nothing wrong."""
    gone = Check(REAL.identifier, "state", "test_again", "xpassed", known_bug="llava-state")
    found = verdict(checks=(PASSED, gone))
    assert found.name == "no_baseline"
    assert "bugs.toml" in of(found, "known_bug")[0][1]


def test_a_known_bug_that_fails_in_another_way_is_a_failure() -> None:
    """And is said to be another."""
    other = Check(REAL.identifier, "state", "test_again", "failed", known_bug="llava-state")
    found = verdict(checks=(other,))
    assert found.name == "failed"
    assert "in another way than llava-state" in of(found, "check")[0][1]


def test_skipped_checks_of_one_reason_are_one_finding() -> None:
    """The reason is ours, on one line and of bounded length."""
    skipped = tuple(
        Check(REAL.identifier, "load", f"test_{n}", "skipped", "backend mlx\n\x1b[31m" + "x" * 999)
        for n in range(3)
    )
    ((status, sentence),) = of(verdict(checks=(PASSED, *skipped)), "check")
    assert status == "unknown"
    assert sentence.startswith("Left out: test_0, test_1, test_2: backend mlx [31mxxx")
    assert len(sentence) < 300
    assert sentence.isprintable()


def test_where_everything_was_skipped_nothing_is_said_of_the_model() -> None:
    """Inconclusive, untested."""
    skipped = replace(PASSED, outcome="skipped", detail="backend mlx is not installed")
    found = judge(REAL, AIR, MACHINE, [], [skipped], [earlier_session(trials(GOOD))], [HOT])
    assert (found.name, found.advice) == ("inconclusive", "untested")
    assert judge(REAL, AIR, MACHINE, [], [], [], []).advice == "untested"


def test_what_belongs_to_another_deployment_is_ignored() -> None:
    """Its failures and its numbers."""
    other = [replace(trial, deployment="other@mlx", value=math.nan) for trial in trials(GOOD)]
    failed = Check("other@mlx", "load", "test_loads", "failed")
    found = judge(REAL, AIR, MACHINE, [*trials(GOOD), *other], [PASSED, failed], [], [])
    assert found == verdict()


# ------------------------------------------------------------------- advice


def test_a_canary_that_works_is_usable_and_never_recommended() -> None:
    """It says that the software works, also on a machine too busy for timing."""
    assert verdict(of=CANARY).advice == "usable"
    busy = verdict(of=CANARY, conditions=(HOT,))
    assert (busy.name, busy.advice) == ("unfit", "usable")
    wrong = replace(PASSED, outcome="failed")
    assert verdict(of=CANARY, checks=(wrong,)).advice == "not recommended"


def test_a_canary_may_be_slow_and_vary() -> None:
    """Its requests take milliseconds, and it fits a cache: no roofline holds."""
    found = verdict({"decode_tps": [5.0, 5.1, 9.0]}, of=CANARY)
    assert found.name == "no_baseline"
    assert verdict({"decode_tps": [1e6] * 3}, of=CANARY).name == "no_baseline"
    wide = {"decode_tps": [1.0, 2.0, 20.0]}
    assert of(verdict(wide, of=CANARY), "consistency")[0][0] == "warn"


def test_random_weights_are_never_recommended() -> None:
    """They speak of size and speed, not of answers."""
    synthetic = replace(REAL, source=replace(REAL.source, weights="synthetic"))
    assert verdict(of=synthetic, earlier=(GOOD, GOOD)).advice == "usable"


def test_a_vision_model_is_not_recommended_on_a_text_only_tier() -> None:
    """It does not belong there, however fast."""
    assert verdict(tier=replace(AIR, vision=False)).advice == "not recommended"


def test_a_model_of_which_no_check_passed_is_not_recommended() -> None:
    """Numbers alone do not show that it answers."""
    assert verdict(checks=()).advice == "usable"


def test_what_is_predicted_not_to_fit_says_so_with_the_sum() -> None:
    """Whatever else there is."""
    sentence = "the weights alone take 41.0 GB and 87% of this machine's 32.0 GB are 27.8 GB"
    found = judge(REAL, AIR, MACHINE, [], [PASSED], [], [HOT], does_not_fit=sentence)
    assert (found.name, found.advice) == ("does_not_fit", "does not fit")
    assert found.findings[0].sentence == "T" + sentence[1:] + "."


# ------------------------------------------------------------------- conditions


def test_an_unfit_machine_makes_timing_unfit() -> None:
    """The condition is named; nothing is said about speed, and the model is untested."""
    found = verdict(conditions=(HOT,), earlier=(GOOD, GOOD))
    assert (found.name, found.advice) == ("unfit", "untested")
    assert of(found, "conditions") == [
        (
            "unknown",
            "Speed is not judged, because thermal was heavy (let the machine cool down first).",
        )
    ]


def test_timing_on_an_unfit_machine_is_not_held_against_a_baseline_but_memory_is() -> None:
    """The slowdown would be the machine's."""
    slow = {"decode_tps": [15.1, 15.0, 15.2], "peak_memory_bytes": [9e9]}
    found = verdict(slow, conditions=(HOT,), earlier=(GOOD, GOOD))
    suspect = [finding.metric for finding in found.findings if finding.status == "suspect"]
    assert suspect == ["peak_memory_bytes"]


def test_slow_timing_on_an_unfit_machine_is_no_failure_but_too_much_memory_is() -> None:
    """Heat slows; it does not fill memory. The checks that time are treated alike."""
    late = Check(REAL.identifier, "load", "test_load_within_limit", "failed", "took 40 s")
    slow = {"load_s": [40.0], "decode_tps": [3.0, 5.0, 9.0]}
    found = verdict(slow, conditions=(HOT,), checks=(PASSED, late))
    assert found.name == "unfit"
    assert of(found, "load_s")[0][0] == of(found, "consistency")[0][0] == "unknown"
    assert verdict(slow, checks=(PASSED, late)).name == "failed"
    assert verdict({"peak_memory_bytes": [28e9]}, conditions=(HOT,)).name == "failed"
    assert verdict({"decode_tps": [96.0] * 3}, conditions=(HOT,)).name == "failed"


# ------------------------------------------------------------------- stored baseline


def test_a_clear_slowdown_is_suspect_and_does_not_fail_by_itself() -> None:
    """The verdict is inconclusive, the model stays usable, the comparison is asked for."""
    found = verdict({"decode_tps": [15.1, 15.0, 15.2]}, earlier=(GOOD, GOOD, GOOD))
    assert (found.name, found.advice) == ("inconclusive", "usable")
    ((status, sentence),) = [f for f in of(found, "decode_tps") if f[0] != "pass"]
    assert status == "suspect"
    against = "Decoding speed against 3 earlier sessions of this machine"
    assert sentence.startswith(f"{against}: factor 1.334 (1.2")


def test_a_faster_session_is_consistent() -> None:
    """Better is not worse."""
    found = verdict({"decode_tps": [24.1, 24.0, 24.2]}, earlier=(GOOD, GOOD))
    assert found.name == "pass"
    assert "factor 0.836 (" in of(found, "decode_tps")[1][1]


def test_one_session_cannot_settle_five_per_cent_of_memory() -> None:
    """Inconclusive is never pass; the sentence says how many it takes."""
    found = verdict(earlier=(GOOD,))
    assert found.name == "inconclusive"
    ((status, sentence),) = [f for f in of(found, "peak_memory_bytes") if f[0] != "pass"]
    assert status == "unknown"
    assert sentence.endswith("cannot tell; it takes 2 earlier sessions to decide.")


@pytest.mark.parametrize(("share", "name"), [(0.99, "pass"), (0.97, "inconclusive")])
def test_accuracy_may_drop_by_less_than_two_points(share: float, name: str) -> None:
    """In points, on the same items."""
    earlier = {**GOOD, "accuracy": [1.0]}
    assert verdict({"accuracy": [share]}, earlier=(earlier, earlier)).name == name


def test_an_accuracy_of_nothing_right_is_a_number() -> None:
    """0 is a share; 1.5 is none."""
    assert of(verdict({"accuracy": [0.0]}), "accuracy") == []
    assert of(verdict({"accuracy": [1.5]}), "accuracy")[0][0] == "fail"


def test_sessions_that_measured_something_else_are_no_baseline() -> None:
    """Another suite, another metric, or nothing valid."""
    other = [replace(trial, suite="context") for trial in trials({"decode_tps": [20.0]})]
    bad = trials({"decode_tps": [math.nan]})
    baseline = [earlier_session(found) for found in (other, bad, [])]
    found = judge(REAL, AIR, MACHINE, trials(GOOD), [PASSED], baseline, [])
    assert found.name == "no_baseline"


# ------------------------------------------------------------------- invalid numbers


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -3.0, 1e-300, 1e300])
def test_a_number_that_is_no_measurement_is_rejected_with_a_finding(bad: float) -> None:
    """With others left it warns; alone it fails, for nothing was measured that should have been."""
    found = verdict({"decode_tps": [20.1, bad, 20.2, 20.3]})
    assert of(found, "decode_tps")[0] == (
        "warn",
        "1 of 4 repetitions of decode_tps gave no measurement (a positive finite number).",
    )
    assert found.name == "no_baseline"
    assert verdict({"decode_tps": [bad]}).name == "failed"


ANY = st.floats(allow_nan=True, allow_infinity=True)
RUNS = st.dictionaries(
    st.sampled_from(sorted(METRICS)), st.lists(ANY, min_size=1, max_size=5), max_size=5
)
CHECKS = st.lists(
    st.builds(
        Check,
        st.just(REAL.identifier),
        st.sampled_from(["load", "state"]),
        st.sampled_from(["test_loads", "test_load_within_limit"]),
        st.sampled_from(["passed", "failed", "skipped", "xfailed", "xpassed", "error"]),
        st.text(max_size=20),
    ),
    max_size=3,
)
CONDITIONS = st.sampled_from([(), (HOT,)])


@settings(deadline=None)
@given(
    RUNS,
    st.lists(RUNS, max_size=3),
    CHECKS,
    CONDITIONS,
    st.sampled_from([None, 0.0, 1e-9, 120e9, 1e30, math.nan]),
    st.integers(0, 10**15),
    st.sampled_from([None, AIR]),
    st.sampled_from([REAL, CANARY]),
)
def test_any_input_gets_a_verdict_of_printable_sentences(
    values: dict[str, list[float]],
    earlier: list[dict[str, list[float]]],
    checks: list[Check],
    conditions: tuple[Condition, ...],
    bandwidth: float | None,
    memory: int,
    tier: Tier | None,
    which: Deployment,
) -> None:
    """Never an exception, and never a number in a sentence that is none."""
    machine = replace(MACHINE, bandwidth=bandwidth, memory_bytes=memory)
    own = [replace(check, deployment=which.identifier) for check in checks]
    baseline = [earlier_session(trials(session, which)) for session in earlier]
    found = judge(which, tier, machine, trials(values, which), own, baseline, conditions)
    assert found.name in ORDER
    for finding in found.findings:
        assert finding.sentence.endswith(".")
        assert finding.sentence.isprintable()
        if not any(check.detail for check in checks):
            assert not re.search(r"\b(nan|inf)\b", finding.sentence)


SPEEDS = st.lists(st.floats(0.5, 25.0), min_size=1, max_size=5)
TIMES = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=3)


@settings(deadline=None)
@given(
    SPEEDS,
    TIMES,
    st.lists(SPEEDS, max_size=3),
    CONDITIONS,
    st.floats(1.0, 20.0),
    st.sampled_from([REAL, CANARY]),
)
def test_slower_never_gets_a_better_verdict(
    speeds: list[float],
    times: list[float],
    earlier: list[list[float]],
    conditions: tuple[Condition, ...],
    factor: float,
    which: Deployment,
) -> None:
    """Everything that is timed slower by a factor, all else equal."""
    sessions = tuple({**GOOD, "decode_tps": session} for session in earlier)
    before = {"decode_tps": speeds, "load_s": times}
    after = {
        "decode_tps": [speed / factor for speed in speeds],
        "load_s": [time * factor for time in times],
    }
    ranks = [
        ORDER.index(verdict(x, of=which, earlier=sessions, conditions=conditions).name)
        for x in (before, after)
    ]
    assert ranks[1] <= ranks[0]


@settings(deadline=None)
@given(st.floats(1e6, 40e9), st.floats(1.0, 10.0), CONDITIONS)
def test_more_memory_never_gets_a_better_verdict(
    peak: float, factor: float, conditions: tuple[Condition, ...]
) -> None:
    """In any state of the machine."""
    ranks = [
        ORDER.index(
            verdict({"peak_memory_bytes": [size]}, earlier=(GOOD, GOOD), conditions=conditions).name
        )
        for size in (peak, peak * factor)
    ]
    assert ranks[1] <= ranks[0]


# ------------------------------------------------------------------- the machine's own speed


@pytest.mark.parametrize(
    ("metric", "kept", "over"),
    [("token_drift", 1.099, 1.12), ("sentinel_drift", 1.049, 1.06)],
)
def test_a_machine_that_slowed_down_is_unfit_whatever_its_sensors_say(
    metric: str, kept: float, over: float
) -> None:
    """10 % between quarters of the tokens, 5 % between the sentinel runs; the reason is said."""
    assert verdict({metric: [kept]}).name == "no_baseline"
    found = verdict({metric: [kept, over]}, earlier=(GOOD, GOOD))
    assert (found.name, found.advice) == ("unfit", "untested")
    ((status, sentence),) = of(found, "conditions")
    assert status == "unknown"
    assert f"{over - 1:+.1%}" in sentence
    assert "did not stay in one state" in sentence


def test_getting_faster_within_a_request_is_no_throttling() -> None:
    """The drift has a direction; the sentinel has none and is a ratio of 1 or more."""
    assert verdict({"token_drift": [0.7]}).name == "no_baseline"


def test_a_canarys_drift_is_recorded_and_not_judged() -> None:
    """Tens of milliseconds."""
    found = verdict({"token_drift": [3.0], "sentinel_drift": [2.0]}, of=CANARY)
    assert found.name == "no_baseline"


# ------------------------------------------------------------------- memory of a GPU

CUDA = replace(
    MACHINE, system="linux", accelerators=(Accelerator("cuda", "a GPU", memory_bytes=24 * GB),)
)


@pytest.mark.parametrize(
    ("held", "status", "name"),
    [(8e9, "pass", "no_baseline"), (19e9, "warn", "no_baseline"), (22e9, "fail", "failed")],
)
def test_what_a_gpu_holds_is_held_against_the_same_marks(
    held: float, status: str, name: str
) -> None:
    """Of the GPU's own memory; the host's peak is judged beside it."""
    found = verdict({"peak_device_bytes": [held]}, machine=CUDA)
    ((seen, sentence),) = of(found, "peak_device_bytes")
    assert (seen, found.name) == (status, name)
    assert "24.0 GB" in sentence
    assert of(found, "peak_memory_bytes")[0][0] == "pass"


def test_a_gpu_that_does_not_tell_is_not_recommended() -> None:
    """Nobody knows whether it fits."""
    found = verdict(machine=CUDA)
    ((status, _),) = of(found, "peak_device_bytes")
    assert (status, found.advice) == ("unknown", "usable")


def test_without_a_gpu_nothing_is_said_of_one() -> None:
    """No finding."""
    assert not of(verdict(), "peak_device_bytes")


# ------------------------------------------------------------------- several machines


def against(
    sessions: list[AcceptedSession], metric: str = "decode_tps", **versions: str
) -> tuple[str, str]:
    """Status and sentence of the good run's metric against stored sessions."""
    found = judge(
        REAL,
        AIR,
        replace(MACHINE, identifier="here"),
        trials(GOOD),
        [PASSED],
        sessions,
        [],
        environment=environment(**versions),
    )
    return of(found, metric)[-1]


def on(machine: str, speed: float, **versions: str) -> AcceptedSession:
    """A stored session of a machine; its memory is the good run's."""
    values = {"decode_tps": [speed], "peak_memory_bytes": [5.79e9]}
    return earlier_session(trials(values), replace(MACHINE, identifier=machine), **versions)


def test_this_machines_sessions_are_taken_alone_where_they_are_enough() -> None:
    """A neighbour's other speed then neither hides nor makes a suspect."""
    status, sentence = against([on("here", 20.2), on("other", 40.0), on("other", 40.0)])
    assert status == "pass"
    assert "against 1 earlier session of this machine: factor 1.0" in sentence


def test_where_they_are_not_enough_all_of_the_tier_count_by_machine() -> None:
    """Memory takes two: one of its own and five of one neighbour are two machines."""
    others = [on("other", 20.2)] * 5
    status, sentence = against([on("here", 20.2), *others], "peak_memory_bytes")
    assert status == "pass"
    assert "against 6 earlier sessions of 2 machines of the tier, this one among them" in sentence
    status, sentence = against(others, "peak_memory_bytes")
    assert status == "unknown"
    assert "against 5 earlier sessions of another machine of the tier" in sentence
    assert sentence.endswith("it takes 2 sessions of this machine, or machines, to decide.")
    _, sentence = against([on("x", 20.2), on("y", 20.2)])
    assert "against 2 earlier sessions of 2 other machines of the tier: factor" in sentence


def test_a_finding_says_which_versions_the_baseline_has_where_they_differ() -> None:
    """What an upgrade is compared with, in the one sentence."""
    old = {"mlx": "0.30.1", "mlx_vlm": "0.3.9", "numpy": "2.4.6", "llama_cpp_python": "1"}
    new = {"mlx": "0.30.1", "mlx_vlm": "0.7.10", "numpy": "2.5.0", "llama_cpp_python": "2"}
    status, sentence = against([on("here", 26.0, **old)], **new)
    assert status == "suspect"
    assert sentence.startswith(
        "Decoding speed against 1 earlier session of this machine with mlx-vlm 0.3.9 (now 0.7.10) "
        "and 1 library besides: factor 1.2"
    )
    assert " with " not in against([on("here", 20.2, **new)], **new)[1]
