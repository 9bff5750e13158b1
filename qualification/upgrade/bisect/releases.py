"""Which releases of a package there are between two: pip says which install here, its index when.

pip itself judges what is installable (tags of wheels, ``requires-python``), from whatever index,
mirror or folder of links it is configured with. Dates and withdrawals are read from the simple
API of the same indexes (PEP 503, 592, 691 and 700); a folder has no dates, and that is no error.
Where those indexes are is the user's business: no address is printed, raised or kept.
"""

from __future__ import annotations

import ast
import base64
import json
import netrc
import os
import re
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from qualification.core.errors import EnvironmentFailed
from qualification.core.paths import cache
from qualification.upgrade.environments.pip import reason

_DEADLINE_S = 120.0
_PAGE_BYTES = 64_000_000
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_DEFAULT_INDEX = "https://pypi.org/simple"
_ADDRESS = re.compile(r"\S*://\S*")


@dataclass(frozen=True)
class Fact:
    """What an index says of a release: its first upload (None: unsaid), and if it is withdrawn."""

    published: datetime | None = None
    yanked: bool = False


@dataclass(frozen=True)
class Between:
    """Versions strictly between two, from good to bad; and those left out, each with why."""

    versions: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Indexes:
    """Where pip looks, as it is configured; addresses stay in here."""

    addresses: tuple[str, ...] = field(default=(), repr=False)
    certificates: str = field(default="", repr=False)


def releases_between(
    python: Path, package: str, good: str, bad: str, *, index: str = ""
) -> Between:
    """Ask the pip of ``python`` and its indexes; raises EnvironmentFailed where pip cannot say."""
    pre = Version(bad).is_prerelease
    versions = installable(python, package, index=index, pre_releases=pre)
    facts = published(python, package, index=index)
    withdrawn = [version for version, fact in facts.items() if fact.yanked]  # pip leaves them out
    return between([*versions, *withdrawn], facts, good, bad)


def between(versions: Sequence[str], facts: Mapping[str, Fact], good: str, bad: str) -> Between:
    """Choose the releases to search, in version order from ``good`` to ``bad`` (either way round).

    Left out: what is withdrawn, pre-releases unless ``bad`` is one, and, where the dates of both
    ends are known and follow their versions, what was published outside of them: a backport to an
    old series is no step on the way to the new one.
    """
    first, last = sorted((Version(good), Version(bad)))
    dates = {Version(name): fact.published for name, fact in facts.items()}
    yanked = {Version(name) for name, fact in facts.items() if fact.yanked}
    since, until = dates.get(first), dates.get(last)
    kept: list[Version] = []
    left_out: list[tuple[str, str]] = []
    for version in sorted({Version(text) for text in versions}):
        if not first < version < last:
            continue
        published = dates.get(version)
        if version in yanked:
            left_out.append((str(version), "it was withdrawn (yanked)"))
        elif version.is_prerelease and not Version(bad).is_prerelease:
            left_out.append((str(version), "it is a pre-release"))
        elif published and since and until and since <= until and not since <= published <= until:
            day = f"{published:%Y-%m-%d}"
            left_out.append((str(version), f"it was published on {day}, not between the two"))
        else:
            kept.append(version)
    if Version(good) > Version(bad):
        kept.reverse()
    return Between(tuple(str(version) for version in kept), tuple(left_out))


def installable(
    python: Path, package: str, *, index: str = "", pre_releases: bool = False
) -> tuple[str, ...]:
    """Versions of ``package`` for which pip has a file that installs under ``python``.

    ``python`` is an interpreter with pip, of the Python that the environments have.
    Withdrawn ones are none. Raises EnvironmentFailed where pip fails or knows no such package.
    """
    words = [str(python), "-m", "pip", "index", "versions", package, "--no-input"]
    words += ["--pre"] if pre_releases else []
    if (wheels := cache() / "wheels").is_dir():
        words += ["--find-links", str(wheels)]
    said = _pip(words, index)
    found = re.search(r"^Available versions: (.+)$", said.stdout, re.MULTILINE)
    if said.returncode or found is None:
        why = without_addresses(reason(said.stdout, said.stderr))
        raise EnvironmentFailed(
            f"pip cannot list the releases of {package} ({why}); "
            "is the index reachable that pip is configured with?"
        )
    return tuple(word for text in found.group(1).split(",") if _is_version(word := text.strip()))


def published(python: Path, package: str, *, index: str = "") -> dict[str, Fact]:
    """Version -> what pip's indexes say of it; {} where none of them says anything.

    An index that cannot be reached or read counts as one that says nothing: the search goes on
    without dates.
    """
    where = _indexes(python, index)
    facts: dict[str, Fact] = {}
    for address in where.addresses:
        try:
            kind, page = _page(address, canonicalize_name(package), where.certificates)
            read = read_json(page) if "json" in kind else read_html(page)
        except (OSError, ValueError):
            continue
        facts = read | facts  # what the first index says of a version holds
    return facts


