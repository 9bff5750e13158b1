"""The processes of one server or command, and what they hold together."""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from qualification.core.text import disarm
from qualification.machine.process_memory import held_bytes

RESCAN_S = 1.0
"""A child that is born is seen after so long: looking for all descendants takes milliseconds."""

FORWARDERS = frozenset(
    {"ssh", "sshd", "docker-proxy", "com.docker.backend", "vpnkit-bridge", "rootlessport", "socat",
     "nginx", "haproxy", "caddy", "envoy", "traefik", "kubectl", "gvproxy", "slirp4netns"}
)  # fmt: skip
"""Programs that hold a port for another: their memory is not the server's."""


def is_this_machine(host: str) -> bool:
    """Whether a host name or address of a URL is this machine: loopback, or an interface's own."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    if any(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found):
        return True
    own = {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
    }
    return any(one.partition("%")[0] in own for one in found)


class Tree:
    """The processes that ``roots`` names now, and their descendants.

    ``roots`` is asked again when one of them has ended. Safe to use from two threads.
    """

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self._roots = roots
        self._lock = threading.Lock()
        self._known: list[psutil.Process] = []
        self._tops: list[psutil.Process] = []
        self._scanned = -RESCAN_S

    def held(self) -> tuple[int | None, int | None, str]:
        """Bytes of its own, resident bytes, and the identity; ``None`` where nothing is seen."""
        with self._lock:
            self._scan()
            if not self._tops:
                return None, None, ""
            # A process that shares nothing is not told from one that does: pages that a parent and
            # its children share count for each, so a tree's sum is at most too high.
            sizes = [_sizes(process.pid) for process in self._known]
            identity = " ".join(f"{one.pid}@{one.create_time():.2f}" for one in self._tops)
            own, resident = sum(size[0] for size in sizes), sum(size[1] for size in sizes)
            return (own, resident, identity) if resident else (None, None, "")

    def describe(self) -> str:
        """``python (pid 123)``; '' where nothing is seen."""
        with self._lock:
            self._scan()
            return ", ".join(f"{_name(one)} (pid {one.pid})" for one in self._tops)

    def cpu_seconds(self) -> dict[int, float]:
        """Processor time by process, as :func:`qualification.machine.monitor.own_seconds` tells it."""
        with self._lock:
            self._scan()
            found = {}
            for process in self._known:
                try:
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                found[process.pid] = float(times.user + times.system)
            return found

    def _scan(self) -> None:
        now = time.monotonic()
        gone = not self._tops or not all(_is_alive(one) for one in self._tops)
        if not gone and now - self._scanned < RESCAN_S:
            return
        if gone:
            self._tops = _tops(self._roots())
        known = {one.pid: one for one in self._tops}
        for top in self._tops:
            try:
                known |= {one.pid: one for one in top.children(recursive=True)}
            except psutil.Error:
                continue
        self._known = list(known.values())
        self._scanned = now


def _tops(pids: Iterable[int]) -> list[psutil.Process]:
    """Of the processes those that no other of them has started, in the order of their numbers."""
    alive = {}
    for pid in sorted(set(pids)):
        try:
            process = psutil.Process(pid)
            process.create_time()
        except psutil.Error:
            continue
        if _is_alive(process):
            alive[pid] = process
    tops = []
    for pid, process in alive.items():
        try:
            above = {one.pid for one in process.parents()}
        except psutil.Error:
            above = set()
        if not above & (alive.keys() - {pid}):
            tops.append(process)
    return tops


def _is_alive(process: psutil.Process) -> bool:
    """Whether it is the same process still, and holds something: a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return disarm(str(process.name()), 60)
    except psutil.Error:
        return "a process"


def forwarder(pids: Iterable[int]) -> str:
    """The name of a program among them that only forwards a port; '' where there is none."""
    for pid in pids:
        try:
            name = str(psutil.Process(pid).name())
        except psutil.Error:
            continue
        if name in FORWARDERS:
            return name
    return ""


def _sizes(pid: int) -> tuple[int, int]:
    """Bytes of its own and resident bytes of one process; zeros where it has ended."""
    if sys.platform == "darwin":
        footprint = held_bytes(pid)
        return footprint, footprint
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0, 0
    found = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if key in ("VmRSS", "RssAnon", "RssShmem", "VmSwap"):
            found[key] = int(rest.split()[0]) * 1024
    # What was swapped out is still kept: without it a leak would end where the swap begins.
    own = sum(found.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap"))
    return own or found.get("VmRSS", 0), found.get("VmRSS", 0)


def machine_used(memory_bytes: float) -> int:
    """Bytes in use of a machine that has ``memory_bytes``; of our control group where that is less.

    In use is what no page cache could give back.
    """
    seen = psutil.virtual_memory()
    if 0 < memory_bytes < 0.98 * seen.total and (used := _cgroup_used()):
        return used
    return int(seen.total - seen.available)


def _cgroup_used(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Version 2: ``memory.current`` less the file pages that can be given back; 0 if unknown."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        (group,) = [line[3:].lstrip("/") for line in lines if line.startswith("0::")]
        current = int((root / group / "memory.current").read_text())
        stat = dict(
            line.split(" ", 1) for line in (root / group / "memory.stat").read_text().splitlines()
        )
        return max(0, current - int(stat.get("inactive_file", 0)) - int(stat.get("active_file", 0)))
    except (OSError, ValueError):
        return 0
