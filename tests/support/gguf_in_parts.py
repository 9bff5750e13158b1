"""Writes a GGUF again in several parts, as ``llama-gguf-split`` does."""

from __future__ import annotations

import struct
from pathlib import Path

_UINT16, _INT32 = 2, 5
_ALIGNMENT = 32


def write_in_parts(file: Path, stem: Path, *, first_is_empty: bool = False) -> list[Path]:
    """Write ``STEM-00001-of-00002.gguf`` and ``…-00002-of-00002.gguf``; return both.

    The first has the keys and half of the tensors, or none of them.
    """
    from gguf import GGUFReader

    data = file.read_bytes()
    tensors = GGUFReader(file).tensors
    (key_count,) = struct.unpack_from("<Q", data, 16)
    keys = data[24 : tensors[0].field.offset]
    half = 0 if first_is_empty else len(tensors) // 2
    parts = []
    for number, (count, own_keys, own) in enumerate(
        [(key_count, keys, tensors[:half]), (0, b"", tensors[half:])]
    ):
        split = [
            _key("split.no", _UINT16, struct.pack("<H", number)),
            _key("split.count", _UINT16, struct.pack("<H", 2)),
            _key("split.tensors.count", _INT32, struct.pack("<i", len(tensors))),
        ]
        infos, body = b"", b""
        for tensor in own:
            body += bytes(-len(body) % _ALIGNMENT)
            shape = [int(size) for size in tensor.shape]
            infos += _text(tensor.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            infos += struct.pack("<IQ", int(tensor.tensor_type), len(body))
            body += tensor.data.tobytes()
        head = b"GGUF" + struct.pack("<IQQ", 3, len(own), count + len(split))
        head += own_keys + b"".join(split) + infos
        part = stem.with_name(f"{stem.name}-{number + 1:05}-of-00002.gguf")
        part.write_bytes(head + bytes(-len(head) % _ALIGNMENT) + body)
        parts.append(part)
    return parts


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
