"""Why a results database cannot be used: whatever SQLAlchemy or a driver raises, as one sentence.

No sentence has an SQL text, its parameters or a password.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Collection

from sqlalchemy.exc import DBAPIError

from qualification.core.errors import StoreError

ANOTHER = "name another database with --results or QUALIFY_RESULTS"
LOCKED_S = 15.0
"""How long another process may hold the lock of a database before we give up, in seconds."""
_SHORTEST = 4
"""Characters of a password; what is left of a text without a shorter one would show it."""
_LOCKED = "55P03"
"""PostgreSQL's number for a lock that was not had in time."""

_OF_SQLITE = {
    "SQLITE_BUSY": "another process has locked it for over {locked_s:.0f} s: end that process, or",
    "SQLITE_FULL": "no space is left on its disk: free some, or",
    "SQLITE_READONLY": "it, or its folder, is read-only: make both writable, or",
    "SQLITE_PERM": "it, or its folder, may not be opened by this user: change that, or",
    "SQLITE_CANTOPEN": "it cannot be opened, or its folder is read-only: make both writable, or",
    "SQLITE_IOERR": "its disk cannot be read or written: free space or repair it, or",
    "SQLITE_CORRUPT": "it is corrupt: put a copy of yours in its place, or",
    "SQLITE_NOTADB": "it is no SQLite database and stays as it is:",
}
_OF_SYSTEM = {
    errno.EACCES: "SQLITE_READONLY",
    errno.EPERM: "SQLITE_READONLY",
    errno.EROFS: "SQLITE_READONLY",
    errno.ENOSPC: "SQLITE_FULL",
    errno.EDQUOT: "SQLITE_FULL",
}


def refusal(name: str, error: Exception, secrets: Collection[str] = ()) -> StoreError:
    """The sentence for an error while a database was opened, read or written.

    The ``secrets`` in the error's text are left out.
    """
    original = getattr(error, "orig", None) or error
    code = ""
    if isinstance(original, sqlite3.Error):
        code = "_".join(str(getattr(original, "sqlite_errorname", "")).split("_")[:2])
    elif isinstance(original, OSError):
        code = _OF_SYSTEM.get(original.errno or 0, "")
    elif _LOCKED in (getattr(original, "sqlstate", ""), getattr(original, "pgcode", "")):
        code = "SQLITE_BUSY"
    if code in _OF_SQLITE:
        return StoreError(f"{name}: {_OF_SQLITE[code].format(locked_s=LOCKED_S)} {ANOTHER}")
    reason = _without(secrets, original).strip().partition("\n")[0]
    if isinstance(error, DBAPIError) and error.statement is None:
        return StoreError(
            f"{name}: its server cannot be reached, or lets nobody in ({reason}): start it, or "
            f"correct the URL, or {ANOTHER}"
        )
    return StoreError(f"{name}: cannot be used ({reason}): {ANOTHER}")


def has_secret(error: object, secrets: Collection[str]) -> bool:
    """Whether the text of an error has one of them."""
    text = str(error)
    return any(secret in text for secret in secrets)


def _without(secrets: Collection[str], error: Exception) -> str:
    """The text of an error with … for each secret; only its kind, if a short one is in the text."""
    text = str(error)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) < _SHORTEST and secret in text:
            return f"{type(error).__name__}, whose text has the password"
        text = text.replace(secret, "…")
    return text
