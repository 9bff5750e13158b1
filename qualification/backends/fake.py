"""A scriptable stand-in for a library, for the tests of the harness: it can lie, hang and die.

``options`` of the load request script it:

``answers``
    question -> answer; an unknown question is answered with ``default_answer`` ("red").
``token_s``
    seconds per token (default 0.001); ``load_s``: seconds that loading takes.
``on_load`` / ``on_generate``
    one of the faults of ``_FAULTS``; ``after``: the number of good answers before it occurs.
``second_image``
    text of an exception raised by every request with an image except the first.
``prints``
    text written to standard output, as a chatty library does; ``warns``: to standard error.
``library``
    a module of the worker's environment that is imported on loading: its ``answer(question)``
    returns the answers, and its ``TOKEN_S``, if it has one, is the seconds per token.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from typing import Any

from qualification.backends.clocks import TokenClock, clock
from qualification.core.errors import WeightsUnavailable
from qualification.core.protocol import GenerateRequest, Generation, LoadReport, LoadRequest, Phases


def import_libraries() -> None:
    print("libraries imported", flush=True)


class Backend:
    """Behaves as its script says."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self._library: Any = None
        self._answered = 0
        self._images = 0

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        self._options = request.options
        if text := self._options.get("prints"):
            print(text, flush=True)
            os.write(1, str(text).encode())
        if text := self._options.get("warns"):
            print(text, file=sys.stderr, flush=True)
        _strike(self._options.get("on_load"))
        if name := self._options.get("library"):
            self._library = importlib.import_module(str(name))
        time.sleep(float(self._options.get("load_s", 0.0)))
        took = clock() - start
        return LoadReport(took, took, 0.0, "fake", 0, "", {}, "unknown")

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`."""
        if self._answered >= int(self._options.get("after", 0)):
            _strike(self._options.get("on_generate"))
        parts = [part for message in request.messages for part in message.parts]
        question = " ".join(part.value for part in parts if part.kind == "text")
        if any(part.kind == "image" for part in parts):
            self._images += 1
            if self._images > 1 and (text := self._options.get("second_image")):
                raise ValueError(text)
        default = self._options.get("default_answer", "red")
        answer = str(self._options.get("answers", {}).get(question, default))
        if self._library is not None:
            answer = str(self._library.answer(question))
        token_s = getattr(self._library, "TOKEN_S", self._options.get("token_s", 0.001))
        count = request.max_tokens if request.fixed_length else min(4, request.max_tokens)
        tokens = TokenClock()
        for _ in range(count):
            time.sleep(float(token_s))
            tokens.tick()
        self._answered += 1
        return Generation(
            text=answer,
            token_times_s=tuple(tokens.times_s),
            e2e_s=tokens.elapsed_s(),
            prompt_tokens=len(question),
            image_tokens=sum(part.kind == "image" for part in parts),
            finish_reason="length" if request.fixed_length else "stop",
            token_ids=tuple(answer.encode()),
            phases=Phases(*[tokens.times_s[0] / 4] * 3) if request.phases else None,
        )

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`."""
        return {"fake_bytes": 1}

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`."""

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`."""


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    # A grandchild in a session of its own: killing the worker's group alone would miss it.
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    time.sleep(600)


def _garbage() -> None:
    """Write to every open socket and pipe, as a library with a stray descriptor would."""
    for descriptor in range(3, 1024):
        try:
            os.write(descriptor, b"\x00\xffthis is no answer\n")
        except OSError:
            continue


def _eat_memory() -> None:
    blocks = []
    for _ in range(4096):
        blocks.append(b"x" * 8_000_000)
        time.sleep(0.005)


def _refuse_memory() -> None:
    raise MemoryError("cannot allocate 80 GB")


def _raise() -> None:
    raise RuntimeError("the library refused <script>alert(1)</script>")


def _no_weights() -> None:
    raise WeightsUnavailable("toy/toy@main is not in the local hub cache")


def _missing() -> None:
    raise ModuleNotFoundError("No module named 'fake_library'", name="fake_library")


_FAULTS = {
    "segfault": _segfault,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "hang": _hang,
    "garbage": _garbage,
    "eat_memory": _eat_memory,
    "refuse_memory": _refuse_memory,
    "raise": _raise,
    "no_weights": _no_weights,
    "missing": _missing,
}


def _strike(fault: str | None) -> None:
    if fault:
        _FAULTS[fault]()
