"""The gate on itself: equal environments, and one with a fault of a known size, many times over.

``python -m benchmarks.gate.power run KIND --gates N`` runs gates and adds a line for each to
``power_logs/KIND.jsonl``; ``python -m benchmarks.gate.power report`` writes GATE.md from those
lines, with the verdicts of the rivals' rules on the same pairs. KIND is ``equal`` (no fault),
``decode``, ``load`` or ``memory`` (see ``injected_fault``). Baseline and candidate are built apart,
from the same pins, each in a cache of its own; a fault is put into the candidate's copy.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.gate import rivals
from qualification.core.metrics import METRICS
from qualification.core.paths import cache
from qualification.machine.conditions import preconditions
from qualification.machine.probe import probe
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.upgrade.environments.cache import Built, ready
from qualification.upgrade.environments.spec import EnvironmentSpec, environment_spec
from qualification.upgrade.gate.records import (
    DeploymentRef,
    EnvironmentRecord,
    GatePlan,
    GateResult,
)
from qualification.upgrade.gate.start import begin_gate

DEPLOYMENT = "qwen2.5-vl-canary-f32@llamacpp"
"""Its processes start in a second, so hundreds of them are affordable."""

FAULTS = {
    "decode": ("decode_tps", 0.10),
    "load": ("load_s", 0.20),
    "memory": ("peak_memory_bytes", 0.10),
}
KINDS = ("equal", *FAULTS)
EQUAL_METRICS = ("load_s", "ttft_s", "decode_tps", "peak_memory_bytes")
RIVAL_PAIRS = 10
LOGS = Path(__file__).with_name("power_logs")
RIVALS = {
    "pytest-benchmark `mean:5%`": rivals.mean_5_percent,
    "benchstat (U test, 0.05)": rivals.u_test,
    "asv": rivals.asv,
}


@dataclass(frozen=True)
class Judged:
    """The verdict of one gate on one metric, and which rivals raised an alarm."""

    verdict: str
    pairs: int
    rivals: dict[str, bool]


def environments(kind: str) -> tuple[Built, Built]:
    """Baseline and candidate of the same pins in two caches; the candidate has the fault."""
    current = environment_spec("current")
    pins = tuple(pin for pin in current.pins if pin.startswith("llama-cpp-python"))
    spec = EnvironmentSpec("llama.cpp", "llama-cpp-python alone", (*pins, *_worker_needs()))
    roots = [cache() / "gate-power" / name for name in ("a", f"b-{kind}")]
    a, b = (ready(spec, root=root, say=click.echo) for root in roots)
    if kind in FAULTS:
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        done = subprocess.run([b.python, "-c", ask], check=True, capture_output=True, text=True)
        packages = Path(done.stdout.strip())
        shutil.copy(Path(__file__).with_name("injected_fault.py"), packages)
        (packages / "injected_fault.pth").write_text("import injected_fault\n")
        fault = {"fault": kind, "share": FAULTS[kind][1]}
        (packages / "injected_fault.json").write_text(json.dumps(fault))
    return a, b


def _worker_needs() -> tuple[str, ...]:
    """The other imports of the worker's llama.cpp backend, in the versions installed here."""
    from importlib.metadata import version

    return tuple(f"{name}=={version(name)}" for name in ("numpy", "pillow"))


