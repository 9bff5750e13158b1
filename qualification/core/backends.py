"""Every backend as the parent sees it: one entry here, one folder or module in ``backends/``.

The parent never imports a backend. This table declares everything that it must know before it
starts a worker: the packages that the backend needs, the versions that matter, the files it reads.
Every other list of backends is derived from it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qualification.core.extensions import extensions


@dataclass(frozen=True)
class BackendSpec:
    """One backend, described without importing it.

    ``module`` has the worker-side class ``Backend``. ``imports`` maps each module that must be
    importable to the distribution that provides it; the first one's version stands for the
    backend. ``principal`` are the distributions that compute or that make the prompt, ``beside``
    the others that it loads. ``weight_files``: a folder as transformers loads it, two GGUF
    files, or files that only the backend itself can check. ``has_prefill_chunks``: a prompt can be
    computed in chunks of a requested size. ``has_template``: the module has ``import_libraries()``
    too, after which a process without an accelerator can be forked for each load; and
    ``compute()``, where that hangs in a fork if the import has begun to compute.
    """

    name: str
    module: str
    imports: Mapping[str, str] = field(default_factory=dict)
    principal: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    weight_files: Literal["folder", "gguf", "other"] = "folder"
    has_prefill_chunks: bool = False
    has_template: bool = False

    @property
    def leading(self) -> str:
        """The distribution whose version stands for the backend; '' where it has none."""
        return next(iter(self.imports.values()), "")


_SPECS = (
    BackendSpec(
        "mlx",
        "qualification.backends.mlx.backend",
        imports={"mlx_vlm": "mlx-vlm", "mlx": "mlx"},
        principal=("mlx", "mlx-vlm", "transformers"),
        beside=(
            "mlx-lm",
            "tokenizers",
            "huggingface_hub",
            "torch",
            "torchvision",
            "numpy",
            "pillow",
        ),
        has_prefill_chunks=True,
        has_template=True,
    ),
    BackendSpec(
        "torch",
        "qualification.backends.torch",
        imports={"torch": "torch", "torchvision": "torchvision", "transformers": "transformers"},
        principal=("torch", "transformers"),
        beside=("torchvision", "tokenizers", "huggingface_hub", "numpy", "pillow"),
        has_template=True,
    ),
    BackendSpec(
        "llamacpp",
        "qualification.backends.llamacpp.backend",
        imports={"llama_cpp": "llama-cpp-python"},
        principal=("llama-cpp-python",),
        beside=("numpy", "pillow"),
        weight_files="gguf",
        has_prefill_chunks=True,
        has_template=True,
    ),
    BackendSpec("server", "qualification.backends.server.backend", has_template=True),
    BackendSpec("fake", "qualification.backends.fake", has_template=True),
)

_SHIPPED = {spec.name: spec for spec in _SPECS}

BACKENDS: Mapping[str, BackendSpec] = _SHIPPED | extensions(
    "backends", BackendSpec, reserved=_SHIPPED
)
"""Name -> backend, those that ship first; other packages register theirs."""


ENGINES: Mapping[str, BackendSpec] = {
    **BACKENDS,
    "llama.cpp": BackendSpec(
        "llama.cpp",
        "qualification.backends.server.backend",
        imports={"xllamacpp": "xllamacpp"},
        principal=("xllamacpp",),
        weight_files="gguf",
    ),
}
"""The backends, and the libraries that are reached over their own server only: name -> spec. An
engine is what does the work of a deployment (``Source.engine``)."""


def is_shipped(name: str) -> bool:
    """Whether a backend is one of this package's own."""
    return name in _SHIPPED


def outside_module(name: str) -> tuple[str, str]:
    """A registered backend's module, and the file of its top-level package; '' twice if it ships.

    The file is what a worker loads it from under an interpreter that does not have the package.
    """
    if is_shipped(name) or name not in BACKENDS:
        return "", ""
    module = BACKENDS[name].module
    package = importlib.util.find_spec(module.partition(".")[0])
    return module, (package.origin or "") if package else ""
