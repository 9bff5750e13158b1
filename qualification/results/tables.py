"""The tables of the results database, as this release makes them.

A change of them is a migration too: qualification/results/migrations.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql

STORE_VERSION = 3
"""The version of these tables. What their JSON columns hold has a version of its own."""

TABLES = sql.MetaData()
SCHEMA = sql.Table("schema", TABLES, sql.Column("version", sql.Integer, primary_key=True))
"""One row. Every release reads it first, so it never changes its form."""

SESSIONS = sql.Table(
    "sessions",
    TABLES,
    sql.Column("identifier", sql.String(64), primary_key=True),
    sql.Column("started", sql.String(40), nullable=False),
    sql.Column("machine", sql.String(64), nullable=False, index=True),
    sql.Column("tier", sql.String(32), nullable=False),
    sql.Column("record", sql.JSON, nullable=False),
    sql.Column("number", sql.Integer, nullable=False, index=True, unique=True),
)
"""``number`` is the order in which they were stored; ``started``, a clock's, is for display."""


def _of_session(name: str, *columns: sql.Column[Any]) -> sql.Table:
    return sql.Table(
        name,
        TABLES,
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column(
            "session",
            sql.String(64),
            sql.ForeignKey("sessions.identifier"),
            nullable=False,
            index=True,
        ),
        sql.Column("deployment", sql.String(200), nullable=False, index=True),
        *columns,
    )


TRIALS = _of_session(
    "trials",
    sql.Column("metric", sql.String(64), nullable=False),
    sql.Column("value", sql.Float),
    sql.Column("unit", sql.String(16), nullable=False),
    sql.Column("repetition", sql.Integer, nullable=False),
    sql.Column("suite", sql.String(64), nullable=False),
)
CHECKS = _of_session(
    "checks",
    sql.Column("suite", sql.String(64), nullable=False),
    sql.Column("test", sql.String(200), nullable=False),
    sql.Column("outcome", sql.String(16), nullable=False),
    sql.Column("detail", sql.Text, nullable=False),
    sql.Column("known_bug", sql.String(64), nullable=False),
)
VERDICTS = _of_session("verdicts", sql.Column("record", sql.JSON, nullable=False))
LOAD_REPORTS = _of_session("load_reports", sql.Column("record", sql.JSON, nullable=False))
ANSWERS = _of_session(
    "answers",
    sql.Column("question", sql.String(64), nullable=False),
    sql.Column("skill", sql.String(16), nullable=False),
    sql.Column("prompt", sql.Text, nullable=False),
    sql.Column("expected", sql.String(64), nullable=False),
    sql.Column("text", sql.Text, nullable=False),
    sql.Column("is_correct", sql.Boolean, nullable=False),
)

OF_A_SESSION = (TRIALS, CHECKS, VERDICTS, LOAD_REPORTS, ANSWERS)
"""The tables whose rows belong to a session."""
