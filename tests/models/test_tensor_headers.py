"""Headers of hostile files: one sentence, at once, and nothing large is allocated."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qualification.core.errors import WeightsError
from qualification.core.paths import PACKAGE, canaries
from qualification.core.weight_files import safetensors_in
from qualification.models.tensor_headers import read_file, read_folder

CANARIES = canaries()
SAFETENSORS = (CANARIES / "smolvlm-4bit/model.safetensors").read_bytes()
GGUF = (CANARIES / "smolvlm/gguf/model-q4_0.gguf").read_bytes()
HEADER = {"safetensors": 14_000, "gguf": 12_000}


def safetensors(header, body=b""):
    """A file of this header (JSON, or raw bytes)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(shape=(1,), begin=0, end=4, dtype="F32"):
    """One entry of a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def gguf(tensors=0, keys=0, body=b"", version=3):
    """A GGUF that claims so many tensors and keys."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + body


def text(value):
    """A string of a GGUF."""
    return struct.pack("<Q", len(value)) + value


def described(name=b"a", shape=(1,), kind=0, offset=0):
    """One entry of a GGUF's table of tensors; kind 0 is F32."""
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


def whole(*entries, data=64):
    """A GGUF of these tensors with so many bytes of data after the padding."""
    head = gguf(len(entries), 0, b"".join(entries))
    return head + bytes(-len(head) % 32) + bytes(data)


@pytest.mark.parametrize(
    "path", sorted(CANARIES.rglob("*.gguf")), ids=lambda path: "-".join(path.parts[-3:])
)
def test_a_gguf_has_the_tensors_that_its_library_lists(path):
    """Names, types, sizes and dimensions, outermost first."""
    from gguf import GGUFReader

    listed = {
        (t.name, t.tensor_type.name, int(t.n_bytes), tuple(map(int, t.shape))[::-1])
        for t in GGUFReader(path).tensors
    }
    assert {(t.name, t.dtype, t.bytes, t.shape) for t in read_file(path)} == listed


def test_a_safetensors_file_has_the_tensors_that_its_library_loads():
    """Bytes as stored: packed 4-bit weights are 32-bit words."""
    from safetensors.numpy import load_file

    path = CANARIES / "smolvlm/model.safetensors"
    loaded = load_file(path)
    assert {t.name: (t.shape, t.bytes) for t in read_file(path)} == {
        name: (value.shape, value.nbytes) for name, value in loaded.items()
    }


HOSTILE_SAFETENSORS = {
    "truncated": SAFETENSORS[:-1],
    "longer than its tensors": SAFETENSORS + b"\0",
    "no header": b"\1\0\0",
    "a header past the end": struct.pack("<Q", 1000) + b"{}",
    "a header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "offsets past the end": safetensors({"a": tensor(end=400, shape=(100,))}, bytes(4)),
    "offsets of 2^63": safetensors({"a": tensor((2**61,), 0, 2**63)}, bytes(4)),
    "an overflowing shape": safetensors({"a": tensor((2**40, 2**40))}, bytes(4)),
    "a negative dimension": safetensors({"a": tensor((-1,))}, bytes(4)),
    "a negative range": safetensors({"a": tensor((0,), 4, 0)}, bytes(4)),
    "overlapping": safetensors({"a": tensor(), "b": tensor()}, bytes(8)),
    "a hole": safetensors({"a": tensor((1,), 4, 8)}, bytes(8)),
    "a shape that is not its bytes": safetensors({"a": tensor((3,))}, bytes(4)),
    "an unknown type": safetensors({"a": tensor(dtype="F31")}, bytes(4)),
    "a shape of text": safetensors({"a": {**tensor(), "shape": "1"}}, bytes(4)),
    "no tensor": safetensors({}),
    "no object": safetensors([]),
    "no JSON": safetensors(b"{"),
    "no UTF-8": safetensors(b"\xff\xfe"),
    "nested lists": safetensors(b"[" * 3_900_000),
    "nested objects": safetensors(b'{"a":' * 700_000),
    "a million lists": safetensors(b'{"a":[' + b"[]," * 1_200_000 + b"[]]}"),
}

