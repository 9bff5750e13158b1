"""Which TCP ports of the loopback address are free, and who listens on one that is not.

Nobody is connected to, and nobody is ended.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from typing import Any

import psutil

from qualification.core.text import disarm

LOOPBACK = "127.0.0.1"
UNSEEN = "a process that this user may not see"
_UNPRIVILEGED = 1024
KEPT = "the system, for administrators only"


def is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        if sys.platform == "linux":
            # A connection that has just ended does not count, as for any server. On macOS the
            # option would also pass over somebody who listens on all addresses.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:  # taken, or not for this user
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; the system picks it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listeners(port: int) -> tuple[int | None, ...]:
    """Process ids of all who listen on a port of loopback; ``None`` is one that is not told."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:  # macOS tells only an administrator of all; each user of his own
        return listening(port, (process.pid for process in psutil.process_iter()))
    found = {one.pid for one in connections if _listens(one, port)}
    return tuple(sorted(found, key=lambda pid: (pid is None, pid)))


def listening(port: int, pids: Iterable[int]) -> tuple[int, ...]:
    """Those of some processes that listen on a port, as far as this user may know."""
    found = []
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(_listens(one, port) for one in connections):
            found.append(pid)
    return tuple(found)


def owner(port: int) -> str:
    """Who listens on a port, in words: ``nginx (pid 123)``."""
    named = []
    for pid in listeners(port):
        if pid is None:
            continue
        try:
            named.append(f"{disarm(psutil.Process(pid).name(), 60)} (pid {pid})")
        except psutil.Error:
            named.append(f"pid {pid}")
    return " and ".join(named) or (KEPT if port < _UNPRIVILEGED else UNSEEN)


def _listens(connection: Any, port: int) -> bool:
    address = connection.laddr
    return bool(
        connection.status == psutil.CONN_LISTEN
        and address
        and address.port == port
        and address.ip in (LOOPBACK, "0.0.0.0", "::", "::1", "::ffff:127.0.0.1")  # noqa: S104
    )
