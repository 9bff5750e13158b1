"""Behaviour of two sides, held against each other: a finding for each check. Pure.

A check that A passes and B does not is repeated in fresh processes of both; only where A passes and
B fails again is it ``regressed``, where they do not agree with themselves it is ``inconclusive``.
What A cannot do either is not held against B. Answers that are equal pass without a test; others
are judged as pairs of items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from qualification.judging.memory_growth import GROWTH_LIMIT, GROWTH_LIMIT_CANARY
from qualification.judging.stats.estimators import median
from qualification.judging.stats.paired_items import judge_items
from qualification.upgrade.gate.records import (
    CHECKS,
    Asked,
    Behaviour,
    BehaviourFinding,
    GateVerdict,
    Probe,
    Side,
    WarningsPolicy,
)

MOVED, MANY = 0.01, 0.05
"""A first token's margin that is so far (share) from the reference has moved; so many (share) that
have say that something else is computed. Two right releases agree to 0.001 on every question, each
silent fault of the catalogue moved one in seven or more (docs/regressions.md)."""

SLOW = 2.0
"""Times as long for the same requests: what other work on the machine does not explain, because
the middle of dozens of requests counts, and it must show twice."""

_Attempts = dict[tuple[Side, int], Behaviour]


def behaviour_findings(
    observations: Iterable[Behaviour], warnings: WarningsPolicy = "note"
) -> tuple[BehaviourFinding, ...]:
    """Findings of every deployment that both sides were asked about, in the order of the checks."""
    by_deployment: dict[str, _Attempts] = {}
    for one in observations:
        by_deployment.setdefault(one.deployment, {})[one.side, one.attempt] = one
    return tuple(
        finding
        for deployment, attempts in by_deployment.items()
        if ("a", 0) in attempts and ("b", 0) in attempts
        for finding in _of_deployment(deployment, attempts, warnings)
    )


def to_confirm(a: Behaviour, b: Behaviour, warnings: WarningsPolicy = "note") -> frozenset[str]:
    """The checks in which the first attempts differ, so that both sides must be asked again."""
    if not _loads(a):
        return frozenset()
    found = _of_deployment(a.deployment, {("a", 0): a, ("b", 0): b}, warnings)
    return frozenset(
        one.check for one in found if one.verdict != "pass" and one.check != "warnings"
    )


def _of_deployment(
    deployment: str, attempts: _Attempts, warnings: WarningsPolicy
) -> list[BehaviourFinding]:
    a, b = attempts["a", 0], attempts["b", 0]
    if not _loads(a):
        detail = _probe(a, "load")
        said = f"{deployment} does not load in A, so nothing is compared: {_of(detail)}"
        if _loads(b):
            said = f"{deployment} loads in B and not in A: {_of(detail)}"
            return [BehaviourFinding(deployment, "load", "pass", said, "improved")]
        return [BehaviourFinding(deployment, "load", "inconclusive", said, "both fail")]
    findings = [_check(deployment, "load", attempts)]
    if not _loads(b):
        return findings
    names = dict.fromkeys(probe.check for one in (a, b) for probe in one.probes)
    for name in sorted(names, key=_rank):
        if name == "load":
            continue
        if name == "answers":
            findings.append(_answers(deployment, attempts))
            findings += _margins(deployment, attempts)
            findings += _pace(deployment, attempts)
            findings += _prompt_tokens(deployment, a, b)
        elif name == "growth":
            findings.append(_growth(deployment, attempts))
        else:
            findings.append(_check(deployment, name, attempts))
    findings.append(_warned(deployment, a, b, warnings))
    return findings


def _check(deployment: str, name: str, attempts: _Attempts) -> BehaviourFinding:
    """Passed in A and not in B, twice: regressed."""
    first = [_probe(attempts[side, 0], name) for side in ("a", "b")]
    good = [_good(one) for one in first]
    if good[0] == good[1] or good[1]:
        note: Literal["", "improved", "both fail"] = ""
        said = f"{name} of {deployment}: as before"
        if not good[0]:
            note = "improved" if good[1] else "both fail"
            ours, theirs = map(_of, first)
            both = f"A: {ours}; B: {theirs}" if ours != theirs else f"A and B: {ours}"
            said = f"{name} of {deployment}: {both if note == 'both fail' else f'A: {ours}'}"
        return BehaviourFinding(deployment, name, "pass", said, note)
    said = f"{name} of {deployment}: passes in A, not in B: {_of(first[1])}"
    if ("a", 1) not in attempts or ("b", 1) not in attempts:
        return BehaviourFinding(deployment, name, "inconclusive", f"{said}; not repeated")
    again = [_good(_probe(attempts[side, 1], name)) for side in ("a", "b")]
    if again == [True, False]:
        return BehaviourFinding(deployment, name, "regressed", f"{said}; and again")
    how = f"in a second process A {_passes(again[0])} and B {_passes(again[1])}"
    return BehaviourFinding(deployment, name, "inconclusive", f"{said}; {how}")


def _answers(deployment: str, attempts: _Attempts) -> BehaviourFinding:
    """Equal answers pass; others by the paired rule, on questions of their own in attempt 1."""
    a, b = attempts["a", 0], attempts["b", 0]
    name = f"answers of {deployment}"
    pairs = _paired(a.asked, b.asked)
    others = [(one, two) for one, two in pairs if one.text != two.text]
    if pairs and not others:
        said = f"{name}: all {len(pairs)} are equal"
        return BehaviourFinding(deployment, "answers", "pass", said)
    shown = "; ".join(
        f"{one.question}: {one.text[:60]!r} in A, {two.text[:60]!r} in B, expected {one.expected!r}"
        for one, two in others[:3]
    )
    first = judge_items([one.right for one, _ in pairs], [two.right for _, two in pairs])
    said = f"{name}: {len(others)} of {len(pairs)} differ ({shown}); {first.sentence}"
    if not pairs or ("a", 1) not in attempts or ("b", 1) not in attempts:
        verdict: GateVerdict = "pass" if pairs and first.name == "pass" else "inconclusive"
        return BehaviourFinding(deployment, "answers", verdict, f"{said}; not repeated")
    fresh = _paired(attempts["a", 1].asked, attempts["b", 1].asked)
    if all(one.text == two.text for one, two in fresh) and first.name != "regressed":
        said += f"; of {len(fresh)} other questions all are answered alike"
        return BehaviourFinding(deployment, "answers", "pass", said)
    again = judge_items([one.right for one, _ in fresh], [two.right for _, two in fresh])
    said += f"; of {len(fresh)} other questions: {again.sentence}"
    verdict = "inconclusive"
    if again.name == "pass" and first.name != "regressed":
        verdict = "pass"
    elif again.name == "regressed" and first.lost > first.gained:
        verdict = "regressed"
    return BehaviourFinding(deployment, "answers", verdict, said)


def _margins(deployment: str, attempts: _Attempts) -> list[BehaviourFinding]:
    """A computes what the reference does and B does not, twice: regressed, equal answers or not.

    A canary answers rightly in spite of wrong positions or a missing mask; how sure it is tells.
    """
    shares = []
    for attempt in (0, 1):
        if ("a", attempt) in attempts and ("b", attempt) in attempts:
            pairs = _paired(attempts["a", attempt].asked, attempts["b", attempt].asked)
            known = [(x, y) for x, y in pairs if x.references and x.margin and y.margin]
            if known:
                apart = _moved([(y.margin, x.margin) for x, y in known])
                shares.append(
                    (_astray([x for x, _ in known]), _astray([y for _, y in known]), apart)
                )
    if not shares:
        return []
    a, b, apart = shares[0]
    name = f"margins of {deployment}"
    said = f"{name}: of A's {a:.0%} are not the reference's, of B's {b:.0%}; {apart:.0%} differ"
    note: Literal["", "improved"] = ""
    verdict: GateVerdict = "pass"
    if b <= MANY or apart <= MANY:
        note = "improved" if a > MANY >= b else ""
    elif a > MANY:
        verdict = "inconclusive"
        said += ", so neither computes what the reference does"
    else:
        again = len(shares) > 1 and shares[1][0] <= MANY < shares[1][1]
        verdict = "regressed" if again else "inconclusive"
        said += f"; of other questions B's {shares[1][1]:.0%}" if len(shares) > 1 else ""
    return [BehaviourFinding(deployment, "margins", verdict, said, note)]


def _pace(deployment: str, attempts: _Attempts) -> list[BehaviourFinding]:
    """Gross slowness, in requests that nobody timed: what it takes pairs to see is a metric's."""
    ratios = []
    for attempt in (0, 1):
        if ("a", attempt) in attempts and ("b", attempt) in attempts:
            pairs = _paired(attempts["a", attempt].asked, attempts["b", attempt].asked)
            known = [y.e2e_s / x.e2e_s for x, y in pairs if x.e2e_s and y.e2e_s]
            if known:
                ratios.append(median(known))
    if not ratios:
        return []
    said = (
        f"pace of {deployment}: {' and then '.join(f'{one:.2g}' for one in ratios)} times as long"
    )
    verdict: GateVerdict = "pass"
    if ratios[0] > SLOW:
        verdict = "regressed" if len(ratios) > 1 and ratios[1] > SLOW else "inconclusive"
    return [BehaviourFinding(deployment, "pace", verdict, said)]


