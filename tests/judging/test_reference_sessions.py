"""The units that an interval is computed from, and the stored sessions that count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qualification.core.results import Environment
from qualification.judging.reference_sessions import Reference, interval_units
from qualification.judging.stats.estimators import baseline_interval
from tests.support.verdict_sample import GOOD, REVISION, against, findings_of, judged, on


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


@given(st.floats(1.0, 29.0), st.text("0123456789abcdef", min_size=1, max_size=40))
def test_a_baseline_of_other_weights_is_no_baseline(speed: float, revision: str) -> None:
    """However much slower or faster they were: the library is not suspected."""
    assume(revision != REVISION)
    verdict = judged(earlier=({"decode_tps": [speed], "accuracy": [1.0]},) * 2, revision=revision)
    assert (verdict.name, verdict.advice) == ("no_baseline", "recommended")
    assert findings_of(verdict, "baseline") == [
        (
            "warn",
            f"Other weights were measured (revision {revision[:12]}) than in the baseline "
            "(0123456789ab), so nothing is compared with it.",
        )
    ]
    assert not [finding for finding in verdict.findings if finding.status == "suspect"]


def test_sessions_of_other_weights_are_left_out_beside_those_of_these() -> None:
    """They neither hide nor make a suspect."""
    status, sentence = against(
        [on("here", 20.2), *[replace(on("here", 40.0), revision="fedcba987654")] * 2]
    )
    assert status == "pass"
    assert "against 1 earlier session of this machine: factor 1.0" in sentence


def test_weights_of_unknown_revision_stay_comparable_and_it_is_said() -> None:
    """As in baselines that were written before revisions were recorded."""
    unknown = replace(on("here", 26.0), revision="")
    clause = "the revision of the weights is not known"
    status, sentence = against([unknown])
    assert status == "suspect"
    assert f"1 earlier session of this machine ({clause}): factor 1." in sentence
    assert (
        f"2 earlier sessions of this machine ({clause} in 1 of them):"
        in against([on("here", 26.0), unknown])[1]
    )
    (*_, (status, sentence)) = findings_of(
        judged({"decode_tps": [15.0]}, earlier=(GOOD,), revision=""), "decode_tps"
    )
    assert (status, clause in sentence) == ("suspect", True)
