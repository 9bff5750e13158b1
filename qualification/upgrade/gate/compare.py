"""Behaviour of baseline and candidate compared: a finding for each check. Pure.

A check that the baseline passes and the candidate does not is repeated in fresh processes of both.
Only if the candidate fails again, and the baseline does not, is it ``regressed``; where a side does
not agree with itself it is ``inconclusive``. A check that the baseline fails too does not count
against the candidate. Equal answers pass without a test; others are judged as pairs of items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.format import bytes_text
from qualification.judging.memory_growth import GROWTH_LIMIT, GROWTH_LIMIT_CANARY
from qualification.judging.stats.estimators import median
from qualification.judging.stats.paired_items import ItemsDecision, judge_items
from qualification.upgrade.gate.records import (
    SIDE_NAMES,
    SIDES,
    Answer,
    Behaviour,
    BehaviourFinding,
    DeploymentRef,
    GateVerdict,
    Probe,
    WarningsPolicy,
    check_rank,
)

SHIFT = 0.01
"""A first-token margin is shifted if it differs from the reference by more than this share."""

MANY_SHIFTED = 0.05
"""If more than this share of the margins shift, the computation has changed. Two good releases
agree to 0.001 on every question; each silent fault of the catalogue shifted one margin in seven or
more (docs/regressions.md, "Two good environments")."""

SLOW = 2.0
"""A latency ratio that other work on the machine does not explain: it is the median of dozens of
requests, and it must be exceeded twice."""

EXAMPLES = 3
"""Answers that are quoted in a sentence."""

_AnswerPairs = list[tuple[Answer, Answer]]


@dataclass(frozen=True)
class _Attempt:
    """One fresh process of each side."""

    a: Behaviour
    b: Behaviour

    @property
    def answers(self) -> _AnswerPairs:
        """The answers of both to the same questions."""
        of_b = {answer.question: answer for answer in self.b.answers}
        return [(a, of_b[a.question]) for a in self.a.answers if a.question in of_b]

    def probes(self, check: str) -> tuple[Probe | None, Probe | None]:
        """A check's probes; None where a process did not get as far."""
        return _probe(self.a, check), _probe(self.b, check)


@dataclass(frozen=True)
class _Comparison:
    """One deployment: the attempt that raises a suspicion, and the one that confirms it, if any."""

    deployment: DeploymentRef
    attempt: _Attempt
    repetition: _Attempt | None = None

    @property
    def attempts(self) -> tuple[_Attempt, ...]:
        """One or two."""
        return (self.attempt,) if self.repetition is None else (self.attempt, self.repetition)

    def finding(
        self,
        check: str,
        verdict: GateVerdict,
        sentence: str,
        note: Literal["", "improved", "both fail", "changed", "new warning"] = "",
    ) -> BehaviourFinding:
        """A finding on this deployment."""
        return BehaviourFinding(self.deployment.identifier, check, verdict, sentence, note)


def behaviour_findings(
    deployments: Iterable[DeploymentRef],
    observations: Iterable[Behaviour],
    warnings: WarningsPolicy = "note",
) -> tuple[BehaviourFinding, ...]:
    """Findings of every deployment that was observed on both sides, in the order of the checks."""
    by_key = {
        (observation.deployment, observation.side, observation.attempt): observation
        for observation in observations
    }
    findings: list[BehaviourFinding] = []
    for deployment in deployments:
        attempts = []
        for number in (0, 1):
            a, b = (by_key.get((deployment.identifier, side, number)) for side in SIDES)
            if a is None or b is None:
                break
            attempts.append(_Attempt(a, b))
        if attempts:
            findings += _of_deployment(_Comparison(deployment, *attempts), warnings)
    return tuple(findings)


def to_confirm(
    deployment: DeploymentRef, a: Behaviour, b: Behaviour, warnings: WarningsPolicy = "note"
) -> frozenset[str]:
    """The checks in which the attempts 0 differ, so that both sides must be asked again."""
    if not _loads(a):
        return frozenset()
    findings = _of_deployment(_Comparison(deployment, _Attempt(a, b)), warnings)
    return frozenset(
        finding.check
        for finding in findings
        if finding.verdict != "pass" and finding.check != "warnings"
    )