def _astray(asked: Sequence[Asked]) -> float:
    """The share of margins that are not those of the nearest reference; 0 where there is none."""
    found = []
    for number in range(len(asked[0].references)):
        pairs = [(one.margin, one.references[number]) for one in asked if one.references[number]]
        if 2 * len(pairs) >= len(asked):
            found.append(_moved(pairs))
    return min(found, default=0.0)


def _moved(pairs: Sequence[tuple[float, float]]) -> float:
    """The share of pairs whose ratio is further than :data:`MOVED` from 1."""
    return sum(abs(math.log(x / y)) > MOVED for x, y in pairs) / len(pairs)


def _prompt_tokens(deployment: str, a: Behaviour, b: Behaviour) -> list[BehaviourFinding]:
    """Another number of tokens is a change to know of; whether it harms, the answers say."""
    pairs = [(x, y) for x, y in _paired(a.asked, b.asked) if x.prompt_tokens and y.prompt_tokens]
    if not pairs:
        return []
    others = [(x, y) for x, y in pairs if x.prompt_tokens != y.prompt_tokens]
    name = f"prompt_tokens of {deployment}"
    if not others:
        said = f"{name}: equal for all {len(pairs)} prompts"
        return [BehaviourFinding(deployment, "prompt_tokens", "pass", said)]
    x, y = others[0]
    said = (
        f"{name}: {len(others)} of {len(pairs)} prompts have another number of tokens, "
        f"{x.question}: {x.prompt_tokens} in A, {y.prompt_tokens} in B"
    )
    return [BehaviourFinding(deployment, "prompt_tokens", "pass", said, "changed")]


