"""Text of a model, a library, a server or a file is hostile: it must not act on a terminal."""

from __future__ import annotations

LIMIT = 20_000


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
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
