"""Keeps llama.cpp off Intel's AMX tiles where its compiler left their configuration unwritten.

GCC before 11.5, 12.4 and 13.3 tells its optimiser that ``_tile_loadconfig`` reads 8 bytes of the
64 (PR target/114098), so the other stores of ``ggml_tile_config_init`` are dropped, ``ldtilecfg``
gets what lay on the stack, and the first prompt of any model quantised to Q4_0, Q4_1, Q8_0 or a
K type ends the process with signal 11 (ggml-org/llama.cpp#20824).  Debian 12's GCC is one of them.

llama.cpp's own switch for repacked weights, ``use_extra_bufts`` (llama-server: ``--no-repack``),
avoids it at run time; llama-cpp-python takes it from the default parameters only. The record has a
note if this was done. With a sound build or a processor without AMX nothing is done.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

_SOUND_SINCE = {11: 5, 12: 4, 13: 3}
"""GCC release -> minor version from which the intrinsic is correct; later releases all are."""

_COMPILER = re.compile(rb"GCC: \([^)\0]*\) (\d+)\.(\d+)\.\d+")
_LIBRARIES = "libggml-cpu*.so*"
NOT_REPACKED = "weights not repacked for AMX"


def avoid_if_broken() -> tuple[str, ...]:
    """Load weights without repacking if the tiles are broken; return a note in that case.

    Call it before a ``llama_cpp.Llama`` is created; a second call changes nothing.
    """
    api: Any = import_module("llama_cpp.llama_cpp")
    if b"AMX_INT8 = 1" not in api.llama_print_system_info():
        return ()
    folder = Path(str(api.__file__)).parent / "lib"
    compilers: set[str] = set()
    for file in folder.glob(_LIBRARIES):
        compilers |= broken_compilers(file.read_bytes())
    if not compilers:
        return ()
    original = getattr(api.llama_model_default_params, "original", api.llama_model_default_params)

    def unpacked() -> Any:
        parameters = original()
        parameters.use_extra_bufts = False
        return parameters

    unpacked.original = original  # type: ignore[attr-defined]
    api.llama_model_default_params = unpacked
    return (f"{NOT_REPACKED}: llama.cpp was built by GCC {', '.join(sorted(compilers))}",)


def no_repack(program: Path, cpu: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """The option that keeps a llama-server off broken tiles; () if they are sound."""
    try:
        has_tiles = b"amx_int8" in cpu.read_bytes()
        return ("--no-repack",) if has_tiles and broken_compilers(program.read_bytes()) else ()
    except OSError:
        return ()


def broken_compilers(library: bytes) -> set[str]:
    """Return the versions of GCC with broken tiles that ``library`` was built with."""
    versions = {(int(major), int(minor)) for major, minor in _COMPILER.findall(library)}
    return {f"{major}.{minor}" for major, minor in versions if minor < _SOUND_SINCE.get(major, 0)}
