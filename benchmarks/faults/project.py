"""A project that is harmed while it works, and what it must look like afterwards.

The plugin is observed from outside: a ``conftest.py`` notes each question before it is asked and
each test when pytest calls it finished, in files of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from qualification.core.paths import canaries

DEPLOYMENTS = ("smolvlm-canary-f32@llama.cpp", "qwen2.5-vl-canary-f32@llamacpp")
TESTS, QUESTIONS = 12, 6
CANARIES = canaries()
LIMIT_S = 180.0
"""A command that takes longer hangs; an undisturbed run takes 6 to 20 s."""

IMPORTS_S = 40.0
"""What a load may take before it is ended, instead of the product's minutes."""

FAREWELL_S = 15.0
"""Processes that are alive so long after a run was killed are left behind."""

_LOG_OF_WORKER = re.compile(r"-+ last output of the worker -+\n.*?(?=\n(===|___|---))", re.DOTALL)
_SWALLOWED = re.compile(r"PytestUnraisableExceptionWarning.*?\n  KeyboardInterrupt\n", re.DOTALL)

CONFTEST = f"""
import os
import pytest
from qualification.session import context
from qualification.session.worker import Worker

context.IMPORTS_S = {IMPORTS_S}

def note(file, text):
    with open(os.path.join(os.environ["QUALIFY_HOME"], file), "a") as stream:
        stream.write(text + "\\n")

asked = Worker.generate

def generate(self, request, **options):
    if "PYTEST_CURRENT_TEST" in os.environ:  # else it is loading
        note("asked.txt", os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0])
    return asked(self, request, **options)

Worker.generate = generate

@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid):
    if not hasattr(pytest, "is_controller"):
        note("finished.txt", nodeid)

def pytest_configure(config):
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        pytest.is_controller = True
"""
SUITE = f"""
import pytest
from qualification.tasks.questions import generate

@pytest.mark.parametrize("number", range({TESTS}))
def test_ask(deployed, number):
    questions = generate(seed=number, count={QUESTIONS}, skills=["colour", "shape"])
    right = [deployed.is_correct(question, deployed.answer(question)) for question in questions]
    deployed.record("vqa_accuracy", sum(right) / len(right))
"""


