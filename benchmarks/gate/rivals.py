"""The verdicts of the usual tools on the same values: True is "B is worse". Pure.

Each gets the values of the first ten pairs of a log, the baseline's (A) and the candidate's (B).
The tools know times, where less is better; a rate is judged as the time of one token, its inverse.
scipy is imported inside, as in the harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

Better = Literal["lower", "higher"]


def mean_5_percent(a_values: Sequence[float], b_values: Sequence[float], better: Better) -> bool:
    """``pytest --benchmark-compare-fail=mean:5%``, A being the stored run.

    Source: pytest-benchmark, ``utils.py``, ``PercentageRegressionCheck``: fails where
    current / stored * 100 - 100 > 5.
    """
    a, b = _times(a_values, better), _times(b_values, better)
    return fmean(b) / fmean(a) * 100 - 100 > 5


def u_test(a_values: Sequence[float], b_values: Sequence[float], better: Better) -> bool:
    """benchstat: two-sided Mann-Whitney U test, p <= 0.05, and B's median is the worse one.

    Source: golang.org/x/perf, ``benchmath/anone.go`` (``AssumeNothing.Compare``; a difference is
    printed unless p > alpha) and ``benchmath/sample.go`` (``CompareAlpha`` 0.05).
    """
    a, b = _times(a_values, better), _times(b_values, better)
    return median(b) > median(a) and _p(a, b) <= 0.05


def asv(a_values: Sequence[float], b_values: Sequence[float], better: Better) -> bool:
    """``asv compare`` and ``asv continuous`` with their defaults: factor 1.1 and statistics on.

    Worse where the medians differ by more than the factor and a two-sided U test has p < 0.002.
    asv falls back to intervals of the medians where the samples are too few for such a p;
    fewer than six a side are a ValueError here. It breaks ties to the least significant side,
    here they are corrected for, which can only find "worse" more often.

    Source: asv, ``commands/compare.py`` (``_is_result_better``) and ``_stats.py``
    (``is_different``, p_threshold 0.002).
    """
    if min(len(a_values), len(b_values)) < 6:
        raise ValueError("asv's U test needs six or more values of each side")
    a, b = _times(a_values, better), _times(b_values, better)
    return median(a) < median(b) / 1.1 and _p(a, b) < 0.002


def _p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided: exact without ties, else the normal approximation with the correction for them."""
    from scipy.stats import mannwhitneyu

    different = len({*a, *b})
    if different == 1:
        return 1.0
    is_tied = different < len(a) + len(b)
    return float(mannwhitneyu(b, a, method="asymptotic" if is_tied else "exact").pvalue)


def _times(values: Sequence[float], better: Better) -> list[float]:
    return [1 / value for value in values] if better == "higher" else list(values)
