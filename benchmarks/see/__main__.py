"""``python -m benchmarks.see``: planted faults, and many runs of sound deployments; ``SEE.md``.

Every run has images of its own, every planted fault a fresh proxy or worker.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.see.planted import (
    IN_WORKERS,
    LLAMA_CPP,
    LM_STUDIO,
    OLLAMA,
    PLANTS,
    SERVE,
    TORCH,
    Plant,
    asked,
    at,
    behind,
    is_named,
    with_fault,
)
from qualification.judging.stats.distributions import binomial_tail
from qualification.judging.stats.estimators import median
from qualification.models.loading import load_registry
from qualification.see.conclusions import false_alarms
from qualification.see.run import Sight

FILE = Path(__file__).with_name("SEE.md")
SOUND: dict[str, int] = {
    LLAMA_CPP: 60,
    "qwen2.5-vl-canary-f32@llama.cpp": 20,
    "smolvlm-canary-f32@llama_cpp.server": 20,
    "smolvlm-canary-f32@mlx_vlm.server": 10,
    SERVE: 20,
    TORCH: 20,
    "smolvlm-canary-f32@mlx": 10,
    "qwen2.5-vl-canary-f32@llamacpp": 20,
    OLLAMA: 10,
    LM_STUDIO: 10,
}
"""Deployment -> runs."""


def sound(where: str, runs: int, scratch: Path) -> list[Sight]:
    """Run after run on one loaded deployment."""
    with contextlib.ExitStack() as stack:
        if where in (OLLAMA, LM_STUDIO):
            address, model = stack.enter_context(at(where, scratch))
            deployment = behind(address, where, model)
        else:
            deployment = load_registry().deployment(where)
        run = stack.enter_context(asked(deployment, scratch))
        return [run(seed) for seed in range(runs)]


def sound_row(where: str, sights: list[Sight]) -> str:
    """A line of the table of sound deployments."""
    names = Counter(sight.conclusion.name for sight in sights)
    findings = sum(count for name, count in names.items() if name not in ("sees", "cannot tell"))
    most, seconds = max(len(s.looks) for s in sights), median([s.seconds for s in sights])
    bugs = sorted({f.bug.identifier for s in sights for f in s.conclusion.known_findings if f.bug})
    return (
        f"| {where} | {len(sights)} | {names['sees']} | {findings} | {names['cannot tell']} "
        f"| {most} | {seconds:.1f} | {', '.join(bugs)} |"
    )


def planted_sights(plants: tuple[Plant, ...], runs: int) -> Iterator[tuple[Plant, list[Sight]]]:
    """Each planted fault with its runs; a server is started once for all that are before it."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers: dict[str, tuple[str, str]] = {}
        for plant in plants:
            print(f"{plant.fault} at {plant.where} ...", file=sys.stderr, flush=True)
            if plant.where not in servers and plant.where != TORCH:
                servers[plant.where] = stack.enter_context(at(plant.where, scratch))
            sights = []
            for seed in range(runs):
                with with_fault(plant, servers.get(plant.where, ("", "")), scratch) as run:
                    sights.append(run(seed))
            yield plant, sights


def at_most(events: int, runs: int) -> float:
    """The rate that is not exceeded with 95 % confidence (Clopper and Pearson, one-sided)."""
    low, high = events / runs, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if 1 - binomial_tail(events + 1, runs, middle) > 0.05 else (low, middle)
        )
    return high


def document(planted: list[tuple[Plant, list[Sight]]], sounds: dict[str, list[Sight]]) -> str:
    """``SEE.md``."""
    named = sum(is_named(plant, sight) for plant, sights in planted for sight in sights)
    count = sum(len(sights) for _, sights in planted)
    all_sound = [sight for results in sounds.values() for sight in results]
    alarms = sum(s.conclusion.name not in ("sees", "cannot tell") for s in all_sound)
    least, most = 1 - at_most(count - named, count), at_most(alarms, len(all_sound))
    all_faults = {plant.fault for plant, _ in planted}
    missed = {
        plant.fault for plant, sights in planted if not all(is_named(plant, s) for s in sights)
    }
    faults = all_faults - missed
    lines = [
        "# `qualify see`: planted faults and sound deployments",
        "",
        "Made by `python -m benchmarks.see`; nothing here is typed in. The stand-ins of Ollama and",
        "LM Studio are programs that read pixels (`sighted.py`): they stand where no canary has",
        "learnt what is asked. Every other row is a canary in a real library or server.",
        "",
        f"**{len(faults)} of {len(all_faults)} faults are named in every run: {named} of {count}",
        f"runs ({least:.1%} at least, 95 %). {alarms} alarms in {len(all_sound)} runs of sound",
        f"deployments ({most:.1%} at most, 95 %).** By its patterns a finding about a deployment",
        f"that answers 19 of 20 questions correctly comes in at most {false_alarms():.2%} of runs.",
        "",
        "| planted fault | at | runs | named | verdict | requests, at most |",
        "|---|---|--:|--:|---|--:|",
    ]
    for plant, sights in planted:
        right = sum(is_named(plant, sight) for sight in sights)
        most_looks = max(len(sight.looks) for sight in sights)
        verdicts = Counter(sight.conclusion.name for sight in sights).most_common()
        text = ", ".join(name for name, _ in verdicts)
        lines.append(
            f"| {plant.fault} | {plant.where} | {len(sights)} | {right} | {text} | {most_looks} |"
        )
    lines += [
        "",
        "| sound deployment | runs | sees | findings | cannot tell | requests, at most | s, median "
        "| known bugs that it shows |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
        *[sound_row(where, results) for where, results in sounds.items()],
        "",
        f"{datetime.date.today().isoformat()}",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each planted fault")
    arguments = parser.parse_args()
    planted = list(planted_sights((*PLANTS, *IN_WORKERS), arguments.runs))
    sounds = {}
    for where, runs in SOUND.items():
        print(f"{where} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            sounds[where] = sound(where, runs, Path(scratch))
    FILE.write_text(document(planted, sounds), encoding="utf-8")


if __name__ == "__main__":
    main()
