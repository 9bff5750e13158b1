"""The table of metrics, and the limits that decide about a change."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.metric_types import Limits, Metric
from qualification.core.metrics import BASELINE_LIMITS, GATE_LIMITS, METRICS


@given(st.floats(0, 10), st.floats(0, 10))
def test_limits_are_ordered_shares(noticeable, margin):
    """Equal or reversed limits would decide nothing."""
    if noticeable < margin:
        low, high = Limits(noticeable, margin).logs
        assert 0 <= low < high
        assert math.expm1(high) == pytest.approx(margin)
    else:
        with pytest.raises(ValueError, match="noticeable < margin"):
            Limits(noticeable, margin)


@pytest.mark.parametrize("limits", [(-0.1, 0.1), (math.nan, 0.1), (0.1, math.nan), (0, math.inf)])
def test_limits_that_are_not_finite_shares_are_refused(limits):
    """A negative or infinite limit, or none."""
    with pytest.raises(ValueError, match="limits are shares"):
        Limits(*limits)


@pytest.mark.parametrize(("unit", "label"), [("s", ""), ("share", "a share"), ("count", "faults")])
def test_limits_that_no_finding_could_be_made_of_are_refused(unit, label):
    """A finding is a sentence about a ratio: it takes a label, and a value that is never zero."""
    with pytest.raises(ValueError, match="has limits, "):
        Metric("of_another_package", unit, "lower", label, baseline=Limits(0.02, 0.2))


def test_a_stored_baseline_has_wider_limits_than_a_gate():
    """Sessions of different days vary more than interleaved pairs."""
    for name in GATE_LIMITS.keys() & BASELINE_LIMITS.keys():
        assert GATE_LIMITS[name].margin < BASELINE_LIMITS[name].margin, name


def test_every_metric_with_limits_has_a_name_for_sentences():
    """A finding about it is a sentence."""
    for name in GATE_LIMITS.keys() | BASELINE_LIMITS.keys():
        assert METRICS[name].label, name


def test_the_unit_of_a_metric_agrees_with_the_end_of_its_name():
    """A reader of a record takes the unit from the name."""
    units = {"_s": {"s"}, "_tps": {"tok/s"}, "_rps": {"requests/s"}, "_bytes": {"B"}}
    for name, metric in METRICS.items():
        for ending, allowed in units.items():
            if name.endswith(ending):
                assert metric.unit in allowed, name
