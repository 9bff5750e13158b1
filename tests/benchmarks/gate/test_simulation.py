"""The committed simulation: its vectorised rule is the rule, and the rivals are the rivals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.gate import rivals as rival_rules
from benchmarks.gate.simulation import (
    HERE,
    MODELS,
    NAMES,
    any_alarm,
    cell,
    interleaved,
    is_within,
    judge,
    markdown,
    rivals,
)
from qualification.core.metrics import GATE_LIMITS
from qualification.judging.stats import sequential as rule


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_vectorised_rule_decides_as_the_rule_does(model, scale):
    """Name and pairs used, series by series, quiet and noisy, with and without an effect."""
    limits = GATE_LIMITS["decode_tps"]
    rng = np.random.default_rng(9)
    for effect in (0.0, 0.05):
        a, b = interleaved(MODELS[model], effect, rng, (40, 60))
        x = scale * (b - a)
        codes, _, used = judge(x, limits, rule.FUTILITY_FACTORS)
        for row, code, pairs in zip(x.tolist(), codes, used, strict=True):
            decision = rule.judge_series(row, limits)
            assert (decision.name, decision.pairs) == (NAMES[code], pairs)


def test_the_vectorised_rivals_say_what_the_rivals_of_one_log_say():
    """The same draws, ten a side: the counts are between none and all and those of the rules."""
    noise = MODELS["log-normal CV 3 %"]
    counts = rivals(noise, 0.05, np.random.default_rng(2), 60)
    assert 0 < counts["U test, interleaved"] <= 60
    a, b = interleaved(noise, 0.05, np.random.default_rng(2), (60, 10))
    alarms = sum(
        rival_rules.u_test(times_a.tolist(), times_b.tolist(), "lower")
        for times_a, times_b in zip(np.exp(a), np.exp(b), strict=True)
    )
    assert abs(alarms - counts["U test, interleaved"]) < 20


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_rivals_call_what_is_clearly_worse_worse_and_nothing_else(better):
    """20 % slower, equal, and 20 % faster, as times and as rates."""
    times = [1.0, 1.01, 0.99, 1.02, 0.98, 1.03, 0.97, 1.015, 0.985, 1.005]
    slower = [1.2 * value for value in times]
    if better == "higher":
        times, slower = [1 / time for time in times], [1 / time for time in slower]
    for rival in (rival_rules.mean_5_percent, rival_rules.u_test, rival_rules.asv):
        assert rival(times, slower, better)
        assert not rival(times, times, better)
        assert not rival(slower, times, better)


def test_asv_asks_for_its_factor():
    """5 % slower without any noise is not reported."""
    a = [1 + place / 1e4 for place in range(10)]
    b = [1.05 * value for value in a]
    assert rival_rules.u_test(a, b, "lower")
    assert not rival_rules.asv(a, b, "lower")


def test_a_cell_holds_its_share_and_none_of_many_has_the_rule_of_three():
    """Clopper-Pearson: 0 of 1,000 is under 0.37 %, two-sided."""
    none = cell(0, 1000)
    assert (none["share"], none["low"]) == (0, 0)
    assert none["high"] == pytest.approx(0.368, abs=1e-3)
    assert is_within(none, 0.37, 2)
    assert not is_within(none, 1, 1)
    assert any_alarm(0) == 0


def test_the_committed_table_is_made_from_the_committed_figures():
    """And its promises: few false alarms, and power in spite of futility stopping."""
    result = json.loads((HERE / "simulation.json").read_text())
    assert (HERE / "SIMULATION.md").read_text() == markdown(result)
    for rows in result["table"]["ours, confirmed"].values():
        assert rows[0]["high"] < 0.05
        assert rows[1]["low"] > 75
        assert rows[2]["low"] > 97
