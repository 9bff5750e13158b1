"""The results database: SQLite by default, any other by its SQLAlchemy URL.

Raw trials are rows; statistics are derived on demand. A session is written in one transaction; one
that was interrupted is written anew as a whole when it was resumed. Nothing else is ever updated,
and results of other machines stay as they are. Sessions are ordered by the number that each got
when it was stored, never by a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from pydantic import TypeAdapter, ValidationError

from qualification.core.errors import StoreError
from qualification.core.protocol import LoadReport, to_json
from qualification.core.results import Answer, Check, Results, Session, Trial, Verdict
from qualification.core.validation import first_problem
from qualification.results.opening import opened
from qualification.results.refusals import ANOTHER
from qualification.results.tables import (
    ANSWERS,
    CHECKS,
    LOAD_REPORTS,
    OF_A_SESSION,
    SCHEMA,
    SESSIONS,
    STORE_VERSION,
    TRIALS,
    VERDICTS,
)

_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (Session, Verdict, Trial, Check, LoadReport, Answer)
}
"""Making one takes as long as a thousand rows."""


@dataclass(frozen=True)
class Summary:
    """A stored session; ``untried`` of its tests were selected and not finished."""

    identifier: str
    machine: str
    tier: str
    untried: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        record: dict[str, Any] = to_json(self)
        return {"session": record.pop("identifier")} | record


class Store:
    """Writes sessions and reads them back."""

    def __init__(self, url: str) -> None:
        self._database = opened(url)
        self._name = self._database.name

    def keep(self, results: Results, *, resumed: bool = False) -> None:
        """Write one session with all that belongs to it, or nothing.

        One that was ``resumed`` takes the place of what it stored when it was interrupted.
        StoreError where it cannot be written, or where there is one of its name.
        """
        session = results.session
        key = {"session": session.identifier}
        rows: list[tuple[sql.Table, list[dict[str, Any]]]] = [
            (TRIALS, [key | to_json(trial) for trial in results.trials]),
            (CHECKS, [key | to_json(check) for check in results.checks]),
            (
                VERDICTS,
                [
                    key | {"deployment": verdict.deployment, "record": to_json(verdict)}
                    for verdict in results.verdicts
                ],
            ),
            (
                LOAD_REPORTS,
                [
                    key | {"deployment": deployment, "record": to_json(report)}
                    for deployment, report in results.load_reports.items()
                ],
            ),
            (ANSWERS, [key | to_json(answer) for answer in results.answers]),
        ]
        with self._database.transaction(writes=True) as connection:
            if resumed:
                for table in OF_A_SESSION:
                    connection.execute(table.delete().where(table.c.session == session.identifier))
                connection.execute(
                    SESSIONS.delete().where(SESSIONS.c.identifier == session.identifier)
                )
            self._insert(connection, session)
            for table, values in rows:
                if values:
                    connection.execute(table.insert(), values)

    def latest(self, machine: str = "") -> str:
        """Identifier of the session stored last (of one machine); StoreError if there is none."""
        query = sql.select(SESSIONS.c.identifier).order_by(SESSIONS.c.number.desc())
        if machine:
            query = query.where(SESSIONS.c.machine == machine)
        with self._database.transaction() as connection:
            identifier = connection.execute(query).scalar()
        if identifier is None:
            whose = " of this machine" if machine else ""
            raise StoreError(f"{self._name}: no session{whose} yet; run pytest -m canary first")
        return str(identifier)

    def before(self, results: Results) -> str:
        """The newest earlier session to compare with; '' where there is none.

        Of the same machine and environment, with one of its deployments at least.
        """
        session = results.session
        deployments = [verdict.deployment for verdict in results.verdicts]
        number = (
            sql.select(SESSIONS.c.number)
            .where(SESSIONS.c.identifier == session.identifier)
            .scalar_subquery()
        )
        earlier = (
            sql.select(SESSIONS.c.identifier, SESSIONS.c.record)
            .where(SESSIONS.c.machine == session.machine.identifier, SESSIONS.c.number < number)
            .order_by(SESSIONS.c.number.desc())
        )
        with self._database.transaction() as connection:
            for identifier, record in connection.execute(earlier).all():
                alike = sql.select(VERDICTS.c.number).where(
                    VERDICTS.c.session == identifier, VERDICTS.c.deployment.in_(deployments)
                )
                is_same = record["environment"]["name"] == session.environment.name
                if is_same and connection.execute(alike.limit(1)).first():
                    return str(identifier)
        return ""

    def summaries(self) -> list[Summary]:
        """A line for each session, in the order in which they were stored."""
        query = sql.select(SESSIONS).order_by(SESSIONS.c.number)
        with self._database.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Summary(
                row["identifier"],
                row["machine"],
                row["tier"],
                sum((row["record"].get("untried") or {}).values()),
            )
            for row in rows
        ]

    def results(self, identifier: str) -> Results:
        """The whole record of a session; StoreError where there is none."""
        query = sql.select(SESSIONS.c.record).where(SESSIONS.c.identifier == identifier)
        with self._database.transaction() as connection:
            record = connection.execute(query).scalar()
            trials, checks, verdicts, loads, answers = (
                _rows(connection, table, identifier) for table in OF_A_SESSION
            )
        if record is None:
            raise StoreError(f"{self._name}: holds no session {identifier!r}")
        return Results(
            session=self._parsed(Session, record),
            verdicts=tuple(self._parsed(Verdict, row["record"]) for row in verdicts),
            trials=tuple(self._parsed(Trial, row) for row in trials),
            checks=tuple(self._parsed(Check, row) for row in checks),
            load_reports={
                row["deployment"]: self._parsed(LoadReport, row["record"]) for row in loads
            },
            answers=tuple(self._parsed(Answer, row) for row in answers),
        )

    def _insert(self, connection: sql.Connection, session: Session) -> None:
        """Insert a session under the next number; the lock of the version's row keeps others out.

        An SQLite file has no locks of rows: there the whole transaction is alone.
        """
        version = connection.execute(sql.select(SCHEMA.c.version).with_for_update()).scalar()
        if version != STORE_VERSION:
            raise StoreError(
                f"{self._name}: has schema version {version} by now, this release writes "
                f"{STORE_VERSION}: {ANOTHER}"
            )
        name = session.identifier
        if connection.execute(sql.select(SESSIONS).where(SESSIONS.c.identifier == name)).first():
            raise StoreError(
                f"{self._name}: holds a session {name!r} already, so this one was not stored: "
                f"give it a name of its own, or {ANOTHER}"
            )
        next_number = sql.select(sql.func.coalesce(sql.func.max(SESSIONS.c.number), 0) + 1)
        connection.execute(
            SESSIONS.insert().values(
                number=next_number.scalar_subquery(),
                identifier=name,
                started=session.started,
                machine=session.machine.identifier,
                tier=session.machine.tier,
                record=to_json(session),
            )
        )

    def _parsed(self, kind: type[Any], value: Any) -> Any:
        try:
            return _ADAPTERS[kind].validate_python(value)
        except ValidationError as error:
            raise StoreError(
                f"{self._name}: holds a {kind.__name__} that cannot be read: {first_problem(error)}"
            ) from error


def _rows(connection: sql.Connection, table: sql.Table, identifier: str) -> list[dict[str, Any]]:
    query = sql.select(table).where(table.c.session == identifier).order_by(table.c.number)
    # SQLite stores NaN as NULL; only trials have such a column.
    return [
        {
            key: float("nan") if key == "value" and value is None else value
            for key, value in row.items()
            if key not in ("number", "session")
        }
        for row in connection.execute(query).mappings()
    ]
