"""Verdicts: their names and advice, stored baselines, conditions, invalid numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.declarations import Deployment, Source, Tier
from qualification.core.metrics import METRICS
from qualification.core.results import Check, Condition
from qualification.judging.verdicts import Evidence, judge
from tests.support.verdict_sample import (
    AIR,
    CANARY,
    GOOD,
    HOT,
    MACHINE,
    NAMES_WORST_FIRST,
    PASSED,
    REAL,
    against,
    earlier_session,
    findings_of,
    judged,
    on,
    trials,
)


def test_a_real_model_that_keeps_every_budget_is_recommended() -> None:
    """Without an earlier session it has no baseline; with one that agrees it passes."""
    verdict = judged()
    assert (verdict.name, verdict.advice) == ("no_baseline", "recommended")
    again = judged(earlier=(GOOD, GOOD))
    assert (again.name, again.advice) == ("pass", "recommended")
    assert {finding.status for finding in again.findings} == {"pass"}


# ------------------------------------------------------------------- advice


def test_a_canary_that_works_is_usable_and_never_recommended() -> None:
    """It says that the software works, also on a machine too busy for timing."""
    assert judged(of=CANARY).advice == "usable"
    busy = judged(of=CANARY, conditions=(HOT,))
    assert (busy.name, busy.advice) == ("unfit", "usable")
    wrong = replace(PASSED, outcome="failed")
    assert judged(of=CANARY, checks=(wrong,)).advice == "not recommended"


def test_a_canary_may_be_slow_and_vary() -> None:
    """Its requests take milliseconds, and it fits a cache: no roofline holds."""
    verdict = judged({"decode_tps": [5.0, 5.1, 9.0]}, of=CANARY)
    assert verdict.name == "no_baseline"
    assert judged({"decode_tps": [1e6] * 3}, of=CANARY).name == "no_baseline"
    wide = {"decode_tps": [1.0, 2.0, 20.0]}
    assert findings_of(judged(wide, of=CANARY), "consistency")[0][0] == "warn"


def test_random_weights_are_never_recommended() -> None:
    """They speak of size and speed, not of answers."""
    synthetic = replace(REAL, source=replace(REAL.source, weights="synthetic"))
    assert judged(of=synthetic, earlier=(GOOD, GOOD)).advice == "usable"


def test_a_vision_model_is_not_recommended_on_a_text_only_tier() -> None:
    """It does not belong there, however fast."""
    assert judged(tier=replace(AIR, vision=False)).advice == "not recommended"


def test_a_model_of_which_no_check_passed_is_not_recommended() -> None:
    """Numbers alone do not show that it answers."""
    assert judged(checks=()).advice == "usable"


def test_what_is_predicted_not_to_fit_says_so_with_the_sum() -> None:
    """Whatever else there is."""
    sentence = "the weights alone take 41.0 GB and 87% of this machine's 32.0 GB are 27.8 GB"
    evidence = Evidence(checks=[PASSED], conditions=[HOT])
    verdict = judge(REAL, AIR, MACHINE, evidence, does_not_fit=sentence)
    assert (verdict.name, verdict.advice) == ("does_not_fit", "does not fit")
    assert verdict.findings[0].sentence == "T" + sentence[1:] + "."


# ------------------------------------------------------------------- conditions


def test_an_unfit_machine_makes_timing_unfit() -> None:
    """The condition is named; nothing is said about speed, and the model is untested."""
    verdict = judged(conditions=(HOT,), earlier=(GOOD, GOOD))
    assert (verdict.name, verdict.advice) == ("unfit", "untested")
    assert findings_of(verdict, "conditions") == [
        (
            "unknown",
            "Speed is not judged, because thermal was heavy (let the machine cool down first).",
        )
    ]


def test_timing_on_an_unfit_machine_is_not_compared_with_a_baseline_but_memory_is() -> None:
    """The slowdown would be the machine's."""
    slow = {"decode_tps": [15.1, 15.0, 15.2], "peak_memory_bytes": [9e9]}
    verdict = judged(slow, conditions=(HOT,), earlier=(GOOD, GOOD))
    suspect = [finding.metric for finding in verdict.findings if finding.status == "suspect"]
    assert suspect == ["peak_memory_bytes"]


