"""Numbers in words for the screen, the alerts and the summary."""

from __future__ import annotations

import math

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def size(value: float | None) -> str:
    """Bytes with three digits that matter: ``1.00 MB``, ``-12.3 KB``, ``24.0 GB``."""
    if value is None or not math.isfinite(value):
        return "not seen"
    for unit, name in _UNITS:
        # 999,600 is 1.00 MB and not 1000 KB.
        if abs(value) >= unit * 0.9995:
            return f"{_digits(value / unit)} {name}"
    return f"{value:.0f} B"


def seconds(value: float | None) -> str:
    """``4.21 ms`` or ``1.53 s``."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{_digits(value)} s" if value >= 1 else f"{_digits(value * 1e3)} ms"


def rate(value: float | None) -> str:
    """``94.6 tok/s``."""
    return "–" if value is None or not math.isfinite(value) else f"{_digits(value)} tok/s"


def duration(value: float) -> str:
    """``48 s``, ``12 min 34 s``, ``3 h 25 min`` or ``4 d 2 h``; never under 0 s."""
    whole = round(value) if math.isfinite(value) and value > 0 else 0
    minutes, left = divmod(whole, 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def _digits(value: float) -> str:
    most = abs(value)
    return f"{value:,.0f}" if most >= 100 else f"{value:.1f}" if most >= 10 else f"{value:.2f}"
