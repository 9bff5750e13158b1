"""Servers are started and stopped with kills at random moments: is anything left behind?

``python -m benchmarks.servers.cycles --cycles 200 [--command toy | "ARGV with {port}"] [--seed N]``

Each cycle is a process of its own (the parent) that starts a server, asks it for a stream and stops
it. At a random moment somebody is killed. Some seconds later there must be no process, the port
must be free, and the temporary folder empty. Ends with 1 if anything was left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from qualification.core.paths import PACKAGE
from qualification.servers import ports as port_owner
from qualification.servers.process import ServerCommand, ServerProcess

ALLOWED_S = 15.0
"""From the kill until nothing may be left."""

GRACE_S = 2.0
MOMENTS = ("starting", "ready", "streaming", "stopping")
SPREAD_S = {"starting": 0.4, "ready": 0.05, "streaming": 0.3, "stopping": 0.015}
"""The kill comes up to so long after the parent has printed that it has reached the moment."""

TOY_SERVER = PACKAGE.parent / "tests/support/toy_server.py"
TOY = f"{sys.executable} -S {TOY_SERVER} --start-after 0.05 --port {{port}}"
TOY_WAYS = ((), ("--ignore-sigterm",), ("--grandchild", "session"), ("--grandchild", "daemon"))
"""The toy ends well, or not at all, or has a child in a session of its own, or a daemon."""


@dataclass(frozen=True)
class Cast:
    """The processes at one moment of a cycle; None for one that has not started yet."""

    parent: psutil.Process
    outer: psutil.Process | None
    inner: psutil.Process | None
    server: psutil.Process | None


@dataclass(frozen=True)
class Kill:
    """Signals for some of the processes, in order; without any the cycle is an orderly one."""

    signals: tuple[tuple[str, int], ...] = ()

    def on(self, cast: Cast) -> bool:
        """Send them; False while one of the processes has not started yet."""
        targets = [(getattr(cast, part), number) for part, number in self.signals]
        if any(process is None for process, _ in targets):
            return False
        for process, number in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return True


KILLS = {
    "nobody": Kill(),
    "parent, SIGKILL": Kill((("parent", signal.SIGKILL),)),
    "parent, SIGTERM": Kill((("parent", signal.SIGTERM),)),
    "parent, SIGINT": Kill((("parent", signal.SIGINT),)),
    "outer guard, SIGKILL": Kill((("outer", signal.SIGKILL),)),
    "inner guard, SIGKILL": Kill((("inner", signal.SIGKILL),)),
    "server, SIGKILL": Kill((("server", signal.SIGKILL),)),
    "server stopped, then parent, SIGKILL": Kill(
        (("server", signal.SIGSTOP), ("parent", signal.SIGKILL))
    ),
    "parent and outer guard, SIGKILL": Kill(
        (("parent", signal.SIGKILL), ("outer", signal.SIGKILL))
    ),
    "parent and inner guard, SIGKILL": Kill(
        (("parent", signal.SIGKILL), ("inner", signal.SIGKILL))
    ),
}


@dataclass
class Row:
    """The cycles of one kill; ``late`` ones had ended before the kill came."""

    cycles: int = 0
    late: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    leftovers: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@dataclass(frozen=True)
class Cycle:
    """What was left behind ('' for nothing), and the time from the kill to a clean machine."""

    leftover: str
    took_s: float
    hit: bool


def cycle(argv: Sequence[str], name: str, moment: str, chance: random.Random) -> Cycle:
    """One cycle: start, a kill near that moment, a check for leftovers."""
    base = Path(tempfile.mkdtemp(prefix="server-cycle-"))
    port = port_owner.free_port()
    parent = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.servers.cycles", "--parent", str(port), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=PACKAGE.parent,
        env={**os.environ, "TMPDIR": str(base)},
    )
    try:
        with parent:
            _await(parent, moment)
            time.sleep(chance.uniform(0, SPREAD_S[moment]))
            processes, hit = _kill(KILLS[name], parent, base)
            killed = time.monotonic()
            code = _wait(parent, killed + ALLOWED_S)
            leftover = _left_behind(base, port, processes, killed + ALLOWED_S)
            if name == "nobody" and code != 0:
                errors = parent.stderr.read().decode(errors="replace") if parent.stderr else ""
                leftover = f"{leftover} the parent failed: {errors[-400:]}"
            return Cycle(leftover.strip(), time.monotonic() - killed, hit)
    finally:
        for process in _under(base):  # leftovers are ours: end them
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(base, ignore_errors=True)


def run(
    argv: Sequence[str],
    cycles: int,
    seed: int,
    tell: Callable[[str], None],
    ways: Sequence[tuple[str, ...]] = ((),),
) -> dict[str, Row]:
    """Cycles in a random order, every kill about equally often; each row lists the leftovers.

    ``ways`` are further arguments of the server, one of them by chance in each cycle.
    """
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    rows = {name: Row() for name in KILLS}
    names = [list(KILLS)[number % len(KILLS)] for number in range(cycles)]
    chance.shuffle(names)
    for number, name in enumerate(names, 1):
        moment = chance.choice(MOMENTS)
        way = chance.choice(ways)
        result = cycle([*argv, *way], name, moment, chance)
        row = rows[name]
        row.cycles += 1
        row.late += not result.hit
        row.moments[moment] += 1
        row.slowest_s = max(row.slowest_s, result.took_s)
        if result.leftover:
            row.leftovers.append(result.leftover)
            tell(f"cycle {number}: {name} while {moment} {way}: left behind: {result.leftover}")
    return rows


def table(rows: dict[str, Row]) -> str:
    """The rows in Markdown."""
    titles = ["killed", "cycles", *MOMENTS, "too late", "left behind", "slowest end"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, row in rows.items():
        at = " | ".join(str(row.moments[moment]) for moment in MOMENTS)
        end = f"{row.late} | {len(row.leftovers)} | {row.slowest_s:.1f} s"
        lines.append(f"| {name} | {row.cycles} | {at} | {end} |")
    total = sum(row.cycles for row in rows.values())
    leftovers = sum(len(row.leftovers) for row in rows.values())
    late = sum(row.late for row in rows.values())
    at = " | ".join(str(sum(row.moments[m] for row in rows.values())) for m in MOMENTS)
    slowest_s = max(row.slowest_s for row in rows.values())
    lines.append(f"| all | {total} | {at} | {late} | {leftovers} | {slowest_s:.1f} s |")
    return "\n".join(lines)


def _await(parent: subprocess.Popen[bytes], moment: str, deadline_s: float = 300.0) -> None:
    """Wait until the parent has printed that word, or has ended."""
    assert parent.stdout is not None
    output = b""
    end = time.monotonic() + deadline_s
    while moment.encode() + b"\n" not in output and time.monotonic() < end:
        ready, _, _ = select.select([parent.stdout], [], [], 1.0)
        if ready:
            piece = os.read(parent.stdout.fileno(), 1 << 10)
            if not piece:
                return
            output += piece


def _kill(
    kill: Kill, parent: subprocess.Popen[bytes], base: Path
) -> tuple[list[psutil.Process], bool]:
    """Kill as soon as all the parts are there: all processes so far, and whether the kill came."""
    processes: list[psutil.Process] = []
    end = time.monotonic() + 2
    while time.monotonic() < end and parent.poll() is None:
        processes = _under(base)
        with contextlib.suppress(psutil.NoSuchProcess):
            processes += psutil.Process(parent.pid).children(recursive=True)
            if kill.on(_cast(parent.pid, processes)):
                return processes, True
        time.sleep(0.005)
    return processes, False


def _cast(parent: int, processes: Iterable[psutil.Process]) -> Cast:
    parents, guards = {}, set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            parents[process.pid] = process.ppid()
            if any(part.endswith("guard.py") for part in process.cmdline()):
                guards.add(process.pid)
    inner = {pid for pid in guards if parents[pid] in guards}
    # A child that has not yet become the server still looks like a guard.
    server = {pid for pid, above in parents.items() if above in inner}
    inner -= server

    def oldest(pids: set[int]) -> psutil.Process | None:
        return psutil.Process(min(pids)) if pids else None

    outer = {pid for pid in guards if parents[pid] == parent}
    return Cast(psutil.Process(parent), oldest(outer), oldest(inner), oldest(server))


def _under(base: Path) -> list[psutil.Process]:
    """Processes whose temporary folder is that one, or one in it."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            folder = process.environ().get("TMPDIR", "")
            if folder == str(base) or folder.startswith(f"{base}/"):
                processes.append(process)
    return processes


