"""The journal of a run on the disk: a test that has finished is there before the next one begins.

A session has a folder; each process of each attempt at it has a file there, ``001-main.jsonl``,
``002-gw0.jsonl``::

    {"schema_version": 1, "kind": "run", "attempt": 1, ...}     the first line, see Header
    {"selected": {"smolvlm-canary-f32@mlx": 92}}                 tests that this attempt is to try
    {"begin": "smolvlm-canary-f32@mlx"}                          before its weights are touched
    {"test": "...", "deployment": "...", "checks": [...], ...}   one finished test, see Finished
    {"answer": "colour 3", "deployment": "...", "value": ...}    what several tests judge
    {"end": "smolvlm-canary-f32@mlx"}
    {"conditions": [...]}                                        the process ended in order

Files of earlier attempts never change, and their numbers order them, whatever the clock says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from qualification.core.journal_file import JournalError, JournalFile, read_lines
from qualification.core.protocol import LoadReport, to_json
from qualification.core.results import Check, Condition, Session, Trial
from qualification.core.validation import first_problem
from qualification.session.journal import Journal

SCHEMA_VERSION = 1
_STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, config=_STRICT)
class Header:
    """Which process of which attempt at which session; ``boot`` names the start of the machine.

    ``number`` grows with each session that begins, whatever the clock says.
    """

    schema_version: int
    kind: str
    number: int
    attempt: int
    process: str
    session: Session
    arguments: tuple[str, ...]
    boot: str


@checked(frozen=True, config=_STRICT)
class Finished:
    """All that one test left: it is there in whole, or the test is to be tried again."""

    test: str
    deployment: str
    checks: tuple[Check, ...] = ()
    trials: tuple[Trial, ...] = ()
    load_reports: dict[str, LoadReport] = field(default_factory=dict)
    does_not_fit: dict[str, str] = field(default_factory=dict)
    fixed_bugs: tuple[str, ...] = ()


@checked(frozen=True, config=_STRICT)
class Answer:
    """What is asked for once in a session, whichever of its tests asks first; see ``Journal``."""

    answer: str
    deployment: str
    value: Any


_HEADER = TypeAdapter(Header)
_ANSWER = TypeAdapter(Answer)
_FINISHED = TypeAdapter(Finished)
_CONDITIONS = TypeAdapter(tuple[Condition, ...])


class RunFile:
    """The file of one process, open; it goes on in the temporary folder if its disk fills.

    OSError where that cannot be written either.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        path = folder / f"{header.attempt:03}-{header.process}.jsonl"
        self._is_moved = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = JournalFile(path)
        except OSError as error:
            self._move(path, b"", error)
        self._counts = (0, 0, 0)
        self._loads: set[str] = set()
        self._misfits: set[str] = set()
        self._add(to_json(header))

    def selected(self, counts: Mapping[str, int]) -> None:
        """How many tests of each deployment this attempt is to try."""
        self._add({"selected": dict(counts)})

    def begin(self, deployment: str) -> None:
        """Its weights are about to be touched."""
        self._add({"begin": deployment})

    def end(self, deployment: str) -> None:
        """It is unloaded."""
        self._add({"end": deployment})

    def finished(self, test: str, deployment: str, journal: Journal) -> None:
        """A test is over: all that came to the journal since the last one belongs to it."""
        checks, trials, bugs = self._counts
        loads = journal.load_reports.keys() - self._loads
        misfits = journal.does_not_fit.keys() - self._misfits
        entry = Finished(
            test,
            deployment,
            tuple(journal.checks[checks:]),
            journal.trials[trials:],
            {name: journal.load_reports[name] for name in sorted(loads)},
            {name: journal.does_not_fit[name] for name in sorted(misfits)},
            tuple(journal.fixed_bugs[bugs:]),
        )
        self._add(to_json(entry))
        self.skip(journal)

    def answered(self, name: str, deployment: str, value: Any) -> None:
        """An answer that later tests judge too, in JSON types."""
        self._add(to_json(Answer(name, deployment, value)))

    def skip(self, journal: Journal) -> None:
        """What the journal holds now is in the files already."""
        self._counts = (len(journal.checks), len(journal.trials), len(journal.fixed_bugs))
        self._loads, self._misfits = set(journal.load_reports), set(journal.does_not_fit)

    def close(self, conditions: Iterable[Condition]) -> None:
        """The process ends in order."""
        self._add({"conditions": [to_json(condition) for condition in conditions]})
        self._file.close()

    def _add(self, entry: dict[str, Any]) -> None:
        try:
            self._file.add(entry)
        except OSError as error:
            if self._is_moved:
                raise
            self._move(self._file.path, self._file.whole_lines(), error)
            if not isinstance(error, FileNotFoundError):  # else it was copied with the others
                self._file.add(entry)

    def _move(self, path: Path, whole: bytes, error: OSError) -> None:
        """Go on beside: the whole lines so far, in a folder that a resumed run looks into."""
        folder = _second_place(path.parent)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(whole)
        self._file, self._is_moved = JournalFile(folder / path.name), True
        warnings.warn(
            f"{path}: cannot be written ({error.strerror or error}): the journal goes on in "
            f"{folder}",
            stacklevel=2,
        )


