"""What would lose the results is one sentence before the first test."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qualification.core.errors import StoreError
from qualification.results import opening
from qualification.results import usable as module
from qualification.results.store import Store
from qualification.results.usable import usable
from tests.support.old_store import make_old_store
from tests.support.session_sample import results, session

NOBODY = 65534


@pytest.fixture
def file(tmp_path):
    """The file of a sound store with one session."""
    file = tmp_path / "results.sqlite"
    Store(f"sqlite:///{file}").keep(results())
    return file


def sentence(url, room_bytes=0):
    """The refusal of a database: one line without SQL, which names it and says what to do."""
    with pytest.raises(StoreError) as refused:
        usable(url, room_bytes)
    text = str(refused.value)
    assert "\n" not in text
    assert not any(words in text for words in ("INSERT", "SELECT", "[SQL", "parameters"))
    assert "--results" in text
    return text


def altered(file, *statements):
    """The URL of a store after these statements."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return f"sqlite:///{file}"


def spoil(file, table):
    """Fill a table's page with zeros."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = database.execute(query, (table,)).fetchone()
    content = bytearray(file.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = bytes(4096)
    file.write_bytes(content)


def test_a_sound_store_is_usable_and_left_as_it_is(file):
    """Nothing is written that stays."""
    usable(f"sqlite:///{file}", room_bytes=1000)
    store = Store(f"sqlite:///{file}")
    assert store.results(store.latest()) == results()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_no_store_is_usable_and_a_missing_one_is_made(tmp_path):
    """With its folder."""
    usable("none")
    usable(f"sqlite:///{tmp_path / 'deep/folder/results.sqlite'}")
    assert (tmp_path / "deep/folder/results.sqlite").is_file()


def test_an_older_store_is_migrated(tmp_path):
    """Before the first test, and not when the results are there."""
    make_old_store(tmp_path / "results.sqlite")
    usable(f"sqlite:///{tmp_path / 'results.sqlite'}")
    assert (tmp_path / "results.sqlite.v1.bak").is_file()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["UPDATE schema SET version = 99"], "has schema version 99, of a newer release"),
        (["DROP TABLE schema"], "has no table 'schema' beside answers, checks, load_reports"),
        (["DELETE FROM schema"], "its table 'schema' has nothing where one version should be"),
        (["INSERT INTO schema VALUES (1)"], "its table 'schema' has 1, 3 where one version"),
        (["UPDATE schema SET version = -1"], "its table 'schema' has -1 where one version"),
        (["ALTER TABLE checks DROP COLUMN detail"], "its table 'checks' lacks detail, so"),
        (["DROP TABLE trials"], "its table 'trials' lacks number, session, deployment, metric"),
        (["DROP TABLE schema", "CREATE TABLE schema (name)"], "no such column: schema.version"),
    ],
)
def test_a_store_with_other_tables_is_refused(file, statements, words):
    """It is of a newer release, of another program, or damaged."""
    assert words in sentence(altered(file, *statements))


def test_a_corrupt_file_is_refused(file):
    """Also where no query of the start meets what is damaged."""
    spoil(file, "checks")
    assert "is corrupt (" in sentence(f"sqlite:///{file}")
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    assert "it is corrupt" in sentence(f"sqlite:///{file}")


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    """Somebody's file is not overwritten."""
    (tmp_path / "notes").write_text("my notes, not a database\n" * 100)
    assert "it is no SQLite database" in sentence(f"sqlite:///{tmp_path / 'notes'}")
    assert (tmp_path / "notes").read_text().startswith("my notes")


def test_a_file_that_another_process_has_locked_is_refused_after_a_time(file, monkeypatch):
    """For longer than a transaction takes."""
    monkeypatch.setattr(opening, "LOCKED_S", 0.1)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert "another process has locked it" in sentence(f"sqlite:///{file}")


def test_a_disk_without_room_is_refused(file, monkeypatch):
    """Less than was asked for; SQLite's own limit stands for a disk that becomes full later."""
    free = shutil.disk_usage(file).free
    assert "its disk has too little room (" in sentence(f"sqlite:///{file}", 2 * free)
    pages = file.stat().st_size // 4096
    Store(f"sqlite:///{file}")
    original = opening._leave_transactions_to_us

    def without_room(connection, record):
        original(connection, record)
        connection.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(opening, "_leave_transactions_to_us", without_room)
    store = Store(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="no space is left on its disk"):
        store.keep(results(session=session("x" * 60), checks=results().checks * 1000))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    """And a file in place of a folder."""
    assert "is a folder and no file" in sentence(f"sqlite:///{tmp_path}")
    (tmp_path / "file").write_text("")
    text = sentence(f"sqlite:///{tmp_path / 'file/results.sqlite'}")
    assert "its folder cannot be made (" in text


def test_a_connection_that_may_only_read_is_refused(file):
    """Whoever asks for that in the URL."""
    assert "is read-only" in sentence(f"sqlite:///file:{file}?mode=ro&uri=true")


@pytest.mark.parametrize("read_only", ["file", "folder"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a process as another user")
def test_a_read_only_file_or_folder_is_refused(read_only):
    """To a user who may not write there."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "results.sqlite")
        Store(f"sqlite:///{file}").keep(results())
        Path(place).chmod(0o777 if read_only == "file" else 0o755)
        file.chmod(0o644 if read_only == "file" else 0o666)
        code = (
            "import os, sys; from qualification.results.store import Store;"
            "from qualification.results.usable import usable;"
            f"Store(sys.argv[1]).latest(); os.setuid({NOBODY}); usable(sys.argv[1])"
        )
        command = [sys.executable, "-c", code, f"sqlite:///{file}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "StoreError: sqlite:///" in done.stderr
    assert "read-only" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "'nonsense' is no database URL"),
        ("oracle9://x/y", "'oracle9' is no kind of database"),
        ("mysql+pymysql://x/y", "needs the Python package pymysql, which is not installed"),
        ("postgresql://me:hush/hush@host:port/name", "is no database URL"),
    ],
)
def test_a_url_that_names_no_database_is_refused(url, words):
    """No password is printed."""
    text = sentence(url)
    assert words in text
    assert "hush" not in text


def test_a_server_that_cannot_be_reached_is_refused():
    """Port 1 has no server."""
    pytest.importorskip("psycopg")
    text = sentence("postgresql+psycopg://me:hush-hush@127.0.0.1:1/name")
    assert "its server cannot be reached" in text
    assert "hush" not in text


def test_a_large_file_is_not_read_as_a_whole(file, monkeypatch):
    """It would take longer than a person waits."""
    spoil(file, "checks")
    monkeypatch.setattr(module, "_CHECKED_BYTES", 1000)
    usable(f"sqlite:///{file}")
