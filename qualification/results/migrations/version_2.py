"""Version 2: sessions have a number, by which they are ordered, instead of a clock's time."""

from __future__ import annotations

import sqlalchemy as sql
from alembic.operations import Operations


def upgrade(operations: Operations) -> None:
    """Number the sessions in the order of their verdicts' rows, which is that of their storing.

    A session without a verdict tried nothing; those come first, by the time of their start.
    """
    operations.add_column("sessions", sql.Column("number", sql.Integer))
    connection = operations.get_bind()
    identifiers = connection.execute(
        sql.text(
            "SELECT sessions.identifier FROM sessions "
            "LEFT JOIN verdicts ON verdicts.session = sessions.identifier "
            "GROUP BY sessions.identifier, sessions.started "
            "ORDER BY coalesce(min(verdicts.number), 0), sessions.started, sessions.identifier"
        )
    ).scalars()
    numbered = sql.text("UPDATE sessions SET number = :number WHERE identifier = :identifier")
    for number, identifier in enumerate(identifiers.all(), start=1):
        connection.execute(numbered, {"number": number, "identifier": identifier})
    operations.drop_index("ix_sessions_started", "sessions")
    with operations.batch_alter_table("sessions") as sessions:
        sessions.alter_column("number", existing_type=sql.Integer(), nullable=False)
    operations.create_index("ix_sessions_number", "sessions", ["number"], unique=True)
