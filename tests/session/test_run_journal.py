"""The journal of a run: whatever kills it, every finished test is there once and nothing else."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.journal_file import JournalError
from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Condition
from qualification.session.journal import Journal
from qualification.session.run_journal import (
    Header,
    RunFile,
    exists,
    interrupted,
    kept,
    next_number,
    remove,
)
from qualification.session.session import parallel_condition
from tests.support.session_sample import session, trials

A, B = "a-f32@mlx", "b-f32@mlx"


def header(attempt=1, process="main", boot="this", number=1, **changes):
    """The first line of a file."""
    record = replace(session(), **changes)
    return Header(1, "run", number, attempt, process, record, ("-m", "canary"), boot)


def written(folder, *tests, selected=None, close=True, deployment=A, **head):
    """A process that finishes these tests, each with a check and two trials."""
    journal = Journal()
    file = RunFile(folder, header(**head))
    file.selected(selected or {deployment: len(tests)})
    file.begin(deployment)
    for test in tests:
        journal.add(*trials("load_s", 0.5, 0.6, deployment=deployment))
        journal.checks.append(Check(deployment, "load", test, "passed"))
        journal.load_reports[deployment] = LoadReport(0.5, 0.4, 1.0, "cpu", 9, "", {"mlx": "1"})
        file.finished(test, deployment, journal)
    if close:
        file.end(deployment)
        file.close((Condition("load", "0.1"),))
    return journal


def test_what_is_written_is_read(tmp_path):
    """Checks, trials, load reports, conditions and the arguments."""
    journal = written(tmp_path / "s", "one", "two")
    content = kept(tmp_path / "s")
    assert content.journal.checks == journal.checks
    assert content.journal.trials == tuple(
        replace(trial, repetition=number) for number, trial in enumerate(journal.trials)
    )
    assert content.journal.load_reports == journal.load_reports
    assert content.finished == {"one": A, "two": A}
    assert content.arguments == ("-m", "canary")
    assert content.remaining == {}
    assert [condition.name for condition in content.session.conditions] == ["load"]


@given(st.data())
@settings(max_examples=60)
def test_a_run_that_is_killed_at_any_byte_keeps_its_whole_lines(tmp_path_factory, data):
    """The tests before are there once, the one that was being written is left to do."""
    folder = tmp_path_factory.mktemp("journal") / "s"
    written(folder, "one", "two", "three")
    (file,) = folder.iterdir()
    content = file.read_bytes()
    end = data.draw(st.integers(content.index(b"\n") + 1, len(content)))
    file.write_bytes(content[:end])
    whole = [
        name for name in ("one", "two", "three") if f'"test": "{name}"'.encode() in content[:end]
    ]
    finished = list(kept(folder).finished)
    assert finished in (whole, whole[:-1])
    has_counts = content[:end].count(b"\n") >= 2
    assert sum(kept(folder).remaining.values()) == (3 - len(finished) if has_counts else 0)


def test_a_resumed_session_goes_on_where_it_was(tmp_path):
    """Files of earlier attempts stay as they are; what is left counts from the last one."""
    folder = tmp_path / "s"
    written(folder, "one", selected={A: 3}, close=False)
    assert kept(folder).remaining == {A: 2}
    written(folder, "two", selected={A: 2}, attempt=2, close=False)
    content = kept(folder)
    assert list(content.finished) == ["one", "two"]
    assert content.remaining == {A: 1}
    assert content.attempts == 2
    assert list(kept(folder, before=2).finished) == ["one"]


def test_the_parts_of_parallel_processes_become_one_session(tmp_path):
    """Both have been told of all tests; a condition that was unfit in one part is unfit."""
    folder = tmp_path / "s"
    every = {A: 1, B: 1}
    written(folder, "one", selected=every, process="gw0", conditions=(parallel_condition(2),))
    written(folder, "two", selected=every, process="gw1", deployment=B)
    content = kept(folder)
    assert content.remaining == {}
    assert content.deployments == [A, B]
    fit = {condition.name: condition.fit for condition in content.session.conditions}
    assert fit == {"parallel": False, "load": True}


def test_a_test_that_two_processes_finished_is_there_once(tmp_path):
    """pytest-xdist gives the tests of a process that died to another one."""
    folder = tmp_path / "s"
    written(folder, "one", process="gw0", close=False)
    written(folder, "one", process="gw1")
    content = kept(folder)
    assert len(content.journal.checks) == 1
    assert len(content.journal.trials) == 2


def test_a_test_that_two_processes_finished_stands_for_no_other(tmp_path):
    """What neither of them tried is still to be tried."""
    folder = tmp_path / "s"
    written(folder, "one", process="gw0", selected={A: 2}, close=False)
    written(folder, "one", process="gw1", selected={A: 2})
    assert kept(folder).remaining == {A: 1}


def test_what_a_later_attempt_leaves_out_is_still_to_be_tried(tmp_path):
    """Tests of a deployment, and a deployment as a whole."""
    folder = tmp_path / "s"
    written(folder, "one", selected={A: 3, B: 2}, close=False)
    written(folder, "two", selected={A: 1}, attempt=2)
    assert kept(folder).remaining == {A: 1, B: 2}
    assert kept(folder).selected == {A: 1}


def test_a_machine_that_went_down_is_counted_against_what_was_loaded(tmp_path):
    """A process that was killed, while the machine ran on, is nobody's fault."""
    folder = tmp_path / "s"
    written(folder, "one", close=False, boot="an earlier one")
    written(folder, "two", close=False, attempt=2, boot="this")
    written(folder, "three", close=True, attempt=3, boot="an earlier one")
    assert kept(folder, boot="this").went_down == {A: 1}
    assert not kept(folder).went_down  # where the system does not say which start this is


