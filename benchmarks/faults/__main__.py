"""``python -m benchmarks.faults``: faults at random moments, three runs; writes ``FAULTS.md``.

``--share 0.1`` injects a tenth of them in one run, writes nothing, and fails where one does harm.
``--marathon`` is the long run that is killed ten times: see :mod:`benchmarks.faults.marathon`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults import damaged, disks, document, marathon, signals
from benchmarks.faults.faults import Fault
from benchmarks.faults.project import Project

DATA = Path(__file__).with_name("faults.json")
DOCUMENT = Path(__file__).parents[1] / "FAULTS.md"
ROUNDS = 6
"""Of each signal to each kind of process in one run; 2 of what takes a deadline or memory."""

_Make = Callable[..., Project]


def kinds(share: float) -> Iterator[Callable[[_Make, random.Random], Iterator[Fault]]]:
    """What is tried in one run, or a share of it."""
    rounds = max(1, math.floor(ROUNDS * share))
    yield lambda make, rng: signals.signalled(make, rng, rounds)
    yield lambda make, rng: signals.hung(make, rng, min(2, rounds))
    yield lambda make, rng: signals.out_of_memory(make, rng, min(2, rounds))
    yield from (damaged.journals, damaged.stores, damaged.baselines, damaged.weights)
    if disks.can_mount():
        yield from (disks.while_a_run_writes, disks.while_a_command_writes)
    if shutil.which("faketime"):
        yield disks.clocks


def injected(seed: int, share: float, folder: Path) -> list[Fault]:
    """One run: every kind, or about so large a share of all faults."""
    rng = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    faults: list[Fault] = []

    def make(*words: str) -> Project:
        return Project(Path(tempfile.mkdtemp(dir=folder)) / "project", words)

    begun = time.monotonic()
    for kind in kinds(share):
        for fault in _some(kind(make, rng), share, rng):
            faults.append(fault)
            state = "; ".join(fault.problems) or "nothing lost, nothing left"
            since_s = time.monotonic() - begun
            print(f"{since_s:5.0f} s  {fault.kind}, {fault.where}: {state}", flush=True)
    return faults


def _some(faults: Iterator[Fault], share: float, rng: random.Random) -> Iterator[Fault]:
    """All of a kind; of a tenth of all, only the first few."""
    if share >= 1:
        yield from faults
        return
    limit = rng.randint(1, 3)
    for _, fault in zip(range(limit), faults, strict=False):
        yield fault


def main() -> int:
    """Parse the command line, inject, write; 1 where a fault has done harm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--marathon", action="store_true")
    arguments = parser.parse_args()
    data: dict[str, Any] = json.loads(DATA.read_text()) if DATA.exists() else {}
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as scratch:
        if arguments.marathon:
            data["marathon"] = marathon.run(Path(scratch), arguments.seed)
            harmed = marathon.harm(data["marathon"])
        else:
            runs = [
                injected(seed, arguments.share, Path(scratch))
                for seed in range(arguments.seed, arguments.seed + arguments.runs)
            ]
            data["runs"] = [document.counted(faults) for faults in runs]
            data["made"] = datetime.date.today().isoformat()
            harmed = sum(bool(fault.problems) for faults in runs for fault in faults)
    if arguments.share >= 1:
        DATA.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        DOCUMENT.write_text(document.rendered(data), encoding="utf-8")
        print(document.rendered(data))
    return int(harmed > 0)


if __name__ == "__main__":
    sys.exit(main())
