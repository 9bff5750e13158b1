"""Accepted sessions made by hand for the tests of baselines; their figures mean nothing."""

from __future__ import annotations

from dataclasses import replace

from qualification.core.metrics import METRICS
from qualification.core.results import Environment, Machine, Session, Trial
from qualification.judging.baselines.storage import AcceptedSession

NAME = "qwen2.5-vl-7b-4bit@mlx"
MACHINE = Machine(
    "macos",
    "15.5",
    "Apple M4",
    "MacBook Air",
    "arm64",
    10,
    10,
    34359738368,
    bandwidth=120e9,
    tier="air_m4",
    identifier="m-1",
)
OLD = {"mlx": "0.30.1", "mlx-vlm": "0.3.9", "transformers": "4.57.3", "numpy": "2.4.6"}
NEW = {"mlx": "0.32.4", "mlx-vlm": "0.7.10", "transformers": "5.23.0", "numpy": "2.4.6"}


def session(
    name: str,
    started: str = "2026-11-01T12:00:00+00:00",
    versions: dict[str, str] | None = None,
    machine: str = "m-1",
    python: str = "3.12.1",
    tier: str = "air_m4",
) -> Session:
    """One session of a machine of the tier."""
    return Session(
        name,
        started,
        replace(MACHINE, identifier=machine, tier=tier),
        Environment("current", python, OLD if versions is None else versions),
    )


def figures(
    deployment: str = NAME, suite: str = "throughput", **values: list[float]
) -> tuple[Trial, ...]:
    """Repetitions by metric; 20 tok/s where none are named."""
    return tuple(
        Trial(deployment, metric, value, METRICS[metric].unit, number, suite)
        for metric, numbers in (values or {"decode_tps": [20.0, 20.1, 20.2]}).items()
        for number, value in enumerate(numbers)
    )


def accepted(run: Session, trials: tuple[Trial, ...]) -> AcceptedSession:
    """A session as a baseline stores it."""
    return AcceptedSession(run.identifier, run.started, run.machine, run.environment, trials)
