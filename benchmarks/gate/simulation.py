"""The upgrade gate's rule and its rivals, simulated: ``python -m benchmarks.gate.simulation``.

``--runs N`` comparisons for each cell (default 10,000; no effect with our rule: 20 times as many)
and ``--seed S``. Writes ``simulation.json`` and ``SIMULATION.md`` beside this file, with
Clopper-Pearson 95 % intervals and the cells of the reference table (docs/judging.md, "The reference
table") that lie within them.

The rule is vectorised here for values without ties; tests/benchmarks/gate/test_simulation.py
compares it with ``qualification.judging.stats.sequential.judge_series``, series by series. The
reference table does not state its models of noise, so those of :data:`MODELS` were set by the
rivals' cells alone; ours follow from them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, mannwhitneyu

from qualification.core.metric_types import Limits
from qualification.core.metrics import GATE_LIMITS
from qualification.judging.stats import sequential as rule
from qualification.judging.stats.estimators import PRIOR_SD

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Futility = Mapping[int, float]

HERE = Path(__file__).parent
EFFECTS = (0.0, 0.05, 0.10)
COMPARISONS = 24
RIVAL_RUNS = 10
PAIRS = 2 * rule.ANALYSIS_PAIRS[-1]
CHUNK = 20_000
NAMES = ("open", "pass", "regressed", "inconclusive", "unfit")
PASS, REGRESSED, INCONCLUSIVE, UNFIT = range(1, 5)


@dataclass(frozen=True)
class Noise:
    """Noise of the log of one run: normal, a random walk over time, outliers, a slow mode.

    ``sd`` is that of one run (CV 0.03); ``walk`` the step of the random walk from one run to the
    next; a share ``outliers`` of the runs takes 1 + an exponential of mean ``outlier_mean`` as
    long; a share ``slow_share`` is ``slow`` slower, and a run keeps its neighbour's mode with
    probability ``sticky``.
    """

    sd: float = 0.03
    walk: float = 0.0
    outliers: float = 0.0
    outlier_mean: float = 0.9
    slow: float = 0.0
    slow_share: float = 0.3
    sticky: float = 0.5

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Logs of ``shape``: comparisons × runs in the order in which they are made."""
        logs = rng.normal(0.0, self.sd, shape)
        if self.walk:
            logs += np.cumsum(rng.normal(0.0, self.walk, shape), axis=1)
        if self.outliers:
            longer = np.log1p(rng.exponential(self.outlier_mean, shape))
            logs += np.where(rng.random(shape) < self.outliers, longer, 0.0)
        if self.slow:
            logs += math.log1p(self.slow) * self._modes(rng, shape)
        return logs

    def _modes(self, rng: np.random.Generator, shape: tuple[int, int]) -> Flags:
        modes = rng.random(shape) < self.slow_share
        is_sticky = rng.random(shape) < self.sticky
        for run in range(1, shape[1]):
            modes[:, run] = np.where(is_sticky[:, run], modes[:, run - 1], modes[:, run])
        return modes


MODELS = {
    "log-normal CV 3 %": Noise(),
    "+ shared drift": Noise(walk=0.012),
    "+ 5 % outliers": Noise(walk=0.012, outliers=0.05),
    "bimodal": Noise(slow=0.08),
}
NOISY = (0.03, 0.045, 0.06, 0.10, 0.15, 0.20, 0.30)
"""Standard deviations of one run, to show which machines futility stops as unfit."""

REFERENCE: dict[str, tuple[tuple[float, float, float], ...]] = {
    "pytest-benchmark mean:5%": ((6, 50, 93), (16, 50, 84), (29, 51, 69), (12, 49, 87)),
    "benchstat, block order": ((2.5, 90, 100), (12, 71, 98), (11, 62, 95), (6, 59, 96)),
    "U test, interleaved": ((2.4, 90, 100), (1.4, 78, 100), (0.9, 65, 96), (1.7, 61, 99)),
    "asv": ((0, 0, 51), (0, 1, 50), (0, 2, 41), (0, 3, 46)),
    "ours, confirmed": ((0.01, 93, 100), (0.01, 92, 100), (0.01, 78, 99), (0.03, 76, 100)),
}
"""docs/judging.md ("The reference table"): rule -> model -> "slower" in % at 0, 5 and 10 %."""

