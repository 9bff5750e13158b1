"""The faults that are planted before a server or in a worker, as changes of a conversation. Pure.

A conversation is a list of messages as OpenAI's protocol has them, each image a data URL.
"""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

Messages = list[dict[str, Any]]


@dataclass
class Memory:
    """What a stale deployment keeps, by prompt or by file name."""

    images: dict[str, list[str]] = field(default_factory=dict)
    replies: dict[str, bytes] = field(default_factory=dict)


def _opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def _url(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def each_image(messages: Messages, change: Callable[[str], str]) -> Messages:
    """The conversation with every image changed."""
    changed = copy.deepcopy(messages)
    for part in _image_parts(changed):
        part["image_url"]["url"] = change(part["image_url"]["url"])
    return changed


def all_images(messages: Messages, change: Callable[[list[str]], list[str]]) -> Messages:
    """The conversation with other images in the places of its own."""
    changed = copy.deepcopy(messages)
    parts = _image_parts(changed)
    for part, url in zip(parts, change([p["image_url"]["url"] for p in parts]), strict=True):
        part["image_url"]["url"] = url
    return changed


def without_images(messages: Messages) -> Messages:
    """The conversation with its texts alone."""
    changed = copy.deepcopy(messages)
    for message in changed:
        if isinstance(message["content"], list):
            message["content"] = [p for p in message["content"] if p["type"] == "text"]
    return changed


def _image_parts(messages: Messages) -> list[dict[str, Any]]:
    contents = [m["content"] for m in messages if isinstance(m["content"], list)]
    return [part for content in contents for part in content if part["type"] == "image_url"]


def _grey_field(url: str) -> str:
    return _url(Image.new("RGB", _opened(url).size, (128, 128, 128)))


def _swapped(url: str) -> str:
    red, green, blue = _opened(url).convert("RGB").split()
    return _url(Image.merge("RGB", (blue, green, red)))


def _shrunk(url: str) -> str:
    image = _opened(url).convert("RGB")
    small = image.resize((max(1, image.width // 6), max(1, image.height // 6)))
    return _url(small.resize(image.size))


def _clipped(url: str) -> str:
    image = _opened(url)
    return _url(image.convert("RGB")) if image.mode == "I;16" else url


def _opaque(url: str) -> str:
    image = _opened(url)
    return _url(image.convert("RGB")) if image.mode == "RGBA" else url


def _untagged(url: str) -> str:
    image = _opened(url)
    if not image.getexif():
        return url
    return _url(image.convert("RGB"))


def _stale(messages: Messages, memory: Memory) -> Messages:
    texts = [p["text"] for m in messages if isinstance(m["content"], list)
             for p in m["content"] if p["type"] == "text"]  # fmt: skip
    prompt = texts[-1] if texts else ""
    return all_images(messages, lambda urls: memory.images.setdefault(prompt, urls)[: len(urls)])


def _reordered(count: int) -> Callable[[Messages, Memory], Messages]:
    def turned(urls: list[str]) -> list[str]:
        return urls[1:] + urls[:1] if len(urls) == count else urls

    return lambda messages, _: all_images(messages, turned)


def _of_each(change: Callable[[str], str]) -> Callable[[Messages, Memory], Messages]:
    return lambda messages, _: each_image(messages, change)


REQUEST_FAULTS: dict[str, Callable[[Messages, Memory], Messages]] = {
    "blind": _of_each(_grey_field),
    "stale by prompt": _stale,
    "two permuted": _reordered(2),
    "three permuted": _reordered(3),
    "four permuted": _reordered(4),
    "first image only": lambda m, _: all_images(m, lambda urls: urls[:1] * len(urls)),
    "last image only": lambda m, _: all_images(m, lambda urls: urls[-1:] * len(urls)),
    "shrunk": _of_each(_shrunk),
    "channels swapped": _of_each(_swapped),
    "grey": _of_each(lambda url: _url(_opened(url).convert("L").convert("RGB"))),
    "alpha ignored": _of_each(_opaque),
    "EXIF ignored": _of_each(_untagged),
    "16 bits clipped": _of_each(_clipped),
    "history dropped": lambda messages, _: messages[-1:],
}
"""Fault -> the change of every request."""