HOSTILE_GGUF = {
    "truncated": GGUF[:-33],
    "nothing": b"",
    "another magic": b"GGML" + GGUF[4:],
    "big-endian": b"GGUF" + struct.pack(">I", 3) + GGUF[8:],
    "version 1": gguf(version=1),
    "no tensor": gguf(),
    "a billion tensors": gguf(tensors=10**9),
    "a billion keys": gguf(keys=10**9),
    "2^64 - 1 tensors": gguf(tensors=2**64 - 1, body=bytes(10_000)),
    "a name of 2^63": gguf(keys=1, body=struct.pack("<Q", 2**63) + bytes(100)),
    "a long name": gguf(keys=1, body=text(b"a" * 100_000) + bytes(100)),
    "a name that is not UTF-8": gguf(keys=1, body=text(b"\xff\xff") + bytes(100)),
    "an unknown type of value": gguf(keys=1, body=text(b"a") + struct.pack("<I", 99) + bytes(99)),
    "arrays in arrays": gguf(keys=1, body=text(b"a") + struct.pack("<IIQ", 9, 9, 4) + bytes(99)),
    "an array of 2^62": gguf(keys=1, body=text(b"a") + struct.pack("<IIQ", 9, 4, 2**62)),
    "an array of empty strings": gguf(
        keys=1, body=text(b"a") + struct.pack("<IIQ", 9, 8, 7_000_000) + bytes(56_000_000)
    ),
    "keys of nothing": gguf(keys=10**6, body=bytes(20_000_000)),
    "five dimensions": whole(described(shape=(1, 1, 1, 1, 1))),
    "no dimension": whole(described(shape=())),
    "an overflowing shape": whole(described(shape=(2**40, 2**40))),
    "an unknown type": whole(described(kind=9999)),
    "a part of a block": whole(described(shape=(33,), kind=2)),
    "past the end": whole(described(shape=(100,))),
    "an offset of 2^63": whole(described(offset=2**63)),
    "an offset out of step": whole(described(offset=1)),
    "overlapping": whole(described(b"a", (16,)), described(b"b", (1,), offset=32)),
    "the same name twice": whole(described(b"a", (8,)), described(b"a", (8,), offset=32)),
    "an alignment of three": gguf(1, 1, text(b"general.alignment") + struct.pack("<II", 4, 3))
    + described(),
}


