"""How a printed figure follows from the raw trials of one metric, step by step. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qualification.core.format import (
    NOTHING,
    change_text,
    count_text,
    number,
    percent_text,
    quantity_text,
    rate_text,
)
from qualification.core.metric_types import MAY_BE_ZERO
from qualification.core.results import Trial
from qualification.documents.explain.definitions import definition
from qualification.documents.sections.candidates import accuracy_interval
from qualification.judging.stats.estimators import coefficient_of_variation, median
from qualification.judging.verdicts import is_valid
from qualification.models.roofline import Roofline
from qualification.results.rows import Row
from qualification.servers.load_figures import LEAST_SAMPLES, percentile

_DRIFTS = ("token_drift", "sentinel_drift")


@dataclass(frozen=True)
class RawTrial:
    """``value`` is None where it is not finite; ``text`` has all of its digits.

    ``rejection`` says why it is no measurement, '' where it is one.
    """

    suite: str
    repetition: int
    value: float | None
    text: str
    rejection: str = ""


@dataclass(frozen=True)
class Statistics:
    """Of the ``count`` valid ones of ``total`` trials; ``variation`` None where there is none.

    ``printed`` is the figure as documents write it, and ``rule`` what it is of the trials.
    """

    count: int
    total: int
    median: float
    least: float
    most: float
    variation: float | None
    printed: str
    rule: str


@dataclass(frozen=True)
class Step:
    """One step of a derivation: what it gives, and how."""

    name: str
    text: str


def exact(value: float) -> str:
    """A number with all of its digits: ``94.58``, ``81400000``, ``nan``."""
    return repr(float(value)).removesuffix(".0")


def printed(metric: str, value: float | None, unit: str) -> str:
    """A figure as the documents write it: ``95.4 tok/s``, ``+12.0%``, ``972 tokens``."""
    if metric in _DRIFTS:
        return change_text(value)
    if unit in ("count", "tokens"):
        return f"{count_text(value)} {unit}".removesuffix(" count")
    return number(value) if unit == "ratio" else quantity_text(value, unit)


def short_text(metric: str, value: float, unit: str) -> str:
    """A figure for a narrow column: its unit is there only where it is scaled."""
    if unit in ("s", "B", "share") or metric in _DRIFTS:
        return printed(metric, value, unit)
    is_count = unit in ("count", "tokens") and value < 1e9
    return count_text(value) if is_count else number(value)


def raw_trials(trials: Sequence[Trial], unit: str, roof: Roofline | None) -> tuple[RawTrial, ...]:
    """The trials of one metric in their order; ``roof`` where they are decoding speeds."""
    valid = [float(trial.value) for trial in trials if is_valid(trial)]
    possible = roof.possible(valid) if roof else tuple(valid)
    is_record_rejected = bool(roof and roof.rejects(valid))

    def rejection(trial: Trial) -> str:
        if not is_valid(trial):
            return f"no measurement: not {MAY_BE_ZERO.get(unit, 'a positive finite number')}"
        if not is_record_rejected or roof is None:
            return ""
        if roof.other_weights or float(trial.value) in possible:
            return "rejected with the record"
        return f"over the roofline of {rate_text(roof.bound_tps)}"

    return tuple(
        RawTrial(
            trial.suite,
            trial.repetition,
            float(trial.value) if math.isfinite(trial.value) else None,
            exact(trial.value),
            rejection(trial),
        )
        for trial in trials
    )


def statistics(metric: str, unit: str, trials: Sequence[RawTrial]) -> Statistics | None:
    """What the documents make of the trials; None where none is a measurement."""
    values = valid_values(trials)
    if not values:
        return None
    meaning = definition(metric)
    rule = meaning.rule if meaning else "median"
    middle = median(values)
    figure = {"sum": math.fsum(values), "latest": values[-1], "earliest": values[0]}
    text = printed(metric, figure.get(rule, middle), unit)
    words = {"sum": "the sum", "latest": "the last", "earliest": "the first"}
    how = f"{words.get(rule, 'the median')} of {len(values)}"
    if len(values) == 1:
        how = "the only trial"
    if meaning and meaning.percentile and len(values) < LEAST_SAMPLES:
        text, how = NOTHING, f"of fewer than {LEAST_SAMPLES} no percentile is printed"
    has_variation = len(values) > 1 and min(values) > 0
    return Statistics(
        len(values),
        len(trials),
        middle,
        min(values),
        max(values),
        coefficient_of_variation(values) if has_variation else None,
        text,
        how,
    )


def valid_values(trials: Sequence[RawTrial]) -> list[float]:
    """The values of those that are measurements, in order."""
    return [trial.value for trial in trials if trial.value is not None and not trial.rejection]


def steps(
    metric: str, unit: str, trials: Sequence[RawTrial], figures: Statistics
) -> Iterator[Step]:
    """From the trials to the printed figure."""
    values = valid_values(trials)
    yield Step("n", f"{figures.count} of {figures.total} trials")
    yield Step("median", _median_text(values))
    yield Step("range", _range_text(metric, unit, figures))
    if unit not in ("share", "count", "tokens", "ratio", "B/request"):
        yield Step("CV", _variation_text(values, figures.variation))
    suites = list(dict.fromkeys(trial.suite for trial in trials))
    for suite in suites if len(suites) > 1 else ():
        part = valid_values([trial for trial in trials if trial.suite == suite])
        if part:
            yield Step(f"of {suite}", f"{exact(median(part))}, the median of {len(part)}")
    meaning = definition(metric)
    if meaning and meaning.percentile and len(values) >= LEAST_SAMPLES:
        tail = percentile(values, meaning.percentile)
        how = f"the {meaning.percentile:.0%} quantile, linear between two trials"
        yield Step("beside it", f"{printed(metric, tail, unit)}, {how}")
    if meaning and meaning.judged_by_most:
        most = f"{exact(figures.most)}, {printed(metric, figures.most, unit)}"
        yield Step("greatest", f"{most}: taken by {meaning.judged_by_most}")
    change = ", less 1" if metric in _DRIFTS else ""
    yield Step("printed", f"{figures.printed}: {figures.rule}{change}")


def _median_text(values: Sequence[float]) -> str:
    ordered, count = sorted(values), len(values)
    middle = exact(median(values))
    if count == 1:
        return f"{middle}, the only one"
    if count % 2:
        return f"{middle}, number {count // 2 + 1} of {count} by size"
    low, high = ordered[count // 2 - 1], ordered[count // 2]
    return (
        f"{middle} = ({exact(low)} + {exact(high)}) / 2, numbers {count // 2} and "
        f"{count // 2 + 1} of {count} by size"
    )


def _range_text(metric: str, unit: str, figures: Statistics) -> str:
    ends = (figures.least, figures.most)
    digits = " to ".join(map(exact, ends))
    text = " to ".join(short_text(metric, end, unit) for end in ends)
    return digits if digits == text else f"{digits}, printed as {text}"


def _variation_text(values: Sequence[float], variation: float | None) -> str:
    if variation is None:
        return "none: " + ("it takes two trials" if len(values) < 2 else "a trial is not positive")
    mean = math.fsum(values) / len(values)
    return (
        f"{percent_text(variation)} = {_rounded(variation * mean)} / {_rounded(mean)}, standard "
        "deviation (n − 1) / mean"
    )


def _rounded(value: float) -> str:
    """Six digits; whole numbers where there are more before the point."""
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:.6g}"


def share_steps(metric: str, row: Row, figures: Statistics) -> Iterator[Step]:
    """How many answers are correct, and the interval; why there is none."""
    interval = accuracy_interval(row) if metric == "accuracy" else None
    if interval is None:
        yield Step("interval", "none: of how many answers it is the share is not stored")
        return
    count = interval.count
    right = round(interval.mean * count)
    yield Step("correct", f"{right} of {count} questions = {exact(figures.median)} × {count}")
    bounds = f"{percent_text(interval.lower)} to {percent_text(interval.upper)}"
    yield Step("interval", f"{bounds}: Wilson's at 95 %, of {right} of {count}")