@dataclass
class Kept:
    """What the files of a session hold.

    ``remaining`` are the tests that are still to be tried, by deployment, and ``selected`` those
    that the last attempt was to try. ``went_down`` counts how often the machine itself ended while
    a deployment was loaded.
    """

    session: Session
    arguments: tuple[str, ...]
    attempts: int
    journal: Journal = field(default_factory=Journal)
    finished: dict[str, str] = field(default_factory=dict)
    deployments: list[str] = field(default_factory=list)
    remaining: dict[str, int] = field(default_factory=dict)
    selected: dict[str, int] = field(default_factory=dict)
    went_down: Counter[str] = field(default_factory=Counter)


def kept(folder: Path, boot: str = "", before: int = 0) -> Kept:
    """Read a session's folder; ``boot`` is the machine's present start, '' where it is not known.

    With ``before`` only the attempts of lower numbers. JournalError where a line cannot be read, or
    nothing is there.
    """
    content: Kept | None = None
    conditions: dict[str, Condition] = {}
    for attempt, files in sorted(_attempts(folder).items()):
        if before and attempt >= before:
            continue
        selected: dict[str, int] = {}
        tried = Counter[str]()
        for file in files:
            entries = read_lines(file).entries
            if not entries:
                continue  # killed while it wrote its first line
            header = _header(entries[0], file)
            if content is None:
                content = Kept(header.session, header.arguments, attempt)
            content.attempts = attempt
            _merge(header.session.conditions, conditions)
            is_closed = _take(entries[1:], file, content, (selected, tried, conditions))
            _count_crashes(
                entries, content, is_closed=is_closed or not boot or header.boot in ("", boot)
            )
        if selected:
            assert content is not None
            content.selected = selected
            # A later attempt may have selected less: what it left out is still to be tried.
            for name in selected.keys() | content.remaining.keys():
                count = max(selected.get(name, 0), content.remaining.get(name, 0))
                content.remaining[name] = count - tried[name]
    if content is None:
        raise JournalError(f"{folder}: holds no journal of a run")
    content.session = replace(content.session, conditions=tuple(conditions.values()))
    content.remaining = {name: count for name, count in content.remaining.items() if count > 0}
    return content


def interrupted(sessions: Path) -> list[Path]:
    """Folders of the sessions that are not in the store yet, the one begun last at the end.

    None where there is no folder of sessions, or nobody may read it.
    """
    try:
        return sorted((path for path in sessions.iterdir() if _attempts(path)), key=_number)
    except OSError:
        return []


def next_number(sessions: Path) -> int:
    """The number of a session that begins now."""
    return 1 + max((_number(folder) for folder in interrupted(sessions)), default=0)


def _number(folder: Path) -> int:
    """Of a session; 0 where its first line cannot be read."""
    for files in _attempts(folder).values():
        for file in files:
            with contextlib.suppress(JournalError, IndexError, ValueError):
                return int(read_lines(file).entries[0].get("number", 0))
    return 0