def test_slow_timing_on_an_unfit_machine_is_no_failure_but_too_much_memory_is() -> None:
    """Heat slows; it does not fill memory. The checks that time are treated alike."""
    late = Check(REAL.identifier, "load", "test_load_within_limit", "failed", "took 40 s")
    slow = {"load_s": [40.0], "decode_tps": [3.0, 5.0, 9.0]}
    verdict = judged(slow, conditions=(HOT,), checks=(PASSED, late))
    assert verdict.name == "unfit"
    assert (
        findings_of(verdict, "load_s")[0][0]
        == findings_of(verdict, "consistency")[0][0]
        == "unknown"
    )
    assert judged(slow, checks=(PASSED, late)).name == "failed"
    assert judged({"peak_memory_bytes": [28e9]}, conditions=(HOT,)).name == "failed"
    assert judged({"decode_tps": [96.0] * 3}, conditions=(HOT,)).name == "failed"


# ------------------------------------------------------------------- stored baseline


def test_a_clear_slowdown_is_suspect_and_does_not_fail_by_itself() -> None:
    """The verdict is inconclusive, the model stays usable, the comparison is asked for."""
    verdict = judged({"decode_tps": [15.1, 15.0, 15.2]}, earlier=(GOOD, GOOD, GOOD))
    assert (verdict.name, verdict.advice) == ("inconclusive", "usable")
    ((status, sentence),) = [f for f in findings_of(verdict, "decode_tps") if f[0] != "pass"]
    assert status == "suspect"
    against = "Decoding speed against 3 earlier sessions of this machine"
    assert sentence.startswith(f"{against}: factor 1.334 (1.2")


def test_a_faster_session_is_consistent() -> None:
    """Better is not worse."""
    verdict = judged({"decode_tps": [24.1, 24.0, 24.2]}, earlier=(GOOD, GOOD))
    assert verdict.name == "pass"
    assert "factor 0.836 (" in findings_of(verdict, "decode_tps")[1][1]


def test_one_session_cannot_settle_five_per_cent_of_memory() -> None:
    """Inconclusive is never pass; the sentence says how many it takes."""
    verdict = judged(earlier=(GOOD,))
    assert verdict.name == "inconclusive"
    ((status, sentence),) = [f for f in findings_of(verdict, "peak_memory_bytes") if f[0] != "pass"]
    assert status == "unknown"
    assert sentence.endswith("cannot tell; it takes 2 earlier sessions to decide.")


@pytest.mark.parametrize(("share", "name"), [(0.99, "pass"), (0.97, "inconclusive")])
def test_accuracy_may_drop_by_less_than_two_points(share: float, name: str) -> None:
    """In points, on the same items."""
    earlier = {**GOOD, "accuracy": [1.0]}
    assert judged({"accuracy": [share]}, earlier=(earlier, earlier)).name == name


def test_an_accuracy_of_zero_is_a_number() -> None:
    """0 is a share; 1.5 is none."""
    assert findings_of(judged({"accuracy": [0.0]}), "accuracy") == []
    assert findings_of(judged({"accuracy": [1.5]}), "accuracy")[0][0] == "fail"


def test_sessions_that_measured_something_else_are_no_baseline() -> None:
    """Another suite, another metric, or nothing valid."""
    foreign = [replace(trial, suite="context") for trial in trials({"decode_tps": [20.0]})]
    invalid = trials({"decode_tps": [math.nan]})
    baseline = [earlier_session(repetitions) for repetitions in (foreign, invalid, [])]
    verdict = judge(REAL, AIR, MACHINE, Evidence(trials(GOOD), [PASSED]), baseline)
    assert verdict.name == "no_baseline"


def test_a_rejected_speed_stands_in_no_finding() -> None:
    """Neither how fast it was nor how much it varied."""
    verdict = judged({"decode_tps": [57.0, 94.0, 95.0]})
    ((status, sentence),) = findings_of(verdict, "decode_tps")
    assert status == "fail"
    assert sentence.endswith("so the record is rejected.")
    assert findings_of(verdict, "consistency") == []


