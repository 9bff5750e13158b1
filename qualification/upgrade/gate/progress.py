"""A gate on the terminal: what is running and what is decided; at the end what follows.

Nothing of it is read as markup, and no control character of a model or a library reaches the
terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from qualification.core.text import disarm
from qualification.results.terminal import live
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.records import (
    BehaviourFinding,
    GatePlan,
    GateResult,
    MetricFinding,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

STYLES = {
    "pass": "green", "ok": "green", "improved": "green", "regressed": "bold red",
    "inconclusive": "yellow", "unfit": "yellow", "open": "cyan", "waiting": "dim", "–": "dim",
}  # fmt: skip
SAID = 400
"""Characters of a sentence that are shown; the report has more, gate.json all."""

SILENCE_S = 60.0
"""Without a terminal: what is running is said after so long without a line, for CI's watchdogs."""


class Progress:
    """Shows a running gate: a live table on a terminal, else one plain line per decision."""

    def __init__(
        self, plan: GatePlan, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._doing = "starting"
        self._result: GateResult | None = None
        self._started = self._spoke = clock()
        self._spent = (0.0, self._started)
        self._said: set[str] = set()

    def __enter__(self) -> Progress:
        self._started = self._spoke = self._clock()
        self._spent = (0.0, self._started)
        self._live = live(self._console, self._picture)
        if self._live is None:
            self._line(f"gate {self._plan.identifier}: {_move(self._plan)}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def doing(self, text: str) -> None:
        """Say what is running now; without a terminal only after a minute of silence."""
        self._doing = _one_line(text)
        if self._live is None and self._clock() - self._spoke >= SILENCE_S:
            self._line(f"running: {self._doing}")

    def observed(self, result: GateResult) -> None:
        """Show what follows from the observations so far."""
        self._result = result
        self._spent = (result.wall_s, self._clock())
        if self._live is None:
            for line in decisions(result):
                decision = line.partition(", factor ")[0]  # the factor moves with more pairs
                if decision not in self._said:
                    self._said.add(decision)
                    self._line(line)

    def _line(self, text: str) -> None:
        self._spoke = self._clock()
        self._console.out(_one_line(text), highlight=False)

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now = self._clock()
        elapsed = f"{view.duration(now - self._started)} so far"
        if self._plan.budget_s:
            # wall_s has what earlier runs of a resumed gate took.
            before, then = self._spent
            elapsed += f", {view.duration(self._plan.budget_s - before - (now - then))} left"
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
            table.add_column(view.LABELS.get(metric, metric))
        rows = [(name, self._row(name)) for name in plan.deployments]
        room = max(3, self._console.height - 6)
        # Where not all fit, what is decided and passed makes room for what is not.
        if len(rows) > room:
            kept = [one for one in rows if not all(_is_done(cell.plain) for cell in one[1])][:room]
            hidden = len(rows) - len(kept)
            rows = [*kept, (f"and {hidden} more", [])]
        for name, cells in rows:
            table.add_row(Text(disarm(name)), *cells)
        return table

    def _row(self, deployment: str) -> list[Text]:
        from rich.text import Text

        result, plan = self._result, self._plan
        word = behaviour_word(result, deployment)
        cells = [Text(word, style=_style(word))]
        metrics = result.metrics if result else ()
        found = {one.metric: one for one in metrics if one.deployment == deployment}
        for metric in plan.metrics:
            if metric in found:
                cells.append(_metric_cell(found[metric]))
            else:
                word = "waiting" if deployment in plan.timed and not found else "–"
                cells.append(Text(word, style=_style(word)))
        return cells


def behaviour_word(result: GateResult | None, deployment: str) -> str:
    """``waiting``, ``asking`` (one side has answered), ``ok``, or the worst verdict."""
    if result is None:
        return "waiting"
    found = {one.verdict for one in result.behaviour if one.deployment == deployment}
    for verdict in ("regressed", "inconclusive", "unfit"):
        if verdict in found:
            return verdict
    if found:
        return "ok"
    seen = any(one.deployment == deployment for one in result.observations)
    return "asking" if seen else "waiting"


def decisions(result: GateResult) -> Iterator[str]:
    """A line for each deployment's behaviour, what is wrong with it, and each decided metric."""
    for deployment in result.plan.deployments:
        found = [one for one in result.behaviour if one.deployment == deployment]
        if not found:
            continue
        wrong = [one for one in found if one.verdict != "pass"]
        word = behaviour_word(result, deployment)
        yield f"{deployment}: behaviour {word}, {len(found) - len(wrong)} of {len(found)} checks"
        for one in wrong:
            yield f"{one.verdict}: {one.sentence}"
    for metric in result.metrics:
        word = view.metric_word(metric)
        if word == "open":
            continue
        effect = f", factor {view.factor(metric.effect.ratio)}" if metric.effect else ""
        pairs = metric.decision.pairs
        yield f"{metric.deployment}: {metric.metric} {word} after {pairs} pairs{effect}"


def conclusion(result: GateResult) -> RenderableType:
    """What is printed at the end: the verdict, what did not pass, then the notes."""
    from rich.console import Group
    from rich.text import Text

    plan = result.plan
    lines = [
        Text.assemble((result.verdict, _style(result.verdict)), f": {_move(plan)}"),
        Text(_one_line(result.sentence)),
    ]
    if not result.finished:
        lines.append(Text("The gate was interrupted before it had finished.", style="yellow"))
    for problem in view.problems(result):
        lines.append(_line_of(problem, problem.verdict))
    for note in view.notes(result):
        lines.append(_line_of(note, note.note))
    if any("-canary" in one for one in plan.deployments):
        lines.append(Text("The figures of canaries speak about the libraries only.", style="dim"))
    return Group(*lines)


def _line_of(finding: BehaviourFinding | MetricFinding, word: str) -> Text:
    from rich.text import Text

    factor = ""
    if isinstance(finding, MetricFinding) and finding.effect is not None:
        effect = finding.effect
        lower, upper = view.factor(effect.lower), view.factor(effect.upper)
        factor = f" (factor {view.factor(effect.ratio)}, {lower} to {upper})"
    return Text.assemble("  ", (word, _style(word)), f": {_one_line(finding.sentence)}{factor}")


def _metric_cell(finding: MetricFinding) -> Text:
    from rich.text import Text

    word = view.metric_word(finding)
    decision = finding.decision
    pairs = f"{decision.pairs}/{decision.wanted}" if word == "open" else str(decision.pairs)
    ratio = f" {view.factor(finding.effect.ratio)}" if finding.effect else ""
    return Text.assemble((word, _style(word)), f"{ratio} ({pairs})")


def _is_done(cell: str) -> bool:
    return cell.split(" ")[0] in ("ok", "pass", "improved", "–")


def _style(word: str) -> str:
    return STYLES.get(word, "")


def _move(plan: GatePlan) -> str:
    return _one_line(f"{plan.a.name} → {plan.b.name} ({view.moved(plan)})")


def _one_line(text: str) -> str:
    return " ".join(disarm(text, SAID).split())
