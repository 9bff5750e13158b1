"""Make torchvision's Python transforms importable beside a CPU build of torch.

The package registry's Linux wheel of torchvision is built for CUDA: its compiled extension does
not load beside a CPU torch, so the operators it would register are missing and the import ends
with ``operator torchvision::nms does not exist``.  transformers' Qwen and SmolVLM processors
import torchvision, but use only its transforms, which are plain Python.  Declaring the schemas of
the missing operators is enough for the import; a call of one of them still fails, as it should.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path

_LIBRARY: list[object] = []  # torch drops the declarations when its Library is collected

_SCHEMA = "{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""The schema of ``nms``, which the import needs first; the other operators are never called."""

_NEEDED = re.compile(r"""register_fake\(\s*["']torchvision::(\w+)["']""")

_LOADED = re.compile(r"""(?:_load_library|_get_extension_path)\(\s*["'](\w+)["']""")
"""How torchvision's ``extension.py`` names what it loads, in 0.28 and in 0.29."""


def install_if_needed() -> bool:
    """Declare torchvision's missing operators; return whether they are declared by us here.

    Call it before anything imports torchvision (so before transformers' processors). Returns False
    and changes nothing if torchvision or torch is not installed, if torchvision is already
    imported, or if its compiled extension loads: on a Mac, with a CUDA torch, with a matching CPU
    wheel. torchvision itself is not imported to find out, because a failed import leaves a part of
    it behind; its extension is loaded in the way in which torchvision loads it.
    """
    if _LIBRARY:
        return True
    if "torchvision" in sys.modules:
        return False
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or importlib.util.find_spec("torch") is None:
        return False
    import torch

    package = Path(spec.origin).parent
    if hasattr(torch.ops.torchvision, "nms") or _extension_loads(package):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in _operators_named_at_import(package):
        library.define(_SCHEMA.format(name))
    _LIBRARY.append(library)
    return True


def _operators_named_at_import(package: Path) -> list[str]:
    """Names of the operators that torchvision's import gives a fake kernel to."""
    registrations = package / "_meta_registrations.py"
    source = registrations.read_text(encoding="utf-8") if registrations.is_file() else ""
    return sorted({"nms", *_NEEDED.findall(source)})


def _extension_loads(package: Path) -> bool:
    """Load torchvision's extension as torchvision does; False if it is missing or does not load."""
    import torch

    finder = importlib.machinery.FileFinder(
        str(package),
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    )
    extension = finder.find_spec(_extension_name(package))
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)
    except (OSError, RuntimeError):
        return False
    return hasattr(torch.ops.torchvision, "nms")


def _extension_name(package: Path) -> str:
    """The extension that torchvision's import loads: ``_C``, from 0.29 on ``_C_stable``.

    Declaring the operators beside an extension that does load ends the process.
    """
    loader = package / "extension.py"
    source = loader.read_text(encoding="utf-8") if loader.is_file() else ""
    call = _LOADED.search(source)
    return call[1] if call else "_C"
