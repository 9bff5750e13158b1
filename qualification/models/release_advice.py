"""Which release of a library to pin for a model, as the maps that ship know it.

A map (``qualify map``) asks every release of a library which canaries it still sees with. What it
says of a canary is said of its family: ``smolvlm-canary-f32@mlx`` stands for SmolVLM on mlx-vlm.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import TypeAdapter

from qualification.core.declarations import Deployment
from qualification.core.paths import DECLARATIONS

SHIPPED = DECLARATIONS / "releases"


@dataclass(frozen=True)
class WrongReleases:
    """Neighbouring releases from ``since`` on in which a canary is wrong; ``until`` is good again.

    ``until`` is '' where none of the map is. ``evidence`` what was seen, ``cause`` what is known of
    it, '' for nothing.
    """

    since: str
    until: str
    evidence: str
    cause: str = ""

    def covers(self, version: str, newest: str) -> bool:
        """Whether a release is among them; those after the ``newest`` of the map are not known."""
        try:
            release = Version(version)
        except InvalidVersion:
            return False
        end = Version(self.until) if self.until else None
        before_end = release < end if end else release <= Version(newest)
        return Version(self.since) <= release and before_end


@dataclass(frozen=True)
class Advice:
    """Of a ``family`` on an ``engine``, by the canary ``deployment``: the release to ``pin``.

    ``pin`` is '' where the canary is good under none. ``newest`` is the newest release of the map,
    which was made on a ``day``.
    """

    package: str
    deployment: str
    family: str
    engine: str
    pin: str
    newest: str
    day: str
    wrong: tuple[WrongReleases, ...] = ()

    def wrong_in(self, version: str) -> WrongReleases | None:
        """What is wrong in an installed release, by the map; None for nothing that it knows."""
        return next((span for span in self.wrong if span.covers(version, self.newest)), None)


def map_files(folder: Path = SHIPPED) -> tuple[Path, ...]:
    """The maps of a folder, by package."""
    return tuple(sorted(folder.glob("*.json")))


@cache
def shipped_advice(folder: Path = SHIPPED) -> tuple[Advice, ...]:
    """What the maps of a folder say of every canary."""
    advice = TypeAdapter(tuple[Advice, ...])
    files = map_files(folder)
    contents = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    return tuple(
        entry for content in contents for entry in advice.validate_python(content["advice"])
    )


def advice_for(deployment: Deployment, advice: Sequence[Advice] | None = None) -> Iterator[Advice]:
    """What is known of the family of a deployment on its engine, for each package of a map.

    Of several canaries of a family that of its own precision, else the exact one.
    """
    own = f"-{deployment.source.quantisation}@"
    fitting = [
        entry
        for entry in (shipped_advice() if advice is None else advice)
        if (entry.family, entry.engine) == (deployment.model.family, deployment.source.engine)
    ]
    for package in dict.fromkeys(entry.package for entry in fitting):
        entries = [entry for entry in fitting if entry.package == package]
        exact = next((entry for entry in entries if "-f32@" in entry.deployment), entries[0])
        yield next((entry for entry in entries if own in entry.deployment), exact)


def warnings(
    deployment: Deployment, versions: Mapping[str, str], advice: Sequence[Advice] | None = None
) -> Iterator[str]:
    """A sentence for each library in whose installed release the family is known to be wrong."""
    for entry in advice_for(deployment, advice):
        if span := entry.wrong_in(versions.get(entry.package, "")):
            yield _sentence(entry, span, versions[entry.package])


def installed_warnings(
    versions: Mapping[str, str], advice: Sequence[Advice] | None = None
) -> Iterator[tuple[str, str]]:
    """Package and sentence, for every canary that is known to be wrong in what is installed."""
    for entry in shipped_advice() if advice is None else advice:
        if span := entry.wrong_in(versions.get(entry.package, "")):
            yield entry.package, _sentence(entry, span, versions[entry.package])


def pinned_instead(
    package: str, patterns: Sequence[str], versions: str, advice: Sequence[Advice] | None = None
) -> str:
    """``mlx-vlm==0.7.10``: good for all canaries that a known bug of some versions concerns.

    ``patterns`` are those of its deployments. '' where no map has such a release.
    """
    pins = {
        entry.pin
        for entry in (shipped_advice() if advice is None else advice)
        if entry.package == package
        and entry.pin
        and any(fnmatch.fnmatch(entry.deployment, pattern) for pattern in patterns)
    }
    good = [pin for pin in pins if not SpecifierSet(versions).contains(pin, prereleases=True)]
    return f"{package}=={min(good, key=Version)}" if good and len(good) == len(pins) else ""


def _sentence(entry: Advice, span: WrongReleases, version: str) -> str:
    name = entry.deployment.partition("@")[0]
    cause = f" ({span.cause})" if span.cause else ""
    pin = f"pin {entry.package}=={entry.pin}" if entry.pin else "no release is known to be good"
    return (
        f"{entry.package} {version} is known to be wrong for {entry.family}: {name} since "
        f"{span.since}, {span.evidence}{cause}; {pin}"
    )
