"""One injected fault and what it left."""

from __future__ import annotations

from dataclasses import dataclass

KINDS_OF_HARM = ("lost", "doubled", "left", "hang", "message")


@dataclass(frozen=True)
class Fault:
    """``problems`` begin with one of :data:`KINDS_OF_HARM` and a colon; none is the good case."""

    kind: str
    where: str
    problems: tuple[str, ...] = ()
