"""Asks releases: an environment for each, every canary that it can load, all skills.

What was asked once is not asked again: a :class:`Survey` gets what is known, and yields only what
is new, so that a run that is killed loses one deployment of one release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from qualification.core.declarations import Deployment
from qualification.core.errors import EnvironmentFailed, GateError
from qualification.session.context import RunContext
from qualification.session.template import Templates, can_fork
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec, candidate, pinned
from qualification.upgrade.gate.observe import observe
from qualification.upgrade.gate.records import Behaviour
from qualification.upgrade.release_map.causes import to_swap
from qualification.upgrade.release_map.changes import differ
from qualification.upgrade.release_map.questions import GATE_ATTEMPTS, Digests
from qualification.upgrade.release_map.records import (
    SETS,
    Neighbours,
    Place,
    Release,
    ReleaseMap,
    Sight,
    without_places,
)

CHECKS = frozenset(
    {"answers", "margins", "vision", "text_only", "multi_image", "multi_turn", "video"}
)
HELD = ("torch", "torchvision")
"""Packages of today in every environment: on Linux only this torch is a build without CUDA."""

_NOT_ITS_OWN = ("disk_full", "out_of_memory", "weights_unavailable")
"""Kinds of failures that are the machine's."""


@dataclass(frozen=True)
class Asking:
    """What a run needs: ``ready`` builds an environment, ``remove`` removes one built here."""

    package: str
    base: EnvironmentSpec
    deployments: tuple[Deployment, ...]
    digests: Digests
    context: RunContext
    ready: Callable[[EnvironmentSpec], Built]
    remove: Callable[[Built], None]
    say: Callable[[str], None]
    jobs: int = 1


class Survey:
    """Asks releases by and by. What it knows at the moment is :attr:`release_map`.

    Whoever takes an entry of :meth:`ask` or :meth:`confirm` keeps it before the next one is asked.
    """

    def __init__(self, plan: Asking, before: ReleaseMap) -> None:
        self._plan = plan
        self._releases: dict[str, Release] = {}
        self._places = {(place.version, place.neighbours): place for place in before.places}
        self._sights = list(before.sights)
        self._built: dict[str, Built] = {}

    @property
    def release_map(self) -> ReleaseMap:
        """What is known of the releases that were asked here."""
        releases = sorted(self._releases.values(), key=lambda release: Version(release.version))
        places, sights = tuple(self._places.values()), tuple(self._sights)
        return ReleaseMap(self._plan.package, tuple(releases), places, sights)

    def ask(self, releases: Sequence[Release]) -> Iterator[Place | Sight]:
        """What is not known yet, release by release from the newest."""
        self._releases |= {release.version: release for release in releases}
        for release in reversed(releases):
            with contextlib.ExitStack() as stack:
                for neighbours in SETS:
                    place = self._places.get((release.version, neighbours))
                    if place is None:
                        place = self._placed(release, neighbours, stack)
                        yield place
                    yield from self._questioned(place, 0, self._plan.deployments, stack)
            self._plan.say(self._line(release))

    def confirm(self) -> Iterator[Place | Sight]:
        """Other questions where neighbours differ, and whose change it is."""
        for place, deployments in self._suspects():
            with contextlib.ExitStack() as stack:
                yield from self._questioned(place, 1, deployments, stack)
        for release, earlier, deployments in self._swaps():
            with contextlib.ExitStack() as stack:
                if (alone := self._places.get((release.version, "as before"))) is None:
                    alone = self._placed(release, "as before", stack, earlier)
                    yield alone
                for attempt in range(len(GATE_ATTEMPTS)):
                    yield from self._questioned(alone, attempt, deployments, stack)

    def _placed(
        self,
        release: Release,
        neighbours: Neighbours,
        stack: contextlib.ExitStack,
        earlier: Place | None = None,
    ) -> Place:
        """The environment of a release, built; it is removed when the stack is left.

        With ``earlier`` it has the other packages of that place.
        """
        try:
            built = self._ready(release, neighbours, stack, earlier)
        except EnvironmentFailed as error:
            place = Place(release.version, neighbours, failure=without_places(str(error)))
        else:
            place = Place(release.version, neighbours, built.key, built.versions)
        self._places[release.version, neighbours] = place
        return place

    def _questioned(
        self,
        place: Place,
        attempt: int,
        deployments: Sequence[Deployment],
        stack: contextlib.ExitStack,
    ) -> Iterator[Sight]:
        """Ask those that were not asked this in this environment."""
        missing = [
            deployment
            for deployment in deployments
            if place.key and not self._was_asked(place.key, deployment, attempt)
        ]
        if not missing:
            return
        built = self._built.get(place.key) or self._rebuilt(place, stack)
        for behaviour in _observed(missing, attempt, self._plan, built.python):
            sight = Sight(place.key, *self._plan.digests[behaviour.deployment], behaviour)
            self._sights.append(sight)
            yield sight

    def _suspects(self) -> list[tuple[Place, list[Deployment]]]:
        """Places of which a neighbour differs, with the deployments that do not answer alike."""
        groups: dict[str, tuple[Place, list[Deployment]]] = {}
        release_map = self.release_map
        versions = [release.version for release in release_map.releases]
        for neighbours, deployment in itertools.product(SETS, self._plan.deployments):
            observations = [
                (place, attempts[0])
                for version in versions
                if (place := release_map.place(version, neighbours))
                and (attempts := release_map.attempts(place.key, deployment.identifier))
            ]
            for (earlier, before), (later, after) in pairwise(observations):
                for place in (earlier, later) if differ(before, after) else ():
                    deployments = groups.setdefault(place.key, (place, []))[1]
                    if deployment not in deployments:
                        deployments.append(deployment)
        return list(groups.values())

    def _swaps(self) -> list[tuple[Release, Place, list[Deployment]]]:
        """Releases that have to be swapped alone, each with the place that it had before."""
        by_name = {deployment.identifier: deployment for deployment in self._plan.deployments}
        groups: dict[str, tuple[Release, Place, list[Deployment]]] = {}
        for change, earlier in to_swap(self.release_map):
            deployment = by_name.get(change.deployment)
            if deployment is not None and change.later in self._releases:
                release = self._releases[change.later]
                deployments = groups.setdefault(release.version, (release, earlier, []))[2]
                if deployment not in deployments:
                    deployments.append(deployment)
        return list(groups.values())

    def _line(self, release: Release) -> str:
        """``2026.10.11549  2026-10-20: 11 of 11 answer, 1,848 of 1,848 correct``."""
        place = self._places[release.version, "today"]
        name = f"{release.version}  {release.day}"
        if place.failure:
            return f"{name}: no environment: {place.failure}"
        release_map = self.release_map
        observations = [
            attempts[0]
            for deployment in self._plan.deployments
            if (attempts := release_map.attempts(place.key, deployment.identifier))
        ]
        answers = [answer for behaviour in observations for answer in behaviour.answers]
        right = sum(answer.correct for answer in answers)
        count = sum(bool(behaviour.answers) for behaviour in observations)
        return (
            f"{name}: {count} of {len(observations)} answer, {right:,} of {len(answers):,} correct"
        )

    def _was_asked(self, key: str, deployment: Deployment, attempt: int) -> bool:
        question = (key, deployment.identifier, attempt)
        return any(
            (sight.key, sight.behaviour.deployment, sight.behaviour.attempt) == question
            for sight in self._sights
        )

    def _ready(
        self,
        release: Release,
        neighbours: Neighbours,
        stack: contextlib.ExitStack,
        earlier: Place | None,
    ) -> Built:
        base = self._plan.base if earlier is None else _exactly(self._plan.base, earlier)
        pins = {name: v for name, v in pinned(self._plan.base).items() if name in HELD}
        pins[self._plan.package] = release.version
        changes = [f"{name}=={version}" for name, version in pins.items()]
        day = release.day if neighbours == "its day" else ""
        return self._kept(self._plan.ready(candidate(base, changes, day)), stack)

    def _rebuilt(self, place: Place, stack: contextlib.ExitStack) -> Built:
        """As it was asked: what is newer since is no part of it."""
        return self._kept(self._plan.ready(_exactly(self._plan.base, place)), stack)

    def _kept(self, built: Built, stack: contextlib.ExitStack) -> Built:
        """Until the stack is left."""
        if built.key not in self._built:
            self._built[built.key] = built
            stack.callback(self._leave, built)
        return built

    def _leave(self, built: Built) -> None:
        del self._built[built.key]
        if built.fresh:
            self._plan.remove(built)


