"""The map's frozen types: what was asked of which release, and what follows from it.

A release is asked in two environments: with the other packages as they were on its own day, and
with today's. Both may resolve to the same releases: an observation belongs to an environment's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from qualification.upgrade.gate.records import Behaviour

Neighbours = Literal["its day", "today"]
"""What stands beside a release: the packages of its own day, or today's."""

Kind = Literal["first bad", "fixed in", "changed", "cannot tell"]

SETS: tuple[Neighbours, Neighbours] = ("its day", "today")


@dataclass(frozen=True)
class Release:
    """A release of the index. ``day``: of its first upload, as 2026-03-31; '' where not known."""

    version: str
    day: str = ""
    is_yanked: bool = False


@dataclass(frozen=True)
class Place:
    """The environment of a release: its ``key`` and releases, or why it could not be built.

    ``base`` is the digest of the pins that it was resolved with.
    """

    version: str
    neighbours: Neighbours
    base: str = ""
    key: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Sight:
    """One deployment in one environment; the digests of its ``weights`` and ``questions``."""

    key: str
    weights: str
    questions: str
    behaviour: Behaviour


@dataclass(frozen=True)
class Change:
    """Between two neighbours of the map. ``sentence`` has the evidence."""

    deployment: str
    neighbours: Neighbours
    earlier: str
    later: str
    kind: Kind
    sentence: str


@dataclass(frozen=True)
class ReleaseMap:
    """A package's releases from old to new, and all that was observed under them."""

    package: str
    releases: tuple[Release, ...]
    places: tuple[Place, ...]
    sights: tuple[Sight, ...]

    @property
    def deployments(self) -> tuple[str, ...]:
        """Those that were asked, in the order of their names."""
        return tuple(sorted({sight.behaviour.deployment for sight in self.sights}))

    def place(self, version: str, neighbours: Neighbours) -> Place | None:
        """The environment of a release; None where it was not tried."""
        return next(
            (p for p in self.places if (p.version, p.neighbours) == (version, neighbours)), None
        )

    def asked(
        self, deployment: str, neighbours: Neighbours
    ) -> list[tuple[Release, tuple[Behaviour, ...]]]:
        """Releases under which a deployment was asked, and its attempts; from old to new."""
        places = [(release, self.place(release.version, neighbours)) for release in self.releases]
        return [
            (release, attempts)
            for release, place in places
            if place and (attempts := behaviours(self.sights, place.key, deployment))
        ]


def behaviours(sights: Sequence[Sight], key: str, deployment: str) -> tuple[Behaviour, ...]:
    """The attempts of a deployment under an environment's key, the first one first."""
    attempts = [
        sight.behaviour
        for sight in sights
        if key and sight.key == key and sight.behaviour.deployment == deployment
    ]
    return tuple(sorted(attempts, key=lambda behaviour: behaviour.attempt))