def _of_deployment(comparison: _Comparison, warnings: WarningsPolicy) -> list[BehaviourFinding]:
    a, b = comparison.attempt.a, comparison.attempt.b
    if not _loads(a):
        return [_without_baseline(comparison)]
    findings = [_check(comparison, "load")]
    if not _loads(b):
        return findings
    checks = dict.fromkeys(probe.check for behaviour in (a, b) for probe in behaviour.probes)
    for check in sorted(checks, key=check_rank):
        if check == "load":
            continue
        if check == "answers":
            findings.append(_answers(comparison))
            findings += _margins(comparison)
            findings += _latency(comparison)
            findings += _prompt_tokens(comparison)
        elif check == "growth":
            findings.append(_growth(comparison))
        else:
            findings.append(_check(comparison, check))
    findings.append(_warnings(comparison, warnings))
    return findings


def _without_baseline(comparison: _Comparison) -> BehaviourFinding:
    name = comparison.deployment.identifier
    reason = _outcome_text(_probe(comparison.attempt.a, "load"))
    if _loads(comparison.attempt.b):
        sentence = f"{name} loads in the candidate and not in the baseline: {reason}"
        return comparison.finding("load", "pass", sentence, "improved")
    sentence = f"{name} does not load in the baseline, so nothing is compared: {reason}"
    return comparison.finding("load", "inconclusive", sentence, "both fail")


def _check(comparison: _Comparison, check: str) -> BehaviourFinding:
    """Regressed if the baseline passes and the candidate does not, twice."""
    a, b = comparison.attempt.probes(check)
    subject = f"{check} of {comparison.deployment.identifier}"
    if _passes(b):
        if _passes(a):
            return comparison.finding(check, "pass", f"{subject}: as before")
        sentence = f"{subject}: baseline: {_outcome_text(a)}"
        return comparison.finding(check, "pass", sentence, "improved")
    text_a, text_b = _outcome_text(a), _outcome_text(b)
    if not _passes(a):
        both = f"baseline: {text_a}; candidate: {text_b}"
        if text_a == text_b:
            both = f"baseline and candidate: {text_a}"
        return comparison.finding(check, "pass", f"{subject}: {both}", "both fail")
    sentence = f"{subject}: passes in the baseline, not in the candidate: {text_b}"
    if comparison.repetition is None:
        return comparison.finding(check, "inconclusive", f"{sentence}; not repeated")
    passes_again = [_passes(probe) for probe in comparison.repetition.probes(check)]
    if passes_again == [True, False]:
        return comparison.finding(check, "regressed", f"{sentence}; and again")
    again = " and ".join(
        f"the {name} {'passes' if passes else 'fails'}"
        for name, passes in zip(SIDE_NAMES.values(), passes_again, strict=True)
    )
    return comparison.finding(check, "inconclusive", f"{sentence}; in a second process {again}")


def _answers(comparison: _Comparison) -> BehaviourFinding:
    """Equal answers pass; others by the paired rule, with other questions to confirm."""
    pairs = comparison.attempt.answers
    subject = f"answers of {comparison.deployment.identifier}"
    if not pairs:
        sentence = f"{subject}: no question was answered on both sides"
        return comparison.finding("answers", "inconclusive", sentence)
    unequal = _unequal(pairs)
    if not unequal:
        return comparison.finding("answers", "pass", f"{subject}: all {len(pairs)} are equal")
    suspicion = _judged(pairs)
    examples = "; ".join(
        f"{a.question}: {a.text[:60]!r} in the baseline, {b.text[:60]!r} in the candidate, "
        f"expected {a.expected!r}"
        for a, b in unequal[:EXAMPLES]
    )
    sentence = (
        f"{subject}: {len(unequal)} of {len(pairs)} differ ({examples}); {suspicion.sentence}"
    )
    if comparison.repetition is None:
        verdict: GateVerdict = "pass" if suspicion.name == "pass" else "inconclusive"
        return comparison.finding("answers", verdict, f"{sentence}; not repeated")
    verdict, clause = _confirmed(suspicion, comparison.repetition.answers)
    return comparison.finding("answers", verdict, f"{sentence}; {clause}")


