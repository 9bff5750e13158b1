"""Disks that are full, read-only or gone while something is written to them, and clocks.

A small disk is a tmpfs, which only root can mount; elsewhere these faults are not tried.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.faults import Fault
from benchmarks.faults.project import Project, last_line

HARMS = ("full disk", "read-only", "vanished")
MEGABYTE = 1_000_000
SYNTHETIC = "smolvlm2-500m-video-bf16-synthetic@mlx"
CLOCKS = ("-1d", "-2h", "+1y", "+20d")


def can_mount() -> bool:
    """Whether this process may mount a disk of its own."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def while_a_run_writes(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """The journal's folder, that of the results, and that of temporary files."""
    for harm in HARMS:
        for place in ("reports/sessions", "reports", "tmp"):
            project = make()
            folder = project.folder / place
            with _disk(folder, 60 * MEGABYTE):
                command = project.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.process.wait(rng.uniform(1.0, 7.0))
                _harm(folder, harm)
                project.wait(command)
                project.check_processes()
                finished = project.finished()
                if harm != "vanished":
                    project.check_kept(finished)
                _mend(folder, harm)
                if harm == "vanished" and place == "tmp":
                    folder.mkdir(exist_ok=True)
                project.complete(may_be_anew=harm == "vanished")
            yield Fault(harm, f"while a run writes to {place}", tuple(project.problems))
            project.remove()


@dataclass(frozen=True)
class Writer:
    """A command of ours that writes ``place``; ``check`` says what is wrong with it, or ''."""

    name: str
    words: tuple[str, ...]
    place: str
    size: int
    prepare: Callable[[Project], None]
    check: Callable[[Project], str]
    longest_s: float = 2.0


def with_results(project: Project) -> None:
    """A session that can be accepted, in the project's results."""
    from qualification.core.results import Verdict
    from qualification.results.store import Store
    from tests.support.session_sample import DEPLOYMENT, results

    verdicts = (Verdict(DEPLOYMENT, "no_baseline", "usable"),)
    Store(f"sqlite:///{project.database}").keep(results(verdicts=verdicts))


def _no_preparation(project: Project) -> None:
    return None


def _baseline(project: Project) -> str:
    from qualification.judging.baselines.storage import read_baseline

    (file,) = (project.folder / "baselines").rglob("*.json")
    sessions = [session.identifier for session in read_baseline(file).sessions]
    return "" if len(sessions) == 1 else f"sessions {sessions}"


def _report(project: Project) -> str:
    sizes = {file.name: file.stat().st_size for file in (project.folder / "out").iterdir()}
    documents = ("recommendations", "reference-guide", "certificate")
    whole = {f"{name}.{form}" for name in documents for form in ("md", "html", "json")}
    whole.add("session.xml")
    return "" if whole == sizes.keys() and all(sizes.values()) else str(sizes)


def _environment(project: Project) -> str:
    text = project.qualify("environments", "list").text()
    is_listed = re.search(r"llama-cpp .*\bMB\b", text)
    return "" if is_listed else "the environment is not listed as built"


def _synthetic(project: Project) -> str:
    command = project.qualify("synthetic", "list")
    return "" if "smolvlm2" in command.text() else last_line(command)


WRITERS = (
    Writer("baseline", ("accept", "--any-machine"), "baselines", 20, with_results, _baseline),
    Writer(
        "report",
        ("report", "--any-machine", "--output", "out"),
        "out",
        20,
        with_results,
        _report,
    ),
    Writer(
        "environment",
        ("environments", "build", "llama-cpp"),
        "cache",
        400,
        _no_preparation,
        _environment,
        5.0,
    ),
    Writer(
        "synthetic weights",
        ("synthetic", "make", SYNTHETIC),
        "cache",
        2500,
        _no_preparation,
        _synthetic,
        6.0,
    ),
)


def while_a_command_writes(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """Baseline, report, environment and synthetic weights; killed in the middle too."""
    for writer in WRITERS:
        for harm in (*HARMS, "SIGKILL"):
            project = make()
            project.variables["QUALIFY_CACHE"] = str(project.folder / "cache")
            folder = project.folder / writer.place
            writer.prepare(project)
            with _disk(folder, writer.size * MEGABYTE):
                command = project.command("qualification", *writer.words)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.process.wait(rng.uniform(0.2, writer.longest_s))
                if harm == "SIGKILL":
                    command.process.send_signal(signal.SIGKILL)
                else:
                    _harm(folder, harm)
                project.wait(command)
                project.check_processes()
                _mend(folder, harm)
                again = project.qualify(*writer.words)
                if again.process.returncode != 0 and "accepted already" not in again.text():
                    project.problems.append(f"lost: not made afterwards: {last_line(again)}")
                elif problem := writer.check(project):
                    project.problems.append(f"lost: {problem}")
                project.check_messages()
                if drafts := [*project.folder.rglob("*.draft"), *project.folder.rglob("*.tmp")]:
                    project.problems.append(f"left: {', '.join(file.name for file in drafts)}")
            yield Fault(harm, f"while it writes: {writer.name}", tuple(project.problems))
            project.remove()


def clocks(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """A session whose first attempt, killed, had another time of the day than its second."""
    for shift in CLOCKS:
        project = make()
        command = project.start(before=("faketime", "-f", shift))
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(rng.uniform(2.5, 6.0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)  # faketime starts pytest as its child
        project.wait(command)
        project.check_processes()
        project.check_kept(project.finished())
        project.complete()
        yield Fault(f"clock {shift}", "first attempt", tuple(project.problems))
        project.remove()


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of ``size`` bytes at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = list(folder.iterdir())
    aside = folder.with_name(f"{folder.name}-aside")
    if content:
        shutil.copytree(folder, aside)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", folder], check=True)
    try:
        if content:
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            shutil.rmtree(aside)
        yield
    finally:
        time.sleep(0.2)
        subprocess.run(["umount", "-l", folder], check=True)


def _harm(folder: Path, harm: str) -> None:
    if harm == "full disk":
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 16))
    elif harm == "read-only":
        # A file that is open for writing keeps a disk from becoming read-only, but for a moment.
        for _ in range(200):
            done = subprocess.run(
                ["mount", "-o", "remount,ro", folder], check=False, capture_output=True
            )
            if done.returncode == 0:
                return
            time.sleep(0.02)
    else:
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):  # whoever writes there may have made it anew
                path.unlink()


def _mend(folder: Path, harm: str) -> None:
    if harm == "full disk":
        (folder / "filler").unlink()
    elif harm == "read-only":
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
