"""pip's configuration in the words of uv, which reads none of it.

Where a user told pip of an index, a folder of wheels or a certificate, uv must know it too. Only
the standard library is used, because ``make`` asks before anything is installed.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_OF_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "no-index": "UV_NO_INDEX",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
"""Option of pip -> the variable of uv that means the same; ``find-links`` is apart."""

_OF_MACHINE = Path("/etc/pip.conf")
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")


def uv_variables(
    environment: Mapping[str, str] = os.environ, wheels: Path | None = None
) -> dict[str, str]:
    """Return the variables that make uv find and trust what pip does.

    A variable of uv that is set in ``environment`` is left alone. ``wheels`` is one more folder of
    wheels, if it exists. On Linux, where neither names an index or a folder of wheels, uv chooses
    the build of torch that this machine can use: the public index has only CUDA's.
    """
    options = _options(environment)
    # pip takes the best of all indexes, uv by default what the first one has.
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"} if "extra-index-url" in options else {}
    for option, variable in _OF_UV.items():
        if value := " ".join(options.get(option, "").split()):
            variables[variable] = value
    if links := _places(environment.get("UV_FIND_LINKS", "").split(",")) or _places(
        options.get("find-links", "").split()
    ):
        variables["UV_FIND_LINKS"] = ",".join(links)
    elif sys.platform == "linux" and not any(
        name in variables or name in environment for name in _INDEXES
    ):
        variables["UV_TORCH_BACKEND"] = "auto"
    variables = {name: text for name, text in variables.items() if name not in environment}
    if wheels is not None and wheels.is_dir():
        links = [*links, str(wheels.absolute())]
    if links:
        variables["UV_FIND_LINKS"] = ",".join(dict.fromkeys(links))
    return variables


def _options(environment: Mapping[str, str]) -> dict[str, str]:
    """Options of pip for installing: of its files, overridden by its variables."""
    options: dict[str, str] = {}
    for file in _files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, ValueError, configparser.Error):
            continue  # pip itself says what is wrong with it
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= {_option(name): value for name, value in parser.items(section)}
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            options[_option(name[len("PIP_") :])] = value
    return options


def _option(name: str) -> str:
    return name.lower().replace("_", "-").lstrip("-")


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """pip's files in its order: later ones override earlier ones.

    Source: https://pip.pypa.io/en/stable/topics/configuration/
    """
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    configuration = environment.get("XDG_CONFIG_HOME") or str(home / ".config")
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        of_apple = home / "Library/Application Support/pip"
        if of_apple.is_dir():
            configuration = str(of_apple.parent)
    else:
        folders = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        yield from (Path(folder, "pip/pip.conf") for folder in reversed(folders.split(":")))
        yield _OF_MACHINE
    yield home / ".pip/pip.conf"
    yield Path(configuration, "pip/pip.conf")
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)


def _places(links: list[str]) -> list[str]:
    """The pages, and the folders that exist: uv refuses one that does not."""
    places = []
    for link in filter(None, map(str.strip, links)):
        parts = urlsplit(link)
        if parts.scheme in ("http", "https"):
            places.append(link)
            continue
        path = url2pathname(parts.path) if parts.scheme == "file" else link
        if os.path.isdir(os.path.expanduser(path)):
            places.append(os.path.abspath(os.path.expanduser(path)))
    return places
