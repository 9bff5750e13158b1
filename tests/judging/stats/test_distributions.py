"""The distributions agree with scipy's."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binom, t

from qualification.judging.stats.distributions import binomial_tail, student_quantile


@given(st.integers(1, 2000), st.floats(0.01, 0.99), st.floats(-2, 8))
def test_a_binomial_tail_is_scipys(count: int, chance: float, spreads: float) -> None:
    """On either side of the mean, up to eight standard deviations above it."""
    spread = (count * chance * (1 - chance)) ** 0.5
    successes = round(count * chance + spreads * spread)
    expected = binom.sf(successes - 1, count, chance)
    assert binomial_tail(successes, count, chance) == pytest.approx(expected, rel=1e-9)


def test_a_binomial_tail_of_a_million_trials_keeps_eight_digits() -> None:
    """So long may a server be watched."""
    expected = binom.sf(51_500, 1_000_000, 0.05)
    assert binomial_tail(51_501, 1_000_000, 0.05) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("successes", "tail"), [(-1, 1.0), (0, 1.0), (3, 0.125), (4, 0.0)])
def test_a_binomial_tail_has_ends(successes: int, tail: float) -> None:
    """None is certain; more than all is impossible."""
    assert binomial_tail(successes, 3, 0.5) == pytest.approx(tail)


@pytest.mark.parametrize("chance", [-0.1, 0.0, 1.0, float("nan")])
def test_a_chance_outside_its_range_is_refused(chance: float) -> None:
    """It is a probability, and no certainty."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        binomial_tail(1, 2, chance)


@given(st.floats(0.5, 0.9999), st.integers(1, 200))
@example(0.95, 4)
@example(0.95, 5)
@example(0.5, 1)
def test_a_quantile_of_students_t_is_scipys(probability: float, degrees: int) -> None:
    """Odd and even degrees have sums of their own."""
    expected = t.ppf(probability, degrees)
    assert student_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("probability", "degrees"), [(0.95, 0), (0.4, 3), (1.0, 3)])
def test_a_quantile_outside_its_ranges_is_refused(probability: float, degrees: int) -> None:
    """No degree of freedom, the lower half, infinity."""
    with pytest.raises(ValueError, match="degree of freedom"):
        student_quantile(probability, degrees)
