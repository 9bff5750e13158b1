"""A gate's result in words and figures, shared by the reports and the terminal. Pure.

No figure is computed here but medians, and those of observations only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.utils import canonicalize_name

from qualification.core.declarations import KnownBug
from qualification.core.format import NOTHING, quantity_text
from qualification.core.metrics import GATE_LIMITS, METRICS
from qualification.judging.stats.estimators import median
from qualification.models.known_bugs import concerns, in_range, remedy
from qualification.models.release_advice import shipped_advice
from qualification.upgrade.gate.records import (
    SIDE_NAMES,
    Answer,
    BehaviourFinding,
    GatePlan,
    GateResult,
    GateVerdict,
    MetricFinding,
    Side,
    check_rank,
)


@dataclass(frozen=True)
class VersionChange:
    """A distribution whose version differs; '' where it is not installed. ``pinned``: by name."""

    package: str
    a: str
    b: str
    pinned: bool


@dataclass(frozen=True)
class CheckCell:
    """One word for one check, and the verdict behind it ('' where there is none)."""

    word: str
    verdict: GateVerdict | Literal["note", ""]


def differences(plan: GatePlan) -> tuple[VersionChange, ...]:
    """The packages that differ between the environments: those pinned by name, then the others."""
    pins = {_name_in(pin) for pin in (*plan.a.pins, *plan.b.pins)}
    a, b = _canonical(plan.a.versions), _canonical(plan.b.versions)
    moves = [
        VersionChange(name, a.get(name, ""), b.get(name, ""), name in pins)
        for name in sorted(a.keys() | b.keys())
        if a.get(name, "") != b.get(name, "")
    ]
    return tuple(sorted(moves, key=lambda move: not move.pinned))


def _canonical(versions: Mapping[str, str]) -> dict[str, str]:
    return {str(canonicalize_name(name)): version for name, version in versions.items()}


def _name_in(pin: str) -> str:
    name = re.match(r"[\w.-]+", pin.strip())
    return str(canonicalize_name(name.group())) if name else ""


def moved(plan: GatePlan, most: int = 4) -> str:
    """The differences in a few words: ``mlx-vlm 0.6.3 → 0.6.4``."""
    moves = differences(plan)
    if not moves:
        is_same = plan.a.key == plan.b.key
        return "no package differs" if is_same else "only packages that are not listed differ"
    texts = [
        f"{move.package} {move.a or 'not installed'} → {move.b or 'not installed'}"
        for move in moves[:most]
    ]
    hidden = len(moves) - len(texts)
    return ", ".join(texts) + (f" and {hidden} more" if hidden else "")


def checks(result: GateResult) -> tuple[str, ...]:
    """The checks that have a finding, in the order in which they are made."""
    names = {finding.check for finding in result.behaviour}
    return tuple(sorted(names, key=lambda check: (check_rank(check), check)))


def behaviour_cell(finding: BehaviourFinding | None) -> CheckCell:
    """The word in the matrix of behaviour; its verdict is ``note`` where a pass needs a remark."""
    if finding is None:
        return CheckCell(NOTHING, "")
    if finding.verdict != "pass":
        return CheckCell(finding.note or finding.verdict, finding.verdict)
    return CheckCell(
        finding.note or "ok", "note" if finding.note not in ("", "improved") else "pass"
    )


def metric_word(finding: MetricFinding) -> str:
    """``open`` while more pairs are to come, else the verdict; ``improved`` stands for a pass."""
    if finding.decision.name == "open" and finding.note != "budget":
        return "open"
    return finding.note if finding.note == "improved" else finding.verdict


def findings(result: GateResult) -> tuple[BehaviourFinding | MetricFinding, ...]:
    """All of them, behaviour before metrics."""
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
    """Passes that need a remark: improved, new warnings, failures of both sides."""
    return tuple(
        finding for finding in findings(result) if finding.verdict == "pass" and finding.note
    )


def known_bugs(result: GateResult, bugs: Iterable[KnownBug]) -> tuple[str, ...]:
    """A sentence on each declared bug that may explain findings, with what to do about it.

    A bug that only one environment has may explain any problem or note of its deployments; a bug of
    both environments only a check that fails in both.
    """
    unclear = [*problems(result), *notes(result)]
    failing = [finding for finding in notes(result) if finding.note == "both fail"]
    sentences = []
    for bug in bugs:
        sides = [
            f"the {name} ({bug.package} {version})"
            for name, version in _versions_of(bug.package, result.plan)
            if in_range(version, bug.versions)
        ]
        explained = {finding.deployment for finding in (unclear if len(sides) == 1 else failing)}
        deployments = [
            ref.identifier
            for ref in result.plan.deployments
            if ref.identifier in explained and concerns(bug, ref.declared_as)
        ]
        if sides and deployments and (not bug.tiers or result.plan.machine.tier in bug.tiers):
            sentences.append(
                f"{bug.identifier} is in range in {' and '.join(sides)} and concerns "
                f"{', '.join(deployments)}: {bug.title}; {remedy(bug)}."
            )
    return tuple(sentences)


def pins(result: GateResult) -> tuple[str, ...]:
    """For deployments that are worse: the releases that the maps of releases know to be good."""
    worse = {finding.deployment for finding in findings(result) if finding.verdict == "regressed"}
    moved_names = {str(canonicalize_name(change.package)) for change in differences(result.plan)}
    packages: dict[str, list[str]] = {}
    for entry in shipped_advice():
        if entry.deployment in worse and entry.package in moved_names and entry.pin:
            pin = f"{entry.package}=={entry.pin}"
            packages.setdefault(pin, []).append(entry.deployment)
    return tuple(
        f"{pin} is the newest release with nothing wrong for {', '.join(names)}"
        for pin, names in packages.items()
    )


def _versions_of(package: str, plan: GatePlan) -> Iterator[tuple[str, str]]:
    """The name of each side and its version of a package, '' where it is not installed."""
    name = str(canonicalize_name(package))
    for side, environment in zip(SIDE_NAMES.values(), (plan.a, plan.b), strict=True):
        yield side, _canonical(environment.versions).get(name, "")


def subject(finding: BehaviourFinding | MetricFinding) -> str:
    """The check or the metric of a finding."""
    return finding.check if isinstance(finding, BehaviourFinding) else finding.metric


def label(metric: str) -> str:
    """``decoding speed``; the name itself where the metric has no label."""
    return (METRICS[metric].label if metric in METRICS else "") or metric


def quantity(value: float | None, metric: str) -> str:
    """A value with the metric's unit: ``35.2 ms``, ``1.20 GB``, ``95.4 tok/s``."""
    return quantity_text(value, _unit(metric))


