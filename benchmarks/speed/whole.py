"""Whole commands, timed: the plugin's share of pytest's start, and a 3B from nothing."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed.pairs import in_pairs
from benchmarks.speed.rows import Row
from qualification.core.paths import PACKAGE
from qualification.judging.stats.estimators import median
from qualification.results.store import Store

THREE_B = "qwen2.5-vl-3b-Q4_K_M-synthetic@llamacpp"


def plugin_startup(rounds: int, seed: int) -> Row:
    """Seconds of the processor that the plugin adds to a pytest that collects nothing.

    Starting is work of one thread; the wall clock would count what else the machine does. No other
    plugin is loaded, so what several of them import is counted as ours.
    """
    plugins = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    blocked = [f"-pno:{name}" for name in sorted(plugins - {"qualification"})]
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *blocked]
        with_plugin = [*command, place]
        plain = [*command, "-pno:qualification", place]

        def seconds(command: list[str]) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, cwd=place, env=bare_environment(), capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode != 5:  # nothing was collected
                raise RuntimeError(f"pytest failed: {done.stdout.decode()}{done.stderr.decode()}")
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        in_pairs(1, seed, lambda _: seconds(with_plugin), lambda _: seconds(plain))
        times = in_pairs(rounds, seed, lambda _: seconds(with_plugin), lambda _: seconds(plain))
    ours, theirs = zip(*times, strict=True)
    return Row(
        "plugin_startup_s",
        tuple(with_s - without_s for with_s, without_s in times),
        (float("-inf"), 0.03),
        f"with the plugin: {median(ours):.3f} s",
        f"pytest alone: {median(theirs):.3f} s",
        "s",
    )


def three_b() -> Row:
    """Minutes to make, load, measure and report a synthetic Qwen2.5-VL-3B in 4 bits as GGUF."""
    with tempfile.TemporaryDirectory() as place:
        environment = bare_environment() | {
            "QUALIFY_CACHE": str(Path(place) / "cache"),
            "QUALIFY_RESULTS": f"sqlite:///{place}/results.sqlite",
        }
        started = time.perf_counter()
        commands = [
            [sys.executable, "-m", "pytest", "-q", "--weights", "synthetic", "--any-machine"],
            [sys.executable, "-m", "qualification", "report", "--output", place],
        ]
        # The report shows the figures even if so slow a machine misses a budget.
        # Growth over fifty requests and an image of 1600 x 1200 pixels are left out.
        chosen = f"{THREE_B.partition('@')[0]} and not grow and not large"
        commands[0] += ["-m", "load or throughput or memory", "-k", chosen]
        for command in commands:
            done = subprocess.run(command, cwd=PACKAGE.parent, env=environment, capture_output=True)
            if done.returncode not in (0, 1):
                raise RuntimeError(f"{' '.join(command)}: {done.stdout.decode()[-2000:]}")
        minutes = (time.perf_counter() - started) / 60
        store = Store(environment["QUALIFY_RESULTS"])
        measured = {trial.metric for trial in store.results(store.latest()).trials}
        if missing := {"load_s", "decode_tps", "prefill_s", "peak_memory_bytes"} - measured:
            raise RuntimeError(f"not measured: {', '.join(sorted(missing))}")
        if THREE_B not in (Path(place) / "recommendations.md").read_text(encoding="utf-8"):
            raise RuntimeError("the report does not name the deployment")
    return Row(
        "synthetic_3b_minutes",
        (minutes,),
        (float("-inf"), 10.0),
        THREE_B,
        "made, loaded, measured, reported",
        "min",
    )


def bare_environment() -> dict[str, str]:
    """Ours, without what would change pytest or make it compile everything anew."""
    left_out = ("PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return inherited | {"PYTHONPATH": str(PACKAGE.parent)}
