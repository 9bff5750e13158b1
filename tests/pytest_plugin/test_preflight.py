"""A run whose results cannot be kept stops before its first test, in one sentence."""

import os
import signal
import sqlite3

import pytest

from qualification.pytest_plugin.preflight import _whole
from tests.support.toy_project import ASKING


def a_folder(path):
    path.mkdir()


def no_database(path):
    path.write_text("no database")


def a_torn_database(path):
    a_database(path)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content[:-100])


def a_database(path):
    with sqlite3.connect(path) as database:
        database.execute("create table schema (version integer primary key)")
        database.execute("insert into schema values (1)")
        database.execute("create table sessions (identifier text)")
        database.execute("create table filler (text text)")
        database.executemany("insert into filler values (?)", [("x" * 900,)] * 100)


def a_newer_schema(path):
    with sqlite3.connect(path) as database:
        database.execute("create table schema (version integer primary key)")
        database.execute("insert into schema values (99)")


PLACES = {
    "a folder": a_folder,
    "no database": no_database,
    "a torn database": a_torn_database,
    "other tables": a_database,
    "a newer schema": a_newer_schema,
}
URLS = [
    "nodialect://x/y",
    "postgresql//user:secret@host/x",
    "postgresql+psycopg://user:secret@127.0.0.1:1/x",
    "sqlite:////proc/no/such/results.sqlite",
    "/dev/null/results.sqlite",
    "mysql://user:secret@127.0.0.1:1/x",
]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_database_that_cannot_take_results_stops_the_run(toy_project, place):
    """Before its first test, with the file's name and what to do."""
    file = toy_project.path / "results.sqlite"
    PLACES[place](file)
    sentence = toy_project.stopped("--results", file)
    assert "results.sqlite" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("url", URLS)
def test_a_url_that_cannot_take_results_stops_the_run(toy_project, url):
    """Without its password."""
    toy_project.stopped("--results", url)


@pytest.mark.slow
def test_a_locked_database_stops_the_run(toy_project):
    """Another process writes to it for longer than is waited."""
    file = toy_project.path / "results.sqlite"
    toy_project.run("--results", file, suite=ASKING)
    (toy_project.path / "asked").unlink()
    holder = sqlite3.connect(file)
    holder.execute("begin exclusive")
    try:
        sentence = toy_project.stopped("--results", file)
    finally:
        holder.close()
    assert "locked" in sentence


@pytest.mark.slow
def test_several_processes_are_not_started_either(toy_project):
    """The one that would start them stops."""
    file = toy_project.path / "results.sqlite"
    no_database(file)
    toy_project.stopped("-n", "2", "--results", file)


def test_a_journal_without_a_place_stops_the_run(toy_project):
    """A file where its folder should be."""
    reports = toy_project.path / "reports"
    reports.mkdir()
    (reports / "sessions").write_text("a file")
    sentence = toy_project.stopped()
    assert "the journal of the run cannot be written there" in sentence


def test_a_disk_without_room_stops_the_run(toy_project, monkeypatch):
    """Fewer bytes are free than the run may need."""
    suite = (
        "import shutil, collections\n"
        "shutil.disk_usage = lambda _: collections.namedtuple('U', 'total used free')(9, 9, 9)\n"
        + ASKING
    )
    sentence = toy_project.stopped(suite=suite)
    assert "9 B" in sentence


def test_an_import_that_ctrl_c_would_break_off_is_finished_first():
    """At the end of a resumed run a package in pieces could not be imported again."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = []

    def imported():
        with _whole():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("imported")

    try:
        with pytest.raises(KeyboardInterrupt):
            imported()
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ["imported"]
