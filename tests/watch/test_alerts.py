"""The rules of a soak test's alerts, on requests made by hand."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.results import Condition, Machine
from qualification.judging.thresholds import thresholds_for
from qualification.models.loading import load_registry
from qualification.watch.alerts import LEAK_ESTIMATES, QUIET_S, Rules, too_many_wrong
from qualification.watch.records import Figures, LeakSlope, Loaded, MemorySample
from tests.support.session_sample import session
from tests.support.watch_sample import CANARY, GB, request, thresholds


def growth(lower, value=None, reached=None):
    """A slope with that lower end, in bytes per request."""
    value = lower if value is None else value
    return LeakSlope(value, lower, value, value * 3600, 100, 500, reached)


def named(alerts):
    """Kind and level of each."""
    return [(alert.alert, alert.level) for alert in alerts]


def test_memory_thresholds_are_those_of_the_published_documents():
    """75 % of 32 GB is a warning, 87 % critical: for the machine, and for the subject."""
    rules = Rules(thresholds())
    assert named(rules.on_memory(MemorySample(int(23.9 * GB), 1, 1), 0)) == []
    raised = rules.on_memory(MemorySample(int(24.1 * GB), 1, 1), 1)
    assert named(raised) == [("machine_memory", "warning")]
    assert not rules.is_critical(MemorySample(int(27.8 * GB)))
    high = MemorySample(int(27.9 * GB), 1, int(27.9 * GB))
    assert rules.is_critical(high)
    raised = rules.on_memory(high, 2)
    assert named(raised) == [("machine_memory", "critical"), ("subject_memory", "critical")]
    assert "27.9 GB, 87% of 32.0 GB: over the critical threshold of 27.8 GB" in raised[0].sentence


def test_a_subject_may_have_a_threshold_of_its_own():
    """Its resident memory is compared with that, the machine's with the machine's."""
    rules = Rules(thresholds(subject_critical_bytes=2.0 * GB, subject_warning_bytes=1.0 * GB))
    assert rules.is_critical(MemorySample(10 * GB, 1, int(2.1 * GB)))
    assert not rules.is_critical(MemorySample(10 * GB, None, None))


@given(st.lists(st.integers(0, 40 * GB), max_size=60))
def test_crossing_a_threshold_is_an_alert_once_until_memory_falls_again(used):
    """However memory moves: never twice in a minute, never without being over the threshold."""
    rules = Rules(thresholds())
    raised = []
    for number, value in enumerate(used):
        for alert in rules.on_memory(MemorySample(value), float(number)):
            assert value > (27.84 * GB if alert.level == "critical" else 24.0 * GB)
            raised.append(alert)
        assert rules.is_critical(MemorySample(value)) == (value > 27.84 * GB)
    for level in ("warning", "critical"):
        times = [alert.at_s for alert in raised if alert.level == level]
        assert all(b - a >= QUIET_S for a, b in itertools.pairwise(times))
    if any(value > 27.84 * GB for value in used):
        assert "machine_memory" in rules.raised


def test_a_leak_is_an_alert_where_its_lower_end_stays_over_the_limit():
    """A slope that may be chance, or that was estimated once, is none."""
    rules = Rules(thresholds())
    assert not rules.on_growth(growth(900_000, 2_000_000), 0)
    for at_s in range(LEAK_ESTIMATES - 1):
        assert not rules.on_growth(growth(1_100_000), at_s)
    assert not rules.on_growth(None, 3)
    alerts = []
    for at_s in range(4, LEAK_ESTIMATES + 9):
        alerts += rules.on_growth(growth(1_100_000, 1_200_000, 3 * 3600 + 20 * 60), at_s)
    assert named(alerts) == [("leak", "warning")]
    assert "1.20 MB with each request (1.10 MB to 1.20 MB, 95 %), 4.32 GB per hour" in (
        alerts[0].sentence
    )
    assert "the critical threshold is reached in 3 h 20 min" in alerts[0].sentence


@given(st.lists(st.sampled_from(["ok", "wrong", "failed"]), max_size=200))
def test_failures_and_wrong_answers_are_alerts_at_most_once_a_minute(outcomes):
    """The first of each always is, and there is no alert without one."""
    rules = Rules(thresholds())
    raised = []
    for number, outcome in enumerate(outcomes, start=1):
        failed = request(number, outcome=outcome, again=True)
        raised += rules.on_request(failed, Figures(requests=number, failed=1, wrong=1))
    for kind, outcome in (("failure", "failed"), ("wrong_answer", "wrong")):
        times = [alert.at_s for alert in raised if alert.alert == kind]
        assert bool(times) == (outcome in outcomes)
        if times:
            assert times[0] == outcomes.index(outcome) + 1
        assert all(b - a >= QUIET_S for a, b in itertools.pairwise(times))


def test_a_canarys_few_wrong_answers_are_no_alert_but_a_lost_one_is():
    """Five of a hundred new answers may be wrong; not one that was correct, nor an empty one."""
    rules, figures = Rules(thresholds()), Figures(requests=100, wrong=5)
    few = [True] * 5 + [False] * 95
    new = request(100, outcome="wrong", text="red")
    assert not rules.on_request(new, figures, few)
    assert named(rules.on_request(new, figures, [True] * 30 + [False] * 70))
    for changes in ({"again": True, "text": "red"}, {"text": ""}):
        lost = request(100, outcome="wrong", **changes)
        alerts = Rules(thresholds()).on_request(lost, figures, few)
        assert named(alerts) == [("wrong_answer", "warning")]


def test_a_canary_at_its_threshold_raises_no_alarm_in_a_million_requests():
    """Seven wrong answers at the beginning, or a quarter of a hundred, are believed."""
    assert [too_many_wrong(n, n) for n in (1, 6, 7)] == [False, False, True]
    assert [too_many_wrong(n, 100) for n in (5, 15, 25)] == [False, False, True]
    assert not too_many_wrong(0, 0)


def test_decoding_under_the_floor_is_an_alert_unless_other_work_runs():
    """The median of the latest answers, against 50 tok/s; not while other work runs."""
    figures = Figures()
    busy = Condition("load_in_the_run", "60% of the cores by other work", False, "other work")
    rules = Rules(thresholds())
    assert not rules.on_speed(figures, [90.0] * 4, 0)
    assert named(rules.on_conditions([busy], 0)) == [("other_work", "note")]
    assert not rules.on_speed(figures, [20.0] * 20, 1)
    assert rules.raised == {}
    assert not rules.on_conditions([Condition("load_in_the_run", "1%")], 60)
    alerts = rules.on_speed(figures, [20.0] * 20, 61)
    assert named(alerts) == [("slow", "warning")]
    assert "20.0 tok/s over the latest 20 answers; the floor is 50.0 tok/s (declared" in (
        alerts[0].sentence
    )
    assert not Rules(thresholds(floor_tps=0.0)).on_speed(figures, [20.0] * 20, 0)


def test_a_slower_end_is_throttling():
    """Over 10 %; not for a canary, not in the first minute, not if other work ran meanwhile."""
    figures = Figures(decode_drift=1.25, ttft_drift=1.05, minutes=20, minutes_of_other_work=1)
    alerts = Rules(thresholds()).on_speed(figures, [], 1200)
    assert named(alerts) == [("throttled", "warning")]
    assert "decoding is slower than the first by 25%" in alerts[0].sentence
    assert not Rules(thresholds(drift_limit=0.0)).on_speed(figures, [], 1200)
    assert not Rules(thresholds()).on_speed(figures, [], 30)
    shared = dataclasses.replace(figures, minutes_of_other_work=2)
    assert not Rules(thresholds()).on_speed(shared, [], 1200)


def test_an_unfit_condition_is_an_alert_once():
    """A heavy thermal level, with the note of the condition."""
    rules = Rules(thresholds())
    hot = [Condition("thermal_in_the_run", "heavy", False, "let the machine cool down first")]
    alerts = rules.on_conditions(hot, 60)
    assert named(alerts) == [("machine", "warning")]
    assert "thermal in the run was heavy (let the machine cool down first)" in alerts[0].sentence
    assert not rules.on_conditions(hot, 120)


def test_a_load_over_the_tiers_limit_is_an_alert():
    """Ten seconds for a 7B."""
    rules = Rules(thresholds())
    assert not rules.on_load(Loaded(0.0, 5.8))
    assert named(rules.on_load(Loaded(0.0, 35.39))) == [("load", "warning")]


def test_thresholds_come_from_the_tier_and_the_deployment():
    """Memory from the budget, a floor that is declared or from the roofline, a canary's limits."""
    registry = load_registry()
    tier = registry.tier("air_m4")
    facts = {"system": "macos", "chip": "Apple M4", "memory_bytes": 32 * 2**30, "tier": "air_m4"}
    machine: Machine = session(**facts, bandwidth=120e9).machine
    real = thresholds_for(machine, tier, registry.deployment("qwen2.5-vl-7b-4bit@mlx"))
    assert real.warning_bytes == pytest.approx(0.75 * machine.memory_bytes)
    assert real.critical_bytes == pytest.approx(0.87 * machine.memory_bytes)
    assert real.load_limit_s == pytest.approx(10.0)
    assert 10 < real.floor_tps < 30
    canary = thresholds_for(machine, tier, registry.deployment(CANARY), subject_critical=1.74e9)
    assert (canary.floor_tps, canary.drift_limit, canary.growth_limit) == (0.0, 0.0, 64_000)
    assert canary.subject_warning_bytes == pytest.approx(1.5e9)
    unknown = thresholds_for(machine, None, None)
    assert "name its DEPLOYMENT" in unknown.floor_why
    assert unknown.drift_limit > 1
