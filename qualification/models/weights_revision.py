"""The revision of weights on the disk: which files they are, told without reading all of them.

A hub deployment needs none of this: its worker reports the commit.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from qualification.core.protocol import LoadRequest
from qualification.core.weight_files import gguf_parts, safetensors_in

HEADER_BYTES = 2**20
"""Bytes of a large weight file that are read: names and shapes of tensors, and the first values.

A change behind them that keeps the size of the file is not noticed.
"""

WHOLE_BYTES = 16 * 2**20
"""A weight file of at most so many bytes is read whole: a canary, an adapter."""

_DIGITS = 12

_WHOLE = frozenset({".jinja", ".json", ".model", ".py", ".tiktoken", ".txt"})
"""Files that are read to their end: configuration, vocabulary, template and code."""


def files_revision(request: LoadRequest) -> str:
    """The revision of the files at ``request.path``; '' without one, and where they cannot be read.

    It has 12 hexadecimal digits of a SHA-256 over the sorted names of the files that a loader
    reads, their sizes, the first MiB of each weight file (all of a small one), and all of each
    configuration file.
    Two exceptions know better: a snapshot in the hub's cache has its commit, and synthetic weights
    the digest that their folder is named by, of everything that their values follow from.
    """
    if not request.path:
        return ""
    folder = Path(request.path)
    if folder.parent.name == "snapshots" and re.fullmatch("[0-9a-f]{40}", folder.name):
        return folder.name
    if request.weights == "synthetic" and (match := re.search("-([0-9a-f]{12})$", folder.name)):
        return match[1]
    try:
        entries = sorted(_entry(file) for file in _files(request, folder))
    except OSError:
        return ""
    return hashlib.sha256("".join(entries).encode()).hexdigest()[:_DIGITS] if entries else ""


def _files(request: LoadRequest, folder: Path) -> list[Path]:
    """Named GGUF files; of a folder what belongs to its safetensors, or everything without them."""
    if request.model_file:
        names = filter(None, (request.model_file, request.mmproj_file))
        return [file for name in names for file in gguf_parts(folder / name)]
    weights = safetensors_in(folder)
    return [
        file
        for file in folder.iterdir()
        if file.is_file()
        and not file.name.startswith(".")
        and (not weights or file in weights or file.suffix in _WHOLE)
    ]


def _entry(file: Path) -> str:
    """Name, size and digest of a file, as one line."""
    size = file.stat().st_size
    is_whole = file.suffix in _WHOLE or size <= WHOLE_BYTES
    with file.open("rb") as stream:
        content = stream.read(-1 if is_whole else HEADER_BYTES)
    return f"{file.name!r} {size} {hashlib.sha256(content).hexdigest()}\n"
