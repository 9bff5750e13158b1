"""Lengthens a canary's vocabulary to the real model's, so that every sampled id has a text.

The canary's own tokens keep their numbers, special ones included; ``[454]`` and so on follow, which
no text is encoded as. A prompt is therefore more tokens than with the real tokenizer (a canary
knows the words of its questions only); an answer has as many tokens as requested.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def padding(start: int, size: int) -> list[str]:
    """The texts of the tokens from number ``start`` up to ``size``, that one excluded."""
    return [f"[{number}]" for number in range(start, size)]


def lengthen(file: Path, size: int) -> None:
    """Write a ``tokenizer.json``, and the ``vocab.json`` beside it, again with ``size`` tokens.

    Special tokens enter the model's vocabulary too: they stand between its pieces and the padding,
    and the library numbers those that it does not find there by their order.
    """
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    for added in content["added_tokens"]:
        vocabulary[added["content"]] = added["id"]
    start = max(vocabulary.values()) + 1
    vocabulary.update(zip(padding(start, size), range(start, size), strict=True))
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    plain = file.with_name("vocab.json")
    if plain.is_file():
        plain.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
