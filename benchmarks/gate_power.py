"""The gate on itself: equal environments, and one with a fault of a known size, many times over.

``python -m benchmarks.gate_power run KIND --gates N`` runs gates and adds a line for each to
``benchmarks/gate_power/KIND.jsonl``; ``python -m benchmarks.gate_power report`` writes GATE.md from
those lines, with what the rivals' rules say of the same pairs. KIND is ``equal`` (A/A), ``decode``,
``load`` or ``memory`` (see ``injected_fault``). A and B are built apart, from the same pins, each
in a cache of its own; a fault is put into B's copy.
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

from benchmarks import gate_rivals
from qualification.core.metrics import METRICS
from qualification.core.paths import cache, home
from qualification.machine.conditions import preconditions
from qualification.machine.probe import probe
from qualification.models.loading import load_registry
from qualification.upgrade.environments.cache import Built, ready
from qualification.upgrade.environments.spec import EnvironmentSpec, environment_spec
from qualification.upgrade.gate import journal as journals
from qualification.upgrade.gate.records import EnvironmentRecord, GatePlan, GateResult
from qualification.upgrade.gate.run import Gate, Sides

DEPLOYMENT = "qwen2.5-vl-canary-f32@llamacpp"
"""Its processes start in a second, so that hundreds of them can be had."""

FAULTS = {
    "decode": ("decode_tps", 0.10),
    "load": ("load_s", 0.20),
    "memory": ("peak_memory_bytes", 0.10),
}
KINDS = ("equal", *FAULTS)
EQUAL_METRICS = ("load_s", "ttft_s", "decode_tps", "peak_memory_bytes")
RIVAL_PAIRS = 10
LOGS = home() / "benchmarks/gate_power"
RIVALS = {
    "pytest-benchmark `mean:5%`": gate_rivals.mean_5_percent,
    "benchstat (U test, 0.05)": gate_rivals.u_test,
    "asv": gate_rivals.asv,
}


@dataclass(frozen=True)
class Judged:
    """What came of one gate for one metric: the gate's verdict, and which rivals cried out."""

    verdict: str
    pairs: int
    rivals: dict[str, bool]


def environments(kind: str) -> tuple[Built, Built]:
    """A and B, from the same pins, built in two caches; B with the fault of ``kind``."""
    current = environment_spec("current")
    pins = tuple(pin for pin in current.pins if pin.startswith("llama-cpp-python"))
    spec = EnvironmentSpec("llama.cpp", "llama-cpp-python alone", (*pins, *_worker_needs(current)))
    roots = [cache() / "gate-power" / name for name in ("a", f"b-{kind}")]
    a, b = (ready(spec, root=root, say=click.echo) for root in roots)
    if kind in FAULTS:
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        done = subprocess.run([b.python, "-c", ask], check=True, capture_output=True, text=True)
        packages = Path(done.stdout.strip())
        shutil.copy(Path(__file__).with_name("injected_fault.py"), packages)
        (packages / "injected_fault.pth").write_text("import injected_fault\n")
        said = {"fault": kind, "share": FAULTS[kind][1]}
        (packages / "injected_fault.json").write_text(json.dumps(said))
    return a, b


def _worker_needs(current: EnvironmentSpec) -> tuple[str, ...]:
    """What the worker's llama.cpp backend imports besides, in the version that is pinned."""
    from importlib.metadata import version

    return tuple(f"{name}=={version(name)}" for name in ("numpy", "pillow"))


