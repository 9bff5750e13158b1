"""Results are kept whole, never changed, and never silently misread."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

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
    store.keep(results(session=session("c", "2026-01-02T00:00:00+00:00")))
    store.keep(results(session=session("b", "2026-01-03T00:00:00+00:00", identifier="m-2")))
    assert store.latest() == "b"
    assert store.latest("m-1") == "c"


def test_a_clock_that_was_set_back_makes_no_session_older(store):
    """One that was in the future does not stay the newest."""
    store.keep(results(session=session("future", "2099-01-01T00:00:00+00:00")))
    store.keep(results(session=session("later", "2026-01-01T00:00:00+00:00")))
    assert store.latest() == "later"


def test_sessions_stored_at_once_each_have_a_number(tmp_path):
    """No two of them the same."""
    url = f"sqlite:///{tmp_path / 'results.sqlite'}"
    with ThreadPoolExecutor(8) as threads:
        for name in "abcdefgh":
            threads.submit(Store(url).keep, results(session=session(name)))
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        numbers = database.execute("select number from sessions order by number").fetchall()
    assert numbers == [(number,) for number in range(1, 9)]


def test_a_session_is_kept_whole_or_not_at_all(store):
    """A second session of the same name is refused by name, and changes nothing of the first."""
    store.keep(results())
    with pytest.raises(StoreError, match="holds a session '20260101T000000Z-abc123' already"):
        store.keep(results(trials=()))
    assert store.results(store.latest()) == results()


def test_a_store_that_a_newer_release_has_migrated_meanwhile_is_not_written(tmp_path):
    """It was opened when it still had our version."""
    file = tmp_path / "results.sqlite"
    store = Store(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        database.execute("update schema set version = 4")
    with pytest.raises(StoreError, match="has schema version 4 by now, this release writes 3"):
        store.keep(results())


def test_an_empty_store_says_what_to_do(store):
    """No session yet is one sentence."""
    with pytest.raises(StoreError, match="pytest -m canary"):
        store.latest()
    with pytest.raises(StoreError, match="no session 'x'"):
        store.results("x")


def test_a_damaged_row_is_named(tmp_path):
    """A record that cannot be read is an error with its key, not a guess."""
    file = tmp_path / "results.sqlite"
    store = Store(f"sqlite:///{file}")
    store.keep(results())
    with sqlite3.connect(file) as database:
        database.execute("update sessions set record = json_remove(record, '$.machine.chip')")
    with pytest.raises(StoreError, match=r"machine\.chip"):
        store.results(store.latest())
