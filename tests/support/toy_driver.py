"""A database driver that connects, waits for a byte, and repeats its URL in every error.

Importing it registers it with SQLAlchemy, as ``toydb://``.
"""

from __future__ import annotations

import socket
import types
from typing import Any, NoReturn

from sqlalchemy.dialects import registry
from sqlalchemy.engine.default import DefaultDialect


class Error(Exception):
    """As every driver has it."""


def connect(host: str, port: int, username: str, password: str = "", **options: str) -> NoReturn:
    """Wait without end for the server's first byte; raises Error with all that it was given."""
    address = f"toydb://{username}:{password}@{host}:{port}?{options}"
    try:
        with socket.create_connection((host, port)) as connection:
            greeting = connection.recv(1)
    except OSError as error:
        raise Error(f"{address}: {error}") from error
    raise Error(f"{address}: " + ("it speaks another protocol" if greeting else "it hung up"))


DRIVER = types.SimpleNamespace(connect=connect, Error=Error, paramstyle="qmark")


class ToyDialect(DefaultDialect):
    """Knows no SQL: nothing gets so far."""

    name = "toydb"
    driver = "toy"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver."""
        return DRIVER


registry.register("toydb", __name__, "ToyDialect")