def one_gate(kind: str, sides: tuple[Built, Built], seed: int) -> dict[str, Any]:
    """Run one gate to its end, and on to ten pairs for the rivals' sake; its line of the log."""
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
        deployments=() if kind in FAULTS else (DEPLOYMENT,),  # a fault is not in the behaviour
        timed=(DEPLOYMENT,),
        metrics=metrics,
        seed=seed,
        weights="canary",
    )
    with TemporaryDirectory() as place:
        folder = Path(place) / "gate"
        started = time.monotonic()
        journals.Journal.begin(folder, plan, sides[0].spec, sides[1].spec).__exit__(
            None, None, None
        )
        journal, recorded = journals.Journal.again(folder)
        with journal:
            gate = Gate(
                recorded,
                journal,
                {DEPLOYMENT: deployment},
                Sides(str(sides[0].python), str(sides[1].python)),
                machine=machine,
                tier=registry.tier(machine.tier) if machine.tier else None,
                fixtures=home() / "fixtures",
            )
            result = gate.run()
            took = time.monotonic() - started
            pairs = list(result.pairs)
            with gate.scratch():
                while len(pairs) < RIVAL_PAIRS:
                    pairs.append(gate.pair(deployment, len(pairs)))
    return {
        "seed": seed,
        "started": plan.started,
        "wall_s": round(took, 1),
        "verdict": result.verdict,
        "regressed_behaviour": [f.check for f in result.behaviour if f.verdict == "regressed"],
        "decided_pairs": len(result.pairs),
        "metrics": _metrics(result, metrics),
        "first": "".join(pair.first for pair in pairs),
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
    a, b = [one for one, _ in pairs], [two for _, two in pairs]
    better = METRICS[metric][1]
    said = {name: bool(rule(a, b, better)) for name, rule in RIVALS.items()}
    found = line["metrics"][metric]
    return Judged(found["verdict"], found["pairs"], said)


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
    logs = {kind: read(kind, folder) for kind in KINDS}
    lines = [
        "# The gate on itself",
        "",
        f"Written by `python -m benchmarks.gate_power report` from {folder.name}/*.jsonl. A and B "
        "are built apart from the same pins; every gate runs fresh processes of",
        f"`{DEPLOYMENT}`; those of equal environments include its behaviour checks. Shares with "
        "Clopper–Pearson 95 % "
        "intervals. The rivals judge the first ten pairs of the same logs.",
        "",
        "## Equal environments: who cries wolf",
        "",
    ]
    equal = logs["equal"]
    if equal:
        false = sum(line["verdict"] == "regressed" for line in equal)
        lines += [
            f"{len(equal)} gates, {_span(equal)}. Gates with a false `regressed`: "
            f"**{share(false, len(equal))}**.",
            "",
            _table(equal, EQUAL_METRICS),
            "",
            "| rule | gates with at least one false alarm |",
            "|---|---|",
            f"| **this gate** | {share(false, len(equal))} |",
        ]
        for name in RIVALS:
            cried = sum(any(judged(g, m).rivals[name] for m in EQUAL_METRICS) for g in equal)
            lines.append(f"| {name} | {share(cried, len(equal))} |")
    lines += ["", "## A fault in B: who finds it", ""]
    lines += [
        "| fault | metric | found | of them passed (never allowed) | pairs, median | minutes |"
        " factor, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, (metric, size) in FAULTS.items():
        some = logs[kind]
        if not some:
            continue
        names = [judged(line, metric) for line in some]
        found = sum(one.verdict == "regressed" for one in names)
        passed = sum(one.verdict == "pass" for one in names)
        factors = [line["metrics"][metric]["factor"] for line in some]
        lines.append(
            f"| {kind} +{size:.0%} | {metric} | **{share(found, len(some))}** | {passed} | "
            f"{_median([one.pairs for one in names]):g} | "
            f"{_median([line['wall_s'] / 60 for line in some]):.1f} | {_median(factors):.3f} |"
        )
    lines += ["", "| fault | " + " | ".join(RIVALS) + " |", "|---|" + "---|" * len(RIVALS)]
    for kind, (metric, size) in FAULTS.items():
        some = [judged(line, metric) for line in logs[kind]]
        cells = [share(sum(one.rivals[name] for one in some), len(some)) for name in RIVALS]
        lines.append(f"| {kind} +{size:.0%} | " + " | ".join(cells) + " |")
    others = [
        (kind, one["verdict"], one["pairs"])
        for kind, (metric, _) in FAULTS.items()
        for line in logs[kind]
        if (one := line["metrics"][metric])["verdict"] != "regressed"
    ]
    if others:
        lines += ["", "Not found: "]
        lines[-1] += "; ".join(f"{kind}: {verdict} after {n} pairs" for kind, verdict, n in others)
    return "\n".join(lines) + "\n"


def _table(gates: list[dict[str, Any]], metrics: tuple[str, ...]) -> str:
    names = ("pass", "regressed", "inconclusive", "unfit")
    rows = ["| metric | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for metric in metrics:
        found = [gate["metrics"][metric]["verdict"] for gate in gates]
        rows.append(f"| {metric} | " + " | ".join(str(found.count(n)) for n in names) + " |")
    return "\n".join(rows)


def _span(gates: list[dict[str, Any]]) -> str:
    minutes = sum(gate["wall_s"] for gate in gates) / 60
    loads = [float(text.split()[0]) for gate in gates for text in gate.get("load", [])]
    beside = f", load after each {_median(loads):.1f} in the middle" if loads else ""
    return f"{gates[0]['started'][:10]}, {minutes:.0f} minutes in all{beside}"


def _median(values: list[float]) -> float:
    from qualification.judging.stats.estimators import median

    return median([value for value in values if value is not None])


@click.group()
def main() -> None:
    """Measure what the gate finds and what it cries out about without reason."""


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
        found = {name: one["verdict"] for name, one in line["metrics"].items()}
        click.echo(f"{kind} {seed}: {line['verdict']} {found} in {line['wall_s']} s")


@main.command()
def report() -> None:
    """Write GATE.md from the logs."""
    file = home() / "benchmarks/GATE.md"
    file.write_text(document())
    click.echo(file)


if __name__ == "__main__":
    main()