def raw(value: float | None, metric: str) -> str:
    """The bare number: whole bytes, six digits of anything else; ``–`` for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if _unit(metric) == "B" else f"{value:.6g}"


def _unit(metric: str) -> str:
    return METRICS[metric].unit if metric in METRICS else ""


def position(factor: float, metric: str) -> float:
    """Where a factor lies on a line with 1 in its middle: 0 to 100 per cent, in logarithms.

    50 is a factor of 1, 75 the metric's margin; factors beyond an end are at the end.
    """
    if metric not in GATE_LIMITS or math.isnan(factor):
        return 50.0
    _, margin = GATE_LIMITS[metric].logs
    log = math.log(factor) if 0 < factor < math.inf else math.copysign(math.inf, factor - 1)
    return round(50 + 50 * max(-1.0, min(1.0, log / (2 * margin))), 1)


def typical(values: Sequence[float]) -> float | None:
    """The median of the values that are numbers."""
    finite = [value for value in values if math.isfinite(value)]
    return median(finite) if finite else None


def answers_that_differ(result: GateResult, deployment: str) -> list[tuple[Answer, Answer]]:
    """Questions of the latest attempt of both sides which they answered differently."""
    by_side: dict[tuple[Side, int], dict[str, Answer]] = {}
    for observation in result.observations:
        if observation.deployment == deployment and observation.answers:
            by_side[observation.side, observation.attempt] = {
                answer.question: answer for answer in observation.answers
            }
    attempts = [attempt for side, attempt in by_side if side == "a" and ("b", attempt) in by_side]
    if not attempts:
        return []
    a, b = by_side["a", max(attempts)], by_side["b", max(attempts)]
    return [(a[name], b[name]) for name in a if name in b and a[name].text != b[name].text]
