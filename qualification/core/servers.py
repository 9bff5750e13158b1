"""What a server program is, and the engine of each: the backend whose library does its work.

The programs that ship are in ``servers/programs.py``; other packages register theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification.core.extensions import extensions
from qualification.core.protocol import BackendName, GenerateRequest, LoadRequest

_SHIPPED_ENGINES: dict[str, BackendName] = {
    "llama.cpp": "llama.cpp",
    "llama-server": "llamacpp",
    "llama_cpp.server": "llamacpp",
    "mlx_vlm.server": "mlx",
    "transformers-serve": "torch",
    "url": "",
}


@dataclass(frozen=True)
class ServerProgram:
    """One program. ``package`` is the distribution whose version known bugs refer to.

    ``command(request, folder, python)`` is its command line, with ``{port}`` where the port goes;
    ``health`` is the path that answers 200 once it is ready. ``extra(request, folder)`` returns the
    fields of a chat completion that only this program has. ``engine`` does the
    work (a key of ``core.backends.ENGINES``), '' if it is none of them. ``needs`` are the
    distributions that the interpreter running it must have. ``served_as(folder)`` is the model's
    name in requests.

    A program that is no Python package says with ``absent`` what is missing here and how to get it
    ('' if it can be started), and with ``version`` which version it has.
    """

    name: str
    package: str
    health: str
    command: Callable[[LoadRequest, Path, str], tuple[str, ...]]
    extra: Callable[[GenerateRequest, Path], dict[str, Any]]
    engine: BackendName = ""
    needs: tuple[str, ...] = ()
    served_as: Callable[[Path], str] = lambda folder: folder.name
    absent: Callable[[], str] = lambda: ""
    version: Callable[[], str] | None = None


@functools.cache
def outside_programs() -> dict[str, ServerProgram]:
    """The programs that other packages register.

    They are loaded at the first use, not by an import: a package that registers several kinds of
    objects is imported once, after all the types that it imports from here.
    """
    return extensions("servers", ServerProgram, reserved=_SHIPPED_ENGINES)


def server_names() -> tuple[str, ...]:
    """Every name that a declaration may give as ``server``."""
    return (*_SHIPPED_ENGINES, *outside_programs())


def server_engine(name: str) -> BackendName:
    """The engine that does a program's work, which may be itself; '' if it is not known."""
    program = outside_programs().get(name)
    return program.engine if program else _SHIPPED_ENGINES.get(name, "")
