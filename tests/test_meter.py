"""Figures of the worker's meter against the kernel's own."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from qualification.meter import TokenClock, page_cache
from qualification.process_memory import held_bytes, peak_memory
from qualification.records import Generation

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_the_peak_contains_memory_that_was_given_back():
    """A peak is a peak: 200 MB that are freed again stay in it."""
    script = (
        "from qualification.process_memory import peak_memory\n"
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
        "code = 'from qualification.process_memory import peak_memory;"
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
