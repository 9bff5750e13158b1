"""What a model, a library or a file said is hostile text: it must not act on a terminal."""

from __future__ import annotations

LIMIT = 20_000


def disarm(text: str, limit: int = LIMIT) -> str:
    r"""The same text with everything that does not print (but \n and \t) written as an escape.

    That takes the force of terminal escapes, of bidirectional overrides, of NUL bytes and of lone
    surrogates. Of a text over ``limit`` characters both ends are kept.
    """
    if len(text) > limit:
        left_out = len(text) - limit
        text = f"{text[: limit // 2]}\n… {left_out} characters left out …\n{text[-limit // 2 :]}"
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
