"""A gate on the terminal: the current step and the decisions, and the conclusion at the end.

Nothing of it is read as markup, and no control character of a model or a library reaches the
terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from qualification.core.declarations import KnownBug
from qualification.core.format import duration_text, ratio_text
from qualification.core.text import disarm, one_line
from qualification.results.terminal import LiveScreen
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.records import (
    BehaviourFinding,
    GatePlan,
    GateResult,
    MetricFinding,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

STYLES = {
    "pass": "green",
    "ok": "green",
    "improved": "green",
    "regressed": "bold red",
    "inconclusive": "yellow",
    "unfit": "yellow",
    "open": "cyan",
    "waiting": "dim",
    "–": "dim",
}
LONGEST = 400
"""Characters of a sentence on the terminal; the report has more, gate.json all."""


class Progress(LiveScreen):
    """Shows a running gate: a live table on a terminal, else one plain line per decision."""

    def __init__(
        self, plan: GatePlan, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(console, clock)
        self._plan = plan
        self._doing = "starting"
        self._result: GateResult | None = None
        self._result_at = 0.0
        self._printed: set[str] = set()

    def doing(self, text: str) -> None:
        """Show the current step; without a terminal only after a minute of silence."""
        self._doing = one_line(text, LONGEST)
        if self.is_line_due:
            self.line(f"running: {self._doing}")

    def observed(self, result: GateResult) -> None:
        """Show what follows from the observations so far."""
        self._result = result
        self._result_at = self.clock()
        if self.is_drawn:
            return
        for line in decisions(result):
            # The factor moves with more pairs; the decision is not printed again for that.
            decision = line.partition(", factor ")[0]
            if decision not in self._printed:
                self._printed.add(decision)
                self.line(one_line(line, LONGEST))

    def opening(self) -> str:
        """The gate and what it compares."""
        return f"gate {self._plan.identifier}: {_move(self._plan)}"

    def frame(self) -> RenderableType:
        """The current step, the elapsed time, and a row for each deployment."""
        from rich.console import Group
        from rich.text import Text

        now = self.clock()
        elapsed = f"{duration_text(now - self.started)} so far"
        if self._plan.budget_s:
            # wall_s includes the earlier runs of a resumed gate.
            spent_s = now - self.started
            if self._result is not None:
                spent_s = self._result.wall_s + now - self._result_at
            elapsed += f", {duration_text(self._plan.budget_s - spent_s)} left"
        return Group(
            Text(_move(self._plan), style="bold", overflow="fold"),
            Text(f"{self._doing}  ({elapsed})", style="cyan", overflow="fold"),
            self._table(),
        )

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        plan = self._plan
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("deployment", no_wrap=True, overflow="ellipsis")
        table.add_column("behaviour", no_wrap=True, min_width=len("inconclusive"))
        for metric in plan.metrics:
            table.add_column(view.label(metric))
        rows = [(name, self._row(name)) for name in plan.identifiers]
        most_rows = max(3, self.console.height - 6)
        # Where not all fit, rows that are decided and passed give way to those that are not.
        if len(rows) > most_rows:
            undecided = [row for row in rows if not all(_is_done(cell.plain) for cell in row[1])]
            visible = undecided[:most_rows]
            rows = [*visible, (f"and {len(rows) - len(visible)} more", [])]
        for name, cells in rows:
            table.add_row(Text(disarm(name)), *cells)
        return table

    def _row(self, deployment: str) -> list[Text]:
        from rich.text import Text

        result, plan = self._result, self._plan
        word = behaviour_word(result, deployment)
        cells = [Text(word, style=_style(word))]
        findings = {
            finding.metric: finding
            for finding in (result.metrics if result else ())
            if finding.deployment == deployment
        }
        for metric in plan.metrics:
            if metric in findings:
                cells.append(_metric_cell(findings[metric]))
            else:
                word = "waiting" if deployment in plan.timed and not findings else "–"
                cells.append(Text(word, style=_style(word)))
        return cells


def behaviour_word(result: GateResult | None, deployment: str) -> str:
    """``waiting``, ``asking`` (one side has answered), ``ok``, or the worst verdict."""
    if result is None:
        return "waiting"
    verdicts = {finding.verdict for finding in result.behaviour if finding.deployment == deployment}
    for verdict in ("regressed", "inconclusive", "unfit"):
        if verdict in verdicts:
            return verdict
    if verdicts:
        return "ok"
    is_begun = any(observation.deployment == deployment for observation in result.observations)
    return "asking" if is_begun else "waiting"


def decisions(result: GateResult) -> Iterator[str]:
    """A line for each deployment's behaviour, each of its problems, and each decided metric."""
    for deployment in result.plan.identifiers:
        findings = [finding for finding in result.behaviour if finding.deployment == deployment]
        if not findings:
            continue
        problems = [finding for finding in findings if finding.verdict != "pass"]
        passed = len(findings) - len(problems)
        word = behaviour_word(result, deployment)
        yield f"{deployment}: behaviour {word}, {passed} of {len(findings)} checks"
        for problem in problems:
            yield f"{problem.verdict}: {problem.sentence}"
    for metric in result.metrics:
        word = view.metric_word(metric)
        if word == "open":
            continue
        effect = f", factor {ratio_text(metric.effect.ratio)}" if metric.effect else ""
        pairs = metric.decision.pairs
        yield f"{metric.deployment}: {metric.metric} {word} after {pairs} pairs{effect}"


