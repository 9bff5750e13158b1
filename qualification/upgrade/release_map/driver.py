"""Makes the map of a package: its environment, canaries and releases, and what they say."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.judging.library_versions import principal_libraries
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.registry import Registry
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
from qualification.upgrade.release_map.records import Place, Release, ReleaseMap


@dataclass(frozen=True)
class MapRequest:
    """Releases of ``package`` from the day ``since`` on ('': all), the newest ``most`` (0: all).

    ``pattern`` chooses canaries by name; ``own`` is the user's folder of declarations.
    """

    package: str
    since: str = ""
    most: int = 0
    pattern: str = "*"
    with_pre_releases: bool = False
    keeps_environments: bool = False
    own: Path | None = None


def make_map(
    request: MapRequest, registry: Registry, folder: Path, say: Callable[[str], None]
) -> ReleaseMap:
    """Ask what is not in the journal of ``folder`` yet, and return all that holds.

    Raises SelectionError for what cannot be asked, EnvironmentFailed where the index cannot be
    read, GateError for a journal that cannot be gone on with.
    """
    base = base_environment(request.package, request.own)
    canaries = canaries_on(registry, request.package, request.pattern)
    releases = releases_of(request, base)
    digests = {canary.identifier: asking.digests_of(canary) for canary in canaries}
    machine = probe(registry.chips, registry.tiers)
    with (
        journal.opened(folder, request.package) as (file, entries),
        scratch("map") as temporary,
    ):
        before = journal.holding(
            entries, request.package, releases, base=asking.base_of(base), digests=digests
        )
        say(
            f"{request.package}: {len(releases)} releases, {len(canaries)} canaries; "
            f"{len(before.sights)} answers are known"
        )
        plan = asking.Asking(
            request.package,
            base,
            canaries,
            digests,
            RunContext(machine, tier_of(machine, registry.tiers), temporary),
            ready=cache.ready,
            remove=_keep if request.keeps_environments else cache.remove,
            say=say,
        )
        places, sights = list(before.places), list(before.sights)
        for entry in asking.ask_releases(releases, plan, before):
            file.add(entry)
            if isinstance(entry, Place):
                places.append(entry)
            else:
                sights.append(entry)
    return ReleaseMap(request.package, releases, tuple(places), tuple(sights))


def base_environment(package: str, own: Path | None = None) -> EnvironmentSpec:
    """The smallest declared environment that pins the package; SelectionError without one."""
    specs = [environment_spec(name, own) for name in environment_names(own)]
    fitting = [spec for spec in specs if package in pinned(spec)]
    if not fitting:
        names = sorted({name for spec in specs for name in pinned(spec)})
        raise SelectionError(f"no environment pins {package}: there are {', '.join(names)}")
    return min(fitting, key=lambda spec: len(pinned(spec)))


def canaries_on(registry: Registry, package: str, pattern: str) -> tuple[Deployment, ...]:
    """The canaries that run on a package, by a pattern of their names; SelectionError for none."""
    canaries = tuple(
        deployment
        for deployment in registry.with_weights("canary").deployments()
        if package in principal_libraries(deployment.source.engine)
        and deployment.source.is_its_own_engine
        and fnmatch.fnmatch(deployment.identifier, pattern)
    )
    if not canaries:
        raise SelectionError(f"no canary that is called {pattern} runs on {package}")
    return canaries


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
        fact = facts.get(version)
        day = f"{fact.published:%Y-%m-%d}" if fact and fact.published else ""
        is_unasked_pre_release = Version(version).is_prerelease and not request.with_pre_releases
        if is_unasked_pre_release or (request.since and day and day < request.since):
            continue
        releases.append(Release(version, day, bool(fact and fact.yanked)))
    if not releases:
        raise SelectionError(f"there is no release of {request.package} since {request.since}")
    return tuple(releases[-request.most :] if request.most else releases)


def _keep(_built: Built) -> None:
    """Leave it in the cache."""