def exists(folder: Path) -> bool:
    """Whether a session has a journal."""
    return bool(_attempts(folder))


def remove(folder: Path) -> None:
    """The session is in the store: its journal is not needed any more."""
    for place in (folder, _second_place(folder)):
        shutil.rmtree(place, ignore_errors=True)


def _attempts(folder: Path) -> dict[int, list[Path]]:
    """The files of each attempt; of a file that moved, the longer part."""
    files: dict[str, Path] = {}
    for place in filter(os.path.isdir, (folder, _second_place(folder))):
        for file in sorted(place.glob("[0-9]*-*.jsonl")):
            earlier = files.get(file.name)
            if earlier is None or file.stat().st_size > earlier.stat().st_size:
                files[file.name] = file
    attempts: dict[int, list[Path]] = {}
    for name in sorted(files):
        number = name.partition("-")[0]
        if number.isdigit():
            attempts.setdefault(int(number), []).append(files[name])
    return attempts


def _second_place(folder: Path) -> Path:
    return Path(tempfile.gettempdir()) / f"qualify-journal-{folder.name}"


def _header(entry: dict[str, Any], file: Path) -> Header:
    version = entry.get("schema_version")
    if version != SCHEMA_VERSION or entry.get("kind") != "run":
        raise JournalError(
            f"{file}: is no journal of a run of schema version {SCHEMA_VERSION} (it has "
            f"{version!r}); go on with it by the release that began it"
        )
    header: Header = _parsed(_HEADER, entry, file, 1)
    return header


def _take(
    entries: Iterable[dict[str, Any]],
    file: Path,
    content: Kept,
    totals: tuple[dict[str, int], Counter[str], dict[str, Condition]],
) -> bool:
    """Add the lines of a file; returns whether its process ended in order."""
    selected, tried, conditions = totals
    is_closed = False
    for number, entry in enumerate(entries, start=2):
        if "selected" in entry:
            for name, count in entry["selected"].items():
                selected[name] = max(count, selected.get(name, 0))
        elif "test" in entry:
            test: Finished = _parsed(_FINISHED, entry, file, number)
            tried[test.deployment] += test.test not in content.finished
            _add(test, content)
        elif "answer" in entry:
            answer: Answer = _parsed(_ANSWER, entry, file, number)
            answers = content.journal.answers.setdefault(answer.deployment, {})
            answers.setdefault(answer.answer, answer.value)
        elif "conditions" in entry:
            is_closed = True
            _merge(_parsed(_CONDITIONS, entry["conditions"], file, number), conditions)
        elif not entry.keys() & {"begin", "end"}:
            raise JournalError(f"{file}:{number}: is no line of a run's journal")
    return is_closed


def _merge(these: Iterable[Condition], conditions: dict[str, Condition]) -> None:
    """What was unfit in any process was unfit."""
    for condition in these:
        if condition.name not in conditions or not condition.fit:
            conditions[condition.name] = condition


def _add(test: Finished, content: Kept) -> None:
    if test.test in content.finished:
        return  # two attempts tried it at the same time: the first is kept
    content.finished[test.test] = test.deployment
    if test.deployment not in content.deployments:
        content.deployments.append(test.deployment)
    journal = content.journal
    for trial in test.trials:
        number = len(journal.values(trial.deployment, trial.metric))
        journal.add(replace(trial, repetition=number))
    journal.checks += test.checks
    for name, report in test.load_reports.items():
        journal.load_reports.setdefault(name, report)
    journal.does_not_fit |= test.does_not_fit
    journal.fixed_bugs += test.fixed_bugs


def _count_crashes(entries: Iterable[dict[str, Any]], content: Kept, *, is_closed: bool) -> None:
    """The deployment that was loaded when the machine went down."""
    loaded = ""
    for entry in entries:
        loaded = entry.get("begin", "" if "end" in entry else loaded)
    if loaded and not is_closed:
        content.went_down[loaded] += 1


def _parsed(adapter: TypeAdapter[Any], value: Any, file: Path, number: int) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise JournalError(f"{file}:{number}: {first_problem(error)}") from error
