"""Baselines and comparisons of them as tables for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qualification.core.text import disarm
from qualification.judging.baselines.comparison import (
    Compared,
    Side,
    compare,
    differing,
    unlike,
    versions,
)
from qualification.judging.baselines.staleness import Kept, Reason, newest
from qualification.judging.library_versions import PRINCIPAL, backend_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Surveyed = Sequence[tuple[Kept, tuple[Reason, ...]]]


def table(found: Surveyed) -> Table:
    """One row for each baseline that can be read."""
    from rich.table import Table

    drawn = Table("deployment", "tier", "sessions", "machines", "environments", "newest", "stale")
    for one, why in found:
        kept = one.baseline
        if kept is None:
            continue
        side = Side(kept.deployment, kept.sessions)
        last = newest(kept.sessions).started[:10] if kept.sessions else "none"
        drawn.add_row(
            *map(
                _text,
                (
                    kept.deployment,
                    kept.tier,
                    str(len(kept.sessions)),
                    str(len(side.machines)),
                    environments(kept.deployment, side),
                    last,
                    "; ".join(reason.clause for reason in why),
                ),
            )
        )
    return drawn


def environments(deployment: str, side: Side) -> str:
    """``2: mlx-vlm 0.3.9 or 0.7.10``: how many, and what differs; of one, its main libraries."""
    count = len({_key(session.environment.versions) for session in side.sessions})
    found = versions(side)
    several = {name: each for name, each in found.items() if len(each) > 1}
    names = PRINCIPAL.get(backend_of(deployment), ())
    shown = several or {name: found[name] for name in names if name in found}
    return f"{count}: " + ", ".join(f"{name} {' or '.join(each)}" for name, each in shown.items())


def total(found: Surveyed) -> str:
    """One line with the numbers; files that cannot be read are counted apart."""
    unreadable = sum(one.baseline is None for one, _ in found)
    old = sum(bool(why) for one, why in found if one.baseline is not None)
    count = len(found) - unreadable
    noun = f"{count} baseline{'' if count == 1 else 's'}"
    return f"{noun}, {old} stale, {unreadable} unreadable"


def as_json(one: Kept, why: Sequence[Reason]) -> dict[str, Any]:
    """A file with its sessions (without trials) and why it is stale."""
    kept = one.baseline
    return {
        "path": str(one.path),
        "deployment": kept.deployment if kept else None,
        "tier": kept.tier if kept else None,
        "problem": one.problem,
        "sessions": [
            {
                "identifier": session.identifier,
                "started": session.started,
                "machine": session.machine.identifier,
                "python": session.environment.python,
                "versions": session.environment.versions,
            }
            for session in (kept.sessions if kept else ())
        ],
        "stale": [asdict(reason) for reason in why],
    }


def comparison(a: Side, b: Side, any_machine: bool) -> Iterator[RenderableType]:
    """The sentences and the table of one comparison."""
    from rich.table import Table

    yield _text(f"{b.name} ({_sessions(b)}) against {a.name} ({_sessions(a)})")
    for sentence in unlike(a, b):
        yield _text(sentence)
    if changed := differing(a, b):
        yield _text(f"Versions: {', '.join(changed)}.")
    drawn = Table("metric", "unit", "A", "B", "factor (over 1 is worse)", "90 % interval")
    rows = compare(a, b, any_machine=any_machine)
    for row in rows:
        if not row.problem:
            drawn.add_row(*map(_text, _cells(row)))
    if drawn.row_count:
        yield drawn
    for row in rows:
        if row.problem:
            yield _text(f"{row.metric} is not compared: {row.problem}.")


def comparison_as_json(a: Side, b: Side, any_machine: bool) -> dict[str, Any]:
    """The same for a program."""
    return {
        "a": {"name": a.name, "sessions": [one.identifier for one in a.sessions]},
        "b": {"name": b.name, "sessions": [one.identifier for one in b.sessions]},
        "unlike": list(unlike(a, b)),
        "versions": list(differing(a, b)),
        "metrics": [asdict(row) for row in compare(a, b, any_machine=any_machine)],
    }


def _cells(row: Compared) -> tuple[str, ...]:
    levels = (", ".join(f"{level:.4g}" for level in each) for each in (row.a, row.b))
    if row.factor is None:
        return row.metric, row.unit, *levels, f"difference {row.difference:+.3g}", "none"
    return (
        row.metric,
        row.unit,
        *levels,
        f"{row.factor:.3f}",
        f"{row.lower:.3f} to {row.upper:.3f}",
    )


def _sessions(side: Side) -> str:
    count = len(side.sessions)
    return f"{count} session{'' if count == 1 else 's'}"


def _key(found: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.items()))


def _text(text: str) -> Text:
    """As it is: no markup of a file's content acts on the terminal."""
    from rich.text import Text

    return Text(disarm(text))
