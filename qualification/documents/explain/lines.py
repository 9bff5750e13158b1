"""An explanation as lines of a terminal of 80 columns. Pure; every text of others is disarmed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from qualification.core.text import disarm, one_line
from qualification.documents.explain.absences import short_names
from qualification.documents.explain.circumstances import Circumstances
from qualification.documents.explain.derivation import RawTrial, short_text
from qualification.documents.explain.stored_deployment import (
    DeploymentExplanation,
    MetricExplanation,
    MetricLine,
)

WIDTH = 80
_LABEL = 16
_LONGEST = 40
"""Characters of a name of others."""


def metric_lines(explanation: MetricExplanation) -> Iterator[str]:
    """What the metric is, its raw trials, how the figure follows from them, what judged it."""
    circumstances, figures = explanation.circumstances, explanation.statistics
    figure = f"{figures.printed}, {figures.rule}" if figures else "no figure"
    yield from _wrapped(f"{explanation.metric} of {circumstances.deployment}: {figure}")
    yield ""
    kind = f"{explanation.better} is better" if explanation.better else "direction not known"
    name = f"{explanation.label}: " if explanation.label else ""
    yield from _field("what", f"{name}{explanation.sentence}")
    yield from _field("unit", f"{explanation.unit or 'none'}; {kind}")
    yield from _field("origin", circumstances.origin)
    yield ""
    yield from _trials(explanation.trials, explanation.unit)
    yield from ("", "How the printed figure follows")
    if explanation.absence:
        yield from _field("printed", f"nothing: {explanation.absence}")
    for step in explanation.steps:
        yield from _field(step.name, step.text)
    yield from ("", "Findings of the verdict about it")
    for finding in explanation.findings:
        yield from _wrapped(f"{finding.status}: {finding.sentence}", "  ", "    ")
    if not explanation.findings:
        yield "  none"
    yield from _circumstances(circumstances)
    yield from _commands(explanation.commands)


def deployment_lines(explanation: DeploymentExplanation) -> Iterator[str]:
    """A table of the metrics that have a figure, and why the others have none."""
    count = len(explanation.metrics)
    named = f"{count} metric{'' if count == 1 else 's'} measured"
    yield from _wrapped(f"{explanation.circumstances.deployment}: {named}")
    yield from ("", *_field("origin", explanation.circumstances.origin))
    if explanation.metrics:
        yield ""
        yield from _table(explanation.metrics)
    if explanation.missing:
        yield from ("", "Not measured")
        for missing in explanation.missing:
            yield from _wrapped(", ".join(short_names(missing.metrics)), "  ")
            yield from _wrapped(missing.reason, "    ", "    ")
    yield from _circumstances(explanation.circumstances)
    yield from _commands(explanation.commands)


def _circumstances(circumstances: Circumstances) -> Iterator[str]:
    yield from ("", "Where it was measured")
    yield from _field("verdict", f"{circumstances.verdict} ({circumstances.advice})")
    yield from _field("session", f"{circumstances.session}, started {circumstances.started}")
    yield from _field("machine", f"{circumstances.machine}, tier {circumstances.tier or 'none'}")
    for reason in circumstances.unfit:
        yield from _field("", reason)
    yield from _field("environment", f"{circumstances.environment}, Python {circumstances.python}")
    if circumstances.versions:
        pairs = (f"{library} {version}" for library, version in circumstances.versions.items())
        yield from _field("", ", ".join(pairs))
    yield from _field("revision", circumstances.revision or "unknown")


def _trials(trials: Sequence[RawTrial], unit: str) -> Iterator[str]:
    if not trials:
        yield "Raw trials: none"
        return
    named = "" if unit in ("", "share", "count", "ratio") else f", in {unit}"
    yield from _wrapped(f"Raw trials in the order of the run{named}")
    for suite in dict.fromkeys(trial.suite for trial in trials):
        yield from _wrapped(f"suite {one_line(suite, _LONGEST)}", "  ")
        for trial in trials:
            if trial.suite == suite:
                start = f"  {trial.repetition + 1:4}  {trial.text:22}"
                yield from _wrapped(trial.rejection, f"{start}  ", " " * (len(start) + 2))


def _table(metrics: Sequence[MetricLine]) -> Iterator[str]:
    """A row for each metric; where it would be too wide, its figures stand below its name."""
    rows = [("metric", "n", "median", "least", "most", "unit"), *map(_cells, metrics)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_wide = sum(widths) + 2 * (len(widths) - 1) > WIDTH
    for name, *cells, unit in rows:
        figures = "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths[1:-1], strict=True))
        if is_wide:
            yield name
        yield f"{'' if is_wide else name:{2 if is_wide else widths[0]}}  {figures}  {unit}"


def _cells(line: MetricLine) -> tuple[str, ...]:
    figures = line.statistics
    count = str(figures.count)
    if figures.count != figures.total:
        count += f" of {figures.total}"
    values = (figures.median, figures.least, figures.most)
    texts = (short_text(line.metric, value, line.unit) for value in values)
    return (one_line(line.metric, _LONGEST), count, *texts, one_line(line.unit, 12))


def _commands(commands: Sequence[str]) -> Iterator[str]:
    yield from ("", "Next")
    for command in commands:
        words, option, options = _line(command).partition(" --")
        if option and len(command) > WIDTH - 2:
            yield from (f"  {words} \\", f"    --{options}")
        else:
            yield f"  {words}{option}{options}"


def _field(label: str, text: str) -> list[str]:
    start = f"  {one_line(label, _LONGEST)} "
    return _wrapped(text, f"{start:{_LABEL}}", " " * _LABEL)


def _wrapped(text: str, start: str = "", indent: str = "  ") -> list[str]:
    """The text behind ``start``, its further lines behind ``indent``."""
    return textwrap.wrap(
        _line(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=indent,
        break_on_hyphens=False,
    ) or [start.rstrip()]


def _line(text: str) -> str:
    return " ".join(disarm(text).split())
