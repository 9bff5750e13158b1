"""``python -m benchmarks.see [DEPLOYMENT ...]``: many runs of each; writes ``SEE.md``.

Every run has images of its own. The faults of ``tests/see`` are planted in answers, here only what
real deployments answer counts.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from collections import Counter
from pathlib import Path

from qualification.judging.stats.estimators import median
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.loading import load_registry
from qualification.see.conclusions import false_alarms
from qualification.see.run import Sight, see
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request

FILE = Path(__file__).with_name("SEE.md")
SOUND = ("smolvlm-canary-f32@llama.cpp",)


def sights(identifier: str, runs: int) -> list[Sight]:
    """Run after run on one loaded deployment."""
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers)
    deployment = registry.deployment(identifier)
    with tempfile.TemporaryDirectory() as scratch:
        context = RunContext(machine, tier_of(machine, registry.tiers), Path(scratch))
        request = prepared_request(deployment, context)
        loaded = Deployed(deployment, request, context, Journal())
        try:
            return [see(loaded, Path(scratch), seed=seed, deadline_s=120.0) for seed in range(runs)]
        finally:
            loaded.close()


def row(identifier: str, results: list[Sight]) -> str:
    """A line of the table: verdicts, and the most that the rate of findings may be (95 %)."""
    names = Counter(sight.conclusion.name for sight in results)
    findings = sum(count for name, count in names.items() if name not in ("sees", "cannot tell"))
    bound = f"{1 - 0.05 ** (1 / len(results)):.1%}" if not findings else "–"
    most = max(len(sight.looks) for sight in results)
    seconds = median([sight.seconds for sight in results])
    return (
        f"| {identifier} | {len(results)} | {names['sees']} | {findings} | {names['cannot tell']} "
        f"| {bound} | {most} | {seconds:.1f} |"
    )


def main() -> None:
    """Parse the command line, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("deployments", nargs="*", default=list(SOUND))
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    lines = [
        "# `qualify see` on sound deployments",
        "",
        "Made by `python -m benchmarks.see`; nothing here is typed in. By its patterns a finding",
        "about a deployment that answers 19 of 20 questions correctly comes in at most",
        f"{false_alarms():.2%} of the runs; a canary answers more.",
        "",
        "| deployment | runs | sees | findings | cannot tell | rate of findings, at most (95 %) "
        "| requests, at most | s, median |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for identifier in arguments.deployments:
        print(f"{identifier} ...", file=sys.stderr, flush=True)
        lines.append(row(identifier, sights(identifier, arguments.runs)))
    lines += ["", f"{datetime.date.today().isoformat()}", ""]
    FILE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
