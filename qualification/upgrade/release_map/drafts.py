"""Faults of which no public cause is declared, drafted for bugs.toml and the catalogue. Pure.

A person confirms each: with its cause, and the issue. Where a declared bug and the map contradict
each other, one of them is wrong, and that is said.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence

from packaging.version import Version

from qualification.core.declarations import Deployment, KnownBug
from qualification.judging.library_versions import principal_libraries
from qualification.models.known_bugs import in_range, must_fail
from qualification.upgrade.release_map.advice import Causes
from qualification.upgrade.release_map.records import Place, ReleaseMap
from qualification.upgrade.release_map.states import State, Stretch, states, stretches

_ANSWERS = "test_answers_held_out_questions"
_TESTS: dict[State, tuple[str, str]] = {
    "wrong": (_ANSWERS, "correct, first incorrect answers"),
    "no answer": (_ANSWERS, "."),
    "does not load": ("test_loads", "."),
}
"""The test that a fault fails, and the text of its failure."""


def drafts(release_map: ReleaseMap, deployments: Mapping[str, Deployment], causes: Causes) -> str:
    """Entries of bugs.toml and of regressions.toml as text; '' where all causes are declared."""
    entries = []
    for name in release_map.deployments:
        for stretch in stretches(release_map, name):
            package = release_map.package
            cause = causes.of(package, name, stretch.since, stretch.until)
            if stretch.state in _TESTS and not cause:
                entries.append(_bug(release_map, stretch))
                entries += _regression(release_map, stretch, deployments[name])
    return "\n".join(entries)


def contradictions(
    release_map: ReleaseMap, bugs: Sequence[KnownBug]
) -> Iterator[tuple[KnownBug, str, str]]:
    """Declared bugs, each with a canary that answers well in releases of its range, and these."""
    for bug in bugs:
        if bug.package != release_map.package or not must_fail(bug, _ANSWERS):
            continue
        for name in release_map.deployments:
            if not any(fnmatch.fnmatch(name, pattern) for pattern in bug.deployments):
                continue
            versions = [
                release.version
                for release, _, state in states(release_map, name)
                if state == "good" and in_range(release.version, bug.versions)
            ]
            if versions:
                yield bug, name, ", ".join(versions)


def _bug(release_map: ReleaseMap, stretch: Stretch) -> str:
    test, failure = _TESTS[stretch.state]
    end = f",<{stretch.until}" if stretch.until else ""
    model = stretch.deployment.partition("@")[0].rpartition("-")[0]
    engine = stretch.deployment.partition("@")[2]
    return _entry(
        "bugs",
        identifier=f"{release_map.package}-{model}-{stretch.since}",
        title=f"{model}: {stretch.state}, {stretch.sentence}"[:200],
        package=release_map.package,
        versions=f">={stretch.since}{end}",
        deployments=[f"{model}-*@{engine}"],
        tests=[test],
        failure=failure,
        cause="not known: to be confirmed",
        source=f"qualify map {release_map.package}, {release_map.day}",
    )


def _regression(release_map: ReleaseMap, stretch: Stretch, deployment: Deployment) -> Iterator[str]:
    """The pair of environments, where the release before was good; both of the release's day."""
    versions = [release.version for release in release_map.releases]
    number = versions.index(stretch.since)
    if not number:
        return
    names = {"good": versions[number - 1], "bad": stretch.since, "fixed": stretch.until}
    places = {side: release_map.place(version, "its day") for side, version in names.items()}
    judged = {r.version: state for r, _, state in states(release_map, stretch.deployment)}
    if judged.get(names["good"]) != "good" or not (places["good"] and places["bad"]):
        return
    pins = {side: _pins(place, deployment) for side, place in places.items() if place}
    yield _entry(
        "regressions",
        identifier=f"{release_map.package}-{stretch.since}-{deployment.model.family}",
        row=0,
        package=release_map.package,
        title=f"{deployment.model.family}: {stretch.state}, {stretch.sentence}"[:200],
        source="cause unknown",
        **pins,
        deployments=[stretch.deployment],
        caught_by=["load" if stretch.state == "does not load" else "answers"],
    )


def _pins(place: Place, deployment: Deployment) -> list[str]:
    """What computes and what makes the prompt, and torch, which the processors ask for."""
    libraries = (*principal_libraries(deployment.source.engine), "mlx-cpu", "torch", "num2words")
    return [
        f"{name}=={Version(place.versions[name]).public}"
        for name in dict.fromkeys(libraries)
        if name in place.versions
    ]


def _entry(table: str, **keys: object) -> str:
    """TOML: its strings, numbers and lists of strings are those of JSON."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    return "\n".join([f"[[{table}]]", *lines, ""])
