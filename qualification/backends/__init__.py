"""How does one library load a model and answer a request? One adapter for each, in the worker only.

A backend imports the standard library, its own library, and modules of ``core``, ``machine`` and
``servers`` that import no third-party package. Start with the protocol here, then ``fake.py``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
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


def create(request: LoadRequest) -> Backend:
    """The backend of a request; ImportError where its library is missing.

    A backend of another package is taken from its file where this interpreter lacks the package:
    nothing else of the environment that it is installed in comes with it.
    """
    package = request.module.partition(".")[0]
    if package and importlib.util.find_spec(package) is None:
        file = Path(request.package_file)
        folders = [str(file.parent)] if file.name == "__init__.py" else None
        spec = importlib.util.spec_from_file_location(
            package, file, submodule_search_locations=folders
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"{file}: holds no Python package")
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    module = request.module or BACKENDS[request.backend].module
    backend: Backend = importlib.import_module(module).Backend()
    return backend