@dataclass
class Command:
    """A command that was started, and where its output goes."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")


@dataclass
class Project:
    """A folder with a suite; ``problems`` are those that were found so far, in sentences."""

    folder: Path
    words: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _commands: int = 0

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True)
        (self.folder / "conftest.py").write_text(CONFTEST)
        (self.folder / "test_it.py").write_text(SUITE)

    @property
    def temporary(self) -> Path:
        """Its TMPDIR."""
        return self.folder / "tmp"

    @property
    def sessions(self) -> Path:
        """The folder of the journals."""
        return self.folder / "reports/sessions"

    @property
    def database(self) -> Path:
        """The results."""
        return self.folder / "reports/results.sqlite"

    def command(self, *words: str, before: tuple[str, ...] = ()) -> Command:
        """Start a program in the folder, with the project's variables."""
        self._commands += 1
        output = self.folder / f"output-{self._commands:03}.txt"
        places = {
            "QUALIFY_HOME": str(self.folder),
            "QUALIFY_LOCKS": str(self.folder / "locks"),  # faults are injected beside other work
            "TMPDIR": str(self.temporary),
        }
        environment = os.environ | places | self.variables
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", *words],
                cwd=self.folder,
                env=environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=_with_interrupts,
            )
        return Command(process, output)

    def start(self, *, before: tuple[str, ...] = ()) -> Command:
        """Pytest: a new session, or the one that was interrupted."""
        words = ["pytest", "-q", "-p", "no:cacheprovider"]
        if self.journals():
            return self.command(*words, "--resume", before=before)
        deployments = [word for name in DEPLOYMENTS for word in ("--deployment", name)]
        return self.command(*words, *deployments, *self.words, "test_it.py", before=before)

    def qualify(self, *words: str) -> Command:
        """One of our own commands, to its end."""
        command = self.command("qualification", *words)
        self.wait(command)
        return command

    def wait(self, command: Command) -> int:
        """Its exit code; one that hangs is ended, and a problem."""
        try:
            return command.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.problems.append(f"hang: {' '.join(map(str, command.process.args))}")
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in psutil.Process(command.process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
            command.process.kill()
            return command.process.wait()

    def journals(self) -> list[Path]:
        """Files of sessions that are interrupted."""
        return sorted(self.sessions.glob("*/*.jsonl"))

    def finished(self) -> set[str]:
        """Tests that pytest has called finished."""
        return set(self._notes("finished.txt"))

    def asked(self) -> list[str]:
        """The test of each question, in the order in which they were asked."""
        return self._notes("asked.txt")

    def kept(self) -> Counter[str]:
        """Tests that the journals hold, or the database where there is no journal."""
        journal = Counter(entry["test"] for entry in self._entries() if "test" in entry)
        return journal or self.stored()

    def stored(self) -> Counter[str]:
        """Tests in the database, with the number of times."""
        if not self.database.exists():
            return Counter()
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            try:
                rows = database.execute("select deployment, test from checks").fetchall()
            except sqlite3.DatabaseError:
                return Counter()
        return Counter(
            "test_it.py::" + test.replace("[", f"[{deployment}-") for deployment, test in rows
        )

    def complete(self, *, may_be_anew: bool = False) -> None:
        """Run until nothing is left to do; then everything must be there once, and nothing else.

        ``may_be_anew``: what was there was removed, so one whole session is all that can be asked.
        """
        if may_be_anew and not self.journals():
            self.database.unlink(missing_ok=True)
        for _ in range(5):
            if self.stored() and not self.journals():
                break
            command = self.start()
            if self.wait(command) not in (0, 1):
                self.problems.append(f"message: {last_line(command)}")
        self.check_processes()
        tests = Counter(
            f"test_it.py::test_ask[{name}-{number}]"
            for name in DEPLOYMENTS
            for number in range(TESTS)
        )
        if lost := tests - self.stored():
            self.problems.append(f"lost: {len(lost)} tests, as {next(iter(lost))}")
        if more := self.stored() - tests:
            self.problems.append(f"doubled: {len(more)} tests, as {next(iter(more))}")
        self._check_folders()
        self.check_messages()

    def check_kept(self, finished: set[str]) -> None:
        """Whatever had finished is in the journal or in the database."""
        if lost := finished - self.kept().keys():
            self.problems.append(f"lost: {len(lost)} finished tests, as {min(lost)}")

    def check_asked(self, finished: set[str], since: int) -> None:
        """No question of a test that had finished before was asked after that."""
        if again := finished.intersection(self.asked()[since:]):
            self.problems.append(f"doubled: {len(again)} tests were asked again, as {min(again)}")

    def check_processes(self) -> None:
        """None of the project's processes is left, and so no port and no lock."""
        deadline = time.monotonic() + FAREWELL_S
        while survivors := list(self.processes()):
            if time.monotonic() > deadline:
                names = "; ".join(" ".join(process.cmdline())[-80:] for process in survivors)
                self.problems.append(f"left: {len(survivors)} processes: {names}")
                for process in survivors:
                    process.kill()
                return
            time.sleep(0.1)

    def processes(self) -> Iterator[psutil.Process]:
        """Those that have the project's variables."""
        for process in psutil.process_iter(["environ", "status"]):
            environment = process.info["environ"] or {}
            is_ours = str(self.folder) in environment.get("TMPDIR", "")
            if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                yield process

    def check_messages(self) -> None:
        """What users read is sentences: no traceback, no internal error.

        The end of a worker's log is shown with the test that it failed, whatever is in it. Ctrl-C
        ends with Python's own traceback as long as pytest has not begun, and in a callback it is
        a warning of pytest's, after which the run ends.
        """
        for output in sorted(self.folder.glob("output-*.txt")):
            text = output.read_text(encoding="utf-8", errors="replace")
            text = _SWALLOWED.sub("", _LOG_OF_WORKER.sub("", text))
            if text.startswith("Traceback") and "\nKeyboardInterrupt" in text:
                continue
            if match := re.search("Traceback .most recent|INTERNALERROR", text):
                excerpt = " | ".join(text[match.start() :].splitlines()[-12:])[-600:]
                self.problems.append(f"message: {output.name} has {match[0]!r}: {excerpt}")

    def remove(self) -> None:
        """Nothing is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check_folders(self) -> None:
        """No temporary folder, draft or journal is left."""
        remains = [
            *self.temporary.glob("qualify-*"),
            *self.sessions.glob("*"),
            *self.database.parent.glob("results.sqlite-*"),
            *self.folder.glob("**/.*.draft"),
        ]
        if remains:
            names = ", ".join(str(path.relative_to(self.folder)) for path in remains)
            self.problems.append(f"left: {names}")

    def _notes(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def _entries(self) -> Iterator[dict[str, object]]:
        moved = self.temporary.glob("qualify-journal-*/*.jsonl")
        for file in (*self.journals(), *moved):
            for line in file.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # the last line of a killed process
                    yield json.loads(line)


def _with_interrupts() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def last_line(command: Command) -> str:
    """The last line that a command has printed, shortened."""
    lines = command.text().strip().splitlines() or ["(nothing)"]
    return lines[-1][:200]
