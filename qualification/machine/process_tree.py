"""The processes of one server or command, and their memory in total."""

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
"""Seconds until a new child is noticed: a scan for all descendants takes milliseconds."""

FORWARDERS = frozenset(
    (
        "caddy",
        "com.docker.backend",
        "docker-proxy",
        "envoy",
        "gvproxy",
        "haproxy",
        "kubectl",
        "nginx",
        "rootlessport",
        "slirp4netns",
        "socat",
        "ssh",
        "sshd",
        "traefik",
        "vpnkit-bridge",
    )
)
"""Programs that listen on a port for another program: their memory is not the server's."""


def is_this_machine(host: str) -> bool:
    """Whether a host name or address of a URL is this machine: loopback, or an interface's own."""
    try:
        entries = socket.getaddrinfo(host, None)
    except OSError:
        return False
    addresses = {str(entry[4][0]).partition("%")[0] for entry in entries}  # without the zone
    if any(ipaddress.ip_address(address).is_loopback for address in addresses):
        return True
    interfaces = psutil.net_if_addrs().values()
    local = {entry.address.partition("%")[0] for entries in interfaces for entry in entries}
    return not addresses.isdisjoint(local)


class Tree:
    """The processes that ``roots`` names now, and their descendants.

    ``roots`` is called again when one of them has ended. Safe to use from two threads.
    """

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self._roots = roots
        self._lock = threading.Lock()
        self._processes: list[psutil.Process] = []
        self._tops: list[psutil.Process] = []
        self._scanned_s = -RESCAN_S

    def held(self) -> tuple[int | None, int | None, str]:
        """Private bytes, resident bytes, and the identity; ``None`` if no process is visible."""
        with self._lock:
            self._scan()
            if not self._tops:
                return None, None, ""
            # We cannot distinguish shared from private pages here: pages that a parent and its
            # children share count for each of them, so a tree's sum can only be too high.
            sizes = [_sizes(process.pid) for process in self._processes]
            identity = " ".join(f"{top.pid}@{top.create_time():.2f}" for top in self._tops)
            private, resident = (sum(column) for column in zip(*sizes, strict=True))
            return (private, resident, identity) if resident else (None, None, "")

    def describe(self) -> str:
        """``python (pid 123)``; '' if no process is visible."""
        with self._lock:
            self._scan()
            return ", ".join(f"{_name(top)} (pid {top.pid})" for top in self._tops)

    def cpu_seconds(self) -> dict[int, float]:
        """Processor seconds by pid, as in :func:`qualification.machine.monitor.own_seconds`."""
        with self._lock:
            self._scan()
            seconds = {}
            for process in self._processes:
                try:
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                seconds[process.pid] = float(times.user + times.system)
            return seconds

    def _scan(self) -> None:
        now_s = time.monotonic()
        is_stale = not self._tops or not all(_is_alive(top) for top in self._tops)
        if not is_stale and now_s - self._scanned_s < RESCAN_S:
            return
        if is_stale:
            self._tops = _tops(self._roots())
        by_pid = {top.pid: top for top in self._tops}
        for top in self._tops:
            try:
                by_pid |= {child.pid: child for child in top.children(recursive=True)}
            except psutil.Error:
                continue
        self._processes = list(by_pid.values())
        self._scanned_s = now_s


def _tops(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes that no other of them has started, in the order of their ids."""
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
            ancestors = {parent.pid for parent in process.parents()}
        except psutil.Error:
            ancestors = set()
        if not ancestors & (alive.keys() - {pid}):
            tops.append(process)
    return tops


def _is_alive(process: psutil.Process) -> bool:
    """Whether it is still the same process, and not a zombie, which holds no memory."""
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
    """The name of a program among them that only forwards a port; '' if there is none."""
    for pid in pids:
        try:
            name = str(psutil.Process(pid).name())
        except psutil.Error:
            continue
        if name in FORWARDERS:
            return name
    return ""


def _sizes(pid: int) -> tuple[int, int]:
    """Private and resident bytes of one process; zeros if it has ended."""
    if sys.platform == "darwin":
        footprint = held_bytes(pid)
        return footprint, footprint
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0, 0
    sizes = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon", "RssShmem", "VmSwap"):
            sizes[key] = int(value.split()[0]) * 1024
    # Swapped-out pages count: without them a leak would seem to stop where swapping begins.
    private = sum(sizes.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap"))
    return private or sizes.get("VmRSS", 0), sizes.get("VmRSS", 0)


def machine_used(memory_bytes: float) -> int:
    """Bytes in use on a machine with ``memory_bytes``; in our control group if its limit is lower.

    Page cache that can be reclaimed is not in use.
    """
    memory = psutil.virtual_memory()
    if 0 < memory_bytes < 0.98 * memory.total and (used := _cgroup_used()):
        return used
    return int(memory.total - memory.available)


def _cgroup_used(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Version 2: ``memory.current`` minus the file pages that can be reclaimed; 0 if unknown."""
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
