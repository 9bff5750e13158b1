"""Run a server's module as ``python -m MODULE`` does, in an environment that can import it.

``python launch.py MODULE [ARGUMENTS]``, under the interpreter of the environment to qualify.
The worker's backends declare torchvision's missing operators before they import a library
(``backends/shims/torchvision.py``); a server is another process and needs the same, and transformers
has its pictures decoded by torchvision there, whose decoder is missing too: Pillow stands in for
it. llama.cpp's broken AMX tiles are avoided as in the worker (``backends/shims/amx_tiles.py``). What was
done is printed. Where nothing of that is needed this does nothing else than ``-m``.
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
DECODED = "pictures decoded by Pillow: torchvision's decoder does not load"


def main() -> None:
    """Mend what is broken here, then become the module."""
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != _HERE]
    sys.argv = sys.argv[1:]
    if sys.argv[0].startswith("llama_cpp."):
        for note in _shim("amx_tiles").avoid_if_broken():
            print(note, file=sys.stderr, flush=True)
    elif _shim("torchvision").install_if_needed():
        print(DECLARED, file=sys.stderr, flush=True)
        if sys.argv[0].startswith("transformers."):
            importlib.import_module("torchvision.io").decode_image = _decode_image  # type: ignore[attr-defined]
            print(DECODED, file=sys.stderr, flush=True)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _shim(name: str) -> Any:
    """A module of ``backends.shims`` that needs nothing of this project, which may not be installed."""
    spec = importlib.util.spec_from_file_location(
        f"qualification_shim_{name}", _HERE.parent / "backends/shims" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    # Kept, because torch drops what was declared with the list that the module holds it in.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _decode_image(source: Any, mode: Any = None, apply_exif_orientation: bool = False) -> Any:
    """As ``torchvision.io.decode_image`` for RGB: a path, or bytes in a tensor, to uint8 CHW."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    data = source if isinstance(source, (str, Path)) else io.BytesIO(bytes(source.numpy()))
    picture: Image.Image = Image.open(data)
    if apply_exif_orientation:
        picture = ImageOps.exif_transpose(picture)
    pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


if __name__ == "__main__":
    main()