def _exactly(base: EnvironmentSpec, place: Place) -> EnvironmentSpec:
    """An environment of the releases of a place."""
    pins = {name: f"{name}=={Version(version).public}" for name, version in place.versions.items()}
    apart = tuple(
        pins.pop(name)
        for pin in base.no_dependencies
        if (name := canonicalize_name(Requirement(pin).name)) in pins
    )
    text = f"the packages beside {place.version}"
    return dataclasses.replace(
        base, name=text, title=text, pins=tuple(pins.values()), no_dependencies=apart
    )


def _observed(
    deployments: Sequence[Deployment], attempt: int, plan: Asking, python: Path
) -> Iterator[Behaviour]:
    """Each as soon as it is there; only as many are begun as work at once."""
    waiting = iter(deployments)
    with (
        contextlib.closing(Templates()) as templates,
        ThreadPoolExecutor(plan.jobs) as pool,
    ):
        context = dataclasses.replace(
            plan.context,
            python=str(python),
            templates=templates if can_fork(plan.context.machine) else None,
        )

        def begin(count: int) -> set[Future[Behaviour]]:
            chosen = itertools.islice(waiting, count)
            return {pool.submit(_observed_once, case, attempt, context) for case in chosen}

        running = begin(plan.jobs)
        while running:
            over, running = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                yield future.result()
            running |= begin(len(over))


def _observed_once(deployment: Deployment, attempt: int, context: RunContext) -> Behaviour:
    """Without what differs between two equal runs."""
    number = GATE_ATTEMPTS[attempt]
    behaviour = observe(deployment, "b", number, context=context, checks=CHECKS)
    for probe in behaviour.probes:
        if probe.kind in _NOT_ITS_OWN:
            raise GateError(
                f"{deployment.identifier}: {without_places(probe.detail)}: that is no fault of a "
                "release, so nothing more is asked; mend it, and give the same command again"
            )
    probes = tuple(
        dataclasses.replace(probe, detail=without_places(probe.detail))
        for probe in behaviour.probes
    )
    answers = tuple(
        dataclasses.replace(answer, token_ids=(), e2e_s=0.0) for answer in behaviour.answers
    )
    return dataclasses.replace(
        behaviour, attempt=attempt, probes=probes, answers=answers, warnings=(), wall_s=0.0
    )