OUR_ROWS = {
    "ours, confirmed": "regressed",
    "ours, first stage": "first stage",
    "ours, passes": "pass",
}
"""Row of the table -> count of :func:`ours`."""

FUTILITY: dict[str, Futility] = {
    "none": {},
    "reference: at 9": {9: 1.0},
    "at 20": {20: 1.0},
    "95 % bound, at 9 and 13": {9: 0.63, 13: 0.67},
    "99 % bound, at 9": {9: rule.FUTILITY_FACTORS[9]},
    "99 % bound, at 9 and 13 (ours)": rule.FUTILITY_FACTORS,
}
"""Name -> number of pairs -> factor on 1.4826 · MAD, as ``sequential.FUTILITY_FACTORS``."""


def judge(
    x: Floats, limits: Limits, futility: Futility
) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]]:
    """For each row of 60 pairs: code (see NAMES), that of the first stage, pairs used."""
    stage, used = _stage(x, limits, futility)
    code, total = stage.copy(), used.copy()
    rows = np.flatnonzero(stage == REGRESSED)
    if len(rows):
        places = used[rows, None] + np.arange(rule.ANALYSIS_PAIRS[-1])
        confirmation, more = _stage(np.take_along_axis(x[rows], places, axis=1), limits, futility)
        code[rows] = np.where(confirmation == REGRESSED, REGRESSED, INCONCLUSIVE)
        total[rows] += more
    return code, stage, total


