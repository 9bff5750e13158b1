"""The page cache of weight files: its label, and dropping the pages."""

import ctypes
import mmap
import os
import subprocess
import sys

import pytest

from qualification.backends.page_cache import drop_pages, page_cache

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mincore")


class System:
    """A C library that answers with recorded residency, one byte a page, as macOS and Linux do."""

    def __init__(self, pages, *, mapped=4096, refuses=False):
        self.pages = pages
        self.mapped = mapped
        self.refuses = refuses
        self.synced = []

    def mmap(self, *_):
        return self.mapped

    def munmap(self, *_):
        return 0

    def mincore(self, _address, _size, flags):
        ctypes.memmove(flags, self.pages, len(self.pages))
        return -1 if self.refuses else 0

    def msync(self, address, size, flags):
        self.synced.append((address, size, flags))
        return 0


@linux_only
def test_a_file_just_written_is_warm(tmp_path):
    """Its pages are still in the cache."""
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 1_000_000)
    assert page_cache([file]) == "warm"


def test_nothing_is_neither_warm_nor_cold(tmp_path):
    """No files, or empty ones: unknown."""
    (tmp_path / "empty").touch()
    assert page_cache([]) == "unknown"
    assert page_cache([tmp_path / "empty"]) == "unknown"


# MINCORE_INCORE 0x1, MINCORE_REFERENCED 0x2, MINCORE_MODIFIED 0x4 of macOS's <sys/mman.h>.
@pytest.mark.parametrize(
    ("pages", "label"),
    [
        (b"\x03" * 400, "warm"),
        (b"\x03" * 397 + b"\x00" * 3, "warm"),
        (b"\x01" * 200 + b"\x00" * 200, "unknown"),
        (b"\x01" * 3 + b"\x00" * 397, "cold"),
        (b"\x01" * 4 + b"\x00" * 396, "unknown"),
        (b"\x06" * 400, "cold"),
    ],
)
def test_the_label_follows_the_share_of_resident_pages(pages, label, tmp_path):
    """99 % is warm, under 1 % is cold, and what lies between is neither."""
    file = tmp_path / "weights"
    file.write_bytes(b"x" * mmap.PAGESIZE * 400)
    assert page_cache([file], System(pages)) == label


@pytest.mark.parametrize(
    "system",
    [System(b"\x00", refuses=True), System(b"\x00", mapped=None), System(b"", mapped=2**64 - 1)],
)
def test_a_system_that_does_not_answer_makes_no_label(system, tmp_path):
    """No mapping, or no mincore: unknown, never cold."""
    file = tmp_path / "weights"
    file.write_bytes(b"x")
    assert page_cache([file], system) == "unknown"


def test_without_posix_fadvise_the_mapping_is_invalidated(monkeypatch, tmp_path):
    """As on macOS: msync with MS_INVALIDATE (2) over the whole file."""
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 1000)
    system = System(b"\x00")
    drop_pages([file], system)
    assert system.synced == [(4096, 1000, 2)]


@linux_only
def test_a_file_whose_pages_were_dropped_is_cold_where_the_file_system_drops_them(tmp_path):
    """Never "warm" afterwards; a file system in memory keeps them, and then it is not "cold"."""
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 4_000_000)
    assert page_cache([file]) == "warm"
    drop_pages([file])
    kind = subprocess.run(["stat", "-f", "-c", "%T", file], capture_output=True, text=True).stdout
    expected = {"warm"} if kind.strip() in ("tmpfs", "ramfs") else {"cold", "unknown"}
    assert page_cache([file]) in expected
