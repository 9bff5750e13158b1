"""Where the time to the first token goes: stacked bars of its phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.format import NOTHING, seconds_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas
from qualification.documents.plots.palette import INK, QUIET
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
from qualification.documents.plots.scales import Scale, axis_unit

TITLE = "Time to first token, by phase"


@dataclass(frozen=True)
class PhaseEntry:
    """Phases of the time to first token in seconds, in their order; ``rest`` looks apart.

    A phase that is not positive and finite is left out.
    """

    name: str
    phases: tuple[tuple[str, float], ...]
    origin: model.Origin = "measured"


def first_token_phases(entries: Sequence[PhaseEntry]) -> model.Plot | None:
    """A bar for each entry; None where no entry has a phase. Predictions are hatched."""
    totals = [total_of(sound(entry.phases)) for entry in entries]
    if not any(totals):
        return None
    bars, looks = folded([_bar(entry) for entry in entries])
    canvas = Canvas()
    is_hatched = any(bar.is_hatched for bar in bars)
    top = 12 + key_of(canvas, 4.0, looks, is_hatched=is_hatched, note="predicted, not measured")
    most = cut_off([total for total in totals if total])
    size, unit = axis_unit(most, "s")
    bottom = top + PITCH * len(bars)
    axis = Scale(0.0, most * 1.02 / size, LEFT, RIGHT)
    end = canvas.axis(axis, top, bottom, f"time to first token, {unit}")
    draw_bars(canvas, bars, looks, Scale(0.0, most * 1.02, LEFT, RIGHT), top)
    bar_headings(canvas, bars, top)
    return canvas.plot(TITLE, _in_words(entries, totals), end)


def _bar(entry: PhaseEntry) -> Bar:
    parts = sound(entry.phases)
    if not parts:
        return Bar(entry.name, (), NOTHING, QUIET)
    figure = f"{ORIGIN_MARKS.get(entry.origin, '')}{seconds_text(total_of(parts))}"
    return Bar(entry.name, parts, figure, INK, entry.origin in ("predicted", "projected"))


def _in_words(entries: Sequence[PhaseEntry], totals: Sequence[float]) -> str:
    positive = [total for total in totals if total]
    low, high = min(positive), max(positive)
    longest = entries[totals.index(high)]
    phase, size = max(sound(longest.phases), key=lambda pair: pair[1])
    words = f"Time to first token of {plural(len(positive))}"
    if low != high:
        shortest = names.clipped(entries[totals.index(low)].name)
        words += f", from {seconds_text(low)} ({shortest}) to {seconds_text(high)}"
    else:
        words += f": {seconds_text(high)}"
    words += f" ({names.clipped(longest.name)}), there mostly {names.clipped(phase, 28)}"
    return f"{words}, {seconds_text(size)}."
