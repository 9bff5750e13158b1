"""Figures of the worker's meter against the kernel's own."""

import ctypes
import mmap
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qualification.backends.clocks import PhaseClock, TokenClock
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.core.protocol import Generation, Phases
from qualification.machine.process_memory import (
    held_bytes,
    linux_descendants,
    macos_usage_of,
    peak_memory,
)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_the_peak_contains_memory_that_was_given_back():
    """A peak is a peak: 200 MB that are freed again stay in it."""
    script = (
        "from qualification.machine.process_memory import peak_memory\n"
        "before = peak_memory().peak_memory_bytes\n"
        "block = b'x' * 200_000_000\n"
        "del block\n"
        "print(before, peak_memory().peak_memory_bytes)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before == pytest.approx(200_000_000, rel=0.02)


def test_a_child_does_not_inherit_its_parents_peak():
    """The trap of ru_maxrss: a small child of a large parent reports its own size."""
    script = (
        "import subprocess, sys\n"
        "block = b'x' * 500_000_000\n"
        "code = 'from qualification.machine.process_memory import peak_memory;"
        "print(peak_memory().peak_memory_bytes)'\n"
        "print(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100_000_000


@linux_only
def test_the_peak_is_the_kernels_high_water_mark():
    """VmHWM of this very process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    assert peak_memory().peak_memory_bytes == pytest.approx(int(line.split()[1]) * 1024, rel=0.01)


def test_a_process_that_has_ended_holds_nothing():
    """The guard of the parent meets such processes all the time."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert held_bytes(process.pid) == 0


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


def test_the_device_is_synchronised_before_each_time():
    """A token's time contains the wait for the device."""
    clock = TokenClock(lambda: time.sleep(0.02))
    clock.tick()
    clock.tick()
    assert clock.times_s[0] >= 0.02
    assert clock.times_s[1] - clock.times_s[0] >= 0.02


def test_decoding_speed_leaves_the_first_token_out():
    """(N − 1) / (t_N − t_1): 1 s to the first token and 100 tok/s are 100 tok/s, not 33."""
    times = tuple(1 + n / 100 for n in range(50))
    generation = Generation("", times, 1.5, 10, 0, "length")
    assert generation.ttft_s == 1
    assert generation.decode_tps == pytest.approx(100)


def test_one_token_has_no_decoding_speed():
    """It is not a number, which nobody can mistake for a speed."""
    assert Generation("", (1.0,), 1.0, 10, 0, "stop").decode_tps != 0
    assert str(Generation("", (), 1.0, 10, 0, "stop").ttft_s) == "nan"


# ------------------------------------------------------------------- the parts of a first token


def test_parts_are_told_apart_with_the_device_idle_at_each_end():
    """Work that was only queued before a part belongs to the part that queued it."""
    queued = [0.03, 0.0, 0.02, 0.0, 0.0]

    def wait():
        time.sleep(queued.pop(0) if queued else 0.0)

    clock = PhaseClock(time.perf_counter(), wait)
    clock.preprocessed()
    with clock.span("vision_encode_s"):
        pass
    with clock.span("prefill_s"):
        pass
    parts = clock.phases()
    assert parts.preprocess_s >= 0.03
    assert parts.vision_encode_s >= 0.02
    assert parts.prefill_s < 0.02


def test_several_pieces_of_one_part_are_added():
    """A prompt is evaluated chunk by chunk; preprocessing ends once."""
    clock = PhaseClock(time.perf_counter())
    clock.preprocessed()
    first = clock.phases().preprocess_s
    for _ in range(3):
        with clock.span("prefill_s"):
            time.sleep(0.01)
    clock.preprocessed()
    assert clock.phases().prefill_s >= 0.03
    assert clock.phases().preprocess_s == first


def test_what_was_not_seen_is_absent_and_no_nought():
    """No hook, no figure."""
    assert PhaseClock(time.perf_counter()).phases() == Phases(None, None, None)
    generation = Generation("", (1.0,), 1.0, 10, 0, "stop", phases=Phases(0.1, None, None))
    assert str(generation.prefill_tps) == "nan"
    assert str(Generation("", (1.0,), 1.0, 10, 0, "stop").prefill_tps) == "nan"


def test_prefill_speed_is_of_text_and_picture_tokens():
    """300 tokens, 200 of them a picture's, in half a second."""
    generation = Generation("", (1.0,), 1.0, 300, 200, "stop", phases=Phases(0.1, 0.3, 0.5))
    assert generation.prefill_tps == 600


def test_a_time_that_no_clock_gives_is_refused():
    """As for all times."""
    with pytest.raises(ValueError, match="negative"):
        Phases(prefill_s=-1.0)


# ------------------------------------------------------------------- the page cache


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


# ------------------------------------------------------------------- memory


@linux_only
def test_the_peak_is_of_the_whole_process_tree():
    """A child with 200 MB that is still there counts; the process's own peak is told apart."""
    script = (
        "import subprocess, sys\n"
        "from qualification.machine.process_memory import peak_memory\n"
        "alone = peak_memory().peak_memory_bytes\n"
        "code = \"b = b'x' * 200_000_000; print('ready', flush=True); input()\"\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "report = peak_memory()\n"
        "child.communicate(b'\\n')\n"
        "print(alone, report.peak_memory_bytes, report.details['own_VmHWM'],"
        " report.details['descendants'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    alone, tree, own, descendants = map(int, done.stdout.split())
    assert tree - own > 200_000_000
    assert own < alone + 20_000_000
    assert descendants == 1


def test_descendants_are_found_whatever_their_names(tmp_path):
    """A name may hold brackets, blanks and figures; a process may end while it is looked at."""
    for pid, name, parent in ((10, "a", 1), (11, "b) R 99 (", 10), (12, "c", 11), (13, "d", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 0 0\n")
    (tmp_path / "14").mkdir()
    (tmp_path / "self").mkdir()
    assert sorted(linux_descendants(10, tmp_path)) == [11, 12]


@linux_only
def test_what_stands_beside_the_peak_is_the_kernels():
    """Anonymous, of files, and the share of what is shared."""
    details = peak_memory().details
    assert details["Pss"] <= details["VmRSS"] * 1.01
    assert details["RssAnon"] + details["RssFile"] <= details["VmRSS"] * 1.01


def recorded_usage(**fields):
    """A buffer as proc_pid_rusage(RUSAGE_INFO_V4) fills it: 16 bytes, then 35 numbers of 64 bits.

    Offsets counted in <sys/resource.h> of XNU: ri_resident_size is the 7th number,
    ri_phys_footprint the 8th, ri_lifetime_max_phys_footprint the 29th.
    """
    numbers = [0] * 35
    for name, value in fields.items():
        numbers[{"resident": 6, "footprint": 7, "lifetime": 28}[name]] = value
    return bytes(16) + struct.pack("<35Q", *numbers)


def test_the_peak_on_macos_is_the_lifetime_maximum_of_the_footprint():
    """Not the resident size, which misses compressed pages and counts clean mappings."""
    report = macos_usage_of(
        recorded_usage(resident=3_700_000_000, footprint=1_100_000_000, lifetime=5_790_000_000)
    )
    assert report.peak_memory_bytes == 5_790_000_000
    assert report.metric == "phys_footprint"
    assert report.details == {"phys_footprint": 1_100_000_000, "resident_size": 3_700_000_000}


def test_a_short_buffer_is_no_report():
    """Of an older structure, say."""
    with pytest.raises(ValueError, match="Buffer size"):
        macos_usage_of(recorded_usage()[:-8])
