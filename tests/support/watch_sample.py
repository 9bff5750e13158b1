"""Requests, thresholds and stand-in servers for the tests of the soak test."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from qualification.judging.thresholds import Thresholds
from qualification.watch.records import Header, MemorySample, Request

HERE = Path(__file__).resolve().parent
GB = 1_000_000_000
CANARY = "smolvlm-canary-f32@llamacpp"


def thresholds(**changes):
    """Those of a machine of 32 GB in the published documents: 24 and 28 GB."""
    facts = {
        "tier": "air_m4",
        "memory_bytes": 32.0 * GB,
        "warning_bytes": 24.0 * GB,
        "critical_bytes": 27.84 * GB,
        "subject_warning_bytes": 24.0 * GB,
        "subject_critical_bytes": 27.84 * GB,
        "load_limit_s": 10.0,
        "growth_limit": 1_000_000.0,
        "floor_tps": 50.0,
        "floor_why": "declared for air_m4",
        "drift_limit": 1.1,
    }
    return Thresholds(**(facts | changes))


def header(**changes):
    """A run of ten minutes."""
    facts = {
        "identifier": "20260101T000000Z-abc123",
        "started": "2026-01-01T00:00:00+00:00",
        "subject": "some-model at http://127.0.0.1:1/v1",
        "memory_of": "python (pid 1) and its descendants",
        "machine": "Some Processor, 32 GB",
        "levels": thresholds(),
        "answers_checked": True,
        "every_s": 0.0,
        "planned_s": 600.0,
        "seed": 1,
    }
    return Header(**(facts | changes))


def request(number, private=1 * GB, *, used=10 * GB, identity="1@0.00", outcome="ok", **changes):
    """The request of that number, a second after the one before it."""
    memory = MemorySample(used)
    if private is not None:
        memory = MemorySample(used, private, private, identity)
    times = {"ttft_s": 0.5, "decode_tps": 90.0, "e2e_s": 1.0, "tokens": 64}
    if outcome == "failed":
        times = {"failure": "status", "text": "status 500"}
    return Request(
        number=number,
        at_s=changes.pop("at_s", float(number)),
        question=f"q-{number}",
        outcome=outcome,
        look=memory,
        **(times | changes),
    )


@contextlib.contextmanager
def stand_in(*options, port=0):
    """A leaking server in a process of its own: its base URL, and the process."""
    process = start_stand_in(*options, port=port)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def start_stand_in(*options, port=0):
    """The same without an end; the first line of its output is its base URL."""
    words = [str(option) for option in options]
    return subprocess.Popen(
        [sys.executable, str(HERE / "leaking_server.py"), "--port", str(port), *words],
        stdout=subprocess.PIPE,
        text=True,
    )


def watch(*words, **options):
    """``qualify watch`` as a process, its output to be read."""
    program = "from qualification.cli.watch import watch; watch()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *[str(word) for word in words]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "COLUMNS": "200"},
        # A process of pytest-xdist ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def interrupt(process, number=signal.SIGINT):
    """Send a signal; the exit code and what was printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err
