"""The output of `make bench`: medians, intervals, goals and the table."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import keep, table
from benchmarks.speed.pairs import in_pairs
from benchmarks.speed.rows import Row, goal_text, median_interval

VALUES = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=60)


@given(VALUES)
def test_the_interval_encloses_the_median_and_lies_within_the_values(values):
    """Whatever was measured."""
    row = Row("a", tuple(values), (0.9, 1.1), "ours", "theirs")
    low, high = row.interval
    assert min(values) <= low <= row.value <= high <= max(values)


@pytest.mark.parametrize(
    ("count", "place"), [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (20, 5), (40, 13)]
)
def test_the_interval_is_that_of_the_sign_test(count, place):
    """Order statistics as tables of the sign test give them (95 %, two-sided)."""
    assert median_interval(range(count)) == (place, count - 1 - place)


@pytest.mark.parametrize(
    ("goal", "text", "good", "bad"),
    [
        ((0.98, 1.02), "0.98 – 1.02", 1.0, 1.03),
        ((0.99, math.inf), "≥ 0.99", 1.5, 0.98),
        ((-math.inf, 0.3), "≤ 0.3", 0.1, 0.4),
    ],
)
def test_a_goal_is_written_and_held_to(goal, text, good, bad):
    """Either side may be open."""
    assert goal_text(goal) == text
    assert Row("a", (good,), goal, "", "").ok
    assert not Row("a", (bad,), goal, "", "").ok


def test_the_order_within_a_pair_is_a_coins_and_the_result_is_not():
    """Ours is first in each pair, whichever ran first; both orders come."""
    ran = []
    pairs = in_pairs(
        20, 1, lambda n: ran.append("ours") or n, lambda n: ran.append("theirs") or 100 + n
    )
    assert pairs == [(n, 100 + n) for n in range(20)]
    assert {ran[n] for n in range(0, 40, 2)} == {"ours", "theirs"}


def test_a_row_takes_the_place_of_the_one_before(tmp_path):
    """An open goal is null in JSON and comes back in the table."""
    file = tmp_path / "results.json"
    keep(file, Row("b_s", (0.5,), (-math.inf, 0.3), "with", "without", "s"))
    keep(file, Row("a", (0.99, 1.0, 1.01), (0.98, 1.02), "ours", "theirs"))
    keep(file, Row("b_s", (0.2,), (-math.inf, 0.3), "with", "without", "s"))
    results = json.loads(file.read_text())
    assert [(row["id"], row["value"], row["ok"], row["n"]) for row in results] == [
        ("a", 1.0, True, 3),
        ("b_s", 0.2, True, 1),
    ]
    assert results[1]["goal"] == [None, 0.3]
    text = table(results)
    assert "| `b_s` | 0.2 s | 0.2 – 0.2 | ≤ 0.3 | yes | 1 | with | without |" in text
    assert "| `a` | 1 | 0.99 – 1.01 | 0.98 – 1.02 | yes | 3 |" in text
