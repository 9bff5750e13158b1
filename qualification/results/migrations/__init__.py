"""Migrations of the results database: ``version_<n>.py`` turns version n - 1 into version n.

They are written with alembic's operations, and run within the caller's transaction. The version is
that of our table ``schema``, which older releases read, and not a table of alembic's own: two
records of one version could differ. A migration names tables and columns as they were then, and
imports nothing of ``tables.py``.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sql
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from qualification.results.tables import SCHEMA, STORE_VERSION


def migrate(connection: sql.Connection, version: int) -> None:
    """Bring a database of an older version to the present one."""
    operations = Operations(MigrationContext.configure(connection))
    for number in range(version + 1, STORE_VERSION + 1):
        importlib.import_module(f"{__name__}.version_{number}").upgrade(operations)
        connection.execute(SCHEMA.update().values(version=number))
