"""Results are kept whole, never changed, and never silently misread."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import StoreError
from qualification.results.store import Store
from tests.support.session_sample import results, session, trials


@pytest.fixture
def store(tmp_path):
    """An empty database."""
    return Store(f"sqlite:///{tmp_path / 'deep/folder/results.sqlite'}")


def test_what_is_kept_comes_back_equal(store):
    """A round trip changes nothing."""
    store.keep(results())
    assert store.results(store.latest()) == results()


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
@settings(max_examples=20, deadline=None)
def test_every_finite_trial_comes_back_to_the_bit(values, tmp_path_factory):
    """Raw numbers are not rounded."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'r.sqlite'}")
    record = results(trials=trials("decode_tps", *values))
    store.keep(record)
    assert store.results(store.latest()).trials == record.trials


def test_the_newest_session_is_found_per_machine(store):
    """Sessions of another machine are left alone."""
    store.keep(results(session=session("a", "2026-01-01T00:00:00+00:00")))
    store.keep(results(session=session("b", "2026-01-03T00:00:00+00:00", identifier="m-2")))
    store.keep(results(session=session("c", "2026-01-02T00:00:00+00:00")))
    assert store.latest() == "b"
    assert store.latest("m-1") == "c"


def test_a_session_is_kept_whole_or_not_at_all(store):
    """A second session of the same name changes nothing of the first."""
    store.keep(results())
    with pytest.raises(StoreError, match="could not be written"):
        store.keep(results(trials=()))
    assert store.results(store.latest()) == results()


def test_an_empty_store_says_what_to_do(store):
    """No session yet is one sentence."""
    with pytest.raises(StoreError, match="pytest -m canary"):
        store.latest()
    with pytest.raises(StoreError, match="no session 'x'"):
        store.results("x")


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////proc/nowhere/x.sqlite", "oracle9://x/y"])
def test_an_unusable_database_is_one_error(url):
    """A wrong URL, a folder that cannot be made, a driver that is not installed."""
    with pytest.raises(StoreError):
        Store(url)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    """Somebody's file is not overwritten."""
    file = tmp_path / "results.sqlite"
    file.write_text("my notes, not a database\n" * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(f"sqlite:///{file}")
    assert file.read_text().startswith("my notes")


def test_another_schema_version_is_refused(tmp_path):
    """A newer release's database is neither read nor written."""
    file = tmp_path / "results.sqlite"
    Store(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        database.execute("update schema set version = 99")
    with pytest.raises(StoreError, match="schema version 99"):
        Store(f"sqlite:///{file}")


def test_a_damaged_row_is_named(tmp_path):
    """A record that cannot be read is an error with its key, not a guess."""
    file = tmp_path / "results.sqlite"
    store = Store(f"sqlite:///{file}")
    store.keep(results())
    with sqlite3.connect(file) as database:
        database.execute("update sessions set record = json_remove(record, '$.machine.chip')")
    with pytest.raises(StoreError, match=r"machine\.chip"):
        store.results(store.latest())