def one_gate(kind: str, sides: tuple[Built, Built], seed: int) -> dict[str, Any]:
    """Run one gate to its end, and on to ten pairs for the rivals; returns its log line."""
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers)
    metrics = (FAULTS[kind][0],) if kind in FAULTS else EQUAL_METRICS
    deployment = registry.deployment(DEPLOYMENT)
    records = [
        EnvironmentRecord(side.spec.name, side.python_version, side.key, side.spec.pins, {})
        for side in sides
    ]
    plan = GatePlan(
        identifier=f"{kind}-{seed}",
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        a=records[0],
        b=records[1],
        machine=machine,
        # A fault is not in the behaviour.
        deployments=() if kind in FAULTS else (DeploymentRef.of(deployment),),
        timed=(DEPLOYMENT,),
        metrics=metrics,
        seed=seed,
        weights="canary",
    )
    tier = registry.tier(machine.tier) if machine.tier else None
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "gate"
        context = RunContext(machine, tier, folder / "scratch")
        started = time.monotonic()
        with begin_gate(folder, plan, sides, [deployment], context) as gate:
            result = gate.run()
            wall_s = time.monotonic() - started
            pairs = list(result.pairs)
            with gate.scratch():
                while len(pairs) < RIVAL_PAIRS:
                    pairs.append(gate.pair(deployment, len(pairs)))
    return {
        "seed": seed,
        "started": plan.started,
        "wall_s": round(wall_s, 1),
        "verdict": result.verdict,
        "regressed_behaviour": [f.check for f in result.behaviour if f.verdict == "regressed"],
        "decided_pairs": len(result.pairs),
        "metrics": _metrics(result, metrics),
        "first": "".join(pair.leader for pair in pairs),
        "pairs": {
            metric: [[p.a.metrics.get(metric), p.b.metrics.get(metric)] for p in pairs]
            for metric in metrics
        },
        "load": [c.value for c in preconditions() if c.name == "load"],
    }


def _metrics(result: GateResult, metrics: tuple[str, ...]) -> dict[str, Any]:
    return {
        finding.metric: {
            "verdict": finding.verdict,
            "pairs": finding.decision.pairs,
            "factor": None if finding.effect is None else round(finding.effect.ratio, 4),
        }
        for finding in result.metrics
        if finding.metric in metrics
    }


def judged(line: dict[str, Any], metric: str) -> Judged:
    """The verdicts on one metric of a logged gate; the rivals get the first ten pairs."""
    pairs = [pair for pair in line["pairs"][metric] if None not in pair][:RIVAL_PAIRS]
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    better = METRICS[metric].better
    alarms = {name: bool(rule(a, b, better)) for name, rule in RIVALS.items()}
    finding = line["metrics"][metric]
    return Judged(finding["verdict"], finding["pairs"], alarms)


def read(kind: str, folder: Path = LOGS) -> list[dict[str, Any]]:
    """The gates of a kind that were logged, in order."""
    file = folder / f"{kind}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def share(count: int, total: int) -> str:
    """``39 / 40, 97.5 % (86.8–99.9)``: Clopper-Pearson, two-sided 95 %."""
    from scipy.stats import binomtest

    if not total:
        return "–"
    interval = binomtest(count, total).proportion_ci(0.95, "exact")
    return f"{count} / {total}, {count / total:.1%} ({interval.low:.1%}–{interval.high:.1%})"


def document(folder: Path = LOGS) -> str:
    """GATE.md, every figure from the logs."""
    equal = read("equal", folder)
    faulty = {kind: read(kind, folder) for kind in FAULTS}
    lines = [
        "# The gate on itself",
        "",
        f"Written by `python -m benchmarks.gate.power report` from {folder.name}/*.jsonl. Baseline "
        "and candidate are built apart from the same pins; every gate runs fresh processes of",
        f"`{DEPLOYMENT}`; those of equal environments include its behaviour checks. Shares with "
        "Clopper–Pearson 95 % "
        "intervals. The rivals judge the first ten pairs of the same logs.",
        "",
        "## Equal environments: false alarms",
        "",
        *(_false_alarms(equal) if equal else ()),
        "",
        "## A fault in the candidate: power",
        "",
        *_power(faulty),
        "",
        *_power_of_rivals(faulty),
    ]
    if missed := _missed(faulty):
        lines += ["", f"Not found: {'; '.join(missed)}"]
    return "\n".join(lines) + "\n"


def _false_alarms(gates: list[dict[str, Any]]) -> list[str]:
    alarms = sum(line["verdict"] == "regressed" for line in gates)
    lines = [
        f"{len(gates)} gates, {_span(gates)}. Gates with a false `regressed`: "
        f"**{share(alarms, len(gates))}**.",
        "",
        _table(gates, EQUAL_METRICS),
        "",
        "| rule | gates with at least one false alarm |",
        "|---|---|",
        f"| **this gate** | {share(alarms, len(gates))} |",
    ]
    for name in RIVALS:
        alarms = sum(any(judged(g, m).rivals[name] for m in EQUAL_METRICS) for g in gates)
        lines.append(f"| {name} | {share(alarms, len(gates))} |")
    return lines


