"""The public surface: what a test, a backend, a server program, a metric or a family may import.

Every other module may change without notice. Names are resolved at their first use, so a package
that registers something can import them while a table that asks for it is being filled.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualification.backends.clocks import TokenClock, clock
    from qualification.backends.page_cache import drop_pages, page_cache
    from qualification.backends.snapshots import resolve, total_bytes
    from qualification.core.backends import BackendSpec
    from qualification.core.errors import (
        BackendFailed,
        BackendUnavailable,
        InvalidOutput,
        WeightsUnavailable,
        WorkerCrashed,
        WorkerError,
        WorkerOutOfMemory,
        WorkerTimedOut,
    )
    from qualification.core.libraries import library_versions
    from qualification.core.metric_types import Limits, Metric
    from qualification.core.protocol import (
        GenerateRequest,
        Generation,
        LoadReport,
        LoadRequest,
        MemoryReport,
        Message,
        Part,
        Phases,
    )
    from qualification.core.servers import ServerProgram
    from qualification.models.families import Canary, Family, Gguf
    from qualification.models.families.parts import (
        Config,
        Shapes,
        decoder,
        image_tower,
        linear,
        norm,
    )
    from qualification.servers.chat import of_kind
    from qualification.session.deployed import Deployed
    from qualification.tasks.questions import Question

_MODULES = {
    "backends.clocks": ("TokenClock", "clock"),
    "backends.page_cache": ("drop_pages", "page_cache"),
    "backends.snapshots": ("resolve", "total_bytes"),
    "core.backends": ("BackendSpec",),
    "core.errors": (
        "BackendFailed",
        "BackendUnavailable",
        "InvalidOutput",
        "WeightsUnavailable",
        "WorkerCrashed",
        "WorkerError",
        "WorkerOutOfMemory",
        "WorkerTimedOut",
    ),
    "core.libraries": ("library_versions",),
    "core.metric_types": ("Limits", "Metric"),
    "core.protocol": (
        "GenerateRequest",
        "Generation",
        "LoadReport",
        "LoadRequest",
        "MemoryReport",
        "Message",
        "Part",
        "Phases",
    ),
    "core.servers": ("ServerProgram",),
    "models.families": ("Canary", "Family", "Gguf"),
    "models.families.parts": ("Config", "Shapes", "decoder", "image_tower", "linear", "norm"),
    "servers.chat": ("of_kind",),
    "session.deployed": ("Deployed",),
    "tasks.questions": ("Question",),
}

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BackendFailed",
    "BackendSpec",
    "BackendUnavailable",
    "Canary",
    "Config",
    "Deployed",
    "Family",
    "GenerateRequest",
    "Generation",
    "Gguf",
    "InvalidOutput",
    "Limits",
    "LoadReport",
    "LoadRequest",
    "MemoryReport",
    "Message",
    "Metric",
    "Part",
    "Phases",
    "Question",
    "ServerProgram",
    "Shapes",
    "TokenClock",
    "WeightsUnavailable",
    "WorkerCrashed",
    "WorkerError",
    "WorkerOutOfMemory",
    "WorkerTimedOut",
    "clock",
    "decoder",
    "drop_pages",
    "image_tower",
    "library_versions",
    "linear",
    "norm",
    "of_kind",
    "page_cache",
    "resolve",
    "total_bytes",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no public name {name!r}")
    return getattr(importlib.import_module(f"qualification.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
