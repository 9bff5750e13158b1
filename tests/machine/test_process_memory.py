"""Peak and current memory of processes, compared with the kernel's own figures."""

import struct
import subprocess
import sys

import pytest

from qualification.machine.process_memory import (
    held_bytes,
    linux_descendants,
    macos_usage_of,
    peak_memory,
    peak_memory_of,
)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def printed(script):
    """The numbers that a script prints in a process of its own."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(int, done.stdout.split()))


def test_the_peak_contains_memory_that_was_given_back():
    """200 MB that are freed again stay in the peak."""
    script = (
        "from qualification.machine.process_memory import peak_memory\n"
        "before = peak_memory().peak_memory_bytes\n"
        "block = b'x' * 200_000_000\n"
        "del block\n"
        "print(before, peak_memory().peak_memory_bytes)\n"
    )
    before, after = printed(script)
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
    (peak,) = printed(script)
    assert peak < 100_000_000


@linux_only
def test_the_peak_is_the_kernels_high_water_mark():
    """VmHWM of a process without descendants: pytest's own may have some of another test."""
    script = (
        "from qualification.machine.process_memory import peak_memory\n"
        "status = open('/proc/self/status').read()\n"
        "print(status.partition('VmHWM:')[2].split()[0], peak_memory().peak_memory_bytes)\n"
    )
    kibibytes, peak = printed(script)
    assert peak == pytest.approx(kibibytes * 1024, rel=0.01)


def test_a_process_that_has_ended_holds_nothing():
    """The parent's memory guard meets such processes all the time."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert held_bytes(process.pid) == 0


@linux_only
def test_the_peak_is_of_the_whole_process_tree():
    """A living child with 200 MB counts; the process's own peak is reported separately."""
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
    alone, tree, own_peak, descendants = map(int, done.stdout.split())
    assert tree - own_peak > 200_000_000
    assert own_peak < alone + 20_000_000
    assert descendants == 1


def test_descendants_are_found_whatever_their_names(tmp_path):
    """A name may contain brackets, blanks and digits; a process may end while it is read."""
    for pid, name, parent in ((10, "a", 1), (11, "b) R 99 (", 10), (12, "c", 11), (13, "d", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 0 0\n")
    (tmp_path / "14").mkdir()
    (tmp_path / "self").mkdir()
    assert sorted(linux_descendants(10, tmp_path)) == [11, 12]


@linux_only
def test_the_details_are_the_kernels():
    """Anonymous and file pages, and the proportional share of shared pages."""
    details = peak_memory().details
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


def test_a_short_buffer_is_not_a_report():
    """It could be of an older structure."""
    with pytest.raises(ValueError, match="Buffer size"):
        macos_usage_of(recorded_usage()[:-8])


def test_a_process_that_cannot_be_read_is_an_error():
    """A sum of no processes would look like a process without memory."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError, match="can be read"):
        peak_memory_of([process.pid])
