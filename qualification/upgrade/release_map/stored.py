"""A map as a file that can be kept and shipped: what was observed alike is written once.

::

    {"schema_version": 1, "package": "xllamacpp", "day": "2026-11-30",
     "advice": [...],              what ``qualification.models.release_advice`` reads
     "releases": [{"version": "0.2.8", "day": "2025-10-10", "is_yanked": false}],
     "places": [{"version": ..., "neighbours": ..., "key": ..., "versions": {...}}],
     "changes": [...],             between neighbours, with whose each is and the causes tried
     "digests": {deployment: [weights, questions]},
     "observations": [{...}],      one for each that differs
     "sights": [[environment's key, number of the observation]]}

The versions of a place are those that differ from the place before it, null for one that is gone.
Questions, expected answers and reference margins are not in it: they follow from the canary, whose
digests say whether it is still the same one. The schema is ``docs/releases.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from qualification.core.declarations import Deployment
from qualification.core.errors import GateError
from qualification.core.protocol import to_json
from qualification.core.validation import first_problem
from qualification.models.release_advice import Advice
from qualification.upgrade.gate.records import Answer, Behaviour, Probe
from qualification.upgrade.gate.reference import references_of
from qualification.upgrade.release_map.causes import explained
from qualification.upgrade.release_map.questions import Digests, questions_of
from qualification.upgrade.release_map.records import (
    Change,
    Neighbours,
    Place,
    Release,
    ReleaseMap,
    Sight,
)


@dataclass(frozen=True)
class StoredPlace:
    """A :class:`Place`; ``versions`` are what differs from the place before it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    version: str
    neighbours: Neighbours
    key: str
    versions: dict[str, str | None]
    failure: str = ""


@dataclass(frozen=True)
class Observation:
    """The answers of one attempt, in the order of the questions.

    ``texts`` are those that are not the expected word, by number; ``wrong`` the numbers of the
    incorrect ones; ``unasked`` those of the questions that were not asked any more. Margins have
    four significant digits: a shift of 1 % shows, and what two equal runs differ in does not.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    deployment: str
    attempt: int
    probes: tuple[tuple[str, Literal["ok", "wrong", "error"], str, str], ...]
    texts: tuple[tuple[int, str], ...] = ()
    wrong: tuple[int, ...] = ()
    unasked: tuple[int, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    margins: tuple[float, ...] = ()


@dataclass(frozen=True)
class StoredMap:
    """The content of a file."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    schema_version: Literal[1]
    package: str
    day: str
    advice: tuple[Advice, ...]
    releases: tuple[Release, ...]
    places: tuple[StoredPlace, ...]
    changes: tuple[Change, ...]
    digests: dict[str, tuple[str, str]]
    observations: tuple[Observation, ...]
    sights: tuple[tuple[str, int], ...]


_STORED = TypeAdapter(StoredMap)


def schema() -> dict[str, Any]:
    """The JSON schema of a file."""
    return _STORED.json_schema()