def _power(faulty: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| fault | metric | found | passed in spite of it (must be 0) | pairs, median | minutes |"
        " factor, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, (metric, size) in FAULTS.items():
        if not (gates := faulty[kind]):
            continue
        judgements = [judged(line, metric) for line in gates]
        regressed = sum(judgement.verdict == "regressed" for judgement in judgements)
        passed = sum(judgement.verdict == "pass" for judgement in judgements)
        factors = [line["metrics"][metric]["factor"] for line in gates]
        lines.append(
            f"| {kind} +{size:.0%} | {metric} | **{share(regressed, len(gates))}** | {passed} | "
            f"{_median([judgement.pairs for judgement in judgements]):g} | "
            f"{_median([line['wall_s'] / 60 for line in gates]):.1f} | {_median(factors):.3f} |"
        )
    return lines


def _power_of_rivals(faulty: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = ["| fault | " + " | ".join(RIVALS) + " |", "|---|" + "---|" * len(RIVALS)]
    for kind, (metric, size) in FAULTS.items():
        alarms = [judged(line, metric).rivals for line in faulty[kind]]
        cells = [share(sum(alarm[name] for alarm in alarms), len(alarms)) for name in RIVALS]
        lines.append(f"| {kind} +{size:.0%} | " + " | ".join(cells) + " |")
    return lines


def _missed(faulty: dict[str, list[dict[str, Any]]]) -> list[str]:
    findings = [
        (kind, line["metrics"][metric])
        for kind, (metric, _) in FAULTS.items()
        for line in faulty[kind]
    ]
    return [
        f"{kind}: {finding['verdict']} after {finding['pairs']} pairs"
        for kind, finding in findings
        if finding["verdict"] != "regressed"
    ]


def _table(gates: list[dict[str, Any]], metrics: tuple[str, ...]) -> str:
    names = ("pass", "regressed", "inconclusive", "unfit")
    rows = ["| metric | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for metric in metrics:
        verdicts = [gate["metrics"][metric]["verdict"] for gate in gates]
        rows.append(f"| {metric} | " + " | ".join(str(verdicts.count(n)) for n in names) + " |")
    return "\n".join(rows)


def _span(gates: list[dict[str, Any]]) -> str:
    minutes = sum(gate["wall_s"] for gate in gates) / 60
    loads = [float(text.split()[0]) for gate in gates for text in gate.get("load", [])]
    beside = f", median load after each {_median(loads):.1f}" if loads else ""
    return f"{gates[0]['started'][:10]}, {minutes:.0f} minutes in all{beside}"


def _median(values: list[float]) -> float:
    from qualification.judging.stats.estimators import median

    return median([value for value in values if value is not None])


@click.group()
def main() -> None:
    """Measure the gate's power and its false alarms."""


@main.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--gates", default=40)
@click.option("--minutes", default=0.0, help="Begin no gate after so many (0: no limit).")
def run(kind: str, gates: int, minutes: float) -> None:
    """Run gates of a KIND until its log has so many."""
    sides = environments(kind)
    LOGS.mkdir(exist_ok=True)
    started = time.monotonic()
    done = len(read(kind))
    for seed in range(done, gates):
        if minutes and time.monotonic() - started > 60 * minutes:
            break
        line = one_gate(kind, sides, seed)
        with (LOGS / f"{kind}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        verdicts = {name: finding["verdict"] for name, finding in line["metrics"].items()}
        click.echo(f"{kind} {seed}: {line['verdict']} {verdicts} in {line['wall_s']} s")


@main.command()
def report() -> None:
    """Write GATE.md from the logs."""
    file = Path(__file__).with_name("GATE.md")
    file.write_text(document())
    click.echo(file)


if __name__ == "__main__":
    main()
