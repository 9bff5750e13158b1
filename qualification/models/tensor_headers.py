"""Lists the tensors of weights from the files' headers alone: safetensors and GGUF.

Files are hostile input: every length and count that a header claims is compared with the file's
size before anything is allocated or iterated, and a contradiction is one ``WeightsError``.
safetensors are read by their own library, whose checks are complete, after a check of the header's
length. For GGUF the walk is here, because the ``gguf`` package's reader trusts counts and lengths.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from qualification.core.errors import WeightsError
from qualification.core.paths import how_to_restore
from qualification.core.text import one_line

SAFETENSORS_HEADER_LIMIT = 4_000_000
"""Bytes; some 30,000 tensors. The format allows 100 MB, which take a gigabyte when parsed."""

GGUF_HEADER_LIMIT = 64_000_000
"""Bytes; a vocabulary of 262,000 words with its merges takes about 20 million."""

_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT = 16_000_000


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as a header has it: dimensions outermost first, ``bytes`` as stored."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


def read_file(file: Path) -> tuple[TensorInfo, ...]:
    """Return the tensors of one safetensors or GGUF file, in its order; WeightsError if damaged."""
    try:
        size = file.stat().st_size
        tensors = (_gguf if file.suffix == ".gguf" else _safetensors)(file, size)
    except OSError as error:
        _refuse(file, error.strerror or str(error))
    if not tensors:
        _refuse(file, "it holds no tensor")
    return tensors


def read_folder(folder: Path) -> tuple[TensorInfo, ...]:
    """Return the tensors of all safetensors files of a folder, or of the shards its index names.

    Raises WeightsError where a shard is missing or damaged, or a tensor is there twice.
    """
    named = _shards(folder)
    files = [folder / name for name in named] or sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder}: holds no .safetensors file; {how_to_restore(folder)}")
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        if not file.is_file():
            raise WeightsError(f"{file}: the index names this shard, but it is not there")
        for tensor in read_file(file):
            if tensor.name in tensors:
                _refuse(file, f"tensor {_quoted(tensor.name)} is in another shard too")
            tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _refuse(file: Path, why: str) -> NoReturn:
    kind = "GGUF" if file.suffix == ".gguf" else "safetensors"
    raise WeightsError(f"{file}: damaged or truncated {kind} file ({why})")


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


# --------------------------------------------------------------------------- safetensors

_NAMES_BY_BITS = {
    4: ("F4",),
    6: ("F6_E2M3", "F6_E3M2"),
    8: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"),
    16: ("I16", "U16", "F16", "BF16"),
    32: ("I32", "U32", "F32"),
    64: ("I64", "U64", "F64", "C64"),
}
_BITS = {name: bits for bits, names in _NAMES_BY_BITS.items() for name in names}


def _safetensors(file: Path, size: int) -> tuple[TensorInfo, ...]:
    from safetensors import SafetensorError, safe_open

    with file.open("rb") as stream:
        start = stream.read(8)
    if len(start) < 8:
        _refuse(file, f"it has {size} bytes, fewer than the length of a header takes")
    (length,) = struct.unpack("<Q", start)
    if length > size - 8:
        _refuse(file, f"its header claims {length:,} bytes and the file has {size:,}")
    if length > SAFETENSORS_HEADER_LIMIT:
        most = f"{SAFETENSORS_HEADER_LIMIT:,}"
        _refuse(file, f"its header claims {length:,} bytes, more than the {most} that are read")
    tensors = []
    try:
        with safe_open(file, framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118 - the library's handle is no mapping
                part = opened.get_slice(name)
                shape, dtype = tuple(part.get_shape()), str(part.get_dtype())
                if dtype not in _BITS:
                    _refuse(file, f"tensor {_quoted(name)} is of the unknown type {dtype}")
                tensors.append(TensorInfo(name, shape, dtype, math.prod(shape) * _BITS[dtype] // 8))
    except SafetensorError as error:
        _refuse(file, one_line(error, 160))
    return tuple(tensors)


def _shards(folder: Path) -> tuple[str, ...]:
    index = folder / _INDEX
    if not index.is_file():
        return ()
    try:
        if index.stat().st_size > _INDEX_LIMIT:
            raise ValueError(f"it has more than {_INDEX_LIMIT:,} bytes")
        document = json.loads(index.read_text(encoding="utf-8"))
        names = sorted(set(document["weight_map"].values()))
        if not names or any(
            Path(name).name != name or not name.endswith(".safetensors") for name in names
        ):
            raise ValueError("weight_map names no .safetensors files of this folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{index}: cannot be read as an index of shards ({one_line(error, 160)})"
        ) from error
    return tuple(names)


# --------------------------------------------------------------------------- GGUF

# Types of values: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
_LEAST_KEY, _LEAST_TENSOR, _MOST_DIMENSIONS = 13, 32, 4
_LONGEST_NAME = 65_535
_MOST_STEPS = 1_500_000  # about two seconds; the largest vocabularies take 800,000


class _Walk:
    """Steps through a GGUF's header; no step leaves the file or exceeds our limit."""

    def __init__(self, file: Path, stream: BinaryIO, size: int) -> None:
        self.file = file
        self.place = 0
        self._steps = 0
        self._stream = stream
        self._end = min(size, GGUF_HEADER_LIMIT)
        self._cause = (
            "the file ends within its header"
            if size <= GGUF_HEADER_LIMIT
            else f"its header has more than the {GGUF_HEADER_LIMIT:,} bytes that are read"
        )

    def require(self, count: int, least_bytes: int = 1) -> int:
        """``count``, if so many entries of at least ``least_bytes`` can follow."""
        if count * least_bytes > self._end - self.place:
            _refuse(self.file, f"{self._cause}: {count:,} entries are claimed at {self.place:,}")
        return count

    def skip(self, length: int) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            _refuse(
                self.file, f"its header has more than the {_MOST_STEPS:,} entries that are read"
            )
        self._stream.seek(self.require(length), 1)
        self.place += length

    def take(self, length: int) -> bytes:
        data = self._stream.read(self.require(length))
        if len(data) != length:  # the file was truncated while it was read
            _refuse(self.file, "the file ends within its header")
        self.place += length
        return data

    def number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(value)

    def text(self) -> str:
        length = self.require(self.number("Q"))
        if length > _LONGEST_NAME:
            _refuse(self.file, f"a name at byte {self.place:,} has {length:,} bytes")
        data = self.take(length)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            _refuse(self.file, f"a name before byte {self.place:,} is not UTF-8")

    def skip_value(self, kind: int) -> None:
        if kind in _FIXED_BYTES:
            self.skip(_FIXED_BYTES[kind])
        elif kind == _STRING:
            self.skip(self.number("Q"))
        elif kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner == _STRING:
                for _ in range(self.require(count, 8)):
                    self.skip(self.number("Q"))
            elif inner in _FIXED_BYTES:
                self.skip(self.require(count, _FIXED_BYTES[inner]) * _FIXED_BYTES[inner])
            else:
                _refuse(self.file, f"it has an array of the unknown type {inner}")
        else:
            _refuse(self.file, f"it has a value of the unknown type {kind}")