def _wait(parent: subprocess.Popen[bytes], end: float) -> int | None:
    try:
        return parent.wait(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        parent.kill()
        return None


def _left_behind(base: Path, port: int, processes: Sequence[psutil.Process], end: float) -> str:
    """The leftovers when the time is over, in words; '' as soon as there are none."""
    while True:
        leftovers = []
        for process in {*_under(base), *processes}:
            with contextlib.suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    leftovers.append(f"process {process.pid} {shlex.join(process.cmdline())[:100]}")
        leftovers += [f"folder {entry.name}" for entry in base.iterdir()]
        if not port_owner.is_free(port):
            leftovers.append(f"port {port}, held by {port_owner.owner(port)}")
        if not leftovers or time.monotonic() > end:
            return ", ".join(leftovers)
        time.sleep(0.05)


def be_parent(port: int, argv: Sequence[str]) -> None:
    """Start, ask, stop, and print the moment that is reached."""
    command = ServerCommand("the server", tuple(argv))
    server = ServerProcess(command, requested_port=port, deadline_s=240, grace_s=GRACE_S)
    question = {
        "messages": [{"role": "user", "content": "Count to one hundred."}],
        "max_tokens": 1500,
        "stream": True,
        "ignore_eos": True,  # of llama-server: a canary would have answered before the kill
    }
    print("starting", flush=True)
    try:
        server.start()
        print("ready", flush=True)
        address = f"{server.url}/v1/chat/completions"
        with (
            httpx2.Client(trust_env=False, timeout=60) as client,
            client.stream("POST", address, json=question) as answer,
        ):
            # Left in the middle where the server takes its time, as a client may.
            lines = answer.iter_lines()
            next(lines)
            print("streaming", flush=True)
            end = time.monotonic() + SPREAD_S["streaming"]
            for _ in lines:
                if time.monotonic() > end:
                    break
        print("stopping", flush=True)
    finally:
        server.stop()


def main() -> int:
    """Parse the command line; be the checker, or one cycle's parent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--command", default="toy", help='toy, or a command line with "{port}"')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parent", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parent:
        be_parent(int(options.parent[0]), options.parent[1:])
        return 0
    toy = options.command == "toy"
    argv, ways = (TOY, TOY_WAYS) if toy else (options.command, ((),))
    rows = run(
        shlex.split(argv), options.cycles, options.seed, lambda line: print(line, flush=True), ways
    )
    print(table(rows))
    return 1 if any(row.leftovers for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