@pytest.mark.parametrize(
    ("suffix", "data"),
    [pytest.param("safetensors", data, id=f"st: {n}") for n, data in HOSTILE_SAFETENSORS.items()]
    + [pytest.param("gguf", data, id=f"gguf: {n}") for n, data in HOSTILE_GGUF.items()],
)
def test_a_lying_header_is_one_sentence_at_once(suffix, data, tmp_path):
    """No other error, no line break, no memory to speak of, and in seconds."""
    file = tmp_path / f"model.{suffix}"
    file.write_bytes(data)
    traced = len(data) < 1_000_000  # tracing makes a long loop ten times longer
    if traced:
        tracemalloc.start()
    started = process_time()
    try:
        with pytest.raises(WeightsError, match="damaged or truncated") as caught:
            read_file(file)
        peak = tracemalloc.get_traced_memory()[1] if traced else 0
    finally:
        tracemalloc.stop()
    assert process_time() - started < 20  # two seconds on a quiet machine
    assert peak < 20e6
    message = str(caught.value)
    assert str(file) in message
    assert message.isprintable()
    assert len(message) < 400 + len(str(file))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_the_longest_lies_are_refused_in_little_memory(tmp_path):
    """200 MB more than the imports take are enough for every one of them."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import gguf, safetensors\n"
        "from qualification.core.errors import WeightsError\n"
        "from qualification.models.tensor_headers import read_file\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000,) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        read_file(Path(name))\n"
        "    except WeightsError:\n"
        "        print('refused')\n"
    )
    lies = {"safetensors": HOSTILE_SAFETENSORS, "gguf": HOSTILE_GGUF}
    files = []
    for suffix, contents in lies.items():
        for number, data in enumerate(contents.values()):
            if len(data) > 1_000_000:
                file = tmp_path / f"{number}.{suffix}"
                file.write_bytes(data)
                files.append(str(file))
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", code, *files],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=120,
    )
    assert process.stdout.split() == ["refused"] * len(files)


def test_a_header_of_100_mb_is_not_read(tmp_path):
    """The format allows it; parsed it takes a gigabyte."""
    file = tmp_path / "model.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", 100_000_000))
        stream.truncate(200_000_000)  # sparse
    with pytest.raises(WeightsError, match="more than the 4,000,000 that are read"):
        read_file(file)


def test_a_whole_small_gguf_is_read(tmp_path):
    """The builder of the damaged files can also build a sound one."""
    file = tmp_path / "model.gguf"
    file.write_bytes(whole(described(b"a", (8, 1)), described(b"b", (8,), offset=32)))
    assert [(t.name, t.shape, t.bytes) for t in read_file(file)] == [
        ("a", (1, 8), 32),
        ("b", (8,), 32),
    ]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_header_is_read_or_refused(data, tmp_path_factory):
    """Whatever byte of a header changes: tensors within the file, or a WeightsError."""
    suffix, original = data.draw(
        st.sampled_from([("safetensors", SAFETENSORS), ("gguf", GGUF)]), label="file"
    )
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, HEADER[suffix]))
        value = data.draw(st.binary(min_size=1, max_size=8))
        changed[place : place + len(value)] = value
    file = tmp_path_factory.mktemp("changed") / f"model.{suffix}"
    file.write_bytes(changed)
    try:
        tensors = read_file(file)
    except WeightsError:
        return
    assert 0 < sum(tensor.bytes for tensor in tensors) <= len(changed)


@given(length=st.integers(0, len(GGUF) - 1))
@example(length=24)
@settings(max_examples=60, deadline=None)
def test_a_gguf_that_is_truncated_anywhere_is_refused(length, tmp_path_factory):
    """Within the header or within the data."""
    file = tmp_path_factory.mktemp("cut") / "model.gguf"
    file.write_bytes(GGUF[:length])
    with pytest.raises(WeightsError, match="damaged or truncated"):
        read_file(file)


def shards(folder, weight_map, **files):
    """Write an index and shards of one tensor each."""
    for name, tensor_name in files.items():
        data = safetensors({tensor_name: tensor()}, bytes(4))
        (folder / f"{name}.safetensors").write_bytes(data)
    text = weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)
    return folder


def test_shards_are_read_as_one(tmp_path):
    """The index names the shards; a file beside them is not part of the model."""
    folder = shards(
        tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}, one="a", two="b", stray="c"
    )
    assert [tensor.name for tensor in read_folder(folder)] == ["a", "b"]


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "one.safetensors", "b": "gone.safetensors"}, "the index names this shard"),
        ({"a": "../one.safetensors"}, "names no .safetensors files of this folder"),
        ({"a": "/etc/passwd"}, "names no .safetensors files of this folder"),
        ({"a": 3}, "cannot be read as an index"),
        ({}, "names no .safetensors files"),
        ("[" * 100_000, "cannot be read as an index"),
        ('{"weight_map": []}', "cannot be read as an index"),
        ({"a": "one.safetensors", "b": "two.safetensors"}, "is in another shard too"),
    ],
)
def test_a_wrong_index_is_one_sentence(weight_map, words, tmp_path):
    """Missing shards, shards elsewhere, no index at all, one tensor twice."""
    shards(tmp_path, weight_map, one="a", two="a")
    with pytest.raises(WeightsError, match=words):
        read_folder(tmp_path)


def test_a_type_that_the_library_does_not_know_yet_is_named_with_what_to_do(tmp_path):
    """A file may be newer than the package that describes the formats."""
    file = tmp_path / "model.gguf"
    file.write_bytes(whole(described(kind=9999)))
    with pytest.raises(WeightsError, match=r"type 9999, which gguf \S+ does not know: .*update"):
        read_file(file)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("F8_E4M3", (4, 8), 32),
        ("F8_E5M2", (4, 8), 32),
        ("F8_E8M0", (4, 2), 8),
        ("F4", (4, 8), 16),
        ("U32", (4, 8), 128),
        ("U8", (4, 2), 8),
    ],
)
def test_formats_of_eight_bits_and_fewer_count_as_they_are_stored(dtype, shape, size, tmp_path):
    """FP8 with its scales, and MLX's packed words."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(safetensors({"a": tensor(shape, 0, size, dtype)}, bytes(size)))
    assert read_file(file)[0].bytes == size


@given(kind=st.sampled_from(["IQ4_XS", "IQ2_XXS", "TQ1_0", "Q6_K"]), blocks=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_every_block_format_of_gguf_counts_by_its_block(kind, blocks, tmp_path_factory):
    """As the gguf package has it."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    number = GGMLQuantizationType[kind]
    values, size = GGML_QUANT_SIZES[number]
    file = tmp_path_factory.mktemp("gguf") / "model.gguf"
    data = blocks * size
    file.write_bytes(whole(described(shape=(blocks * values,), kind=number.value), data=data))
    (info,) = read_file(file)
    assert (info.dtype, info.bytes) == (kind, data)


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty.; download or copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page .*download or copy"),
        (b"<html>404</html>", "is a web page .*download or copy"),
    ],
)
def test_what_a_download_left_in_place_of_weights_is_named(tmp_path, name, content, sentence):
    """Its remedy is another one than a damaged file's."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        read_file(tmp_path / name)


def test_what_macos_puts_beside_a_file_is_no_weights(tmp_path):
    """``._model.safetensors`` on a disk of another system."""
    shutil.copy(canaries() / "smolvlm/model.safetensors", tmp_path)
    before = read_folder(tmp_path)
    (tmp_path / "._model.safetensors").write_bytes(b"Mac OS X        ")
    assert read_folder(tmp_path) == before
    assert [file.name for file in safetensors_in(tmp_path)] == ["model.safetensors"]