def conclusion(result: GateResult, bugs: Sequence[KnownBug] = ()) -> RenderableType:
    """The end of a gate: the verdict, every problem, the notes, bugs that may explain them."""
    from rich.console import Group
    from rich.text import Text

    plan = result.plan
    lines = [
        Text.assemble((result.verdict, _style(result.verdict)), f": {_move(plan)}"),
        Text(one_line(result.sentence, LONGEST)),
    ]
    if not result.finished:
        lines.append(Text("The gate was interrupted before it had finished.", style="yellow"))
    for problem in view.problems(result):
        lines.append(_line_of(problem, problem.verdict))
    for note in view.notes(result):
        lines.append(_line_of(note, note.note))
    for sentence in view.known_bugs(result, bugs):
        lines.append(Text(f"  known bug: {one_line(sentence, LONGEST)}"))
    lines += [Text(f"  pin: {sentence}") for sentence in view.pins(result)]
    if any(deployment.is_canary for deployment in plan.deployments):
        lines.append(Text("The figures of canaries are about the libraries only.", style="dim"))
    return Group(*lines)


def _line_of(finding: BehaviourFinding | MetricFinding, word: str) -> Text:
    from rich.text import Text

    factor = ""
    if isinstance(finding, MetricFinding) and finding.effect is not None:
        effect = finding.effect
        lower, upper = ratio_text(effect.lower), ratio_text(effect.upper)
        factor = f" (factor {ratio_text(effect.ratio)}, {lower} to {upper})"
    sentence = one_line(finding.sentence, LONGEST)
    return Text.assemble("  ", (word, _style(word)), f": {sentence}{factor}")


def _metric_cell(finding: MetricFinding) -> Text:
    from rich.text import Text

    word = view.metric_word(finding)
    decision = finding.decision
    pairs = f"{decision.pairs}/{decision.next_pairs}" if word == "open" else str(decision.pairs)
    ratio = f" {ratio_text(finding.effect.ratio)}" if finding.effect else ""
    return Text.assemble((word, _style(word)), f"{ratio} ({pairs})")


def _is_done(cell: str) -> bool:
    return cell.split(" ")[0] in ("ok", "pass", "improved", "–")


def _style(word: str) -> str:
    return STYLES.get(word, "")


def _move(plan: GatePlan) -> str:
    return one_line(f"{plan.a.name} → {plan.b.name} ({view.moved(plan)})", LONGEST)
