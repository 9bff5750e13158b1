"""``python -m benchmarks.faults``: a canary run killed again and again; writes ``FAULTS.md``.

One run is left alone. Another one, of the same tests, is killed with SIGKILL at random moments, its
process alone or one of pytest-xdist's, and resumed each time. Both must end alike.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

FILE = Path(__file__).with_name("FAULTS.md")
_LATEST_S = 9.0
"""A run is killed between its start and so many seconds later, or not at all if it ends before."""


@dataclass(frozen=True)
class Ended:
    """What a session left: outcome by deployment and test, verdict by deployment."""

    outcomes: dict[str, str]
    verdicts: dict[str, str]
    sessions: int
    doubled: int


def run(folder: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """Start pytest in a project; its output goes to a file there."""
    environment = os.environ | {"QUALIFY_HOME": str(folder), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )


def ended(folder: Path) -> Ended:
    """Read the store of a project."""
    with sqlite3.connect(folder / "reports/results.sqlite") as database:
        rows = database.execute("select deployment, suite, test, outcome from checks").fetchall()
        verdicts = database.execute("select deployment, record from verdicts").fetchall()
        (sessions,) = database.execute("select count(*) from sessions").fetchone()
    names = Counter(row[:3] for row in rows)
    return Ended(
        {" ".join(row[:3]): row[3] for row in rows},
        {name: json.loads(record)["name"] for name, record in verdicts},
        sessions,
        sum(count - 1 for count in names.values()),
    )


def killed(folder: Path, words: list[str], kills: int, rng: random.Random) -> tuple[int, int]:
    """Kill and resume; returns the number of kills, and of processes that they left behind."""
    process, done, remaining = run(folder, words), 0, 0
    while True:
        try:
            process.wait(rng.uniform(2.0, _LATEST_S) if done < kills else None)
            if not list((folder / "reports/sessions").glob("*")):
                break  # it has ended by itself, and its session is stored
        except subprocess.TimeoutExpired:
            family = [process.pid, *(c.pid for c in psutil.Process(process.pid).children())]
            os.kill(rng.choice(family), signal.SIGKILL)
            if process.poll() is None:
                time.sleep(1.0)
                process.kill()
            process.wait()
            done += 1
            remaining += _alive(folder)
            if not _journals(folder) and _is_stored(folder):
                break  # killed after its last line was stored
        process = run(folder, ["--resume"] if _journals(folder) else words)
    return done, remaining


def _is_stored(folder: Path) -> bool:
    file = folder / "reports/results.sqlite"
    if not file.exists():
        return False
    with sqlite3.connect(file) as database:
        return bool(database.execute("select count(*) from sessions").fetchone()[0])


def _journals(folder: Path) -> list[Path]:
    return list((folder / "reports/sessions").glob("*/*.jsonl"))


def _alive(folder: Path) -> int:
    """Processes of the project that are alive some seconds after it was killed."""
    for _ in range(50):
        alive = [p for p in psutil.process_iter(["environ"]) if _is_of(p, folder)]
        if not alive:
            return 0
        time.sleep(0.2)
    return len(alive)


def _is_of(process: psutil.Process, folder: Path) -> bool:
    environ = process.info["environ"] or {}
    return str(folder) in environ.get("QUALIFY_HOME", "") + environ.get("TMPDIR", "")


def document(words: list[str], kills: int, whole: Ended, resumed: Ended, alive: int) -> str:
    """``FAULTS.md``."""
    lost = [name for name in whole.outcomes if name not in resumed.outcomes]
    changed = [n for n, o in whole.outcomes.items() if resumed.outcomes.get(n, o) != o]
    verdicts = [n for n in whole.verdicts if whole.verdicts[n] != resumed.verdicts.get(n)]
    lines = [
        "# A run that is killed again and again",
        "",
        "Made by `python -m benchmarks.faults`; nothing here is typed in.",
        "",
        f"`pytest {' '.join(words)}`: {len(whole.verdicts)} deployments, {len(whole.outcomes)}",
        f"tests; killed with SIGKILL {kills} times at random moments and resumed each time.",
        "",
        "| | |",
        "|---|--:|",
        f"| tests that are lost | {len(lost)} |",
        f"| tests that are there twice | {resumed.doubled} |",
        f"| tests with another outcome than in the run that was left alone | {len(changed)} |",
        f"| deployments with another verdict | {len(verdicts)} |",
        f"| sessions in the store | {resumed.sessions} |",
        f"| processes left 10 s after a kill | {alive} |",
        "",
        *[f"- another outcome: {name}" for name in changed],
        f"{datetime.date.today().isoformat()}",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("words", nargs="*", help="of pytest, after --")
    arguments = parser.parse_args()
    words = arguments.words or ["-m", "canary and capability", "-n", "2", "-k", "not server"]
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        alone, disturbed = Path(scratch, "alone"), Path(scratch, "disturbed")
        alone.mkdir()
        disturbed.mkdir()
        run(alone, words).wait()
        rng = random.Random(arguments.seed)  # noqa: S311 (a seed, not a secret)
        kills, alive = killed(disturbed, words, arguments.kills, rng)
        text = document(words, kills, ended(alone), ended(disturbed), alive)
    FILE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
