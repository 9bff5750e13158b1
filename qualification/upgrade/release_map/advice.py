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

    def of(self, package: str, deployment: str, bad: str, good: str) -> str:
        """The issue of what is wrong in one release and well in another, or who else tells of it.

        ``good`` is before ``bad`` or after it, '' where none is known. '' for no cause.
        """
        for bug in self.bugs:
            is_of_it = bug.package == package and _matches(deployment, bug.deployments)
            is_told = not _ANSWERS.isdisjoint((*bug.tests, *bug.may_fail))
            is_there = in_range(bad, bug.versions) and not in_range(good, bug.versions)
            if is_of_it and is_told and is_there:
                return bug.issue or f"{bug.identifier}, {bug.source}"
        for row in self.regressions:
            is_of_it = row.package == package and _matches(deployment, row.deployments)
            if is_of_it and _is_between(row, package, Version(bad), good):
                return row.source
        return ""


_ANSWERS = frozenset(
    {
        "test_loads",
        "test_answers_held_out_questions",
        "test_says_what_it_sees",
        "test_says_which_of_two_images",
        "test_tells_two_images_apart",
        "test_another_image_between_changes_nothing",
        "test_is_as_sure_as_its_other_deployments",
    }
)
"""The tests of what a map asks; a bug of none of these explains no fault of it."""


def _is_between(row: Regression, package: str, bad: Version, good: str) -> bool:
    """Whether a row begins, or ends, between the two releases."""
    began, fixed = _pinned(row.bad, package), _pinned(row.fixed, package)
    if began is None:
        return False
    if not good:
        return began >= bad
    if Version(good) < bad:
        return Version(good) < began <= bad
    return bad <= began < Version(good) or bool(fixed and bad < fixed <= Version(good))


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
                _wrong(release_map, stretch, causes)
                for stretch in stretches(release_map, name)
                if stretch.state != "before"  # too old for the files is not wrong
            ),
        )


def _wrong(release_map: ReleaseMap, stretch: Stretch, causes: Causes) -> WrongReleases:
    cause = causes.of(release_map.package, stretch.deployment, stretch.since, stretch.until)
    evidence = f"{stretch.state}: {stretch.sentence}"
    return WrongReleases(stretch.since, stretch.until, evidence, cause)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _pinned(pins: Sequence[str], package: str) -> Version | None:
    versions = (Requirement(text) for text in pins)
    return next(
        (Version(next(iter(r.specifier)).version) for r in versions if r.name == package), None
    )
