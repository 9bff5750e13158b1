"""A picture of a request in the form that it is handed to a library in: path, bytes or data URL."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable
from pathlib import Path

from qualification.core.protocol import Message, Part


def of_kind(messages: Iterable[Message], kind: str) -> list[Part]:
    """The parts of one kind, in the order of the conversation."""
    return [part for message in messages for part in message.parts if part.kind == kind]


def data_url(file: Path) -> str:
    """The file as ``data:image/png;base64,...``, its type by its name."""
    kind = mimetypes.guess_type(file.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
