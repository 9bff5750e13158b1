"""Run a server's module as ``python -m MODULE`` does, in an environment that can import it.

``python launch.py MODULE [ARGUMENTS]``, under the interpreter of the environment to qualify.
A worker declares torchvision's missing operators before it imports a library
(``backends/shims/torchvision.py``). A server is another process and needs the same. In it
transformers lets torchvision decode images, whose decoder is missing too; Pillow replaces it.
A model's own code is kept from running unless the command line allows it, because mlx-vlm asks
transformers to run it in some places (``backends/shims/remote_code.py``).
llama.cpp's broken AMX tiles are avoided as in a worker (``backends/shims/amx_tiles.py``). What
is mended is printed; where nothing is, this behaves as ``-m`` does.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import runpy
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
DECLARED = "torchvision operators declared by us"
DECODED = "images decoded by Pillow: torchvision's decoder does not load"


def main() -> None:
    """Mend what is broken here, then become the module."""
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != _HERE]
    sys.argv = sys.argv[1:]
    if sys.argv[0].startswith("llama_cpp."):
        for note in _shim("amx_tiles").avoid_if_broken():
            print(note, file=sys.stderr, flush=True)
    else:
        _mend_transformers()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _mend_transformers() -> None:
    """Declare torchvision's operators if they are missing; keep a model's own code from running."""
    if _shim("torchvision").install_if_needed():
        print(DECLARED, file=sys.stderr, flush=True)
        if sys.argv[0].startswith("transformers."):
            importlib.import_module("torchvision.io").decode_image = _decode_image  # type: ignore[attr-defined]
            print(DECODED, file=sys.stderr, flush=True)
    if "--trust-remote-code" not in sys.argv:
        _shim("remote_code").forbid()


def _shim(name: str) -> Any:
    """A module of ``backends/shims`` by its path: the project need not be installed here."""
    spec = importlib.util.spec_from_file_location(
        f"qualification_shim_{name}", _HERE.parent / "backends/shims" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    # torch drops the declarations with the module that holds them, so it stays in sys.modules.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _decode_image(source: Any, mode: Any = None, apply_exif_orientation: bool = False) -> Any:
    """As ``torchvision.io.decode_image`` for RGB: a path, or bytes in a tensor, to uint8 CHW."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    data = source if isinstance(source, (str, Path)) else io.BytesIO(bytes(source.numpy()))
    image: Image.Image = Image.open(data)
    if apply_exif_orientation:
        image = ImageOps.exif_transpose(image)
    pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


if __name__ == "__main__":
    main()
