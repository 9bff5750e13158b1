"""``python -m benchmarks``: run the rows; writes ``RESULTS.md`` and ``results.json`` in ``speed/``.

Rows that are not run keep their earlier results.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.speed import journal, pairs, predicted, whole
from benchmarks.speed.rows import Row, goal_text
from qualification.machine.probe import environment, probe
from qualification.models.loading import load_registry

FOLDER = Path(__file__).with_name("speed")
GGUF = "smolvlm-500m-Q8_0-synthetic@llamacpp"
MLX = "smolvlm2-500m-video-bf16-synthetic@mlx"
TORCH = "smolvlm2-500m-video-f32-synthetic@torch"

RowMaker = Callable[[argparse.Namespace], Iterable[Row]]


def _predicted(number: int) -> RowMaker:
    return lambda _: [predicted.row(number)]


GROUPS: dict[str, RowMaker] = {
    "llama_bench": lambda a: pairs.against_llama_bench(GGUF, a.rounds, 64, a.seed),
    "bare_llamacpp": lambda a: [
        pairs.against_bare("decode_vs_bare_llamacpp", GGUF, "llamacpp", a.rounds, 64, a.seed)
    ],
    "bare_mlx": lambda a: [
        pairs.against_bare("decode_vs_bare_mlx", MLX, "mlx", a.rounds, 16, a.seed)
    ],
    "mlx_stats": lambda a: [
        pairs.against_bare("decode_vs_mlx_vlm_stats", MLX, "mlx_stats", a.rounds, 16, a.seed)
    ],
    "bare_torch": lambda a: [
        pairs.against_bare("decode_vs_bare_torch", TORCH, "torch", a.rounds, 32, a.seed)
    ],
    "real": lambda a: pairs.real_against_bare(a.rounds, 64, a.seed),
    "peak": lambda _: [pairs.peak_against_kernel([GGUF, MLX, TORCH], 16)],
    **{f"predicted_{n}": _predicted(n) for n in range(1, predicted.COUNT + 1)},
    "journal": lambda a: journal.rows(a.rounds, a.seed),
    "plugin": lambda a: [whole.plugin_startup(2 * a.rounds, a.seed)],
    "three_b": lambda _: [whole.three_b()],
}
"""Name on the command line -> maker of its rows."""


def main() -> None:
    """Parse the command line, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groups", nargs="*", default=list(GROUPS), help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=9, help="pairs of each ratio")
    parser.add_argument("--seed", type=int, default=2026, help="of the coin")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.groups if name not in GROUPS]:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(GROUPS)}")
    for group in arguments.groups:
        print(f"{group} ...", file=sys.stderr, flush=True)
        for row in GROUPS[group](arguments):
            print(f"  {row.id} {row.value:.4g} (goal {goal_text(row.goal)})", file=sys.stderr)
            keep(FOLDER / "results.json", row)
    results = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    (FOLDER / "RESULTS.md").write_text(table(results), encoding="utf-8")


def keep(file: Path, row: Row) -> None:
    """Write a row into the list of ``file``, in place of an earlier one of that name."""
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers)
    memory_gb = machine.memory_bytes / 1e9
    low, high = row.interval
    entry = {
        "id": row.id,
        "value": row.value,
        "low": low,
        "high": high,
        "unit": row.unit,
        "goal": [None if math.isinf(limit) else limit for limit in row.goal],
        "ok": row.ok,
        "n": len(row.values),
        "ours": row.ours,
        "theirs": row.theirs,
        "machine": f"{machine.chip}, {machine.cpu_cores} cores, {round(memory_gb, 1)} GB",
        "environment": environment().versions,
        "date": datetime.date.today().isoformat(),
    }
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    results = [result for result in results if result["id"] != row.id] + [entry]
    text = json.dumps(sorted(results, key=lambda result: result["id"]), indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Results",
        "",
        "Made by `make bench` from `results.json`; nothing here is typed in. Ratios are ours over",
        "the peer's, a pair back to back in an order by coin; the value is the median of the",
        "pairs, with the order statistics that enclose it with 95 %. Weights are synthetic.",
        "",
        "| figure | value | interval | goal | reached | pairs | ours | peer | date |",
        "|---|--:|---|---|---|--:|---|---|---|",
    ]
    for result in results:
        limits = [-math.inf, math.inf]
        goal = tuple(
            infinite if limit is None else limit
            for limit, infinite in zip(result["goal"], limits, strict=True)
        )
        unit = "" if result["unit"] == "ratio" else f" {result['unit']}"
        lines.append(
            f"| `{result['id']}` | {result['value']:.4g}{unit} "
            f"| {result['low']:.4g} – {result['high']:.4g} | {goal_text((goal[0], goal[1]))} "
            f"| {'yes' if result['ok'] else '**no**'} | {result['n']} "
            f"| {result['ours']} | {result['theirs']} | {result['date']} |"
        )
    machines = sorted({result["machine"] for result in results})
    environments = [result["environment"] for result in results]
    versions = sorted(
        {
            f"{name} {version}"
            for environment in environments
            for name, version in environment.items()
            if version
        }
    )
    lines += ["", f"Machine: {'; '.join(machines)}.", "", f"Versions: {', '.join(versions)}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
