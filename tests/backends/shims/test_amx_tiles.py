"""llama.cpp is kept off AMX tiles only if its compiler broke them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.backends.shims import amx_tiles


def _comment(version: str) -> bytes:
    return b"\x7fELF\0\0" + f"GCC: (Debian 12.2.0-14+deb12u1) {version}\0".encode() + b"\0rest"


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A llama_cpp whose library was built by GCC 12.2.0, on a processor with AMX."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libggml-cpu.so").write_bytes(_comment("12.2.0"))
    module = SimpleNamespace(
        __file__=str(tmp_path / "llama_cpp.py"),
        llama_print_system_info=lambda: b"CPU : AVX512 = 1 | AMX_INT8 = 1 | ",
        llama_model_default_params=lambda: SimpleNamespace(use_extra_bufts=True),
    )
    monkeypatch.setattr(amx_tiles, "import_module", lambda _name: module)
    return module


def test_weights_are_not_repacked_if_the_tiles_are_broken(api):
    """The switch is off in the library's default parameters, and the record has the reason."""
    (note,) = amx_tiles.avoid_if_broken()
    assert "GCC 12.2" in note
    assert amx_tiles.avoid_if_broken() == (note,)
    assert api.llama_model_default_params().use_extra_bufts is False


def test_a_processor_without_amx_is_left_alone(api):
    """Repacking is the default and stays on."""
    api.llama_print_system_info = lambda: b"CPU : AVX2 = 1 | REPACK = 1 | "
    assert amx_tiles.avoid_if_broken() == ()
    assert api.llama_model_default_params().use_extra_bufts is True


def test_a_sound_build_is_left_alone(api, tmp_path):
    """A later GCC has the correct size of what the instruction reads."""
    (tmp_path / "lib/libggml-cpu.so").write_bytes(_comment("12.4.0"))
    assert amx_tiles.avoid_if_broken() == ()
    assert api.llama_model_default_params().use_extra_bufts is True


@given(major=st.integers(4, 30), minor=st.integers(0, 9))
def test_only_the_releases_before_the_fix_are_broken(major, minor):
    """GCC 11.5, 12.4, 13.3 and everything from 14 on are sound; so is every other compiler."""
    broken = (11, 0) <= (major, minor) < (11, 5)
    broken |= (12, 0) <= (major, minor) < (12, 4) or (13, 0) <= (major, minor) < (13, 3)
    expected = {f"{major}.{minor}"} if broken else set()
    assert amx_tiles.broken_compilers(_comment(f"{major}.{minor}.0")) == expected
    assert amx_tiles.broken_compilers(b"clang version 18.1.8") == set()
