"""Messages as chat templates and OpenAI's protocol take them, and images as data URLs.

Worker-side code uses this module: it imports the standard library and ``core`` only.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from qualification.core.errors import BackendFailed
from qualification.core.protocol import Message, Part


def of_kind(messages: Iterable[Message], kind: str) -> list[Part]:
    """The parts of one kind, in the order of the conversation."""
    return [part for message in messages for part in message.parts if part.kind == kind]


def as_chat(message: Message, encode: Callable[[Part], dict[str, Any]]) -> dict[str, Any]:
    """A message with a list of parts as content; ``encode`` makes that of an image or a clip."""
    content = [
        {"type": "text", "text": part.value} if part.kind == "text" else encode(part)
        for part in message.parts
    ]
    return {"role": message.role, "content": content}


def as_request(message: Message, url_of: Callable[[Part], str]) -> dict[str, Any]:
    """A message of a chat completion; ``url_of`` gives the URL of an image.

    Text alone is one text and no list of parts: the chat templates of text models take nothing
    else, and some servers hand the content on to them as it is.
    """
    if all(part.kind == "text" for part in message.parts):
        return as_text(message)
    return as_chat(message, lambda part: image_part(url_of(part)))


def as_text(message: Message) -> dict[str, Any]:
    """A message whose content is one text; BackendFailed if it has an image or a clip."""
    if any(part.kind != "text" for part in message.parts):
        raise BackendFailed("this model reads text alone (llama.cpp: declare its mmproj_file)")
    return {"role": message.role, "content": "".join(part.value for part in message.parts)}


def image_part(url: str) -> dict[str, Any]:
    """An image in a message of OpenAI's protocol."""
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(image: Path | bytes, media_type: str = "") -> str:
    """``data:image/png;base64,...`` of a file or of its content.

    The type is ``media_type``, else the one of the file's name, else ``image/png``.
    """
    if isinstance(image, Path):
        media_type = media_type or mimetypes.guess_type(image.name)[0] or ""
        image = image.read_bytes()
    encoded = base64.b64encode(image).decode("ascii")
    return f"data:{media_type or 'image/png'};base64,{encoded}"
