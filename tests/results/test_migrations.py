"""A store of an older release is brought up to date once, and a copy of it is kept."""

import sqlite3
import subprocess
import sys

import pytest

from qualification.core.errors import StoreError
from qualification.results.store import Store
from tests.support.old_store import SESSIONS, make_old_store
from tests.support.session_sample import results, session


@pytest.fixture
def old(tmp_path):
    """The file of a store of version 1."""
    file = tmp_path / "results.sqlite"
    make_old_store(file)
    return file


def tables(file):
    """Table -> its columns, keys and indexes, whatever their order in the file."""
    with sqlite3.connect(file) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master")]
        facts = {
            name: [
                sorted(database.execute(f"SELECT * FROM pragma_{fact}('{name}')").fetchall())
                for fact in ("table_info", "foreign_key_list", "index_xinfo")
            ]
            for name in names
        }
    database.close()
    return facts


def test_an_old_store_becomes_what_a_new_one_is(old, tmp_path):
    """Table by table, and nothing of its sessions is lost."""
    store = Store(f"sqlite:///{old}")
    new = tmp_path / "new.sqlite"
    Store(f"sqlite:///{new}")
    assert tables(old) == tables(new)
    for name, started in SESSIONS:
        assert store.results(name) == results(session=session(name, started))


def test_old_sessions_have_the_order_in_which_they_were_stored(old):
    """And not that of the clock, which was set back after the first."""
    store = Store(f"sqlite:///{old}")
    assert store.latest() == SESSIONS[-1][0]
    store.keep(results(session=session("new", "1970-01-01T00:00:00+00:00")))
    assert store.latest() == "new"


def test_a_copy_of_the_old_store_is_kept_and_never_written_over(old):
    """Under the next free name where there is one already."""
    before = tables(old)
    (old.parent / "results.sqlite.v1.bak").write_text("an older copy")
    Store(f"sqlite:///{old}")
    assert (old.parent / "results.sqlite.v1.bak").read_text() == "an older copy"
    assert tables(old.parent / "results.sqlite.v1-2.bak") == before
    names = {file.name for file in old.parent.iterdir()}
    assert names == {"results.sqlite", "results.sqlite.v1.bak", "results.sqlite.v1-2.bak"}


def test_the_version_stays_where_an_older_release_reads_it(old):
    """It refuses version 3 in its own sentence."""
    Store(f"sqlite:///{old}")
    with sqlite3.connect(old) as database:
        assert database.execute("SELECT version FROM schema").fetchall() == [(3,)]
    database.close()


def test_processes_that_open_an_old_store_at_once_migrate_it_once(old):
    """Each of them can store a session."""
    code = (
        "import sys; from qualification.results.store import Store;"
        "from tests.support.session_sample import results, session;"
        "sys.stdin.readline();"
        "Store(sys.argv[1]).keep(results(session=session(sys.argv[2])))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"sqlite:///{old}", f"new-{number}"], stdin=subprocess.PIPE
        )
        for number in range(3)
    ]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0] * 3
    assert [file.name for file in old.parent.glob("*.bak")] == ["results.sqlite.v1.bak"]
    with sqlite3.connect(old) as database:
        numbers = database.execute("SELECT number FROM sessions ORDER BY number").fetchall()
    database.close()
    assert numbers == [(number,) for number in range(1, 7)]


def test_a_migration_that_fails_leaves_the_old_store_as_it_was(old):
    """A table is missing, say."""
    with sqlite3.connect(old) as database:
        database.execute("DROP TABLE checks")
    database.close()
    before = tables(old)
    with pytest.raises(StoreError, match="its table 'checks' lacks number, session"):
        Store(f"sqlite:///{old}")
    assert tables(old) == before
