"""The units that an interval over stored sessions is computed from."""

from __future__ import annotations

import pytest

from qualification.core.results import Environment
from qualification.judging.reference_sessions import Reference, interval_units
from qualification.judging.stats.estimators import baseline_interval


def measured(machine: str, *values: float) -> Reference:
    """One stored session."""
    return Reference(machine, Environment("current", "3.12", {}), values)


def test_sessions_of_other_machines_count_once_for_each_machine() -> None:
    """Five of one neighbour say no more about a third than one does."""
    same_machine = [measured("m", 10.0), measured("m", 11.0)]
    assert interval_units(same_machine, "m") == ("session", ((10.0,), (11.0,)))
    neighbours = [measured("x", 10.0), measured("y", 8.0), measured("x", 40.0)]
    unit, levels = interval_units(neighbours, "m")
    assert unit == "machine"
    assert [value for (value,) in levels] == pytest.approx([20.0, 8.0])


def test_with_machines_as_units_a_slowdown_is_not_called_consistent() -> None:
    """Machines differ by 2 %, days by 1 %; a tenth slower, against five sessions of a neighbour.

    ``consistent`` (the upper bound is under the margin) is wrong then and may come out in 5 %. With
    the session as the unit it comes out far more often.
    """
    import numpy as np

    generator = np.random.default_rng(7)
    wrong = {"machine": 0, "session": 0}
    for _ in range(400):
        neighbour, this = generator.normal(0, 0.02, 2)
        days = neighbour + generator.normal(0, 0.01, 5)
        stored = [measured("x", float(value)) for value in np.exp(days)]
        now = [float(np.exp(this + generator.normal(0, 0.01)) * 1.1)]
        by_machine = baseline_interval(now, interval_units(stored, "m")[1], "lower")
        by_session = baseline_interval(now, [session.values for session in stored], "lower")
        wrong["machine"] += by_machine.upper < np.log(1.1)
        wrong["session"] += by_session.upper < np.log(1.1)
    assert wrong["machine"] <= 0.05 * 400
    assert wrong["session"] > 0.1 * 400
