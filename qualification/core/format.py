"""Numbers for people: one function for each kind of quantity, the same on every surface.

Three significant digits, decimal units, a thousands separator from 1,000 on. ``–`` stands for
None, NaN and infinity.
"""

from __future__ import annotations

import math

from qualification.core.text import disarm

NOTHING = "–"

_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def number(value: float | None) -> str:
    """``1,235``, ``94.6``, ``8.77``, ``0.0123``; ``1.23e+15`` where it would be too long."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size and (size >= 1e9 or size < 0.001):
        return f"{value:.3g}"
    # 9.996 is 10.0 and 99.96 is 100: the digits follow from the rounded value.
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.9995 or not size else f"{value:.3g}"


def count_text(value: float | None) -> str:
    """A count of whole things: ``37``, ``1,235``; a median between two counts is ``36.5``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.1f}".removesuffix(".0")


def bytes_text(value: float | None) -> str:
    """``24.0 GB``, ``1.00 MB``, ``-12.3 KB``, ``512 B``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for unit, name in _BYTES:
        # 999,600 is 1.00 MB and not 1000 KB.
        if abs(value) >= unit * 0.9995:
            return f"{number(value / unit)} {name}"
    return f"{round(value)} B"


def bytes_of_text(done: float, total: float) -> str:
    """``1.20 of 4.60 GB``, ``980 MB of 4.60 GB``."""
    text, whole = bytes_text(done), bytes_text(total)
    unit = whole.rpartition(" ")[2]
    return f"{text.removesuffix(f' {unit}')} of {whole}"


def installed_memory_text(value: float) -> str:
    """Memory as machines are sold with it: ``32 GiB``, ``15.5 GiB``."""
    return f"{value / 2**30:.1f}".removesuffix(".0") + " GiB"


def seconds_text(value: float | None) -> str:
    """``4.21 ms`` or ``1.53 s``: for measured times; see :func:`duration_text` for long ones."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{number(value)} s" if abs(value) >= 0.9995 else f"{number(value * 1e3)} ms"


def rate_text(value: float | None, unit: str = "tok/s") -> str:
    """``94.6 tok/s``."""
    text = number(value)
    return text if text == NOTHING else f"{text} {unit}".rstrip()


def percent_text(share: float | None, *, digits: int = 1) -> str:
    """A share as a percentage: ``12.3 %`` is written ``12.3%``."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return f"{share:.{digits}%}"


def change_text(ratio: float | None) -> str:
    """A ratio as a change: 1.12 is ``+12.0%``."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    return f"{ratio - 1:+.1%}"


def ratio_text(value: float | None) -> str:
    """``1.063``; ``∞`` where a bound is open."""
    if value is None or math.isnan(value):
        return NOTHING
    return "∞" if math.isinf(value) else f"{value:.3f}"


def duration_text(seconds: float) -> str:
    """``48 s``, ``12 min 34 s``, ``3 h 25 min`` or ``4 d 2 h``; never under 0 s."""
    total = round(seconds) if math.isfinite(seconds) and seconds > 0 else 0
    minutes, rest_s = divmod(total, 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def revision_text(revision: str) -> str:
    """The first twelve digits of a commit, or of a hash of files; ``unknown`` for none."""
    return disarm(revision[:12]) or "unknown"


def quantity_text(value: float | None, unit: str) -> str:
    """A value of a metric with that unit: ``35.2 ms``, ``1.20 GB``, ``95.4 tok/s``, ``97.5 %``."""
    if unit == "share":
        return percent_text(value)
    if unit == "s":
        return seconds_text(value)
    return bytes_text(value) if unit == "B" else rate_text(value, unit)
