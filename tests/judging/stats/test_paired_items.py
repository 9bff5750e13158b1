"""Right answers of A and B on the same items: bounds, test, decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from qualification.judging.stats.paired_items import judge_items, loss_bounds, mcnemar
from qualification.judging.stats.sequential import ALPHA

CORRECT = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def judged(lost: int, gained: int, items: int):
    """Items of which only so many differ."""
    same = items - lost - gained
    a = [True] * lost + [False] * gained + [True] * same
    b = [False] * lost + [True] * gained + [True] * same
    return judge_items(a, b)


@given(CORRECT)
def test_the_bounds_enclose_the_loss_and_swapping_the_labels_mirrors_them(pairs):
    """Whatever was correct."""
    a, b = zip(*pairs, strict=True)
    forward, backward = judge_items(a, b), judge_items(b, a)
    assert -1 <= forward.lower <= forward.loss <= forward.upper <= 1
    assert (forward.lower, forward.upper) == pytest.approx(
        (-backward.upper, -backward.lower), abs=1e-9
    )
    assert forward.loss == -backward.loss
    assert not forward.name == backward.name == "regressed"


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test_of_the_items_that_differ(lost, gained):
    """One-sided; nothing that differs is no evidence."""
    theirs = binomtest(lost, lost + gained, alternative="greater").pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(theirs)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(41, 400))
def test_one_more_lost_item_never_makes_it_look_better(lost, gained, items):
    """Both bounds move up."""
    fewer, more = loss_bounds(lost, gained, items), loss_bounds(lost + 1, gained, items)
    assert fewer[0] < more[0]
    assert fewer[1] < more[1]


@pytest.mark.parametrize(
    ("lost", "gained", "items", "name"),
    [
        (0, 0, 228, "pass"),
        (0, 0, 227, "open"),
        (6, 0, 20, "regressed"),
        (5, 0, 20, "open"),
        (20, 2, 300, "regressed"),
        (5, 5, 1000, "pass"),
        (0, 10, 10, "pass"),
        (10, 0, 10, "regressed"),
    ],
)
def test_decisions_at_the_edges(lost, gained, items, name):
    """Few items without a difference are no evidence; six lost and none gained are."""
    decision = judged(lost, gained, items)
    assert decision.name == name
    assert (decision.lost, decision.gained, decision.items) == (lost, gained, items)
    assert f"lost {lost} and gained {gained}" in decision.sentence


def test_an_open_decision_says_how_many_items_would_do():
    """228 where nothing differs."""
    assert "about 228 items" in judged(0, 0, 50).sentence


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False])])
def test_items_that_are_not_paired_are_an_error(a, b):
    """None, or more of one environment."""
    with pytest.raises(ValueError, match="paired items"):
        judge_items(a, b)


@pytest.mark.parametrize("items", [30, 228])
@pytest.mark.parametrize("gained", [0.0, 0.01, 0.08])
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_the_bounds_miss_the_true_loss_hardly_more_often_than_1_in_64(items, gained, loss):
    """Coverage of each bound over every outcome of notable probability (exact, not drawn).

    The upper bound at the margin and the lower one at no loss decide; the lower bound of a real
    loss, which is only reported, is a little short where nothing is gained.
    """
    lost = gained + loss
    missed_low = missed_high = 0.0
    for lost_items in range(items + 1):
        p_lost = binom.pmf(lost_items, items, lost)
        if p_lost < 1e-6:
            continue
        counts = np.arange(items - lost_items + 1)
        p_gained = binom.pmf(counts, items - lost_items, gained / (1 - lost))
        for gained_items in counts[p_gained > 1e-4].tolist():
            lower, upper = loss_bounds(lost_items, gained_items, items)
            probability = p_lost * p_gained[gained_items]
            missed_low += probability * (lower > loss)
            missed_high += probability * (upper < loss)
    assert missed_high <= 1.02 * ALPHA
    assert missed_low <= (1.02 if loss == 0 else 1.7) * ALPHA


def test_equal_models_are_hardly_ever_called_worse():
    """2,000 draws of 200 items, 6 % differ by chance: at most 1/64, by the exact test."""
    rng = np.random.default_rng(4)
    differ = rng.binomial(200, 0.06, 2000)
    lost = rng.binomial(differ, 0.5)
    regressed = sum(
        judged(int(count), int(total - count), 200).name == "regressed"
        for count, total in zip(lost, differ, strict=True)
        if count > total / 2
    )
    assert regressed <= 2000 * ALPHA * 1.3
