"""Baselines and comparisons of them as tables for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qualification.core.format import number, ratio_text, revision_text
from qualification.core.text import disarm
from qualification.judging.baselines.comparison import (
    MetricComparison,
    Operand,
    compare,
    differing,
    unlike,
    versions,
)
from qualification.judging.baselines.staleness import Reason, StoredBaseline, newest
from qualification.judging.library_versions import engine_of, principal_libraries

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Surveyed = Sequence[tuple[StoredBaseline, tuple[Reason, ...]]]


def table(surveyed: Surveyed) -> Table:
    """One row for each baseline that can be read."""
    from rich.table import Table

    rows = Table(
        "deployment",
        "tier",
        "sessions",
        "machines",
        "environments",
        "revision",
        "newest",
        "stale",
    )
    for file, reasons in surveyed:
        baseline = file.baseline
        if baseline is None:
            continue
        operand = Operand(baseline.deployment, baseline.sessions)
        cells = (
            baseline.deployment,
            baseline.tier,
            str(len(baseline.sessions)),
            str(len(operand.machines)),
            environments(baseline.deployment, operand),
            _revisions(operand),
            newest(baseline.sessions).started[:10] if baseline.sessions else "none",
            "; ".join(reason.clause for reason in reasons),
        )
        rows.add_row(*map(_text, cells))
    return rows


def environments(deployment: str, operand: Operand) -> str:
    """``2: mlx-vlm 0.3.9 or 0.7.10``: how many, and how they differ; a single one's libraries."""
    count = len({frozenset(session.environment.versions.items()) for session in operand.sessions})
    by_library = versions(operand)
    differing = {name: releases for name, releases in by_library.items() if len(releases) > 1}
    principal = principal_libraries(engine_of(deployment))
    libraries = differing or {name: by_library[name] for name in principal if name in by_library}
    clauses = (f"{name} {' or '.join(releases)}" for name, releases in libraries.items())
    return f"{count}: {', '.join(clauses)}"


def total(surveyed: Surveyed) -> str:
    """One line with the numbers; files that cannot be read, or have no hash, are counted apart."""
    unreadable = sum(file.baseline is None for file, _ in surveyed)
    old = sum(bool(reasons) for file, reasons in surveyed if file.baseline is not None)
    count = len(surveyed) - unreadable
    unknown = sum(_hash(file) == "unknown" for file, _ in surveyed)
    note = f", {unknown} without a hash (whether damaged is unknown)" if unknown else ""
    return (
        f"{count} baseline{'' if count == 1 else 's'}, {old} stale, {unreadable} unreadable{note}"
    )


def as_json(file: StoredBaseline, reasons: Sequence[Reason]) -> dict[str, Any]:
    """A file with its sessions (without trials) and why it is stale."""
    baseline = file.baseline
    return {
        "path": str(file.path),
        "deployment": baseline.deployment if baseline else None,
        "tier": baseline.tier if baseline else None,
        "problem": file.problem,
        "hash": _hash(file),
        "sessions": [
            {
                "identifier": session.identifier,
                "started": session.started,
                "machine": session.machine.identifier,
                "python": session.environment.python,
                "versions": session.environment.versions,
                "revision": session.revision,
            }
            for session in (baseline.sessions if baseline else ())
        ],
        "stale": [asdict(reason) for reason in reasons],
    }


def _hash(file: StoredBaseline) -> str | None:
    """Whether the content is as it was written; one that is not cannot be read."""
    if file.baseline is None:
        return None
    return "matches" if file.baseline.content_sha256 else "unknown"


def comparison(a: Operand, b: Operand, *, any_machine: bool) -> Iterator[RenderableType]:
    """The sentences and the table of one comparison."""
    from rich.table import Table

    yield _text(f"{b.name} ({_sessions(b)}) compared with {a.name} ({_sessions(a)})")
    for sentence in unlike(a, b):
        yield _text(sentence)
    yield _text(f"Revision of the weights: A {_revisions(a)}, B {_revisions(b)}.")
    if changed := differing(a, b):
        yield _text(f"Versions: {', '.join(changed)}.")
    rows = Table("metric", "unit", "A", "B", "factor (over 1 is worse)", "90 % interval")
    compared = compare(a, b, any_machine=any_machine)
    for metric in compared:
        if not metric.problem:
            rows.add_row(*map(_text, _cells(metric)))
    if rows.row_count:
        yield rows
    for metric in compared:
        if metric.problem:
            yield _text(f"{metric.metric} is not compared: {metric.problem}.")


def comparison_as_json(a: Operand, b: Operand, *, any_machine: bool) -> dict[str, Any]:
    """The same for a program."""
    return {
        "a": _operand_as_json(a),
        "b": _operand_as_json(b),
        "unlike": list(unlike(a, b)),
        "versions": list(differing(a, b)),
        "metrics": [asdict(metric) for metric in compare(a, b, any_machine=any_machine)],
    }


def _cells(metric: MetricComparison) -> tuple[str, ...]:
    a, b = (", ".join(map(number, levels)) for levels in (metric.a, metric.b))
    if metric.factor is None:
        return metric.metric, metric.unit, a, b, f"difference {metric.difference:+.3g}", "none"
    interval = f"{ratio_text(metric.lower)} to {ratio_text(metric.upper)}"
    return metric.metric, metric.unit, a, b, ratio_text(metric.factor), interval


def _operand_as_json(operand: Operand) -> dict[str, Any]:
    return {
        "name": operand.name,
        "sessions": [session.identifier for session in operand.sessions],
        "revisions": list(operand.revisions),
    }


def _revisions(operand: Operand) -> str:
    return " or ".join(map(revision_text, operand.revisions))


def _sessions(operand: Operand) -> str:
    count = len(operand.sessions)
    return f"{count} session{'' if count == 1 else 's'}"


def _text(text: str) -> Text:
    """As it is: markup in a file's content has no effect on the terminal."""
    from rich.text import Text

    return Text(disarm(text))