def _growth(deployment: str, attempts: _Attempts) -> BehaviourFinding:
    """B surely keeps more of a request than the limit, and surely more than A; twice."""
    limit = GROWTH_LIMIT_CANARY if "-canary-" in deployment else GROWTH_LIMIT
    name = f"growth of {deployment}"
    worse, said = [], []
    for attempt in (0, 1):
        a, b = attempts.get(("a", attempt)), attempts.get(("b", attempt))
        if a is None or b is None:
            break
        if a.growth is None or b.growth is None:
            if attempt:
                break
            return _check(deployment, "growth", attempts)
        worse.append(b.growth.lower > limit and b.growth.lower > a.growth.upper)
        said.append(
            f"{a.growth.value / 1e3:.0f} KB a request in A, {b.growth.value / 1e3:.0f} KB "
            f"({b.growth.lower / 1e3:.0f} to {b.growth.upper / 1e3:.0f}) in B"
        )
    text = f"{name}: {', then '.join(said)}; the limit is {limit / 1e3:.0f} KB"
    if not worse[0]:
        return BehaviourFinding(deployment, "growth", "pass", text)
    verdict: GateVerdict = "regressed" if worse == [True, True] else "inconclusive"
    return BehaviourFinding(deployment, "growth", verdict, text)


def _warned(
    deployment: str, a: Behaviour, b: Behaviour, policy: WarningsPolicy
) -> BehaviourFinding:
    fresh = [line for line in b.warnings if line not in a.warnings]
    if not fresh:
        said = f"warnings of {deployment}: none that A has not"
        return BehaviourFinding(deployment, "warnings", "pass", said)
    more = f" and {len(fresh) - 1} more" if len(fresh) > 1 else ""
    said = f"warnings of {deployment}: new in B: {fresh[0]}{more}"
    verdict: GateVerdict = "regressed" if policy == "fail" else "pass"
    return BehaviourFinding(deployment, "warnings", verdict, said, "new warning")


def _paired(a: Sequence[Asked], b: Sequence[Asked]) -> list[tuple[Asked, Asked]]:
    other = {one.question: one for one in b}
    return [(one, other[one.question]) for one in a if one.question in other]


def _probe(behaviour: Behaviour, name: str) -> Probe | None:
    return next((one for one in behaviour.probes if one.check == name), None)


def _loads(behaviour: Behaviour) -> bool:
    return _good(_probe(behaviour, "load"))


def _good(probe: Probe | None) -> bool:
    return probe is not None and probe.outcome == "ok"


def _of(probe: Probe | None) -> str:
    if probe is None:
        return "it was not reached"
    return (f"{probe.kind}: " if probe.kind else "") + (probe.detail or probe.outcome)


def _passes(good: bool) -> str:
    return "passes" if good else "fails"


def _rank(name: str) -> int:
    checks = list(CHECKS)
    stem = name.partition("[")[0]
    return checks.index(stem) if stem in checks else len(checks)