def _gguf(file: Path, size: int) -> tuple[TensorInfo, ...]:
    with file.open("rb", buffering=2**18) as stream:
        walk = _Walk(file, stream, size)
        if walk.take(4) != b"GGUF":
            _refuse(file, "it does not begin with GGUF")
        version = walk.number("I")
        if version not in (2, 3):
            _refuse(
                file, f"version {version} is not supported: only 2 and 3, little-endian, are read"
            )
        tensor_count, key_count = walk.number("Q"), walk.number("Q")
        walk.require(tensor_count, _LEAST_TENSOR)
        alignment = 32
        for _ in range(walk.require(key_count, _LEAST_KEY)):
            key, kind = walk.text(), walk.number("I")
            if key == "general.alignment" and kind == _UINT32:
                alignment = walk.number("I")
            else:
                walk.skip_value(kind)
        if alignment < 1 or alignment & (alignment - 1):
            _refuse(file, f"its alignment of {alignment} is no power of two")
        tensors = [_gguf_tensor(walk) for _ in range(walk.require(tensor_count, _LEAST_TENSOR))]
        data = -(-walk.place // alignment) * alignment
    _check_ranges(file, tensors, alignment, max(0, size - data))
    return tuple(tensor for tensor, _ in tensors)


def _gguf_tensor(walk: _Walk) -> tuple[TensorInfo, int]:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    name, rank = walk.text(), walk.number("I")
    if not 1 <= rank <= _MOST_DIMENSIONS:
        _refuse(walk.file, f"tensor {_quoted(name)} has {rank:,} dimensions")
    shape = tuple(walk.number("Q") for _ in range(rank))
    kind, offset = walk.number("I"), walk.number("Q")
    try:
        dtype = GGMLQuantizationType(kind)
    except ValueError:
        release = importlib.metadata.version("gguf")
        _refuse(
            walk.file,
            f"tensor {_quoted(name)} is of type {kind}, which gguf {release} does not know: if the "
            "file is whole, update gguf",
        )
    block, block_bytes = GGML_QUANT_SIZES[dtype]
    if shape[0] % block:
        _refuse(walk.file, f"tensor {_quoted(name)}: {shape[0]:,} is no multiple of {block}")
    count = math.prod(shape)
    # GGUF has the innermost dimension first.
    return TensorInfo(name, shape[::-1], dtype.name, count // block * block_bytes), offset


def _check_ranges(
    file: Path, tensors: list[tuple[TensorInfo, int]], alignment: int, available: int
) -> None:
    if len({tensor.name for tensor, _ in tensors}) != len(tensors):
        _refuse(file, "a tensor is there twice")
    end = 0
    # In the order of their data each tensor has to begin after the end of the one before it; an
    # empty tensor may share its offset with the next.
    for tensor, offset in sorted(tensors, key=lambda pair: (pair[1], pair[0].bytes)):
        name = _quoted(tensor.name)
        if offset % alignment:
            _refuse(file, f"tensor {name} begins at {offset:,}, no multiple of {alignment}")
        if offset < end:
            _refuse(file, f"tensor {name} overlaps the one before it")
        end = offset + tensor.bytes
        if end > available:
            _refuse(
                file, f"tensor {name} ends at {end:,} of the data, of which there are {available:,}"
            )
