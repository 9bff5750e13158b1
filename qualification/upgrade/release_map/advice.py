"""What follows from a map for its users: the pin of each canary, and the releases that are wrong.

The cause of a fault is what is declared of it: a known bug, or a row of the catalogue of released
regressions, whose range has the fault's first release in it. Pure.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.version import Version

from qualification.core.declarations import Deployment, KnownBug
from qualification.models.known_bugs import in_range
from qualification.models.release_advice import Advice, WrongReleases
from qualification.upgrade.release_map.records import ReleaseMap
from qualification.upgrade.release_map.states import Stretch, pin, stretches
from qualification.upgrade.replay import Regression


@dataclass(frozen=True)
class Causes:
    """What is declared of faults."""

    bugs: Sequence[KnownBug] = ()
    regressions: Sequence[Regression] = ()

    def of(self, package: str, deployment: str, since: str, until: str) -> str:
        """The issue of a fault of these releases, or who else tells of it; '' for none."""
        for bug in self.bugs:
            is_of_it = bug.package == package and _matches(deployment, bug.deployments)
            if is_of_it and in_range(since, bug.versions):
                return bug.issue or f"{bug.identifier}, {bug.source}"
        for row in self.regressions:
            bad = _pinned(row.bad, package)
            is_of_it = row.package == package and _matches(deployment, row.deployments)
            if is_of_it and bad and Version(since) <= bad and (not until or bad < Version(until)):
                return row.source
        return ""


def advice_of(
    release_map: ReleaseMap, deployments: Mapping[str, Deployment], causes: Causes
) -> Iterator[Advice]:
    """Of every canary of the map."""
    for name in release_map.deployments:
        deployment = deployments[name]
        yield Advice(
            package=release_map.package,
            deployment=name,
            family=deployment.model.family,
            engine=deployment.source.engine,
            pin=pin(release_map, name),
            newest=release_map.releases[-1].version,
            day=release_map.day,
            wrong=tuple(
                _wrong(release_map, stretch, causes) for stretch in stretches(release_map, name)
            ),
        )


def _wrong(release_map: ReleaseMap, stretch: Stretch, causes: Causes) -> WrongReleases:
    package, name = release_map.package, stretch.deployment
    cause = (
        "" if stretch.state == "before" else causes.of(package, name, stretch.since, stretch.until)
    )
    evidence = f"{stretch.state}: {stretch.sentence}"
    return WrongReleases(stretch.since, stretch.until, evidence, cause)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _pinned(pins: Sequence[str], package: str) -> Version | None:
    versions = (Requirement(text) for text in pins)
    return next(
        (Version(next(iter(r.specifier)).version) for r in versions if r.name == package), None
    )
