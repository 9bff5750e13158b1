"""A canary run of twenty deployments that is killed ten times, against one that is left alone."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.project import FAREWELL_S, Command, Project

DEPLOYMENTS, KILLS, PROCESSES = 20, 10, 2
LIMIT_S = 3000.0


@dataclass(frozen=True)
class Ended:
    """What a session left: outcome by deployment, suite and test, verdict by deployment."""

    outcomes: dict[str, str]
    verdicts: dict[str, str]
    doubled: int


def deployments() -> list[str]:
    """Twenty canaries, those that are declared first, without the servers that start slowly."""
    from qualification.models.loading import load_registry

    names = [
        deployment.identifier
        for deployment in load_registry().deployments()
        if deployment.source.weights == "canary"
        and (deployment.source.backend != "server" or deployment.source.server == "llama.cpp")
    ]
    return names[:DEPLOYMENTS]


def run(folder: Path, seed: int) -> dict[str, Any]:
    """Both runs, and how they differ."""
    words = ["-m", "canary", "-n", str(PROCESSES)]
    words += [word for name in deployments() for word in ("--deployment", name)]
    alone, killed = Project(folder / "alone"), Project(folder / "killed")
    begun = time.monotonic()
    _start(alone, words).process.wait(LIMIT_S)
    took_s = time.monotonic() - begun
    rng = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    kills, asked_again = _kill(killed, words, took_s, rng)
    whole, resumed = _ended(alone), _ended(killed)
    return {
        "command": f"-m canary -n {PROCESSES} --deployment ...",
        "made": datetime.date.today().isoformat(),
        "deployments": len(whole.verdicts),
        "tests": len(whole.outcomes),
        "kills": kills,
        "lost": [name for name in whole.outcomes if name not in resumed.outcomes],
        "doubled": resumed.doubled,
        "changed": [
            f"{name}: {outcome}, then {resumed.outcomes[name]}"
            for name, outcome in whole.outcomes.items()
            if resumed.outcomes.get(name, outcome) != outcome
        ],
        "verdicts": [n for n in whole.verdicts if whole.verdicts[n] != resumed.verdicts.get(n)],
        "asked_again": sorted(asked_again),
        "questions_alone": len(alone.asked()),
        "questions": len(killed.asked()),
        "left": len(killed.problems),
        "problems": killed.problems,
        "patience_s": FAREWELL_S,
        "took_s": took_s,
    }


def harm(marathon: dict[str, Any]) -> int:
    """The number of differences between both runs."""
    lists = sum(len(marathon[name]) for name in ("lost", "changed", "verdicts", "asked_again"))
    return lists + int(marathon["doubled"]) + int(marathon["left"])


def _start(project: Project, words: list[str]) -> Command:
    (project.folder / "test_it.py").unlink(missing_ok=True)
    again = ["--resume"] if project.journals() else words
    return project.command("pytest", "-q", "-p", "no:cacheprovider", *again)


def _kill(
    project: Project, words: list[str], took_s: float, rng: random.Random
) -> tuple[int, set[str]]:
    """Kill and resume; returns the number of kills, and the tests that were asked again."""
    kills, asked_again = 0, set[str]()
    while not project.stored() or project.journals():
        finished, since = project.finished(), len(project.asked())
        command = _start(project, words)
        moment_s = rng.uniform(4.0, 2 * took_s / KILLS) if kills < KILLS else LIMIT_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(moment_s)
        if command.process.poll() is None:
            family = [command.process.pid]
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(command.process.pid).children()
                family += [process.pid for process in children]
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(family), signal.SIGKILL)
            time.sleep(1.0)
            command.process.kill()
            command.process.wait()
            kills += 1
        project.check_processes()
        if project.journals():  # what is stored has other names; it is compared at the end
            project.check_kept(project.finished())
        asked_again |= finished.intersection(project.asked()[since:])
    return kills, asked_again


def _ended(project: Project) -> Ended:
    with contextlib.closing(sqlite3.connect(project.database)) as database:
        rows = database.execute("select deployment, suite, test, outcome from checks").fetchall()
        verdicts = database.execute("select deployment, record from verdicts").fetchall()
    names = Counter(row[:3] for row in rows)
    return Ended(
        {" ".join(row[:3]): row[3] for row in rows},
        {name: json.loads(record)["name"] for name, record in verdicts},
        sum(count - 1 for count in names.values()),
    )
