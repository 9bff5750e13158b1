"""The backends: one small module each behind one Protocol, chosen by name.

A backend lives in the worker and nowhere else: it may import its library, ``records``, ``errors``
and ``meter``. Its module is imported only after the worker was asked to load with it.
"""

from __future__ import annotations

import importlib
from typing import Protocol, runtime_checkable

from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    MemoryReport,
)

MODULES = {
    "mlx": "qualification.backends.mlx.backend",
    "torch": "qualification.backends.torch",
    "llamacpp": "qualification.backends.llamacpp.backend",
    "server": "qualification.backends.server.backend",
    "fake": "qualification.backends.fake",
}


class Backend(Protocol):
    """What a worker asks of a library."""

    def load(self, request: LoadRequest) -> LoadReport:
        """Load the weights until a first token could be computed, and say how long it took."""

    def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request, with the time at which each token came."""

    def memory(self) -> dict[str, int]:
        """What the library itself says of its memory, in bytes; names say whose words they are."""

    def clean_up(self) -> None:
        """Give back what the library keeps between requests, as its users do; no weights."""

    def unload(self) -> None:
        """Give the weights back."""


@runtime_checkable
class Elsewhere(Protocol):
    """A backend whose weights are in other processes than the worker: what those hold counts."""

    def peak_memory(self) -> MemoryReport:
        """Lifetime peak of those processes, in bytes."""

    def peak_device_bytes(self) -> int:
        """The most that the driver was seen to have given them, in bytes."""


def create(name: str) -> Backend:
    """The backend of that name; ImportError where its library is missing."""
    backend: Backend = importlib.import_module(MODULES[name]).Backend()
    return backend
