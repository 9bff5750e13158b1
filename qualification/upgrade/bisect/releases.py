"""The releases of a package between two others: which of them install here, and their dates.

pip itself judges what is installable (tags of wheels, ``requires-python``), from whatever index,
mirror or folder of links it is configured with. Dates and yanked releases are read from the simple
API of the same indexes (PEP 503, 592, 691 and 700); a folder has no dates, and that is no error.
Where those indexes are is the user's business: no address is printed, raised or stored.
"""

from __future__ import annotations

import ast
import base64
import json
import netrc
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
from qualification.upgrade.environments.interpreters import own_environment
from qualification.upgrade.environments.pip import reason

_DEADLINE_S = 120.0
_PAGE_BYTES = 64_000_000
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_DEFAULT_INDEX = "https://pypi.org/simple"
_ADDRESS = re.compile(r"\S*://\S*")


@dataclass(frozen=True)
class Fact:
    """An index's entry for a release: its first upload (None: unknown), and whether yanked."""

    published: datetime | None = None
    yanked: bool = False


@dataclass(frozen=True)
class Between:
    """Versions strictly between two, from good to bad; and those left out, with the reason."""

    versions: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Indexes:
    """The indexes that pip is configured with; their addresses are never shown."""

    addresses: tuple[str, ...] = field(default=(), repr=False)
    certificates: str = field(default="", repr=False)


def releases_between(
    python: Path, package: str, good: str, bad: str, *, index: str = ""
) -> Between:
    """Ask the pip of ``python`` and its indexes; raises EnvironmentFailed if pip fails."""
    pre = Version(bad).is_prerelease
    versions = installable(python, package, index=index, pre_releases=pre)
    facts = published(python, package, index=index)
    # pip does not list yanked releases; they are added so that the result can name them.
    yanked = [version for version, fact in facts.items() if fact.yanked]
    return between([*versions, *yanked], facts, good, bad)


def between(versions: Sequence[str], facts: Mapping[str, Fact], good: str, bad: str) -> Between:
    """Choose the releases to search, in version order from ``good`` to ``bad``, newer or older.

    Yanked releases are left out, and pre-releases unless ``bad`` is one. If the dates of both ends
    are known and follow their versions, releases that were published outside of them are left out
    too: a backport to an old series is no step between the two.
    """
    lower, upper = sorted((Version(good), Version(bad)))
    dates = {Version(name): fact.published for name, fact in facts.items()}
    yanked = {Version(name) for name, fact in facts.items() if fact.yanked}
    since, until = dates.get(lower), dates.get(upper)
    chosen: list[Version] = []
    left_out: list[tuple[str, str]] = []
    for version in sorted({Version(text) for text in versions}):
        if not lower < version < upper:
            continue
        published = dates.get(version)
        if version in yanked:
            left_out.append((str(version), "it was yanked"))
        elif version.is_prerelease and not Version(bad).is_prerelease:
            left_out.append((str(version), "it is a pre-release"))
        elif published and since and until and since <= until and not since <= published <= until:
            day = f"{published:%Y-%m-%d}"
            left_out.append((str(version), f"it was published on {day}, not between the two"))
        else:
            chosen.append(version)
    if Version(good) > Version(bad):
        chosen.reverse()
    return Between(tuple(str(version) for version in chosen), tuple(left_out))


def installable(
    python: Path, package: str, *, index: str = "", pre_releases: bool = False
) -> tuple[str, ...]:
    """Versions of ``package`` for which pip has a file that installs under ``python``.

    ``python`` is an interpreter with pip, of the Python that the environments have. Yanked releases
    are excluded. Raises EnvironmentFailed if pip fails or knows no such package.
    """
    words = [str(python), "-m", "pip", "index", "versions", package, "--no-input"]
    words += ["--pre"] if pre_releases else []
    if (wheels := cache() / "wheels").is_dir():
        words += ["--find-links", str(wheels)]
    result = _pip(words, index)
    match = re.search(r"^Available versions: (.+)$", result.stdout, re.MULTILINE)
    if result.returncode or match is None:
        why = without_addresses(reason(result.stdout, result.stderr))
        raise EnvironmentFailed(
            f"pip cannot list the releases of {package} ({why}); "
            "is the index reachable that pip is configured with?"
        )
    return tuple(word for text in match.group(1).split(",") if _is_version(word := text.strip()))


