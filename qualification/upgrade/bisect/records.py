"""The records of a search: what a check says of an environment, and the result."""

from __future__ import annotations

from dataclasses import dataclass

from qualification.upgrade.bisect.halving import Judgment
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.records import Behaviour, EnvironmentRecord


@dataclass(frozen=True)
class EnvironmentJudgment:
    """A check's answer for an environment, beyond doubt or ``unsure``.

    ``observation`` is the latest behaviour that the answer rests on; None for a metric.
    """

    answer: Judgment
    sentence: str
    observation: Behaviour | None = None


@dataclass(frozen=True)
class Tried:
    """One environment of the search: ``side`` with ``package`` at ``version``, and its answer."""

    side: str
    package: str
    version: str
    answer: Judgment
    sentence: str


@dataclass(frozen=True)
class Bisection:
    """The result of a search. If it is not ``decided``, ``sentence`` says why.

    ``untold`` are releases between ``last_good`` and ``first_bad`` that gave no answer, with the
    sentence of each; ``left_out`` those that were not tried, with the reason. ``installs`` counts
    the environments that were installed beyond the two given, ``refused`` those that pip would not
    install. ``good_pins`` and ``bad_pins`` are the complete sets of the two releases.

    The names of the fields are the keys of bisect.json.
    """

    deployment: str
    check: str
    good: EnvironmentRecord
    bad: EnvironmentRecord
    decided: bool
    sentence: str
    package: str = ""
    last_good: str = ""
    first_bad: str = ""
    pins: tuple[str, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    tried: tuple[Tried, ...] = ()
    installs: int = 0
    refused: int = 0
    wall_s: float = 0.0
    good_pins: tuple[str, ...] = ()
    bad_pins: tuple[str, ...] = ()
    no_dependencies: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 found, 3 undecided."""
        return 0 if self.decided else 3


def record_of(built: Built) -> EnvironmentRecord:
    """The receipt of an environment; its Python by version, because a path says nothing later."""
    return EnvironmentRecord(
        built.spec.name, built.python_version, built.key, built.spec.pins, dict(built.versions)
    )
