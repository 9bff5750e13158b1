"""What an installer printed, in one line that shows no address and cannot act on a terminal."""

from __future__ import annotations

import re

from qualification.core.text import disarm

_LIMIT = 600


def last_line(text: str) -> str:
    """Return the last line that is not empty, cleaned."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return without_addresses(lines[-1] if lines else "it printed nothing")


def without_addresses(text: str) -> str:
    """Return the text in one line; an address of a host or a file is ``<address>``."""
    text = re.sub(r"\w[\w+.-]*://[^\s`)]+", "<address>", text)
    text = re.sub(r"host='[^']*'", "host=<address>", text)
    return disarm(" ".join(text.split()), limit=_LIMIT).replace("\n", " ")
