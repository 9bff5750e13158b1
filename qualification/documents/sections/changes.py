"""What changed since an earlier session of the same machine: libraries, speeds, verdicts, bugs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qualification.core.format import change_text, number, percent_text
from qualification.core.results import Results
from qualification.documents.figures import word
from qualification.documents.model import (
    Block,
    Inline,
    Items,
    Line,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.sections.comparison import state_word
from qualification.judging.reference_sessions import may_be_same_weights
from qualification.judging.stats.estimators import median
from qualification.results.closing import state
from qualification.results.rows import Row


@dataclass(frozen=True)
class Changes:
    """Two sessions of one machine: ``pairs`` are the rows of what both measured, then and now.

    ``name`` is what the earlier one is to the reader: ``the last session``.
    """

    earlier: Results
    later: Results
    pairs: tuple[tuple[Row, Row], ...]
    name: str

    @property
    def libraries(self) -> tuple[str, ...]:
        """``mlx 0.32.3 → 0.32.4`` for each that moved."""
        then, now = self.earlier.session.environment, self.later.session.environment
        return tuple(
            f"{name} {then.versions.get(name) or 'none'} → {now.versions.get(name) or 'none'}"
            for name in dict.fromkeys((*then.versions, *now.versions))
            if then.versions.get(name, "") != now.versions.get(name, "")
        )

    @property
    def ended_bugs(self) -> tuple[str, ...]:
        """Known bugs that failed then and pass now."""
        then = {c.known_bug for c in self.earlier.checks if c.outcome == "xfailed"}
        now = {c.known_bug for c in self.later.checks if c.outcome == "xfailed"}
        tried = {c.known_bug for c in self.later.checks if c.outcome == "xpassed"}
        return tuple(sorted((then - now) & tried))

    @property
    def speed_ratios(self) -> tuple[float, ...]:
        """Decoding speed now over then, where both were measured on a machine that was fit."""
        return tuple(
            median(now.decode_tps) / median(then.decode_tps)
            for then, now in self.pairs
            if then.decode_tps
            and now.decode_tps
            and "unfit" not in (then.verdict.name, now.verdict.name)
        )

    def turned(self, before: str, after: str) -> tuple[str, ...]:
        """Deployments that ``works`` and were ``broken``, or the other way round.

        One of which a session could not tell, for a busy machine, say, is neither.
        """
        return tuple(
            now.identifier
            for then, now in self.pairs
            if _suites(now) == _suites(then)
            and (_condition(then), _condition(now)) == (before, after)
        )


def _suites(row: Row) -> set[str]:
    """What was tried: a session that only loaded it says nothing about its answers."""
    return {check.suite for check in row.checks if check.outcome != "skipped"}


def _condition(row: Row) -> str:
    states = {"works": "works", "failed": "broken", "wrong": "broken"}
    return states.get(state(row), "unknown")


def changes(
    earlier: Results, later: Results, then: Sequence[Row], now: Sequence[Row], name: str
) -> Changes:
    """The rows of the same weights, matched by deployment."""
    before = {row.identifier: row for row in then}
    pairs = tuple(
        (before[row.identifier], row)
        for row in now
        if row.identifier in before and _same(before[row.identifier], row)
    )
    return Changes(earlier, later, pairs, name)


def _same(then: Row, now: Row) -> bool:
    return may_be_same_weights(
        then.load.revision if then.load else "", now.load.revision if now.load else ""
    )


def since(compared: Changes) -> Line:
    """One line for the first screen."""
    session = compared.earlier.session
    words = [_some(compared.libraries) or "the same libraries"]
    if ratios := compared.speed_ratios:
        of = f"median of {len(ratios)} deployments" if len(ratios) > 1 else "one deployment"
        words.append(f"decode {change_text(median(ratios))} ({of})")
    words += [
        f"{text}: {_some(names)}"
        for text, names in (
            ("works now", compared.turned("broken", "works")),
            ("worked then", compared.turned("works", "broken")),
            ("bugs ended", compared.ended_bugs),
        )
        if names
    ]
    if not compared.pairs:
        words.append("it measured none of these deployments")
    text = f"{compared.name}, of {session.started[:10]} on this machine: {'; '.join(words)}"
    return Line("since", inline(text, " ", Span("more", link="#changes")))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


_SHOWN = 3


def changed(compared: Sequence[Changes]) -> Iterator[Section]:
    """The tables behind the lines: two sessions beside each other."""
    tables = [(changes.name, list(_moved(changes))) for changes in compared if changes.pairs]
    if len(tables) == 1:
        ((name, blocks),) = tables
        yield Section("changes", f"What changed since {name}", tuple(blocks), is_folded=True)
    elif tables:
        joined = tuple(block for _, blocks in tables for block in blocks)
        yield Section("changes", "What changed", joined, is_folded=True)


def _moved(compared: Changes) -> Iterator[Block]:
    heads = (
        "deployment",
        "then",
        "now",
        "tok/s then",
        "tok/s now",
        "accuracy then",
        "accuracy now",
    )
    table = Table(
        f"Session {compared.earlier.session.identifier} and this one",
        columns(*heads, numeric=heads[3:]),
        tuple(
            (
                inline(code(now.identifier)),
                inline(word(state_word(then))),
                inline(word(state_word(now))),
                inline(_middle(then.decode_tps)),
                inline(_middle(now.decode_tps)),
                inline(percent_text(median(then.accuracy)) if then.accuracy else "–"),
                inline(percent_text(median(now.accuracy)) if now.accuracy else "–"),
            )
            for then, now in compared.pairs
        ),
    )
    moved: tuple[Inline, ...] = tuple(inline(change) for change in compared.libraries)
    if moved:
        yield Items(moved)
    yield table


def _middle(values: Sequence[float]) -> str:
    return number(median(values)) if values else "–"