def published(python: Path, package: str, *, index: str = "") -> dict[str, Fact]:
    """Version -> the entry of pip's indexes; {} if none of them has any.

    An index that cannot be reached or read counts as one without entries: the search goes on
    without dates.
    """
    indexes = _indexes(python, index)
    facts: dict[str, Fact] = {}
    for address in indexes.addresses:
        try:
            kind, page = _page(address, canonicalize_name(package), indexes.certificates)
            read = read_json(page) if "json" in kind else read_html(page)
        except (OSError, ValueError):
            continue
        facts = read | facts  # the entry of the first index that has a version counts
    return facts


def read_json(page: bytes) -> dict[str, Fact]:
    """Facts of a PEP 691 page; raises ValueError for anything else."""
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
    """Facts of a PEP 503 page: which releases are yanked (PEP 592); it has no dates."""
    reader = _Links()
    reader.feed(page.decode(errors="replace"))
    return _facts((name, None, yanked) for name, yanked in reader.files)


class _Links(HTMLParser):
    """File names of a PEP 503 page, with whether each is yanked."""

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
    """A release is yanked if all of its files are; it was published with the earliest of them."""
    by_version: dict[str, list[tuple[datetime | None, bool]]] = {}
    for name, uploaded, yanked in files:
        if version := _version_of(name):
            by_version.setdefault(version, []).append((_time(uploaded), yanked))
    return {
        version: Fact(
            min((time for time, _ in entries if time is not None), default=None),
            all(yanked for _, yanked in entries),
        )
        for version, entries in by_version.items()
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
        time = datetime.fromisoformat(text)
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
    """The addresses of pip's configuration; ``index`` replaces its first, as in pip."""
    listing = _pip([str(python), "-m", "pip", "config", "list"])
    values: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        # pip lists its sections in order of precedence: later ones override earlier ones.
        if section in ("global", "install", ":env:"):
            try:
                values[name] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                continue
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return _Indexes()
    main = index or values.get("index-url", _DEFAULT_INDEX)
    return _Indexes((main, *values.get("extra-index-url", "").split()), values.get("cert", ""))


def _page(address: str, package: str, certificates: str) -> tuple[str, bytes]:
    """Content type and content of a package's page. Raises OSError or ValueError."""
    parts = urllib.parse.urlsplit(f"{address.rstrip('/')}/{package}/")
    if parts.scheme == "file":
        folder = Path(urllib.request.url2pathname(parts.path))
        return "text/html", (folder / "index.html").read_bytes()
    if parts.scheme not in ("http", "https"):
        raise ValueError("an index of an unknown scheme")
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
        urllib.parse.urlunsplit(parts._replace(netloc=host)), headers={"Accept": _ACCEPT}
    )
    if login := _login(parts):
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    trust = ssl.create_default_context(cafile=certificates or None)
    with urllib.request.urlopen(request, timeout=_DEADLINE_S, context=trust) as reply:  # noqa: S310
        return str(reply.headers.get("Content-Type", "")), reply.read(_PAGE_BYTES)


def _login(parts: urllib.parse.SplitResult) -> str:
    """``name:password`` from the address or the user's netrc, as in pip; '' without one."""
    if parts.username:
        name, password = parts.username, parts.password or ""
        return f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    try:
        login = netrc.netrc().authenticators(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{login[0]}:{login[2]}" if login else ""


def _pip(words: Sequence[str], index: str = "") -> subprocess.CompletedProcess[str]:
    # By environment and not by option: everybody on the machine can read a command line.
    environment = own_environment() | ({"PIP_INDEX_URL": index} if index else {})
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DEADLINE_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"pip cannot be asked: {type(error).__name__}") from None


def without_addresses(text: str) -> str:
    """Return the text with ``…`` for every address of a host or a file."""
    return _ADDRESS.sub("…", text)
