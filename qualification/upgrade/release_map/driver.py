"""Makes the map of a package: its environment, canaries and releases, and what they say."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from qualification.core.backends import ENGINES
from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.core.files import write_whole
from qualification.judging.library_versions import libraries, principal_libraries
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.registry import Registry
from qualification.models.release_advice import SHIPPED, map_files
from qualification.session.context import RunContext
from qualification.session.scratch import scratch
from qualification.upgrade.bisect.releases import installable, published
from qualification.upgrade.environments import cache
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.interpreters import interpreter_of
from qualification.upgrade.environments.spec import (
    EnvironmentSpec,
    environment_names,
    environment_spec,
    pinned,
)
from qualification.upgrade.release_map import asking, journal
from qualification.upgrade.release_map.advice import Causes
from qualification.upgrade.release_map.changes import changes
from qualification.upgrade.release_map.document import Maps
from qualification.upgrade.release_map.drafts import drafts
from qualification.upgrade.release_map.questions import Digests, digests_of
from qualification.upgrade.release_map.records import Place, Release, ReleaseMap, Sight
from qualification.upgrade.release_map.stored import from_file, to_text
from qualification.upgrade.replay import read_catalogue


@dataclass(frozen=True)
class MapRequest:
    """Releases of ``package`` from the day ``since`` on ('': all), the newest ``most``.

    ``only_ends``: the first and the last of each minor release, and all between two that differ.
    ``pattern`` chooses canaries by name; so many ``jobs`` answer at once. ``own`` is the
    user's folder of declarations.
    """

    package: str
    since: str = ""
    most: int | None = None
    pattern: str = "*"
    with_pre_releases: bool = False
    only_ends: bool = False
    jobs: int = 2
    keep: bool = False
    own: Path | None = None


def make_map(
    request: MapRequest, registry: Registry, folder: Path, say: Callable[[str], None]
) -> ReleaseMap:
    """Ask what is not known yet, by the map that ships and the journal of ``folder``.

    Returns all that is known, of other releases and canaries too. Raises SelectionError for what
    cannot be asked, EnvironmentFailed where the index cannot be read, GateError for a map that
    cannot be gone on with.
    """
    package = request.package
    base = base_environment(package, request.own)
    canaries = canaries_on(registry, package, base)
    chosen = tuple(c for c in canaries.values() if fnmatch.fnmatch(c.identifier, request.pattern))
    if not chosen:
        raise SelectionError(f"no canary that is called {request.pattern} runs on {package}")
    index = releases_of(request, base)
    digests = {name: digests_of(canary) for name, canary in canaries.items()}
    shipped = shipped_map(package, canaries, digests)
    selection = chosen_releases(request, index, shipped)
    machine = probe(registry.chips, registry.tiers)
    with journal.opened(folder, package) as (file, entries), scratch("map") as temporary:
        entries = (*shipped.places, *shipped.sights, *entries)
        newest_facts = {r.version: r for r in (*shipped.releases, *index)}
        releases = tuple(sorted(newest_facts.values(), key=lambda r: Version(r.version)))
        release_map = journal.holding(entries, package, releases, digests)
        say(
            f"{package}: {len(selection)} releases, {len(chosen)} canaries; "
            f"{len(release_map.sights)} answers are known"
        )
        plan = asking.Asking(
            package,
            base,
            chosen,
            digests,
            RunContext(machine, tier_of(machine, registry.tiers), temporary),
            ready=cache.ready,
            remove=_keep if request.keep else cache.remove,
            say=say,
            jobs=request.jobs,
        )
        survey = asking.Survey(plan, release_map)
        is_asked = False
        for entry in _entries(survey, selection, only_ends=request.only_ends):
            file.add(entry)
            is_asked = True
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    keys = {sight.key for sight in survey.release_map.sights}
    places = survey.release_map.places
    tried = {place.version for place in places if place.failure or place.key in keys}
    return replace(
        survey.release_map,
        releases=tuple(release for release in releases if release.version in tried),
        day=today if is_asked else shipped.day or today,
    )


def _entries(
    survey: asking.Survey, releases: Sequence[Release], *, only_ends: bool
) -> Iterator[Place | Sight]:
    """What a survey learns: of the ends of the minor releases and of what is between, or of all."""
    waiting = ends_of_minors(releases) if only_ends else tuple(releases)
    while waiting:
        yield from survey.ask(waiting)
        waiting = between_that_differ(survey.release_map, releases) if only_ends else ()
    yield from survey.confirm()


def maps_of(maps: Sequence[ReleaseMap], registry: Registry) -> Maps:
    """Maps with what a document of them needs."""
    canaries = {c.identifier: c for c in registry.with_weights("canary").deployments()}
    return Maps(tuple(maps), canaries, Causes(registry.bugs, read_catalogue().regressions))


def write_map(maps: Maps, folder: Path) -> list[Path]:
    """Write a map as the file that can be shipped, and what is to be declared; returns the files.

    What is to be declared is in ``drafts.toml``, which is gone where there is nothing.
    """
    (release_map,) = maps.maps
    files = [folder / f"{release_map.package}.json", folder / "drafts.toml"]
    write_whole(files[0], to_text(release_map, maps.deployments, maps.advice()))
    text = drafts(release_map, maps.deployments, maps.causes)
    if not text:
        files.pop().unlink(missing_ok=True)
        return files
    write_whole(files[1], text)
    return files


def shipped_maps(registry: Registry) -> Maps:
    """All that ship. GateError for one that cannot be read."""
    maps = []
    for file in map_files():
        canaries = canaries_on(registry, file.stem, base_environment(file.stem))
        digests = {name: digests_of(canary) for name, canary in canaries.items()}
        maps.append(from_file(file, canaries, digests))
    return maps_of(maps, registry)


def newer_releases(package: str, newest: str) -> tuple[Release, ...]:
    """The releases of the index that came after the newest one of a map."""
    index = releases_of(MapRequest(package), base_environment(package))
    return tuple(r for r in index if Version(r.version) > Version(newest))


def shipped_map(package: str, canaries: Mapping[str, Deployment], digests: Digests) -> ReleaseMap:
    """The map of a package that ships; without a release where none does."""
    file = SHIPPED / f"{package}.json"
    if not file.exists():
        return ReleaseMap(package, (), (), ())
    return from_file(file, canaries, digests)


def ends_of_minors(releases: Sequence[Release]) -> tuple[Release, ...]:
    """The first and the last of each minor release (4.50.0 and 4.50.3)."""
    minors: dict[tuple[int, ...], list[Release]] = {}
    for release in releases:
        minors.setdefault(Version(release.version).release[:2], []).append(release)
    return tuple(
        release for group in minors.values() for release in dict.fromkeys((group[0], group[-1]))
    )


def between_that_differ(release_map: ReleaseMap, index: Sequence[Release]) -> tuple[Release, ...]:
    """The releases that were not asked between two that were and differ, with these two."""
    numbers = {release.version: number for number, release in enumerate(index)}
    tried = {place.version for place in release_map.places}
    chosen: set[int] = set()
    for change in changes(release_map):
        if change.earlier in numbers and change.later in numbers:
            lower, upper = numbers[change.earlier], numbers[change.later]
            if any(release.version not in tried for release in index[lower : upper + 1]):
                chosen |= {*range(lower, upper + 1)}
    return tuple(index[number] for number in sorted(chosen))


def base_environment(package: str, own: Path | None = None) -> EnvironmentSpec:
    """The smallest declared environment of today's that pins it; where none does, the largest."""
    specs = [environment_spec(name, own) for name in environment_names(own)]
    fitting = [spec for spec in specs if package in pinned(spec)]
    if not fitting:
        return max(specs, key=lambda spec: len(pinned(spec)))
    pins = [pin for spec in specs for pin in pinned(spec).items()]
    newest = {name: max(Version(v) for n, v in pins if n == name) for name, _ in pins}

    def age_and_size(spec: EnvironmentSpec) -> tuple[int, int]:
        older = sum(Version(version) < newest[name] for name, version in pinned(spec).items())
        return older, len(pinned(spec))

    return min(fitting, key=age_and_size)


