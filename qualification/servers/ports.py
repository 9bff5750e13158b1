"""Which TCP ports of the loopback address are free, and which process listens on the others.

No process is connected to, and none is ended.
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
RESERVED = "the system, for administrators only"
_UNPRIVILEGED = 1024


def is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        if sys.platform == "linux":
            # A connection that has just ended does not count, as for any server. On macOS the
            # option would also ignore a process that listens on all addresses.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:  # taken, or not for this user
            return False
    return True


def free_port() -> int:
    """A free port of 127.0.0.1, picked by the system."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listeners(port: int) -> tuple[int | None, ...]:
    """Process ids of all listeners on a port of loopback; ``None`` is one that cannot be seen."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:  # macOS shows all to administrators only, to a user the user's own
        return listening(port, (process.pid for process in psutil.process_iter()))
    pids = {connection.pid for connection in connections if _listens(connection, port)}
    return tuple(sorted(pids, key=lambda pid: (pid is None, pid)))


def listening(port: int, pids: Iterable[int]) -> tuple[int, ...]:
    """Those of some processes that listen on a port, as far as this user may know."""
    listed = []
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(_listens(connection, port) for connection in connections):
            listed.append(pid)
    return tuple(listed)


def owner(port: int) -> str:
    """The listener on a port, in words: ``nginx (pid 123)``."""
    named = []
    for pid in listeners(port):
        if pid is None:
            continue
        try:
            named.append(f"{disarm(psutil.Process(pid).name(), 60)} (pid {pid})")
        except psutil.Error:
            named.append(f"pid {pid}")
    return " and ".join(named) or (RESERVED if port < _UNPRIVILEGED else UNSEEN)


def _listens(connection: Any, port: int) -> bool:
    address = connection.laddr
    return bool(
        connection.status == psutil.CONN_LISTEN
        and address
        and address.port == port
        and address.ip in (LOOPBACK, "0.0.0.0", "::", "::1", "::ffff:127.0.0.1")  # noqa: S104
    )
