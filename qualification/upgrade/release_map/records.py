"""The map's frozen types: what was asked of which release, and what follows from it.

A release is asked in two environments: with the other packages as they were on its own day, and
with today's. Both may resolve to the same releases: an observation belongs to an environment's key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from qualification.upgrade.gate.records import Behaviour

Neighbours = Literal["its day", "today", "as before"]
"""What stands beside a release: the packages of its own day, today's, or those that stood beside
the release before it, so that it alone was swapped."""

Whose = Literal["the library's", "a dependency's", "the layout's", "cannot tell"]

Kind = Literal["first bad", "fixed in", "changed", "cannot tell"]

SETS: tuple[Neighbours, Neighbours] = ("its day", "today")
"""What every release is asked beside."""


_PATH = re.compile(r"(/[\w.@+~-]+)+(?=/[\w.@+~-]+/[\w.@+~-]+)")


def without_places(text: str) -> str:
    """A message with the last two parts of each path: which file it is, and not on whose machine.

    Two environments lie in two folders, and say the same.
    """
    return _PATH.sub("…", text)


@dataclass(frozen=True)
class Release:
    """A release of the index. ``day``: of its first upload, as 2026-03-31; '' where not known."""

    version: str
    day: str = ""
    is_yanked: bool = False


@dataclass(frozen=True)
class Place:
    """The environment of a release: its ``key`` and releases, or why it could not be built."""

    version: str
    neighbours: Neighbours
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
    """Between two neighbours of the map. ``sentence`` has the evidence.

    ``whose`` change it is, '' for one that nobody is to answer for, and in ``tried`` the causes
    that were tried, in their order, each with what came of it.
    """

    deployment: str
    neighbours: Neighbours
    earlier: str
    later: str
    kind: Kind
    sentence: str
    whose: Whose | Literal[""] = ""
    tried: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseMap:
    """A package's releases from old to new, and all that was observed under them.

    ``day`` is the one on which something was asked last, as 2026-11-30.
    """

    package: str
    releases: tuple[Release, ...]
    places: tuple[Place, ...]
    sights: tuple[Sight, ...]
    day: str = ""

    @property
    def deployments(self) -> tuple[str, ...]:
        """Those that were asked, in the order of their names."""
        return tuple(sorted({sight.behaviour.deployment for sight in self.sights}))

    def place(self, version: str, neighbours: Neighbours) -> Place | None:
        """The environment of a release; None where it was not tried."""
        return self._places.get((version, neighbours))

    def attempts(self, key: str, deployment: str) -> tuple[Behaviour, ...]:
        """The attempts of a deployment under an environment's key, the first one first."""
        return self._attempts.get((key, deployment), ())

    def asked(
        self, deployment: str, neighbours: Neighbours
    ) -> list[tuple[Release, tuple[Behaviour, ...]]]:
        """Releases under which a deployment was asked, and its attempts; from old to new."""
        places = [(release, self.place(release.version, neighbours)) for release in self.releases]
        return [
            (release, attempts)
            for release, place in places
            if place and (attempts := self.attempts(place.key, deployment))
        ]

    @cached_property
    def _places(self) -> dict[tuple[str, Neighbours], Place]:
        return {(place.version, place.neighbours): place for place in self.places}

    @cached_property
    def _attempts(self) -> dict[tuple[str, str], tuple[Behaviour, ...]]:
        groups: dict[tuple[str, str], list[Behaviour]] = {}
        for sight in self.sights:
            if sight.key:
                key = (sight.key, sight.behaviour.deployment)
                groups.setdefault(key, []).append(sight.behaviour)
        return {
            key: tuple(sorted(group, key=lambda behaviour: behaviour.attempt))
            for key, group in groups.items()
        }
