"""What a gate's result says, in the words and figures that the reports and the screen share. Pure.

No figure is made here but medians, and those of observations only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.utils import canonicalize_name

from qualification.core.metrics import GATE_LIMITS, METRICS
from qualification.results.report import middle, rate, seconds, share, size
from qualification.upgrade.gate.records import (
    CHECKS,
    Asked,
    BehaviourFinding,
    GatePlan,
    GateResult,
    GateVerdict,
    MetricFinding,
    Side,
)

LABELS = {
    "load_s": "load",
    "ttft_s": "first token",
    "prefill_tps": "prefill",
    "decode_tps": "decode",
    "peak_memory_bytes": "peak memory",
    "peak_device_bytes": "GPU memory",
}


@dataclass(frozen=True)
class Difference:
    """A distribution whose version differs; '' where it is not installed. ``pinned``: by name."""

    package: str
    a: str
    b: str
    pinned: bool


@dataclass(frozen=True)
class Cell:
    """One word for one check, and the verdict behind it ('' where there is none)."""

    word: str
    verdict: GateVerdict | Literal["note", ""]


NOTHING = Cell("–", "")


def differences(plan: GatePlan) -> tuple[Difference, ...]:
    """What differs between the environments: packages that were pinned by name, then the others."""
    pins = {_name_in(pin) for pin in (*plan.a.pins, *plan.b.pins)}
    a, b = _canonical(plan.a.versions), _canonical(plan.b.versions)
    found = [
        Difference(name, a.get(name, ""), b.get(name, ""), name in pins)
        for name in sorted(a.keys() | b.keys())
        if a.get(name, "") != b.get(name, "")
    ]
    return tuple(sorted(found, key=lambda one: not one.pinned))


def _canonical(versions: Mapping[str, str]) -> dict[str, str]:
    return {str(canonicalize_name(name)): version for name, version in versions.items()}


def _name_in(pin: str) -> str:
    found = re.match(r"[\w.-]+", pin.strip())
    return str(canonicalize_name(found.group())) if found else ""


def moved(plan: GatePlan, most: int = 4) -> str:
    """What differs in a few words: ``mlx-vlm 0.6.3 → 0.6.4``."""
    all_of_them = differences(plan)
    if not all_of_them:
        is_same = plan.a.key == plan.b.key
        return "no package differs" if is_same else "only packages that are not listed differ"
    named = [
        f"{one.package} {one.a or 'not installed'} → {one.b or 'not installed'}"
        for one in all_of_them[:most]
    ]
    left = len(all_of_them) - len(named)
    return ", ".join(named) + (f" and {left} more" if left else "")


def checks(result: GateResult) -> tuple[str, ...]:
    """The checks that have a finding, in the order in which they are made."""
    order = list(CHECKS)
    made = {finding.check for finding in result.behaviour}

    def place(check: str) -> tuple[int, str]:
        base = check.partition("[")[0]
        return (order.index(base) if base in order else len(order)), check

    return tuple(sorted(made, key=place))


def behaviour_cell(finding: BehaviourFinding | None) -> Cell:
    """The word of the matrix of behaviour; ``note`` stands behind what passed with a but."""
    if finding is None:
        return NOTHING
    if finding.verdict != "pass":
        return Cell(finding.note or finding.verdict, finding.verdict)
    return Cell(finding.note or "ok", "note" if finding.note not in ("", "improved") else "pass")


def metric_word(finding: MetricFinding) -> str:
    """``open`` while more pairs are to come, else the verdict; ``improved`` stands for a pass."""
    if finding.decision.name == "open" and finding.note != "budget":
        return "open"
    return finding.note if finding.note == "improved" else finding.verdict


def findings(result: GateResult) -> tuple[BehaviourFinding | MetricFinding, ...]:
    """All of them, behaviour first."""
    return (*result.behaviour, *result.metrics)


def problems(result: GateResult) -> tuple[BehaviourFinding | MetricFinding, ...]:
    """Every finding that did not pass: regressed, then inconclusive, then unfit."""
    return tuple(
        finding
        for verdict in ("regressed", "inconclusive", "unfit")
        for finding in findings(result)
        if finding.verdict == verdict
    )


def notes(result: GateResult) -> tuple[BehaviourFinding | MetricFinding, ...]:
    """What passed and is still worth a word: improved, new warnings, what fails on both sides."""
    return tuple(
        finding for finding in findings(result) if finding.verdict == "pass" and finding.note
    )


def about(finding: BehaviourFinding | MetricFinding) -> str:
    """What a finding speaks of: the check or the metric."""
    return finding.check if isinstance(finding, BehaviourFinding) else finding.metric


def quantity(value: float | None, metric: str) -> str:
    """A value with its unit: ``35 ms``, ``1.20 GB``, ``95.4 tok/s``; ``–`` for none."""
    if value is None or not math.isfinite(value):
        return "–"
    unit = METRICS.get(metric, ("", "lower"))[0]
    if unit == "s":
        return seconds(value)
    return size(value) if unit == "B" else f"{rate(value)} {unit}".rstrip()


def duration(value: float) -> str:
    """``48 s``, ``12 min 34 s`` or ``3 h 25 min``; never under 0 s."""
    whole = round(value) if math.isfinite(value) and value > 0 else 0
    minutes, left = divmod(whole, 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def raw(value: float | None, metric: str) -> str:
    """The bare number, whole bytes and six digits of anything else; ``–`` for none."""
    if value is None or not math.isfinite(value):
        return "–"
    unit = METRICS.get(metric, ("", "lower"))[0]
    return f"{value:,.0f}" if unit == "B" else f"{value:.6g}"


def factor(value: float | None) -> str:
    """``1.063``; ``∞`` where a bound is open, ``–`` for none."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.3f}"


def detectable(value: float | None) -> str:
    """A share that may not be known."""
    return share(value) if value is not None and math.isfinite(value) else "–"


def place(value: float, metric: str) -> float:
    """Where a factor lies on a line with 1 in its middle: 0 to 100 per cent, in logarithms.

    50 is a factor of 1, 75 the metric's margin; what is beyond an end is at the end.
    """
    if metric not in GATE_LIMITS or math.isnan(value):
        return 50.0
    much = GATE_LIMITS[metric].logs[1]
    log = math.log(value) if 0 < value < math.inf else math.copysign(math.inf, value - 1)
    return round(50 + 50 * max(-1.0, min(1.0, log / (2 * much))), 1)


def typical(values: Sequence[float]) -> float | None:
    """The median of the values that are numbers."""
    return middle([value for value in values if math.isfinite(value)])


def answers_that_differ(result: GateResult, deployment: str) -> list[tuple[Asked, Asked]]:
    """Questions of the last attempt that both sides made, which they answered differently."""
    by_side: dict[tuple[Side, int], dict[str, Asked]] = {}
    for one in result.observations:
        if one.deployment == deployment and one.asked:
            by_side[one.side, one.attempt] = {asked.question: asked for asked in one.asked}
    attempts = [attempt for side, attempt in by_side if side == "a" and ("b", attempt) in by_side]
    if not attempts:
        return []
    a, b = by_side["a", max(attempts)], by_side["b", max(attempts)]
    return [(a[name], b[name]) for name in a if name in b and a[name].text != b[name].text]
