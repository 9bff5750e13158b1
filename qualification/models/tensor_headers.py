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
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from qualification.core.errors import WeightsError
from qualification.core.paths import how_to_restore
from qualification.core.text import one_line
from qualification.core.weight_files import (
    absence,
    gguf_parts,
    how_to_fetch_again,
    safetensors_in,
)

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
    refuse_substitute(file)
    try:
        tensors = (_gguf if is_gguf(file) else _safetensors)(file, file.stat().st_size)
    except OSError as error:
        _refuse(file, error.strerror or str(error))
    if not tensors and len(gguf_parts(file)) == 1:  # the first of several may hold the keys alone
        _refuse(file, "it holds no tensor")
    return tensors


def read_folder(folder: Path) -> tuple[TensorInfo, ...]:
    """Return the tensors of all safetensors files of a folder, or of the shards its index names.

    Raises WeightsError where a shard is missing or damaged, or a tensor is there twice.
    """
    named = shards(folder)
    files = [folder / name for name in named] or safetensors_in(folder)
    if not files:
        raise WeightsError(f"{folder}: holds no .safetensors file; {how_to_restore(folder)}")
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        if not file.is_file():
            why = f"{absence(file)}, but the index names this shard" if named else absence(file)
            raise WeightsError(f"{file}: {why}; {how_to_fetch_again(file)}")
        for tensor in read_file(file):
            if named and tensor.name in tensors:  # without an index, files may hold the same twice
                _refuse(file, f"tensor {_quoted(tensor.name)} is in another shard too")
            tensors[tensor.name] = tensor
    return tuple(tensors.values())


def is_gguf(file: Path) -> bool:
    """Whether a file is GGUF: by its name, or by its first bytes (Ollama's have no extension)."""
    if file.suffix in (".gguf", ".safetensors"):
        return file.suffix == ".gguf"
    with file.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def read_keys(file: Path, *, until: str = "") -> dict[str, int | float | str]:
    """The metadata of a GGUF file: numbers, flags as 0 and 1, texts, and the lengths of arrays.

    A text that is longer than 64 KB is left out. Nothing behind the key ``until`` is read: a
    vocabulary takes longer than all else. WeightsError if the file is damaged.
    """
    try:
        with file.open("rb", buffering=2**18) as stream:
            walk = _Walk(file, stream, file.stat().st_size)
            _, key_count = _begin(walk)
            return dict(_keys(walk, key_count, until))
    except OSError as error:
        _refuse(file, error.strerror or str(error))


def refuse_substitute(file: Path) -> None:
    """Raise WeightsError for what a download leaves in place of a file, by its first bytes."""
    try:
        with file.open("rb") as stream:
            start = stream.read(64).lstrip().lower()
            size = stream.seek(0, os.SEEK_END)
    except OSError as error:
        why = (
            absence(file) if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        )
        raise WeightsError(f"{file}: {why}; {how_to_fetch_again(file)}") from error
    if size == 0:
        raise WeightsError(
            f"{file}: damaged or truncated file (it is empty); {how_to_fetch_again(file)}"
        )
    if start.startswith(b"version https://git-lfs"):
        remedy = f"git lfs pull, or {how_to_fetch_again(file)}"
        raise WeightsError(f"{file}: is a pointer of Git LFS, not the file itself; {remedy}")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{file}: is a web page (a login, an error?), not the file itself; "
            f"{how_to_fetch_again(file)}"
        )


def _refuse(file: Path, why: str) -> NoReturn:
    kind = "GGUF" if file.suffix == ".gguf" else "safetensors"
    raise WeightsError(
        f"{file}: damaged or truncated {kind} file ({why}); {how_to_fetch_again(file)}"
    )


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


def shards(folder: Path) -> tuple[str, ...]:
    """The files that the index of a folder names, () without one; WeightsError for any other."""
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
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
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

    def skip_value(self, kind: int) -> int:
        """Go behind a value; the number of its elements."""
        count = 1
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
        return count


def _gguf(file: Path, size: int) -> tuple[TensorInfo, ...]:
    with file.open("rb", buffering=2**18) as stream:
        walk = _Walk(file, stream, size)
        tensor_count, key_count = _begin(walk)
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


def _begin(walk: _Walk) -> tuple[int, int]:
    """The counts of tensors and of keys."""
    if walk.take(4) != b"GGUF":
        _refuse(walk.file, "it does not begin with GGUF")
    version = walk.number("I")
    if version not in (2, 3):
        _refuse(
            walk.file, f"version {version} is not supported: only 2 and 3, little-endian, are read"
        )
    tensor_count, key_count = walk.number("Q"), walk.number("Q")
    walk.require(tensor_count, _LEAST_TENSOR)
    return tensor_count, key_count


def _keys(walk: _Walk, count: int, until: str) -> Iterator[tuple[str, int | float | str]]:
    for _ in range(walk.require(count, _LEAST_KEY)):
        key, kind = walk.text(), walk.number("I")
        if key == until and kind == _ARRAY:
            walk.number("I")
            yield key, walk.number("Q")
            return
        if kind in _NUMBERS:
            form = _NUMBERS[kind]
            (value,) = struct.unpack(f"<{form}", walk.take(_FIXED_BYTES[kind]))
            yield key, value
        elif kind == _STRING:
            length = walk.number("Q")
            if length <= _LONGEST_NAME:
                yield key, walk.take(length).decode("utf-8", errors="replace")
            else:
                walk.skip(length)
        else:
            yield key, walk.skip_value(kind)


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