def _confirmed(suspicion: ItemsDecision, fresh: _AnswerPairs) -> tuple[GateVerdict, str]:
    """The verdict after other questions, and a clause with their result."""
    if not fresh:
        return "inconclusive", "no other question was answered on both sides"
    if suspicion.name != "regressed" and not _unequal(fresh):
        return "pass", f"all {len(fresh)} other questions are answered alike"
    confirmation = _judged(fresh)
    verdict: GateVerdict = "inconclusive"
    if confirmation.name == "pass" and suspicion.name != "regressed":
        verdict = "pass"
    elif confirmation.name == "regressed" and suspicion.lost > suspicion.gained:
        verdict = "regressed"
    return verdict, f"of {len(fresh)} other questions: {confirmation.sentence}"


def _unequal(pairs: _AnswerPairs) -> _AnswerPairs:
    return [(a, b) for a, b in pairs if a.text != b.text]


def _judged(pairs: _AnswerPairs) -> ItemsDecision:
    return judge_items([a.correct for a, _ in pairs], [b.correct for _, b in pairs])


@dataclass(frozen=True)
class _Shifts:
    """Shares of shifted margins: of each side from its reference, and of the one from the other."""

    a: float
    b: float
    between: float


def _margins(comparison: _Comparison) -> list[BehaviourFinding]:
    """Regressed if only the candidate computes something else than the reference does, twice.

    A canary answers correctly in spite of wrong positions or a missing mask, but with another
    certainty.
    """
    by_attempt = [_shifts(attempt.answers) for attempt in comparison.attempts]
    measured = [shifts for shifts in by_attempt if shifts is not None]
    if not measured:
        return []
    shifts, *repeated = measured
    sentence = (
        f"logit margins of {comparison.deployment.identifier}: {shifts.a:.0%} of the baseline's "
        f"and {shifts.b:.0%} of the candidate's are shifted from the reference, "
        f"{shifts.between:.0%} differ between the two"
    )
    if shifts.b <= MANY_SHIFTED or shifts.between <= MANY_SHIFTED:
        improved = shifts.a > MANY_SHIFTED >= shifts.b
        return [comparison.finding("margins", "pass", sentence, "improved" if improved else "")]
    if shifts.a > MANY_SHIFTED:
        sentence += ", so neither agrees with the reference"
        return [comparison.finding("margins", "inconclusive", sentence)]
    verdict: GateVerdict = "inconclusive"
    for again in repeated:
        sentence += f"; with other questions {again.b:.0%} of the candidate's"
        if again.a <= MANY_SHIFTED < again.b:
            verdict = "regressed"
    return [comparison.finding("margins", verdict, sentence)]


def _shifts(pairs: _AnswerPairs) -> _Shifts | None:
    """None where no answer has a reference."""
    known_pairs = [(a, b) for a, b in pairs if a.references and a.margin and b.margin]
    if not known_pairs:
        return None
    return _Shifts(
        shifted_from_reference([a for a, _ in known_pairs]),
        shifted_from_reference([b for _, b in known_pairs]),
        _shifted([(b.margin, a.margin) for a, b in known_pairs]),
    )


def shifted_from_reference(answers: Sequence[Answer]) -> float:
    """The share of shifted margins of a deployment by the nearest reference; 0 without one."""
    shares = []
    for number in range(len(answers[0].references)):
        pairs = [
            (answer.margin, answer.references[number])
            for answer in answers
            if answer.references[number]
        ]
        if 2 * len(pairs) >= len(answers):
            shares.append(_shifted(pairs))
    return min(shares, default=0.0)


def _shifted(pairs: Sequence[tuple[float, float]]) -> float:
    """The share of pairs whose ratio is further than :data:`SHIFT` from 1."""
    return sum(abs(math.log(x / y)) > SHIFT for x, y in pairs) / len(pairs)


