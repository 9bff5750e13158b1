"""Writes a safetensors file tensor by tensor.

The ``safetensors`` library takes all tensors at once, in memory. The format is a length, a JSON
header and the data, so it is written here; a test reads the file with the library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from qualification.models.synthetic.values import chunks
from qualification.models.tensor_headers import TensorInfo

_ALIGNMENT = 8


def write(file: Path, tensors: Sequence[TensorInfo], *, bits: int = 0, made_by: str = "pt") -> None:
    """Write ``tensors`` with random values; ``bits``: of MLX's packed weights, 0 without any.

    ``made_by`` is the header's ``format``: mlx-vlm takes ``mlx`` for its own converter's names and
    ``pt`` for the published ones.
    """
    header: dict[str, object] = {"__metadata__": {"format": made_by}}
    place = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.bytes],
        }
        place += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            for chunk in chunks(tensor, bits=bits):
                stream.write(chunk)
