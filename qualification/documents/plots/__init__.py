"""Plots as SVG: they stand in a page without a script, and take its colours.

``speed``, ``memory``, ``strips``, ``phases`` and ``intervals`` each draw one, on a ``canvas``;
``drawing`` has matplotlib make the SVG and ``svg`` makes it small and safe. Same input, same bytes.
"""

from qualification.documents.plots.intervals import IntervalEntry, interval_plot
from qualification.documents.plots.memory import MemoryEntry, memory_bars
from qualification.documents.plots.phases import PhaseEntry, first_token_phases
from qualification.documents.plots.speed import SpeedPoint, accuracy_by_speed
from qualification.documents.plots.strips import StripEntry, run_strips

__all__ = [
    "IntervalEntry",
    "MemoryEntry",
    "PhaseEntry",
    "SpeedPoint",
    "StripEntry",
    "accuracy_by_speed",
    "first_token_phases",
    "interval_plot",
    "memory_bars",
    "run_strips",
]
