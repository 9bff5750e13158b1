"""Each server that cannot keep results stops a run before its first test, without its password."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.toy_project import ASKING, SECRET

IMPATIENT = """
from qualification.results import opening
opening.ANSWER_S = opening.LOCKED_S = 1.0
import tests.support.toy_driver
"""
"""A conftest: nobody waits fifteen seconds; ``toydb`` is a driver without a time limit."""

DRIVERS = ["toydb", "postgresql+psycopg"]
NOBODY = 65534
_PROGRAMS = ("initdb", "pg_ctl", "postgres")


@contextlib.contextmanager
def listening(greeting: bytes | None = None) -> Iterator[int]:
    """The port of a server that says ``greeting`` and hangs up; None: it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connections = []  # held open, or the client would see an end
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    connections.append(connection)
                    if greeting is not None:
                        connection.sendall(greeting)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def refused(project, url):
    """The sentence of a run that stopped because of its server."""
    if "psycopg" in url:
        pytest.importorskip("psycopg")
    (project.path / "conftest.py").write_text(IMPATIENT)
    sentence = project.stopped("--results", url)
    assert "--results" in sentence
    return sentence


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_is_not_there_stops_the_run(toy_project, driver):
    """Nobody listens."""
    url = f"{driver}://me:{SECRET}@127.0.0.1:1/x"
    assert "its server cannot be reached" in refused(toy_project, url)


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_never_answers_stops_the_run(toy_project, driver):
    """It accepts the connection; a driver without a time limit would wait for ever."""
    began = time.monotonic()
    with listening() as port:
        sentence = refused(toy_project, f"{driver}://me:{SECRET}@127.0.0.1:{port}/x")
    assert "its server has not answered for 1 s" in sentence
    assert time.monotonic() - began < 30


@pytest.mark.slow
@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_of_another_kind_stops_the_run(toy_project, driver, greeting):
    """It hangs up, or speaks another protocol."""
    with listening(greeting) as port:
        sentence = refused(toy_project, f"{driver}://me:{SECRET}@127.0.0.1:{port}/x")
    assert "its server cannot be reached" in sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"toydb://me:{SECRET}@a@127.0.0.1:1/x", "write that as %40"),
        (f"toydb://me:a@{SECRET}@127.0.0.1:1/x", "write that as %40"),
        (f"toydb://me:a@a/{SECRET}@127.0.0.1:1/x", "write that as %40"),
        (f"toydb://me:1/{SECRET}@127.0.0.1:1/x", "toydb://127.0.0.1:1/x: its server"),
        (f"toydb://me:@127.0.0.1:1/x?password={SECRET}", "Connection refused"),
        (f"toydb://me:{SECRET}@127.0.0.1:port/x", "is no database URL"),
        (f"toydb://me:{SECRET}@no-such-host.invalid:1/x", "its server cannot be reached"),
    ],
)
def test_a_url_with_a_mistake_stops_the_run(toy_project, url, words):
    """Whatever is wrong with it, its password is not shown."""
    assert words in refused(toy_project, url)


@pytest.fixture(scope="module")
def postgres():
    """The address of a PostgreSQL server of our own, behind the login of ``owner``."""
    psycopg = pytest.importorskip("psycopg")
    if not all(map(shutil.which, _PROGRAMS)):
        pytest.skip(f"no PostgreSQL here: {', '.join(_PROGRAMS)}")
    folder = Path(tempfile.mkdtemp(prefix="toy-postgres-"))
    # PostgreSQL refuses to run as root.
    user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, NOBODY, NOBODY)
    (folder / "password").write_text(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def run(*words: object) -> None:
        subprocess.run(
            list(map(str, words)), check=True, cwd=folder, stdout=subprocess.DEVNULL, **user
        )

    data = folder / "data"
    login = ("-U", "owner", f"--pwfile={folder / 'password'}")
    run("initdb", "-D", data, *login, "--auth=scram-sha-256", "-N", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run("pg_ctl", "start", "-w", "-D", data, "-l", folder / "log", "-o", options)
    try:
        with psycopg.connect(_dsn(port), autocommit=True) as connection:
            connection.execute(f"create role guest login password '{SECRET}'")
        yield port
    finally:
        run("pg_ctl", "stop", "-D", data, "-m", "immediate")
        shutil.rmtree(folder)


def _dsn(port: int) -> str:
    return f"host=127.0.0.1 port={port} user=owner password={SECRET} dbname=postgres"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("login", "name", "words"),
    [
        (f"owner:not-{SECRET}", "postgres", "password authentication failed"),
        (f"nobody:{SECRET}", "postgres", "password authentication failed"),
        (f"owner:{SECRET}", "nothing", 'database "nothing" does not exist'),
        (f"guest:{SECRET}", "postgres", "permission denied"),
        (
            f"owner:{SECRET}",
            "postgres?options=-cdefault_transaction_read_only%3Don",
            "read-only transaction",
        ),
    ],
    ids=["wrong password", "no such user", "no database", "no rights", "read-only"],
)
def test_a_postgresql_that_does_not_take_results_stops_the_run(
    toy_project, postgres, login, name, words
):
    """A real one, with its real driver."""
    url = f"postgresql+psycopg://{login}@127.0.0.1:{postgres}/{name}"
    assert words in refused(toy_project, url)


@pytest.mark.slow
def test_a_postgresql_whose_tables_are_locked_stops_the_run(toy_project, postgres):
    """By a session that does not end; and once it has ended, the run is stored there."""
    psycopg = pytest.importorskip("psycopg")
    url = f"postgresql+psycopg://owner:{SECRET}@127.0.0.1:{postgres}/postgres"
    toy_project.run("--results", url, suite=ASKING).assert_outcomes(passed=1)
    (toy_project.path / "asked").unlink()
    with psycopg.connect(_dsn(postgres)) as connection:
        connection.execute("lock table sessions in access exclusive mode")
        assert "another process has locked it" in refused(toy_project, url)
    with psycopg.connect(_dsn(postgres)) as connection:
        assert connection.execute("select count(*) from sessions").fetchone() == (1,)