def to_text(
    release_map: ReleaseMap,
    deployments: Mapping[str, Deployment],
    advice: Iterable[Advice],
) -> str:
    """The map as a file; ``deployments`` are its canaries by name."""
    numbers: dict[Observation, int] = {}
    sights = []
    for sight in release_map.sights:
        observation = _observation(sight.behaviour, deployments[sight.behaviour.deployment])
        sights.append((sight.key, numbers.setdefault(observation, len(numbers))))
    stored = StoredMap(
        schema_version=1,
        package=release_map.package,
        day=release_map.day,
        advice=tuple(advice),
        releases=release_map.releases,
        places=tuple(_differences(release_map.places)),
        changes=explained(release_map),
        digests={s.behaviour.deployment: (s.weights, s.questions) for s in release_map.sights},
        observations=tuple(numbers),
        sights=tuple(sights),
    )
    content = to_json(stored)
    lines = []
    for name, value in content.items():  # a line for each entry: a change of the file can be read
        if isinstance(value, list | tuple) and value:
            entries = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in value)
            lines.append(f"{json.dumps(name)}: [\n{entries}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{" + ",\n".join(lines) + "}\n"


def from_file(file: Path, deployments: Mapping[str, Deployment], digests: Digests) -> ReleaseMap:
    """A map that was kept; what was asked of other canaries than these is not in it.

    GateError for a file that cannot be read.
    """
    try:
        stored = _STORED.validate_json(file.read_bytes())
        return ReleaseMap(
            stored.package,
            stored.releases,
            tuple(_places(stored.places)),
            tuple(_sights(stored, deployments, digests)),
            stored.day,
        )
    except ValidationError as error:
        raise GateError(f"{file}: {first_problem(error)}; make the map again") from error
    except (OSError, IndexError) as error:
        raise GateError(f"{file}: {error}; make the map again") from error


def _observation(behaviour: Behaviour, deployment: Deployment) -> Observation:
    questions = questions_of(deployment, behaviour.attempt)
    answers = {answer.question: answer for answer in behaviour.answers}
    answered = [answers.get(question.identifier) for question in questions]
    return Observation(
        deployment=behaviour.deployment,
        attempt=behaviour.attempt,
        probes=tuple(
            (probe.check, probe.outcome, probe.detail, probe.kind) for probe in behaviour.probes
        ),
        texts=tuple((n, a.text) for n, a in enumerate(answered) if a and a.text != a.expected),
        wrong=tuple(
            number for number, answer in enumerate(answered) if answer and not answer.correct
        ),
        unasked=tuple(n for n, a in enumerate(answered) if a is None) if answers else (),
        prompt_tokens=tuple(answer.prompt_tokens for answer in answered if answer),
        margins=tuple(float(f"{answer.margin:.4g}") for answer in answered if answer),
    )


def _behaviour(observation: Observation, deployment: Deployment) -> Behaviour:
    texts, wrong, unasked = dict(observation.texts), {*observation.wrong}, {*observation.unasked}
    references = references_of(deployment)
    answers: list[Answer] = []
    for number, question in enumerate(questions_of(deployment, observation.attempt)):
        if number in unasked or not observation.prompt_tokens:
            continue
        place = len(answers)
        answers.append(
            Answer(
                question.identifier,
                question.skill,
                question.answer,
                texts.get(number, question.answer),
                (),
                observation.prompt_tokens[place],
                number not in wrong,
                observation.margins[place],
                tuple(margins.get(question.identifier, 0.0) for margins in references),
            )
        )
    probes = tuple(Probe(*probe) for probe in observation.probes)
    return Behaviour(observation.deployment, "b", observation.attempt, probes, tuple(answers))


def _sights(
    stored: StoredMap, deployments: Mapping[str, Deployment], digests: Digests
) -> Iterator[Sight]:
    behaviours: dict[int, Behaviour] = {}
    for key, number in stored.sights:
        observation = stored.observations[number]
        name = observation.deployment
        if name not in deployments or digests.get(name) != stored.digests[name]:
            continue
        if number not in behaviours:
            behaviours[number] = _behaviour(observation, deployments[name])
        yield Sight(key, *stored.digests[name], behaviours[number])


def _differences(places: Iterable[Place]) -> Iterator[StoredPlace]:
    before: dict[str, str] = {}
    for place in places:
        changed: dict[str, str | None] = {
            name: place.versions.get(name)
            for name in sorted({*before, *place.versions})
            if before.get(name) != place.versions.get(name)
        }
        yield StoredPlace(
            place.version,
            place.neighbours,
            place.key,
            changed,
            place.failure,
        )
        before = place.versions


def _places(places: Iterable[StoredPlace]) -> Iterator[Place]:
    versions: dict[str, str] = {}
    for place in places:
        changed = versions | place.versions
        versions = {name: version for name, version in changed.items() if version is not None}
        yield Place(place.version, place.neighbours, place.key, versions, place.failure)
