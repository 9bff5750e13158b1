"""Asks releases: an environment for each, every canary that it can load, all skills.

What was asked once is not asked again: :func:`ask_releases` gets what is known, and yields only
what is new, so that a run that is killed loses one deployment of one release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from qualification.core.declarations import Deployment
from qualification.core.errors import EnvironmentFailed
from qualification.models.weights import load_request
from qualification.models.weights_revision import files_revision
from qualification.session.context import RunContext
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec, candidate
from qualification.upgrade.gate.observe import held_out, observe
from qualification.upgrade.gate.records import Behaviour
from qualification.upgrade.release_map.changes import differ
from qualification.upgrade.release_map.records import (
    SETS,
    Neighbours,
    Place,
    Release,
    ReleaseMap,
    Sight,
    behaviours,
)

CHECKS = frozenset(
    {"answers", "margins", "vision", "text_only", "multi_image", "multi_turn", "video"}
)
GATE_ATTEMPTS = (1, 0)
"""The attempts of a gate whose questions the map asks: first 24 of each skill, then, where
neighbours differ, 6 other ones. Of both the canaries' reference margins are known."""


@dataclass(frozen=True)
class Asking:
    """What a run needs: ``ready`` builds an environment, ``remove`` removes one built here.

    ``digests``: deployment -> those of its weights and of its questions (:func:`digests_of`).
    """

    package: str
    base: EnvironmentSpec
    deployments: tuple[Deployment, ...]
    digests: Mapping[str, tuple[str, str]]
    context: RunContext
    ready: Callable[[EnvironmentSpec], Built]
    remove: Callable[[Built], None]
    say: Callable[[str], None]


def ask_releases(
    releases: Sequence[Release], plan: Asking, before: ReleaseMap
) -> Iterator[Place | Sight]:
    """What is not known yet, release by release from the newest; then neighbours that differ."""
    run = _Run(releases, plan, before)
    for release in reversed(releases):
        with contextlib.ExitStack() as stack:
            for neighbours in SETS:
                place = run.places.get((release.version, neighbours))
                if place is None:
                    place = run.placed(release, neighbours, stack)
                    yield place
                yield from run.questioned(place, 0, plan.deployments, stack)
        plan.say(run.line(release))
    for neighbours in SETS:
        for deployment in plan.deployments:
            for earlier, later in run.suspects(neighbours, deployment):
                with contextlib.ExitStack() as stack:
                    yield from run.questioned(earlier, 1, [deployment], stack)
                    yield from run.questioned(later, 1, [deployment], stack)


def base_of(base: EnvironmentSpec) -> str:
    """The digest of its pins: with others, today's packages are other ones."""
    return _digest([*base.pins, *base.no_dependencies])


def digests_of(deployment: Deployment) -> tuple[str, str]:
    """Of its files, and of all that the map asks it: of other ones it is asked anew."""
    questions = [
        [question.identifier, question.prompt, question.answer]
        for attempt in GATE_ATTEMPTS
        for question in held_out(deployment, attempt)
    ]
    return files_revision(load_request(deployment)), _digest(questions)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


class _Run:
    """What is known so far, and the environments that are built at the moment."""

    def __init__(self, releases: Sequence[Release], plan: Asking, before: ReleaseMap) -> None:
        self.releases = {release.version: release for release in releases}
        self.places = {(place.version, place.neighbours): place for place in before.places}
        self.sights = list(before.sights)
        self._plan = plan
        self._built: dict[str, Built] = {}

    def placed(
        self, release: Release, neighbours: Neighbours, stack: contextlib.ExitStack
    ) -> Place:
        """The environment of a release, built; it is removed when the stack is left."""
        base = base_of(self._plan.base)
        try:
            built = self._ready(release, neighbours, stack)
        except EnvironmentFailed as error:
            place = Place(release.version, neighbours, base, failure=str(error))
        else:
            place = Place(release.version, neighbours, base, built.key, built.versions)
        self.places[release.version, neighbours] = place
        return place

    def questioned(
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
        release = self.releases[place.version]
        built = self._built.get(place.key) or self._ready(release, place.neighbours, stack)
        context = dataclasses.replace(self._plan.context, python=str(built.python))
        for deployment in missing:
            digests = self._plan.digests[deployment.identifier]
            behaviour = _observed(deployment, attempt, context)
            sight = Sight(place.key, *digests, behaviour)
            self.sights.append(sight)
            yield sight

    def suspects(
        self, neighbours: Neighbours, deployment: Deployment
    ) -> Iterator[tuple[Place, Place]]:
        """Neighbours of the map under which it does not answer alike."""
        observations = [
            (place, attempts[0])
            for version in self.releases
            if (place := self.places[version, neighbours])
            and (attempts := behaviours(self.sights, place.key, deployment.identifier))
        ]
        for (earlier, before), (later, after) in pairwise(observations):
            if differ(before, after):
                yield earlier, later

    def line(self, release: Release) -> str:
        """``2026.10.11549  2026-10-20: 11 of 11 answer, 1,848 of 1,848 correct``."""
        place = self.places[release.version, "today"]
        name = f"{release.version}  {release.day}"
        if place.failure:
            return f"{name}: no environment: {place.failure}"
        observations = [
            attempts[0]
            for deployment in self._plan.deployments
            if (attempts := behaviours(self.sights, place.key, deployment.identifier))
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
            for sight in self.sights
        )

    def _ready(
        self, release: Release, neighbours: Neighbours, stack: contextlib.ExitStack
    ) -> Built:
        day = release.day if neighbours == "its day" else ""
        pin = f"{self._plan.package}=={release.version}"
        built = self._plan.ready(candidate(self._plan.base, [pin], day))
        if built.key not in self._built:
            self._built[built.key] = built
            stack.callback(self._leave, built)
        return built

    def _leave(self, built: Built) -> None:
        del self._built[built.key]
        if built.fresh:
            self._plan.remove(built)


def _observed(deployment: Deployment, attempt: int, context: RunContext) -> Behaviour:
    """Without what differs between two equal runs."""
    number = GATE_ATTEMPTS[attempt]
    behaviour = observe(deployment, "b", number, context=context, checks=CHECKS)
    answers = tuple(
        dataclasses.replace(answer, token_ids=(), e2e_s=0.0) for answer in behaviour.answers
    )
    return dataclasses.replace(behaviour, attempt=attempt, answers=answers, wall_s=0.0)
