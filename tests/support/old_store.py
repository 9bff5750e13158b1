"""A results database as version 1 of the store made it, with sessions of the sample in it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from pathlib import Path

from qualification.core.results import Results
from tests.support.session_sample import results, session

_OF_SESSION = (
    "number INTEGER NOT NULL, session VARCHAR(64) NOT NULL, deployment VARCHAR(200) NOT NULL, {}, "
    "PRIMARY KEY (number), FOREIGN KEY(session) REFERENCES sessions (identifier)"
)
TABLES = {
    "schema": "version INTEGER NOT NULL, PRIMARY KEY (version)",
    "sessions": (
        "identifier VARCHAR(64) NOT NULL, started VARCHAR(40) NOT NULL, "
        "machine VARCHAR(64) NOT NULL, tier VARCHAR(32) NOT NULL, record JSON NOT NULL, "
        "PRIMARY KEY (identifier)"
    ),
    "trials": _OF_SESSION.format(
        "metric VARCHAR(64) NOT NULL, value FLOAT, unit VARCHAR(16) NOT NULL, "
        "repetition INTEGER NOT NULL, suite VARCHAR(64) NOT NULL"
    ),
    "checks": _OF_SESSION.format(
        "suite VARCHAR(64) NOT NULL, test VARCHAR(200) NOT NULL, outcome VARCHAR(16) NOT NULL, "
        "detail TEXT NOT NULL, known_bug VARCHAR(64) NOT NULL"
    ),
    "verdicts": _OF_SESSION.format("record JSON NOT NULL"),
    "load_reports": _OF_SESSION.format("record JSON NOT NULL"),
}
SESSIONS = (
    ("c", "2099-01-01T00:00:00+00:00"),
    ("b", "2026-01-02T00:00:00+00:00"),
    ("a", "2026-01-03T00:00:00+00:00"),
)
"""Identifier and start, in the order of their storing: the clock was set back after the first."""


def make_old_store(file: Path) -> None:
    """Write the database; its tables are those that release 0.1.0 made."""
    with sqlite3.connect(file) as database:
        for name, columns in TABLES.items():
            database.execute(f"CREATE TABLE {name} ({columns})")
        for table, column in (("sessions", "started"), ("sessions", "machine")):
            database.execute(f"CREATE INDEX ix_{table}_{column} ON {table} ({column})")
        for table in ("trials", "checks", "verdicts", "load_reports"):
            database.execute(f"CREATE INDEX ix_{table}_deployment ON {table} (deployment)")
        database.execute("INSERT INTO schema VALUES (1)")
        for name, started in SESSIONS:
            _insert(database, results(session=session(name, started)))
    database.close()


def _insert(database: sqlite3.Connection, stored: Results) -> None:
    record = json.dumps(dataclasses.asdict(stored.session))
    machine, identifier = stored.session.machine, stored.session.identifier
    values = (identifier, stored.session.started, machine.identifier, machine.tier, record)
    database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", values)
    for table, records in (
        ("verdicts", {verdict.deployment: verdict for verdict in stored.verdicts}),
        ("load_reports", stored.load_reports),
    ):
        for deployment, content in records.items():
            text = json.dumps(dataclasses.asdict(content))
            database.execute(
                f"INSERT INTO {table} (session, deployment, record) VALUES (?, ?, ?)",
                (identifier, deployment, text),
            )
    for table, rows in (("trials", stored.trials), ("checks", stored.checks)):
        for row in rows:
            fields = {"session": identifier, **dataclasses.asdict(row)}
            marks = ", ".join("?" * len(fields))
            database.execute(
                f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})",
                tuple(fields.values()),
            )