def test_a_journal_whose_folder_is_gone_goes_on_elsewhere(tmp_path, monkeypatch):
    """All that was written before is there too, and the message says where."""
    import shutil
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "s"
    journal = Journal()
    file = RunFile(folder, header())
    file.finished("one", A, journal)
    shutil.rmtree(folder)
    with pytest.warns(UserWarning, match="the journal goes on in .*qualify-journal-s"):
        file.finished("two", A, journal)
    file.finished("three", A, journal)
    assert list(kept(folder).finished) == ["one", "two", "three"]
    assert exists(folder)
    remove(folder)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a full device")
def test_a_journal_whose_disk_is_full_goes_on_elsewhere(tmp_path, monkeypatch):
    """A line is there once."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "s"
    file = RunFile(folder, header())
    full = os.open("/dev/full", os.O_RDWR)
    before = os.dup(file._file._file.fileno())
    os.dup2(full, file._file._file.fileno())
    monkeypatch.setattr(type(file._file), "whole_lines", lambda _: os.pread(before, 10**6, 0))
    with pytest.warns(UserWarning, match="No space left on device"):
        file.finished("one", A, Journal())
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert list(kept(folder).finished) == ["one"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{\n", "001-main.jsonl:2: is not JSON"),
        (b"[1]\n", ":2: is not a JSON object"),
        (b'{"neither": 1}\n', ":2: is no line of a run's journal"),
        (b'{"test": "x"}\n', ":2: "),
        (b"[" * 100_000 + b"\n", ":2: is not JSON"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, problem):
    """It is never skipped."""
    RunFile(tmp_path / "s", header())
    (file,) = (tmp_path / "s").iterdir()
    file.write_bytes(file.read_bytes() + line)
    with pytest.raises(JournalError) as failure:
        kept(tmp_path / "s")
    assert problem in str(failure.value)


def test_another_version_is_refused_by_its_number(tmp_path):
    """Before anything else of it is read."""
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "001-main.jsonl").write_text('{"schema_version": 9, "kind": "run"}\n')
    with pytest.raises(JournalError, match=r"schema version 1 \(it has 9"):
        kept(folder)


def test_the_session_that_was_begun_last_is_the_newest(tmp_path):
    """Of those that can be resumed, whatever their names say of the clock."""
    assert next_number(tmp_path) == 1
    written(tmp_path / "20260102T000000Z-b", "one", number=1)
    written(tmp_path / "20260101T000000Z-a", "one", number=2)
    (tmp_path / "20270101T000000Z-c").mkdir()
    names = [folder.name for folder in interrupted(tmp_path)]
    assert names == ["20260102T000000Z-b", "20260101T000000Z-a"]
    assert next_number(tmp_path) == 3
    assert interrupted(tmp_path / "nothing") == []


def test_a_journal_begins_in_the_temporary_folder_where_its_own_cannot_be_made(
    tmp_path, monkeypatch
):
    """It became read-only after the run had looked."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "sessions").write_text("a file, no folder")
    with pytest.warns(UserWarning, match="cannot be written .*: the journal goes on in "):
        written(tmp_path / "sessions/s", "one")
    assert kept(tmp_path / "sessions/s").finished == {"one": A}


def test_a_journal_without_any_place_is_an_error_of_its_folder(tmp_path, monkeypatch):
    """The run ends with it, whatever test was running."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="Not a directory"):
        RunFile(tmp_path / "file/s", header())


def test_answers_that_several_tests_judge_are_kept_once(tmp_path):
    """Of two processes, or attempts, that asked at the same time the first counts."""
    for attempt, text in ((1, "red"), (2, "blue")):
        file = RunFile(tmp_path / "s", header(attempt=attempt))
        file.answered("colour 0", A, {"text": text})
    assert kept(tmp_path / "s").journal.answers == {A: {"colour 0": {"text": "red"}}}
