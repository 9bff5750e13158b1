"""A gate as a document: one word, one sentence, what did not pass; then the evidence. Pure.

No figure is computed here but medians, and those of observations only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.declarations import KnownBug
from qualification.core.format import (
    duration_text,
    installed_memory_text,
    percent_text,
    ratio_text,
    revision_text,
)
from qualification.core.metrics import GATE_LIMITS
from qualification.documents.figures import word
from qualification.documents.model import (
    Block,
    Document,
    Inline,
    Items,
    Line,
    Paragraph,
    Plot,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.plots.intervals import IntervalEntry, interval_plot
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.records import (
    SIDE_NAMES,
    Answer,
    GatePlan,
    GateResult,
    MetricFinding,
)

NAME = "gate"
MOST_ANSWERS = 12
"""Answers of a deployment that are quoted side by side."""

_INTERRUPTED = (
    "This gate was interrupted or is still running: it says nothing about what it has not reached."
)


def gate_document(result: GateResult, bugs: Sequence[KnownBug] = ()) -> Document:
    """The whole document; of the declared ``bugs`` those are named that may explain a finding."""
    plan = result.plan
    return Document(
        name=NAME,
        title=f"{result.verdict}: {plan.a.name} → {plan.b.name}",
        subject=inline(
            Span(plan.started[:10]),
            f" · {plan.machine.chip}, {installed_memory_text(plan.machine.memory_bytes)} · "
            f"{len(plan.deployments)} deployments, {len(result.pairs)} pairs, "
            f"{duration_text(result.wall_s)}",
        ),
        lines=tuple(_lines(result, bugs)),
        overview=tuple(_plots(result)),
        sections=tuple(_sections(result)),
        evidence=tuple(_evidence(result)),
    )


def _lines(result: GateResult, bugs: Sequence[KnownBug]) -> Iterator[Line]:
    plan = result.plan
    yield Line(result.verdict, inline(result.sentence))
    if not result.finished:
        yield Line("interrupted", inline(Span(_INTERRUPTED, "strong")))
    yield Line("differs", inline(view.moved(plan), " ", Span("more", link="#differs")))
    for finding in view.problems(result)[:_SHOWN]:
        yield Line(finding.verdict, inline(Span(finding.sentence, "quoted")))
    if (more := len(view.problems(result)) - _SHOWN) > 0:
        yield Line("also", inline(f"{more} more did not pass: ", Span("all", link="#problems")))
    for sentence in view.known_bugs(result, bugs):
        yield Line("known bug", inline(sentence))
    for sentence in view.pins(result):
        yield Line("pin", inline(sentence))
    if unfit := [condition for condition in plan.conditions if not condition.fit]:
        states = "; ".join(
            f"{condition.name.replace('_', ' ')} was {condition.value}"
            + (f" ({condition.note})" if condition.note else "")
            for condition in unfit
        )
        yield Line("unfit", inline(f"this machine was not fit for timing: {states}"))
    if any(ref.is_canary for ref in plan.deployments):
        yield Line("canaries", inline(_CANARIES))
    if any(ref.weights == "synthetic" for ref in plan.deployments):
        yield Line("synthetic", inline(_SYNTHETIC))


_SHOWN = 5
_CANARIES = (
    "a name with -canary is that of a tiny trained model of a real architecture: its answers and "
    "figures are about the libraries only, not about the real model's speed, memory or quality"
)
_SYNTHETIC = (
    "a name with -synthetic stands for random weights at the real model's shape: its speed and "
    "memory are compared, its answers are not"
)


def _plots(result: GateResult) -> Iterator[Plot]:
    entries = [
        IntervalEntry(
            f"{view.label(finding.metric)}, {finding.deployment}",
            finding.effect.ratio,
            finding.effect.lower,
            finding.effect.upper,
            finding.verdict,
            GATE_LIMITS[finding.metric].noticeable,
            GATE_LIMITS[finding.metric].margin,
        )
        for finding in result.metrics
        if finding.effect is not None and finding.metric in GATE_LIMITS
    ]
    if entries:
        limits = GATE_LIMITS["decode_tps"]  # each entry has those of its own metric
        plot = interval_plot(entries, limits.noticeable, limits.margin)
        yield from [plot] if plot is not None else []


def _sections(result: GateResult) -> Iterator[Section]:
    plan = result.plan
    yield Section("differs", "What differs", tuple(_differences(plan)))
    if problems := view.problems(result):
        entries = tuple(
            inline(word(finding.verdict), " ", Span(finding.sentence, "quoted"))
            for finding in problems
        )
        yield Section("problems", "What did not pass", (Items(entries),))
    yield Section("metrics", "Metrics", tuple(_metrics(result)))
    yield Section("behaviour", "Behaviour", tuple(_behaviour(result)))
    if answers := tuple(_answers(result)):
        yield Section("answers", "Answers that differ", answers)
    if notes := view.notes(result):
        entries = tuple(
            inline(f"{finding.note}: ", Span(finding.sentence, "quoted")) for finding in notes
        )
        yield Section("notes", "Notes", (Items(entries),))
    yield Section("receipts", "Receipts", tuple(_receipts(result)), is_folded=True)
    yield Section("method", "Method", (Items(_METHOD),), is_folded=True)


def _differences(plan: GatePlan) -> Iterator[Block]:
    if moves := view.differences(plan):
        yield Table(
            "Packages that differ",
            columns("package", "baseline (A)", "candidate (B)"),
            tuple(
                (
                    inline(Span(move.package, "strong" if move.pinned else "plain")),
                    inline(move.a or "not installed"),
                    inline(move.b or "not installed"),
                )
                for move in moves
            ),
        )
    else:
        yield Paragraph(inline(f"None of the libraries that matter: {view.moved(plan)}."))
    for side, record in zip(SIDE_NAMES.values(), (plan.a, plan.b), strict=True):
        if record.moved:
            moved = ", ".join(record.moved)
            yield Paragraph(inline(f"The pins of the {side} moved along: {moved}."))


_HEADS = (
    *("deployment", "metric", "verdict", "factor", "interval", "pairs", "MDE80"),
    *("baseline, median", "candidate, median"),
)


def _metrics(result: GateResult) -> Iterator[Block]:
    if not result.metrics:
        yield Paragraph(inline("Nothing was timed."))
        return
    yield Table(
        "Candidate against baseline; over 1 is worse",
        columns(*_HEADS, numeric=_HEADS[3:]),
        tuple(_metric_row(finding) for finding in result.metrics),
    )
    yield Paragraph(inline(Span(_METRICS, "quiet")))
    limits = {name: GATE_LIMITS[name] for name in result.plan.metrics if name in GATE_LIMITS}
    if limits:
        heads = ("metric", "indifference bound", "margin")
        yield Table(
            "Limits",
            columns(*heads, numeric=heads[1:]),
            tuple(
                (
                    inline(metric),
                    inline(percent_text(limit.noticeable)),
                    inline(percent_text(limit.margin)),
                )
                for metric, limit in limits.items()
            ),
        )


_METRICS = (
    "factor: Hodges–Lehmann estimate of the candidate against the baseline, over 1 is worse. "
    "interval: the exact signed-rank test inverted at 1/64 for each bound. pairs: decided after so "
    "many; the figures are of all that were made. MDE80: the slowdown that these pairs find with "
    "80 % power."
)


def _metric_row(finding: MetricFinding) -> tuple[Inline, ...]:
    effect, decided = finding.effect, finding.decision.pairs
    pairs = f"{decided} of {effect.pairs}" if effect and effect.pairs != decided else str(decided)
    return (
        inline(code(finding.deployment)),
        inline(finding.metric),
        inline(word(view.metric_word(finding))),
        inline(ratio_text(effect.ratio) if effect else "–"),
        inline(f"{ratio_text(effect.lower)}–{ratio_text(effect.upper)}" if effect else "–"),
        inline(pairs),
        inline(percent_text(effect.mde80) if effect else "–"),
        inline(view.quantity(view.typical(finding.a), finding.metric)),
        inline(view.quantity(view.typical(finding.b), finding.metric)),
    )


def _behaviour(result: GateResult) -> Iterator[Block]:
    checks = view.checks(result)
    if not checks:
        yield Paragraph(inline("No deployment was observed in both environments."))
        return
    by_check = {(finding.deployment, finding.check): finding for finding in result.behaviour}
    yield Table(
        "What each deployment does, before and after",
        columns("deployment", "revision", *checks),
        tuple(
            (
                inline(code(name)),
                inline(" and ".join(map(revision_text, result.revisions(name))) or "unknown"),
                *(
                    inline(_check_word(view.behaviour_cell(by_check.get((name, check)))))
                    for check in checks
                ),
            )
            for name in result.plan.identifiers
        ),
    )
    yield Paragraph(inline(Span(_BEHAVIOUR, "quiet")))


_BEHAVIOUR = (
    "revision: of the weights, a commit of the hub or a hash of the files. ok: as before. both "
    "fail: the baseline fails too, so this does not count against the candidate. –: the check was "
    "not made."
)


def _check_word(cell: view.CheckCell) -> Span:
    if cell.verdict in ("pass", "note", ""):
        return Span(cell.word)
    return word(cell.verdict, cell.word)


def _answers(result: GateResult) -> Iterator[Block]:
    for name in result.plan.identifiers:
        differing = view.answers_that_differ(result, name)
        if not differing:
            continue
        prefix = f"; the first {MOST_ANSWERS} are" if len(differing) > MOST_ANSWERS else ""
        yield Paragraph(inline(code(name), f": {len(differing)}{prefix}."))
        yield Table(
            f"Answers of {name} that differ",
            columns("question", "expected", "baseline", "candidate"),
            tuple(
                (
                    inline(a.question),
                    inline(a.expected),
                    inline(*_answer(a)),
                    inline(*_answer(b)),
                )
                for a, b in differing[:MOST_ANSWERS]
            ),
        )


def _answer(answer: Answer) -> tuple[Span, ...]:
    text = Span(answer.text, "quoted")
    return (text,) if answer.correct else (text, Span(" (wrong)"))


def _receipts(result: GateResult) -> Iterator[Block]:
    plan, machine = result.plan, result.plan.machine
    budget = duration_text(plan.budget_s) if plan.budget_s else "none"
    yield Paragraph(
        inline(
            "Gate ",
            code(plan.identifier),
            f", started {plan.started}, took {duration_text(result.wall_s)}; seed {plan.seed}; "
            f"weights {plan.weights}; timing budget {budget}. Raw numbers of every pair are in "
            "gate.json.",
        )
    )
    heads = ("deployment", "which ran first in each pair (A baseline, B candidate)", "failed")
    if rows := tuple(_orders(result)):
        yield Table("Order of each pair", columns(*heads), rows)
    if result.pairs:
        yield _raw(result)
    facts = {
        "system": f"{machine.system} {machine.os_version} ({machine.architecture})",
        "processor": f"{machine.chip}, {machine.cpu_cores} cores",
        **{f"accelerator {a.kind}": a.name for a in machine.accelerators},
        "memory": installed_memory_text(machine.memory_bytes),
        "machine": machine.identifier,
    }
    for side, record in zip(SIDE_NAMES.values(), (plan.a, plan.b), strict=True):
        build = f", build {record.key}" if record.key else ""
        pins = f": {' '.join(record.pins)}" if record.pins else ""
        facts[side] = f"{record.name}{build}{pins}"
    for condition in plan.conditions:
        note = f" ({condition.note})" if condition.note else ""
        state = "" if condition.fit else " unfit"
        facts[condition.name.replace("_", " ")] = f"{condition.value}{state}{note}"
    yield Table(
        "Machine and environments",
        columns("what", "value"),
        tuple((inline(name), inline(value)) for name, value in facts.items()),
    )


def _raw(result: GateResult) -> Table:
    """Every number of every pair."""
    heads = [f"{metric}, {side}" for metric in result.plan.metrics for side in ("A", "B")]
    return Table(
        "Raw numbers of each pair",
        columns("deployment", "pair", *heads, "failure", numeric=("pair", *heads)),
        tuple(
            (
                inline(code(pair.deployment)),
                inline(str(pair.number)),
                *(
                    inline(view.raw(sample.metrics.get(metric), metric))
                    for metric in result.plan.metrics
                    for sample in (pair.a, pair.b)
                ),
                inline(Span(" ".join(filter(None, (pair.a.failure, pair.b.failure))), "quoted")),
            )
            for pair in sorted(result.pairs, key=lambda pair: (pair.deployment, pair.number))
        ),
    )


def _orders(result: GateResult) -> Iterator[tuple[Inline, ...]]:
    by_name: dict[str, list[str]] = {}
    failures: dict[str, list[int]] = {}
    for pair in sorted(result.pairs, key=lambda pair: pair.number):
        by_name.setdefault(pair.deployment, []).append(pair.leader.upper())
        failed = failures.setdefault(pair.deployment, [0, 0])
        failed[0] += bool(pair.a.failure)
        failed[1] += bool(pair.b.failure)
    for name, leaders in by_name.items():
        baseline, candidate = failures[name]
        order = "".join(leaders)
        yield (
            inline(code(name)),
            inline(order),
            inline(f"{baseline} baseline, {candidate} candidate"),
        )


def _evidence(result: GateResult) -> Iterator[Inline]:
    yield inline(
        f"{result.verdict}: {result.sentence} Its raw numbers are in gate.json, its cases in "
        "gate.xml."
    )


_METHOD = (
    inline(
        "A pair is one fresh process of the baseline and one of the candidate, back to back; a "
        "fair coin with the seed above decides which runs first. Interleaving removes drift. ",
        Span("It cannot remove a constant bias of one environment", "strong"),
        " (where its files lie, how its libraries were built): that bias is compared too.",
    ),
    inline(
        "A metric has interim analyses after 6, 9, 13, 20 and 30 pairs: two exact one-sided "
        "signed-rank tests at 1/64. A regression counts only if fresh pairs repeat it; a changed "
        "behaviour only if fresh processes repeat it. inconclusive is never a pass. More: ",
        Span("the gate", link="docs/gate.md"),
        ".",
    ),
)