def _stage(
    x: Floats, limits: Limits, futility: Futility
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    indifference, margin = limits.logs
    code = np.zeros(len(x), dtype=np.int_)
    used = np.full(len(x), rule.ANALYSIS_PAIRS[-1])
    for pairs in rule.ANALYSIS_PAIRS:
        rows = np.flatnonzero(code == 0)
        ratios = x[rows, :pairs]
        passes = _is_greater(margin - ratios)
        decided = np.where(passes, PASS, np.where(_is_greater(ratios - indifference), REGRESSED, 0))
        if pairs in futility:
            away = np.abs(ratios - np.median(ratios, axis=1, keepdims=True))
            sigma = futility[pairs] * 1.4826 * np.median(away, axis=1)
            least_found = rule.SPREAD * sigma / math.sqrt(rule.ANALYSIS_PAIRS[-1])
            is_futile = least_found > margin - indifference
            decided = np.where((decided == 0) & is_futile, UNFIT, decided)
        code[rows] = decided
        used[rows[decided > 0]] = pairs
    code[code == 0] = INCONCLUSIVE
    return code, used


def _is_greater(y: Floats) -> Flags:
    ranks = np.argsort(np.argsort(np.abs(y), axis=1), axis=1) + 1
    flags: Flags = (ranks * (y > 0)).sum(axis=1) >= _least_sum(y.shape[1])
    return flags


@lru_cache
def _least_sum(count: int) -> int:
    """The least sum of positive ranks that the rule's own test finds, of ``count`` values."""

    def with_sum(remainder: int) -> Iterator[float]:
        for rank in range(count, 0, -1):
            is_positive = rank <= remainder
            remainder -= rank if is_positive else 0
            yield rank if is_positive else -rank

    sums = range(count * (count + 1) // 2 + 1)
    return next(total for total in sums if rule.p_greater([*with_sum(total)]) <= rule.ALPHA)


def interleaved(
    noise: Noise, effect: float, rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Logs of A and of B, comparisons × pairs, the order within a pair by a fair coin."""
    runs = noise.draw(rng, (shape[0], 2 * shape[1]))
    coin = rng.random(shape) < 0.5
    early, late = runs[:, 0::2], runs[:, 1::2]
    a = np.where(coin, early, late)
    b = np.where(coin, late, early) + math.log1p(effect)
    return a, b


def rivals(noise: Noise, effect: float, rng: np.random.Generator, runs: int) -> dict[str, int]:
    """Rule -> how many of ``runs`` comparisons it calls slower."""
    shape = (runs, RIVAL_RUNS)
    level = math.log1p(effect)
    stored = noise.draw(rng, shape) + rng.normal(0.0, PRIOR_SD, (runs, 1))
    today = noise.draw(rng, shape) + rng.normal(0.0, PRIOR_SD, (runs, 1)) + level
    block = noise.draw(rng, (runs, 2 * RIVAL_RUNS))
    a, b = interleaved(noise, effect, rng, shape)
    mean_says = np.exp(today).mean(axis=1) / np.exp(stored).mean(axis=1) > 1.05
    ratio = np.exp(np.median(b, axis=1) - np.median(a, axis=1))
    p = _u_p(a, b)
    before, after = block[:, :RIVAL_RUNS], block[:, RIVAL_RUNS:] + level
    is_later_slower = np.median(after, axis=1) > np.median(before, axis=1)
    return {
        "pytest-benchmark mean:5%": int(mean_says.sum()),
        "benchstat, block order": int((is_later_slower & (_u_p(before, after) <= 0.05)).sum()),
        "U test, interleaved": int(((ratio > 1) & (p <= 0.05)).sum()),
        "asv": int(((ratio > 1.1) & (p < 0.002)).sum()),
    }


def _u_p(a: Floats, b: Floats) -> Floats:
    return np.asarray(mannwhitneyu(b, a, axis=1, method="exact").pvalue, dtype=np.float64)


def ours(
    noise: Noise,
    effect: float,
    rng: np.random.Generator,
    runs: int,
    futility: Futility = rule.FUTILITY_FACTORS,
) -> dict[str, float]:
    """How often each name comes out, how often a first stage says slower, mean pairs."""
    counts: dict[str, float] = dict.fromkeys((*NAMES[1:], "first stage", "pairs"), 0)
    for begin in range(0, runs, CHUNK):
        a, b = interleaved(noise, effect, rng, (min(CHUNK, runs - begin), PAIRS))
        code, stage, used = judge(b - a, GATE_LIMITS["decode_tps"], futility)
        for number, name in enumerate(NAMES[1:], 1):
            counts[name] += int((code == number).sum())
        counts["first stage"] += int((stage == REGRESSED).sum())
        counts["pairs"] += float(used.sum()) / runs
    return counts


def cell(count: float, runs: int) -> dict[str, float]:
    """A share in %, its Clopper-Pearson 95 % bounds, and the runs behind it."""
    low = beta.ppf(0.025, count, runs - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, runs - count) if count < runs else 1.0
    shares = {"share": count / runs, "low": low, "high": high}
    return {**{name: 100 * float(value) for name, value in shares.items()}, "runs": runs}


def table(seed: int, runs: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Rule -> model -> a cell for each effect."""
    cells: dict[str, dict[str, list[dict[str, float]]]] = {}
    for at, (model, noise) in enumerate(MODELS.items()):
        for effect in EFFECTS:
            rng = np.random.default_rng([seed, at, round(100 * effect)])
            for name, count in rivals(noise, effect, rng, runs).items():
                cells.setdefault(name, {}).setdefault(model, []).append(cell(count, runs))
            our_runs = runs if effect else 20 * runs
            counts = ours(noise, effect, rng, our_runs)
            for name, key in OUR_ROWS.items():
                row = cells.setdefault(name, {}).setdefault(model, [])
                row.append(cell(counts[key], our_runs))
    return cells


def futilities(seed: int, runs: int) -> dict[str, dict[str, list[float]]]:
    """Variant -> model or "sd" -> [slower at 5 %, slower at 10 %, unfit at 0 %, pairs at 0 %]."""
    noises = MODELS | {f"sd {sd:.1%}": Noise(sd=sd) for sd in NOISY[1:]}
    variants: dict[str, dict[str, list[float]]] = {}
    for name, futility in FUTILITY.items():
        for at, (model, noise) in enumerate(noises.items()):
            equal, *slower = [
                ours(noise, effect, np.random.default_rng([seed, 100 + at]), runs, futility)
                for effect in EFFECTS
            ]
            power = [100 * counts["regressed"] / runs for counts in slower]
            unfit = 100 * equal["unfit"] / runs
            variants.setdefault(name, {})[model] = [*power, unfit, equal["pairs"]]
    return variants


def any_alarm(share: float) -> float:
    """Chance in % of at least one in 24 independent comparisons that each have ``share`` %."""
    return 100 * (1 - (1 - share / 100) ** COMPARISONS)


def is_within(row: Mapping[str, float], stated: float, decimals: int) -> bool:
    """Whether a stated, rounded figure can be the truth behind a simulated cell, both in %."""
    half = 0.5 * 10**-decimals
    return bool(row["low"] - half <= stated <= row["high"] + half)


def compare(cells: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> list[str]:
    """The cells of the reference table outside the simulation's error, as sentences."""
    out = []
    for name, rows in REFERENCE.items():
        for model, stated in zip(MODELS, rows, strict=True):
            for effect, value, row in zip(EFFECTS, stated, cells[name][model], strict=True):
                decimals = 0 if value == int(value) else 2 if value < 0.1 else 1
                if not is_within(row, value, decimals):
                    simulated = f"{row['share']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
                    cell_name = f"{name}, {model}, {effect:.0%} slower"
                    out.append(f"{cell_name}: reference {value:g}, here {simulated}")
    return out


def markdown(result: Mapping[str, Any]) -> str:
    """The committed report."""
    cells, variants = result["table"], result["futility"]
    total = len(MODELS) * len(EFFECTS) * len(REFERENCE)
    slower = {}
    for name, rows in cells.items():
        texts = [" / ".join(_figure(row["share"]) for row in rows[model]) for model in MODELS]
        if name in REFERENCE:
            stated = (" / ".join(f"{value:g}" for value in row) for row in REFERENCE[name])
            texts = [f"{text} ({figures})" for text, figures in zip(texts, stated, strict=True)]
        slower[name] = texts
    alarms = {
        name: ["{} ({} to {})".format(*map(_figure, interval)) for interval in row.values()]
        for name, row in result["any_alarm"].items()
    }
    stopping = {
        model: ["{:.1f} / {:.1f}; {:.1f}, {:.1f}".format(*row[model]) for row in variants.values()]
        for model in next(iter(variants.values()))
    }
    return f"""# The gate's rule and its rivals, simulated

Made by `python -m benchmarks.gate.simulation --runs {result["runs"]} --seed {result["seed"]}`.
Decoding speed (δ₀ = 1 %, m = 5 %), rivals with ten runs of each. "Slower" in % of the comparisons
at no effect / 5 % / 10 %, in brackets those of the reference table. The last row is "pass" instead
of "slower". All intervals (Clopper-Pearson, 95 %) are in simulation.json.

{_grid("rule", MODELS, slower)}

## At least one false alarm in {COMPARISONS} comparisons of equal environments, %

The comparisons are independent; the interval is that of one comparison, carried over.

{_grid("rule", MODELS, alarms)}

## Against the reference table

{total - len(result["differs"])} of {total} cells of the reference table (docs/judging.md) lie
within the interval here and their own rounding. The table states neither its models nor its number
of runs; the models of `MODELS` were set by the rivals' cells. Outside:

{chr(10).join(f"- {line}" for line in result["differs"])}

## Variants of futility stopping

Slower at 5 % / at 10 %; at no effect: unfit in %, mean pairs. Every variant judges the same series.
"sd" is that of one run, log-normal.

{_grid("noise", variants, stopping)}
"""


def _grid(corner: str, heads: Iterable[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = [[corner, *heads], *([name, *texts] for name, texts in rows.items())]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(percent: float) -> str:
    if percent == 0 or percent >= 9.95:
        return f"{percent:.0f}"
    return f"{percent:.2g}"


def simulate(seed: int, runs: int) -> dict[str, Any]:
    """All that is written, from a seed."""
    cells = table(seed, runs)
    alarms = {
        name: {
            model: [any_alarm(rows[model][0][key]) for key in ("share", "low", "high")]
            for model in MODELS
        }
        for name, rows in cells.items()
        if name != "ours, passes"
    }
    return {
        "seed": seed,
        "runs": runs,
        "table": cells,
        "any_alarm": alarms,
        "differs": compare(cells),
        "futility": futilities(seed, max(1, runs // 2)),
    }


def main() -> None:
    """Parse the command line, simulate, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20260)
    options = parser.parse_args()
    begin = time.monotonic()
    result = simulate(options.seed, options.runs)
    (HERE / "simulation.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "SIMULATION.md").write_text(markdown(result))
    print(f"written in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