def read_json(page: bytes) -> dict[str, Fact]:
    """Facts of a PEP 691 page; raises ValueError where it is none."""
    document = json.loads(page)
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise ValueError("the page of an index has no list of files")  # noqa: TRY004
    return _facts(
        (str(file.get("filename", "")), file.get("upload-time"), bool(file.get("yanked")))
        for file in files
        if isinstance(file, dict)
    )


def read_html(page: bytes) -> dict[str, Fact]:
    """Facts of a PEP 503 page: which releases are withdrawn (PEP 592); it has no dates."""
    reader = _Links()
    reader.feed(page.decode(errors="replace"))
    return _facts((name, None, yanked) for name, yanked in reader.files)


class _Links(HTMLParser):
    """File names of a PEP 503 page, with whether each is withdrawn."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the last part of a link's path."""
        values = dict(attrs)
        path = urllib.parse.urlsplit(values.get("href") or "").path
        if tag == "a" and path:
            name = urllib.parse.unquote(path.rsplit("/", 1)[-1])
            self.files.append((name, "data-yanked" in values))


def _facts(files: Any) -> dict[str, Fact]:
    """A release is withdrawn when all of its files are; it was published with the first of them."""
    by_version: dict[str, list[tuple[datetime | None, bool]]] = {}
    for name, uploaded, yanked in files:
        if version := _version_of(name):
            by_version.setdefault(version, []).append((_time(uploaded), yanked))
    return {
        version: Fact(
            min((time for time, _ in of_one if time is not None), default=None),
            all(yanked for _, yanked in of_one),
        )
        for version, of_one in by_version.items()
    }


def _version_of(name: str) -> str:
    try:
        if name.endswith(".whl"):
            return str(parse_wheel_filename(name)[1])
        return str(parse_sdist_filename(name)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return ""


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        # Python 3.10 reads neither the Z nor fractions of any length; a date needs no fraction.
        time = datetime.fromisoformat(re.sub(r"\.\d+", "", text.replace("Z", "+00:00")))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _indexes(python: Path, index: str) -> _Indexes:
    """The addresses by pip's own configuration; ``index`` stands in for its first, as in pip."""
    said = _pip([str(python), "-m", "pip", "config", "list"])
    values: dict[str, str] = {}
    for line in said.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in ("global", "install", ":env:"):  # pip lists them in the order of their force
            try:
                values[name] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                continue
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return _Indexes()
    first = index or values.get("index-url", _DEFAULT_INDEX)
    return _Indexes((first, *values.get("extra-index-url", "").split()), values.get("cert", ""))


def _page(address: str, package: str, certificates: str) -> tuple[str, bytes]:
    """Content type and content of a package's page. Raises OSError or ValueError."""
    parts = urllib.parse.urlsplit(f"{address.rstrip('/')}/{package}/")
    if parts.scheme == "file":
        folder = Path(urllib.request.url2pathname(parts.path))
        return "text/html", (folder / "index.html").read_bytes()
    if parts.scheme not in ("http", "https"):
        raise ValueError("an index of an unknown scheme")
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(  # noqa: S310 (the scheme was looked at)
        urllib.parse.urlunsplit(parts._replace(netloc=host)), headers={"Accept": _ACCEPT}
    )
    if login := _login(parts):
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    trust = ssl.create_default_context(cafile=certificates or None)
    with urllib.request.urlopen(request, timeout=_DEADLINE_S, context=trust) as reply:  # noqa: S310
        return str(reply.headers.get("Content-Type", "")), reply.read(_PAGE_BYTES)


def _login(parts: urllib.parse.SplitResult) -> str:
    """``name:word`` from the address or the user's netrc, as pip takes it; '' without one."""
    if parts.username:
        name, word = parts.username, parts.password or ""
        return f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(word)}"
    try:
        found = netrc.netrc().authenticators(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{found[0]}:{found[2]}" if found else ""


def _pip(words: Sequence[str], index: str = "") -> subprocess.CompletedProcess[str]:
    # By environment and not by option: what is on a command line, everybody on the machine sees.
    environment = {**os.environ, **({"PIP_INDEX_URL": index} if index else {})}
    environment.pop("PYTHONPATH", None)
    try:
        return subprocess.run(
            words,
            capture_output=True, text=True, errors="replace", timeout=_DEADLINE_S, check=False,
            stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"pip cannot be asked: {type(error).__name__}") from None


def without_addresses(text: str) -> str:
    """Return the text with every address of a host or a file in it taken out."""
    return _ADDRESS.sub("…", text)
