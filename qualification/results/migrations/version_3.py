"""Version 3: answers to generated questions are kept, and rows are found by their session."""

from __future__ import annotations

import sqlalchemy as sql
from alembic.operations import Operations


def upgrade(operations: Operations) -> None:
    """Make the table of answers, empty, and the indexes; a table that is missing is told later."""
    operations.create_table(
        "answers",
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column(
            "session", sql.String(64), sql.ForeignKey("sessions.identifier"), nullable=False
        ),
        sql.Column("deployment", sql.String(200), nullable=False),
        sql.Column("question", sql.String(64), nullable=False),
        sql.Column("skill", sql.String(16), nullable=False),
        sql.Column("prompt", sql.Text, nullable=False),
        sql.Column("expected", sql.String(64), nullable=False),
        sql.Column("text", sql.Text, nullable=False),
        sql.Column("is_correct", sql.Boolean, nullable=False),
    )
    operations.create_index("ix_answers_deployment", "answers", ["deployment"])
    present = sql.inspect(operations.get_bind()).get_table_names()
    for table in sorted({"trials", "checks", "verdicts", "load_reports", "answers"} & {*present}):
        operations.create_index(f"ix_{table}_session", table, ["session"])