def canaries_on(registry: Registry, package: str, base: EnvironmentSpec) -> dict[str, Deployment]:
    """The canaries by name whose engine runs in an environment and loads a package of it.

    Raises SelectionError for a package that no engine loads.
    """
    loaded = {name for engine in ENGINES for name in libraries(engine)}
    if package not in loaded:
        raise SelectionError(f"no canary loads {package}: they load {', '.join(sorted(loaded))}")
    pins = pinned(base)
    return {
        deployment.identifier: deployment
        for deployment in registry.with_weights("canary").deployments()
        if deployment.source.is_its_own_engine
        and package in libraries(deployment.source.engine)
        and all(library in pins for library in principal_libraries(deployment.source.engine))
    }


def releases_of(request: MapRequest, base: EnvironmentSpec) -> tuple[Release, ...]:
    """The releases that the index has for the Python of ``base``, from old to new."""
    interpreter = interpreter_of(base.python)
    if interpreter is None:
        raise SelectionError(f"{base.name} needs Python {base.python}, which is not here")
    pip = cache.with_pip(interpreter)
    facts = published(pip, request.package)
    versions = {
        *installable(pip, request.package, pre_releases=request.with_pre_releases),
        *(version for version, fact in facts.items() if fact.yanked),
    }
    releases = []
    for version in sorted(versions, key=Version):
        if Version(version).is_prerelease and not request.with_pre_releases:
            continue
        fact = facts.get(version)
        day = f"{fact.published:%Y-%m-%d}" if fact and fact.published else ""
        releases.append(Release(version, day, bool(fact and fact.yanked)))
    return tuple(releases)


def chosen_releases(
    request: MapRequest, index: Sequence[Release], shipped: ReleaseMap
) -> tuple[Release, ...]:
    """Those that are to be asked: where nothing is said, none that is older than the map's."""
    chosen = [r for r in index if not (request.since and r.day and r.day < request.since)]
    if shipped.releases and not request.since and not request.most:
        oldest = Version(shipped.releases[0].version)
        chosen = [release for release in chosen if Version(release.version) >= oldest]
    if not chosen:
        raise SelectionError(f"there is no release of {request.package} since {request.since}")
    return tuple(chosen[-request.most :] if request.most else chosen)


def _keep(_built: Built) -> None:
    """Leave it in the cache."""
