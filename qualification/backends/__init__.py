"""How does one library load a model and answer a request? One adapter for each, in the worker only.

A backend imports the standard library, its own library, and modules of ``core``, ``machine`` and
``servers`` that import no third-party package. Start with the protocol here, then ``fake.py``.
"""

from __future__ import annotations

import importlib
from typing import Protocol, runtime_checkable

from qualification.core.backends import BACKENDS
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    MemoryReport,
)


class Backend(Protocol):
    """What a worker asks of a library."""

    def load(self, request: LoadRequest) -> LoadReport:
        """Load the weights until a first token could be computed, and report how long it took."""

    def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request, with the time at which each token came."""

    def memory(self) -> dict[str, int]:
        """The library's self-reported memory in bytes, under names that identify the library."""

    def clean_up(self) -> None:
        """Free what the library keeps between requests, as its users do; no weights."""

    def unload(self) -> None:
        """Free the weights."""


@runtime_checkable
class RemoteBackend(Protocol):
    """A backend whose weights are in other processes than the worker: their memory counts."""

    def peak_memory(self) -> MemoryReport:
        """Lifetime peak of those processes, in bytes."""

    def peak_device_bytes(self) -> int:
        """The most that the driver was seen to have given them, in bytes."""


def create(name: str) -> Backend:
    """The backend of that name; ImportError where its library is missing."""
    backend: Backend = importlib.import_module(BACKENDS[name].module).Backend()
    return backend
