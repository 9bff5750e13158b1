"""Signals at random moments, to each of the processes of a run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.faults.faults import Fault
from benchmarks.faults.project import Command, Project

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
VICTIMS = ("parent", "worker", "xdist worker", "server")
CHAIN = 6
"""Faults to one session, which is then completed."""

LONGEST_S = 7.0
"""A moment is at most so late after the start: an undisturbed run is nearly over by then."""

HUNG_S = 4
"""The deadline of a request where a process is stopped, or has no memory, and answers no more."""

_DEADLINE = ("--deadline", str(HUNG_S))


def signalled(make: Callable[..., Project], rng: random.Random, rounds: int) -> Iterator[Fault]:
    """Each signal to each kind of process, ``rounds`` times, in chains."""
    for victim in VICTIMS:
        for number in SIGNALS:
            yield from _chain(make, rng, victim, number, rounds)


def hung(make: Callable[..., Project], rng: random.Random, rounds: int) -> Iterator[Fault]:
    """A worker or a server that is stopped in the middle, as native code that hangs."""
    for victim in ("worker", "server"):
        yield from _chain(make, rng, victim, signal.SIGSTOP, rounds, _DEADLINE)


def out_of_memory(make: Callable[..., Project], rng: random.Random, rounds: int) -> Iterator[Fault]:
    """The address space of a process is limited to what it has (RLIMIT_AS).

    Python may wait for ever for a thread that it has no memory to start: the deadline ends that.
    """
    for victim in ("worker", "server"):
        yield from _chain(make, rng, victim, None, rounds, _DEADLINE)


def _chain(
    make: Callable[..., Project],
    rng: random.Random,
    victim: str,
    number: signal.Signals | None,
    rounds: int,
    words: tuple[str, ...] = (),
) -> Iterator[Fault]:
    """Faults of one kind to one session after the other, each completed at its end."""
    words += ("-n", "2") if victim == "xdist worker" else ()
    kind = "out of memory" if number is None else number.name
    for _ in range(2 * rounds):  # a run may be over before its moment
        if rounds <= 0:
            return
        project, count = make(*words), 0
        command = project.start()
        begun, finished, since = time.monotonic(), project.finished(), 0
        while count < min(CHAIN, rounds):
            moment_s = rng.uniform(0.5, LONGEST_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(max(0.1, begun + moment_s - time.monotonic()))
            hit = _harm(command, victim, number) if command.process.poll() is None else False
            count += hit
            if victim in ("parent", "xdist worker") or command.process.poll() is not None:
                project.wait(command)
                project.check_asked(finished, since)
                project.check_processes()
                finished, since = project.finished(), len(project.asked())
                project.check_kept(finished)
                if not project.journals() and project.stored():
                    break  # it has come to its end
                command, begun = project.start(), time.monotonic()
            else:
                begun = time.monotonic() - rng.uniform(0.0, LONGEST_S / 2)
        project.wait(command)
        project.complete()
        for _ in range(count):
            yield Fault(kind, victim, tuple(project.problems))
            project.problems.clear()
        rounds -= count
        project.remove()


def _harm(command: Command, victim: str, number: signal.Signals | None) -> bool:
    """Returns whether there was such a process."""
    try:
        process = _find(psutil.Process(command.process.pid), victim)
        if process is None:
            return False
        if number is None:
            size = process.memory_info().vms
            process.rlimit(psutil.RLIMIT_AS, (size, size))
        else:
            os.kill(process.pid, number)
    except (psutil.Error, ProcessLookupError):
        return False
    return True


def _find(parent: psutil.Process, victim: str) -> psutil.Process | None:
    if victim == "parent":
        return parent
    for process in parent.children(recursive=True):
        words = [Path(word).name for word in process.cmdline()]
        is_worker = "worker_main.py" in words
        is_server = "llama_cpp.py" in words
        is_part = any("sys.stdin.readline" in word for word in words)
        if {"worker": is_worker, "server": is_server, "xdist worker": is_part}[victim]:
            return process
    return None
