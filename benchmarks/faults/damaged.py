"""Files that were changed behind our back: journals, databases, baselines, weights."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults.faults import Fault
from benchmarks.faults.project import CANARIES, Command, Project, last_line

Change = Callable[[Path, random.Random], None]


def _cut(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    last_line_at = content.rstrip(b"\n").rfind(b"\n") + 1
    file.write_bytes(content[: rng.randrange(last_line_at, len(content))])


def _garbage(file: Path, rng: random.Random) -> None:
    with file.open("ab") as stream:
        stream.write(rng.randbytes(200).replace(b"\n", b""))


def _flipped(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    # A digit of a number, whatever it means: no syntax betrays it.
    places = [match.start() for match in re.finditer(rb"(?<=[0-9])[0-9](?=[0-9])", content)]
    place = rng.choice(places)
    content[place] ^= 1
    file.write_bytes(content)


def _broken_line(file: Path, rng: random.Random) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    number = rng.randrange(len(lines) - 1)
    lines[number] = b"{" + lines[number]
    file.write_bytes(b"".join(lines))


def _half(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content) // 4, len(content) * 3 // 4)])


def _zeros(file: Path, _rng: random.Random) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _empty(file: Path, _rng: random.Random) -> None:
    file.write_bytes(b"")


def _newer(file: Path, _rng: random.Random) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("update schema set version = 99")


def _random_page(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[4096:8192] = rng.randbytes(4096)
    file.write_bytes(content)


def _nan(file: Path, _rng: random.Random) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'"value": [0-9.]+', '"value": NaN', text, count=1), encoding="utf-8")


def _duplicate_keys(file: Path, _rng: random.Random) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"value":', '"value": 1.0, "value":', 1), encoding="utf-8")


def _100_megabytes(file: Path, _rng: random.Random) -> None:
    with file.open("a", encoding="utf-8") as stream:
        for _ in range(100):
            stream.write(" " * 1_000_000)
        stream.write("x")


JOURNAL: dict[str, Change] = {
    "cut in its last line": _cut,
    "garbage at its end": _garbage,
    "a line that is not JSON": _broken_line,
}
STORE: dict[str, Change] = {
    "half-written": _half,
    "zeros": _zeros,
    "a random page": _random_page,
    "a newer schema": _newer,
}
BASELINE: dict[str, Change] = {
    "flipped digit": _flipped,
    "NaN": _nan,
    "duplicate keys": _duplicate_keys,
    "100 MB": _100_megabytes,
    "half": _half,
    "empty": _empty,
}


def journals(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """A killed run's journal is damaged; what cannot be read is a sentence, and stays as it is."""
    for kind, change in JOURNAL.items():
        project = make()
        command = project.start()
        while len(project.finished()) < rng.randrange(3, 10) and command.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(0.05)
        command.process.kill()
        project.wait(command)
        project.check_processes()
        file = project.journals()[-1]
        whole = file.read_bytes()
        change(file, rng)
        if kind == "a line that is not JSON":
            _expect_refusal(project, project.start(), file)
            file.write_bytes(whole)
        project.complete()
        yield Fault("damaged journal", kind, tuple(project.problems))
        project.remove()


def stores(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """Results that cannot be read stop a run before its first test, and other commands too."""
    from qualification.results.store import Store
    from tests.support.old_store import make_old_store
    from tests.support.session_sample import results

    for kind, change in STORE.items():
        project = make()
        Store(f"sqlite:///{project.database}").keep(results())
        change(project.database, rng)
        _expect_refusal(project, project.start(), project.database)
        _expect_refusal(project, project.command("qualification", "sessions"), project.database)
        yield Fault("damaged results", kind, tuple(project.problems))
        project.remove()

    project = make()
    Store(f"sqlite:///{project.database}").keep(results())
    holder = sqlite3.connect(project.database)
    holder.execute("begin exclusive")
    _expect_refusal(project, project.start(), project.database)
    holder.close()
    yield Fault("damaged results", "locked", tuple(project.problems))
    project.remove()

    project = make()
    project.database.parent.mkdir(parents=True, exist_ok=True)
    make_old_store(project.database)
    listed = project.qualify("sessions")
    if listed.process.returncode or not all(name in listed.text() for name in "abc"):
        project.problems.append(f"lost: sessions of an older schema: {last_line(listed)}")
    project.check_messages()
    yield Fault("damaged results", "an older schema", tuple(project.problems))
    project.remove()


def baselines(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """A baseline that is not what was written is refused by name, and not written over."""
    from benchmarks.faults.disks import with_results

    for kind, change in BASELINE.items():
        project = make()
        with_results(project)
        project.qualify("accept", "--any-machine")
        (file,) = (project.folder / "baselines").rglob("*.json")
        change(file, rng)
        again = project.command("qualification", "accept", "--any-machine")
        _expect_refusal(project, again, file)
        yield Fault("damaged baseline", kind, tuple(project.problems))
        project.remove()


def weights(make: Callable[..., Project], rng: random.Random) -> Iterator[Fault]:
    """A model's files are changed, or its folder is swapped, while it is tried."""
    for kind in ("its weights were changed", "its folder was swapped"):
        project = make()
        model = project.folder / "model"
        shutil.copytree(CANARIES / "smolvlm", model)
        another_model = project.folder / "another"
        shutil.copytree(CANARIES / "qwen2_5_vl", another_model)
        command = project.command(
            "pytest", "-q", "-p", "no:cacheprovider", "--model", str(model), "test_it.py"
        )
        while len(project.finished()) < 3 and command.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(0.05)
        command.process.kill()
        project.wait(command)
        project.check_processes()
        if kind == "its folder was swapped":
            model.rename(project.folder / "aside")
            another_model.rename(model)
        else:
            for file in model.rglob("*.safetensors"):
                content = bytearray(file.read_bytes())
                place = rng.randrange(len(content) // 2, len(content))
                content[place] ^= 1
                file.write_bytes(content)
        finished = project.finished()
        again = project.start()
        project.wait(again)
        project.check_processes()
        project.check_kept(finished)
        text = again.text()
        if "were changed while the run went on" not in text:
            project.problems.append(f"message: changed weights are not named: {last_line(again)}")
        project.check_messages()
        yield Fault("changed weights", kind, tuple(project.problems))
        project.remove()


def _expect_refusal(project: Project, command: Command, file: Path) -> None:
    """It ends with an error that names the file in one sentence, and the file is as it was."""
    before = file.stat().st_size, file.stat().st_mtime_ns
    code = project.wait(command)
    text = command.text()
    if code == 0:
        project.problems.append(f"message: a damaged {file.name} was not noticed")
    elif file.name not in text:
        project.problems.append(f"message: {file.name} is not named: {last_line(command)}")
    if (file.stat().st_size, file.stat().st_mtime_ns) != before:
        project.problems.append(f"lost: {file.name} was written over")
    project.check_messages()