# ------------------------------------------------------------------- invalid numbers


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -3.0, 1e-300, 1e300])
def test_a_number_that_is_no_measurement_is_rejected_with_a_finding(bad: float) -> None:
    """Beside valid ones it warns; alone it fails, because a metric has no measurement."""
    verdict = judged({"decode_tps": [20.1, bad, 20.2, 20.3]})
    assert findings_of(verdict, "decode_tps")[0] == (
        "warn",
        "1 of 4 repetitions of decode_tps gave no measurement (a positive finite number).",
    )
    assert verdict.name == "no_baseline"
    assert judged({"decode_tps": [bad]}).name == "failed"


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
    deployment: Deployment,
) -> None:
    """Never an exception, and never a number in a sentence that is none."""
    machine = replace(MACHINE, bandwidth=bandwidth, memory_bytes=memory)
    evidence = Evidence(
        trials(values, deployment),
        [replace(check, deployment=deployment.identifier) for check in checks],
        conditions,
    )
    baseline = [earlier_session(trials(session, deployment)) for session in earlier]
    verdict = judge(deployment, tier, machine, evidence, baseline)
    assert verdict.name in NAMES_WORST_FIRST
    for finding in verdict.findings:
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
    deployment: Deployment,
) -> None:
    """Everything that is timed slower by a factor, all else equal."""
    sessions = tuple({**GOOD, "decode_tps": session} for session in earlier)
    before = {"decode_tps": speeds, "load_s": times}
    after = {
        "decode_tps": [speed / factor for speed in speeds],
        "load_s": [time * factor for time in times],
    }
    ranks = [
        NAMES_WORST_FIRST.index(
            judged(x, of=deployment, earlier=sessions, conditions=conditions).name
        )
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
        NAMES_WORST_FIRST.index(
            judged({"peak_memory_bytes": [size]}, earlier=(GOOD, GOOD), conditions=conditions).name
        )
        for size in (peak, peak * factor)
    ]
    assert ranks[1] <= ranks[0]


# ------------------------------------------------------------------- several machines


def test_this_machines_sessions_are_used_alone_where_they_are_enough() -> None:
    """A neighbour's other speed then neither hides nor makes a suspect."""
    status, sentence = against([on("here", 20.2), on("other", 40.0), on("other", 40.0)])
    assert status == "pass"
    assert "against 1 earlier session of this machine: factor 1.0" in sentence


def test_where_they_are_not_enough_all_of_the_tier_count_by_machine() -> None:
    """Memory takes two: one of its own and five of one neighbour are two machines."""
    neighbours = [on("other", 20.2)] * 5
    status, sentence = against([on("here", 20.2), *neighbours], "peak_memory_bytes")
    assert status == "pass"
    assert "against 6 earlier sessions of 2 machines of the tier, this one among them" in sentence
    status, sentence = against(neighbours, "peak_memory_bytes")
    assert status == "unknown"
    assert "against 5 earlier sessions of another machine of the tier" in sentence
    assert sentence.endswith("it takes 2 sessions of this machine, or machines, to decide.")
    _, sentence = against([on("x", 20.2), on("y", 20.2)])
    assert "against 2 earlier sessions of 2 other machines of the tier: factor" in sentence


def test_a_finding_names_the_versions_of_the_baseline_that_differ() -> None:
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


@pytest.mark.parametrize(
    ("server", "library", "beside"),
    [
        ("mlx_vlm.server", "mlx-vlm", "llama-cpp-python"),
        ("transformers-serve", "torch", "mlx"),
        ("llama-server", "llama-cpp-python", "mlx-vlm"),
        ("llama_cpp.server", "llama-cpp-python", "mlx-vlm"),
    ],
)
def test_versions_of_a_server_are_those_of_the_library_behind_it(
    server: str, library: str, beside: str
) -> None:
    """Each program has an engine; another engine's library has nothing to do with it."""
    of = replace(REAL, source=Source("server", "4bit", server=server))

    def compared(name: str) -> str:
        key = name.replace("-", "_")
        return against([on("here", 20.2, of=of, **{key: "1"})], of=of, **{key: "2"})[1]

    assert f"with {library} 1 (now 2)" in compared(library)
    assert " with " not in compared(beside)
