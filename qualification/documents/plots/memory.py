"""Peak memory of deployments against what the machine has: stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.format import NOTHING, bytes_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas
from qualification.documents.plots.palette import BAD, INK, QUIET
from qualification.documents.plots.rows import (
    ORIGIN_MARKS,
    PITCH,
    Bar,
    bar_headings,
    cut_off,
    draw_bars,
    folded,
    key_of,
    plural,
    sound,
    total_of,
)
from qualification.documents.plots.scales import Scale, axis_unit, is_positive
from qualification.documents.plots.svg import SIZE

TITLE = "Memory against the limit"

_PREDICTED: tuple[model.Origin, ...] = ("predicted", "projected")


@dataclass(frozen=True)
class MemoryEntry:
    """What runs at once, as parts in bytes from left to right.

    ``system``, ``server`` and ``applications`` look apart from the parts of a model. A part that is
    not positive and finite is left out.
    """

    name: str
    parts: tuple[tuple[str, float], ...]
    origin: model.Origin = "measured"


def memory_bars(
    entries: Sequence[MemoryEntry],
    limit_bytes: float | None = None,
    memory_bytes: float | None = None,
) -> model.Plot | None:
    """A bar for each entry, with the limit and the machine's memory as lines.

    Predictions are hatched. None where no entry has a part.
    """
    totals = [total_of(sound(entry.parts)) for entry in entries]
    if not any(totals):
        return None
    limit = limit_bytes if is_positive(limit_bytes) else None
    memory = memory_bytes if is_positive(memory_bytes) else None
    bars, looks = folded([_bar(entry, limit) for entry in entries])
    lines = [
        (value, f"{word} {bytes_text(value)}", colour)
        for value, word, colour in ((limit, "limit", BAD), (memory, "memory", QUIET))
        if value is not None
    ]
    canvas = Canvas()
    top = key_of(
        canvas,
        4.0,
        looks,
        is_hatched=any(bar.is_hatched for bar in bars),
        note="predicted, not measured",
    )
    top += 18 + 14 * len(lines)
    most = cut_off([total for total in totals if total], 4.0)
    most = max([most, *(value for value, _, _ in lines)])
    scale = Scale(0.0, most * 1.02, LEFT, RIGHT)
    size, unit = axis_unit(most, "B")
    bottom = top + PITCH * len(bars)
    end = canvas.axis(_in_unit(scale, size), top, bottom, f"memory, {unit}")
    draw_bars(canvas, bars, looks, scale, top)
    _draw_lines(canvas, scale, lines, top, bottom)
    bar_headings(canvas, bars, top)
    return canvas.plot(TITLE, _in_words(entries, totals, limit, memory), end)


def _bar(entry: MemoryEntry, limit: float | None) -> Bar:
    parts = sound(entry.parts)
    total = total_of(parts)
    if not parts:
        return Bar(entry.name, (), NOTHING, QUIET)
    figure = f"{ORIGIN_MARKS.get(entry.origin, '')}{bytes_text(total)}"
    is_over = limit is not None and total > limit
    if limit is not None and is_over:
        figure += f", {bytes_text(total - limit)} too much"
    return Bar(entry.name, parts, figure, BAD if is_over else INK, entry.origin in _PREDICTED)


def _in_unit(scale: Scale, size: float) -> Scale:
    return Scale(scale.low / size, scale.high / size, scale.start, scale.end)


def _draw_lines(
    canvas: Canvas,
    scale: Scale,
    lines: Sequence[tuple[float, str, str]],
    top: float,
    bottom: float,
) -> None:
    for number, (value, text, colour) in enumerate(lines):
        x, y = scale(value), top - 6 - 14 * (len(lines) - 1 - number)
        if colour == BAD:
            canvas.dashed((x, y + 3), (x, bottom), colour)
        else:
            canvas.line((x, y + 3), (x, bottom), colour)
        half = names.width_of(text, SIZE) / 2
        canvas.text(min(max(x, LEFT + half), RIGHT - half), y, text, colour, "center")


def _in_words(
    entries: Sequence[MemoryEntry],
    totals: Sequence[float],
    limit: float | None,
    memory: float | None,
) -> str:
    most = max(totals)
    largest = names.clipped(entries[totals.index(most)].name)
    words = f"Memory of {plural(len(entries))}; the most, {bytes_text(most)}, takes {largest}."
    if limit is not None:
        over = sum(total > limit for total in totals)
        of = f" of {bytes_text(memory)}" if memory is not None else ""
        words += f" Over the limit of {bytes_text(limit)}{of}: {over} of {len(entries)}."
    return words
