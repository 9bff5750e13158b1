"""What the journal of a run costs: a canary run that writes it, and one that keeps it in memory.

As a plugin of pytest this module is the clock: it writes the seconds that were spent in adding
lines, each on the disk before the next test, to the file that ``JOURNAL_CLOCK`` names. With
``JOURNAL_IN_MEMORY`` the lines are written at the end of the run, as results were before there was
a journal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.pairs import in_pairs
from benchmarks.speed.rows import Row
from benchmarks.speed.whole import bare_environment
from qualification.core.journal_file import JournalFile

DEPLOYMENT = "smolvlm-canary-f32@llamacpp"
"""The fastest engine: a journal costs it the largest share."""

_spent = {"lines": 0, "s": 0.0}
_unwritten: dict[JournalFile, list[dict[str, Any]]] = {}


def pytest_configure() -> None:
    """Time each line, or keep it for the end."""
    add, close = JournalFile.add, JournalFile.close

    def timed(journal: JournalFile, entry: dict[str, Any]) -> None:
        start = time.perf_counter()
        if "JOURNAL_IN_MEMORY" in os.environ:
            _unwritten.setdefault(journal, []).append(entry)
        else:
            add(journal, entry)
        _spent["s"] += time.perf_counter() - start
        _spent["lines"] += 1

    def closed(journal: JournalFile) -> None:
        if entries := _unwritten.pop(journal, []):
            with journal.path.open("a") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in entries)
        close(journal)

    JournalFile.add, JournalFile.close = timed, closed  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    """Write what was spent."""
    Path(os.environ["JOURNAL_CLOCK"]).write_text(json.dumps(_spent))


def rows(rounds: int, seed: int) -> list[Row]:
    """The share of the journal in a run's seconds, and the ratio to a run without its writes."""
    spent: list[dict[str, float]] = []

    def seconds(**variables: str) -> float:
        with tempfile.TemporaryDirectory() as place:
            clock = Path(place, "clock.json")
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            command += ["-p", "benchmarks.speed.journal", "--deployment", DEPLOYMENT]
            environment = bare_environment() | {
                "JOURNAL_CLOCK": str(clock),
                "QUALIFY_HOME": place,
                **variables,
            }
            start = time.perf_counter()
            done = subprocess.run(command, cwd=place, env=environment, capture_output=True)
            took_s = time.perf_counter() - start
            if done.returncode not in (0, 1):
                raise RuntimeError(f"pytest failed: {done.stdout.decode()[-2000:]}")
            if not variables:
                spent.append({**json.loads(clock.read_text()), "run_s": took_s})
        return took_s

    times = in_pairs(rounds, seed, lambda _: seconds(), lambda _: seconds(JOURNAL_IN_MEMORY="1"))
    lines = sum(run["lines"] for run in spent)
    ms = 1000 * sum(run["s"] for run in spent) / lines
    ours = f"{lines / len(spent):.0f} lines in a run of {sum(t for t, _ in times) / rounds:.1f} s"
    return [
        Row(
            "journal_share_of_a_canary_run",
            tuple(run["run_s"] / (run["run_s"] - run["s"]) for run in spent),
            (1.0, 1.01),
            f"{ours}, {ms:.2f} ms each, on the disk",
            "the same runs without the seconds of the journal",
        ),
        Row(
            "run_with_journal_vs_in_memory",
            tuple(with_s / without_s for with_s, without_s in times),
            (0.0, 1.01),
            ours,
            "the same lines, written at the end",
        ),
    ]
