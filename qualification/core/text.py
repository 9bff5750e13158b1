"""Texts that may be printed and stored: they do not act on a terminal, and show no secret.

The text of a model, a library, a server or a file is hostile. The standard library only, like
``child_variables``.
"""

from __future__ import annotations

import base64
import os
import re
from urllib.parse import unquote

from qualification.core.child_variables import API_KEY, HUB_KEYS, LOGIN

LIMIT = 20_000

_SHORTEST = 8
"""Characters of a key; a shorter text is found by chance."""

_HAS_PATH = re.compile(r"(^|https?:|file:|sqlite[^:/]*:)$")
"""What is before // in an address of files; behind any other there is a database and its login."""

_USER = re.compile(r"(?<=://)[^/\s]*@|(?<=//)[^/\s:@]*:[^/\s]*@")


def disarm(text: str, limit: int = LIMIT) -> str:
    r"""The same text with every character that does not print (except \n and \t) as an escape.

    This neutralises terminal escapes, bidirectional overrides, NUL bytes and lone surrogates. A
    text over ``limit`` characters keeps its two ends.
    """
    if len(text) > limit:
        left_out = len(text) - limit
        text = f"{text[: limit // 2]}\n… {left_out} characters left out …\n{text[-limit // 2 :]}"
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def one_line(text: object, limit: int = 200) -> str:
    """Hostile text as one line of at most ``limit`` characters; ``…`` ends a truncated one.

    Characters that do not print become blanks, and a run of blanks becomes one.
    """
    whole = str(text)
    read = whole[: 50 * limit]  # a megabyte of text is not read to its end
    line = " ".join("".join(c if c.isprintable() else " " for c in read).split())
    if len(line) <= limit and len(read) == len(whole):
        return line
    return f"{line[: limit - 1]}…"


def without_login(address: str) -> str:
    """An address without user, password, query and fragment, also one that does not parse.

    >>> without_login("postgresql//user:p@ssword@host/name")
    'postgresql//host/name'
    >>> without_login("https://token@host/simple?key=x")
    'https://host/simple'
    """
    scheme, slashes, place = address.partition("//")
    if not slashes:
        scheme, place = "", address
    # A password may hold a slash; behind a host and its port, an @ is of the path.
    is_host = re.fullmatch(r"(\[.*\]|[^:@]*)(:\d*)?", place.partition("/")[0])
    if not is_host or ("@" in place and not _HAS_PATH.search(scheme)):
        has_login = "@" in place
        place = place.rpartition("@")[2] if has_login else re.sub(":[^/]*", ":…", place, count=1)
    return scheme + slashes + re.split("[?#]", place, maxsplit=1)[0]


def without_keys(text: str) -> str:
    """A text in which the keys that a child or a server was given are their variables' names."""
    for name, key in _keys():
        text = text.replace(key, f"<{name}>")
    return text


def without_secrets(text: str) -> str:
    """A text of ours without keys, and without the user and the password of any address."""
    return _USER.sub("…@", without_keys(text))


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _keys() -> list[tuple[str, str]]:
    keys = [(name, os.environ.get(name, "")) for name in (*HUB_KEYS, API_KEY)]
    if match := re.search(r"//([^/@]+)@", os.environ.get(LOGIN, "")):
        login = match[1]
        words = (login.partition(":")[2], unquote(login.partition(":")[2]))
        header = base64.b64encode(unquote(login).encode()).decode()
        keys += [(LOGIN, word) for word in (header, *words)]
    return [(name, key) for name, key in keys if len(key) >= _SHORTEST]
