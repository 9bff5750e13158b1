"""What the zoo costs: the canaries' run in seconds of the processor, by suite and by request.

``python -m benchmarks.newcomer.zoo [pytest's options]`` runs ``pytest -m canary -n 2`` and prints
the figures as JSON. The same file is the plugin of pytest that counts in each process of the run:
worker starts, requests, requests that this deployment was asked before, and seconds by suite.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = "QUALIFY_ZOO_COUNTS"
_TICKS = os.sysconf("SC_CLK_TCK")
LOADS = "imports and loads"


def zoo(options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Run the zoo, or the part that pytest's ``options`` select.

    Returns ``zoo_cpu_s_per_deployment`` and ``zoo_wall_s`` as ``{id, value, unit, details}``.
    Seconds of the processor are user and system time of the whole tree of processes.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-m", "canary", "-n", "2", "-q"]
        command += ["-p", "benchmarks.newcomer.zoo", "--results", f"sqlite:///{folder}/r.sqlite"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        start, before = time.monotonic(), _children_s()
        status = _run([*command, *options], environment | {_FOLDER: folder})
        wall_s, cpu_s = time.monotonic() - start, _children_s() - before
        counts: Counter[str] = Counter()
        by_suite: Counter[str] = Counter()
        by_deployment: Counter[str] = Counter()
        for file in Path(folder).glob("*.json"):
            part = json.loads(file.read_text())
            counts.update(part["counts"])
            by_suite.update(part["by_suite"])
            by_deployment.update(part["by_deployment"])
    details = {
        "exit_status": status,
        "deployments": len(by_deployment),
        "cpu_s": round(cpu_s, 1),
        **counts,
        "cpu_s_by_suite": _rounded(by_suite),
        "cpu_s_by_deployment": _rounded(by_deployment),
    }
    per_deployment = round(cpu_s / max(1, len(by_deployment)), 2)
    return [
        {"id": "zoo_cpu_s_per_deployment", "value": per_deployment, "unit": "s"}
        | {"details": details},
        {"id": "zoo_wall_s", "value": round(wall_s, 1), "unit": "s", "details": {"processes": 2}},
    ]


def _rounded(seconds: Counter[str]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in seconds.most_common()}


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command and return its exit status; its orphans are waited for, so that they count."""
    subreaper = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
    ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0)
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    pid, status = os.wait()
    while pid != process.pid:
        pid, status = os.wait()
    process.returncode = os.waitstatus_to_exitcode(status)
    time.sleep(1)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return process.returncode


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Counts:
    """Counts in one process of the run; written to the folder at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._by_suite: Counter[str] = Counter()
        self._by_deployment: Counter[str] = Counter()
        self._requests: set[tuple[str, str]] = set()
        self._place = ("", "")
        self._used_s = _tree_s()

    def move(self, deployment: str, suite: str) -> tuple[str, str]:
        """Book the seconds since the last move on the place before; returns that place."""
        used_s, place = _tree_s(), self._place
        if place[0]:
            # A server that was ended is no longer below us: its seconds are missing here.
            spent_s = max(0.0, used_s - self._used_s)
            self._by_suite[place[1]] += spent_s
            self._by_deployment[place[0]] += spent_s
        self._used_s, self._place = used_s, (deployment, suite)
        return place

    def pytest_runtest_setup(self, item: Any) -> None:
        """Book a change of deployment or suite."""
        from qualification.pytest_plugin.cases import deployment_of, suite_of

        if (deployment := deployment_of(item)) is None:
            return
        place = (deployment.identifier, suite_of(item))
        if place != self._place:
            self.move(*place)

    def pytest_sessionfinish(self) -> None:
        """Write the counts, if any deployment was run here."""
        self.move("", "")
        if self._by_deployment:
            parts = {
                "counts": self._counts,
                "by_suite": self._by_suite,
                "by_deployment": self._by_deployment,
            }
            (self._folder / f"{os.getpid()}.json").write_text(json.dumps(parts))

    def watch(self) -> None:
        """Count what workers are asked."""
        from qualification.session import deployed, worker

        load, generate = deployed.Deployed._load, worker.Worker.generate
        counts = self._counts

        def counted_load(owner: Any, **options: Any) -> Any:
            place = self.move(owner.deployment.identifier, LOADS)
            counts["worker_starts"] += 1
            report = load(owner, **options)
            self.move(owner.deployment.identifier, place[1])
            return report

        def counted_generate(owner: Any, request: Any, **options: Any) -> Any:
            counts["requests"] += 1
            key = (self._place[0], repr(request))
            counts["asked_before"] += key in self._requests
            self._requests.add(key)
            return generate(owner, request, **options)

        deployed.Deployed._load = counted_load  # type: ignore[method-assign]
        worker.Worker.generate = counted_generate  # type: ignore[method-assign]


def _tree_s() -> float:
    """Seconds of the processor of this process and its descendants, those that ended included."""
    from qualification.machine.process_memory import linux_descendants

    total = sum(os.times()[:4])
    for pid in linux_descendants(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def pytest_configure(config: Any) -> None:
    """Count, where the benchmark asks for it."""
    if folder := os.environ.get(_FOLDER):
        counts = _Counts(Path(folder))
        counts.watch()
        config.pluginmanager.register(counts)


if __name__ == "__main__":
    print(json.dumps(zoo(tuple(sys.argv[1:])), indent=2))
