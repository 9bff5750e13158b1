"""How far something is that takes long: a line every few seconds, not more, and not less."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from qualification.core.format import bytes_of_text, bytes_text

PLAIN_S = 30.0
TERMINAL_S = 5.0
"""A line so often, without and with a terminal."""


class Paced:
    """Passes a line on at most every 5 s, without a terminal every 30 s."""

    def __init__(
        self,
        say: Callable[[str], object],
        *,
        is_terminal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._pause_s = (TERMINAL_S if is_terminal else PLAIN_S) - 0.5
        self._clock = clock
        self._said_s = -math.inf

    def __call__(self, line: str) -> None:
        """A line on what goes on."""
        if self._clock() - self._said_s >= self._pause_s:
            self._said_s = self._clock()
            self._say(line)


@contextlib.contextmanager
def growing(
    folder: Path,
    label: str,
    say: Callable[[str], object] | None,
    *,
    total: int = 0,
    every_s: float = TERMINAL_S,
) -> Iterator[None]:
    """While this is open, say every 5 s how many bytes a folder has: ``LABEL 1.20 of 4.60 GB``.

    ``total`` 0: not known. Nobody listens where ``say`` is None.
    """
    if say is None:
        yield
        return
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(every_s):
            size = _size(folder)
            say(f"{label} {bytes_of_text(size, total) if total else bytes_text(size)}")

    thread = threading.Thread(target=speak, name="growing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(folder: Path) -> int:
    """Bytes of the files, as far as they are there at this moment."""
    size = 0
    for place, _, names in os.walk(folder):  # a folder that vanishes meanwhile is left out
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size