def _latency(comparison: _Comparison) -> list[BehaviourFinding]:
    """Gross slowness, in requests that nobody timed; smaller effects are the metrics' to find."""
    ratios = []
    for attempt in comparison.attempts:
        known_ratios = [b.e2e_s / a.e2e_s for a, b in attempt.answers if a.e2e_s and b.e2e_s]
        if known_ratios:
            ratios.append(median(known_ratios))
    if not ratios:
        return []
    figures = ", then ".join(f"{ratio:.2g}" for ratio in ratios)
    sentence = f"latency ratio of {comparison.deployment.identifier}: {figures} (median)"
    verdict: GateVerdict = "pass"
    if ratios[0] > SLOW:
        verdict = "regressed" if len(ratios) > 1 and ratios[1] > SLOW else "inconclusive"
    return [comparison.finding("latency", verdict, sentence)]


def _prompt_tokens(comparison: _Comparison) -> list[BehaviourFinding]:
    """Another number of tokens is a change to know of; whether it harms, the answers say."""
    pairs = [(a, b) for a, b in comparison.attempt.answers if a.prompt_tokens and b.prompt_tokens]
    if not pairs:
        return []
    subject = f"prompt_tokens of {comparison.deployment.identifier}"
    changed = [(a, b) for a, b in pairs if a.prompt_tokens != b.prompt_tokens]
    if not changed:
        sentence = f"{subject}: equal for all {len(pairs)} prompts"
        return [comparison.finding("prompt_tokens", "pass", sentence)]
    a, b = changed[0]
    sentence = (
        f"{subject}: {len(changed)} of {len(pairs)} prompts have another number of tokens, "
        f"{a.question}: {a.prompt_tokens} in the baseline, {b.prompt_tokens} in the candidate"
    )
    return [comparison.finding("prompt_tokens", "pass", sentence, "changed")]


def _growth(comparison: _Comparison) -> BehaviourFinding:
    """Regressed if the candidate surely leaks more than the limit and than the baseline, twice."""
    deployment = comparison.deployment
    limit = GROWTH_LIMIT_CANARY if deployment.is_canary else GROWTH_LIMIT
    is_worse, clauses = [], []
    for attempt in comparison.attempts:
        a, b = attempt.a.growth, attempt.b.growth
        if a is None or b is None:
            break
        is_worse.append(b.lower > limit and b.lower > a.upper)
        clauses.append(
            f"{bytes_text(a.value)} a request in the baseline, {bytes_text(b.value)} "
            f"({bytes_text(b.lower)} to {bytes_text(b.upper)}) in the candidate"
        )
    if not clauses:
        return _check(comparison, "growth")
    sentence = (
        f"growth of {deployment.identifier}: {', then '.join(clauses)}; "
        f"the limit is {bytes_text(limit)}"
    )
    if not is_worse[0]:
        return comparison.finding("growth", "pass", sentence)
    verdict: GateVerdict = "regressed" if is_worse == [True, True] else "inconclusive"
    return comparison.finding("growth", verdict, sentence)


def _warnings(comparison: _Comparison, policy: WarningsPolicy) -> BehaviourFinding:
    a, b = comparison.attempt.a, comparison.attempt.b
    subject = f"warnings of {comparison.deployment.identifier}"
    fresh = [line for line in b.warnings if line not in a.warnings]
    if not fresh:
        return comparison.finding("warnings", "pass", f"{subject}: no new ones")
    more = f" and {len(fresh) - 1} more" if len(fresh) > 1 else ""
    sentence = f"{subject}: new in the candidate: {fresh[0]}{more}"
    verdict: GateVerdict = "regressed" if policy == "fail" else "pass"
    return comparison.finding("warnings", verdict, sentence, "new warning")


def _probe(behaviour: Behaviour, check: str) -> Probe | None:
    return next((probe for probe in behaviour.probes if probe.check == check), None)


def _loads(behaviour: Behaviour) -> bool:
    return _passes(_probe(behaviour, "load"))


def _passes(probe: Probe | None) -> bool:
    return probe is not None and probe.outcome == "ok"


def _outcome_text(probe: Probe | None) -> str:
    if probe is None:
        return "it was not reached"
    return (f"{probe.kind}: " if probe.kind else "") + (probe.detail or probe.outcome)
