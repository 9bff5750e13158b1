"""One metric of one deployment, from its raw trials to the printed figure; or all of its metrics.

What ``qualify explain`` prints, so that a number of a document can be checked by hand. Pure: the
texts of models and libraries are in here as they are stored.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.core.metrics import METRICS
from qualification.core.results import Finding, Results, Trial
from qualification.core.text import one_line
from qualification.documents.explain.absences import Missing, missing, why_missing
from qualification.documents.explain.circumstances import Circumstances, circumstances
from qualification.documents.explain.definitions import definition
from qualification.documents.explain.derivation import (
    RawTrial,
    Statistics,
    Step,
    raw_trials,
    share_steps,
    statistics,
    steps,
)
from qualification.documents.explain.mentions import mentions
from qualification.documents.explain.roofline_sum import bound, roofline_steps
from qualification.models.registry import Registry
from qualification.results.rows import Row, rows

_NEAREST = 3


@dataclass(frozen=True)
class MetricExplanation:
    """One metric. Without ``statistics``, ``absence`` says why there are none."""

    metric: str
    unit: str
    label: str
    better: str
    sentence: str
    circumstances: Circumstances
    trials: tuple[RawTrial, ...]
    statistics: Statistics | None
    absence: str
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class MetricLine:
    """One metric among all of a deployment."""

    metric: str
    unit: str
    statistics: Statistics


@dataclass(frozen=True)
class DeploymentExplanation:
    """All metrics of a deployment: those with a figure, and why the others have none."""

    circumstances: Circumstances
    metrics: tuple[MetricLine, ...]
    missing: tuple[Missing, ...]
    commands: tuple[str, ...]


class StoredDeployment:
    """The results of one deployment in a session, to be explained.

    ``options`` are those of the user, which the next commands repeat. SelectionError where it did
    not run in the session.
    """

    def __init__(
        self, results: Results, registry: Registry, identifier: str, options: str = ""
    ) -> None:
        self._row = _row(results, registry, identifier)
        self._results, self._options = results, options
        both = (registry, registry.with_weights("synthetic"))
        declared = (deployment for part in both for deployment in part.deployments())
        self._deployment: Deployment | None = next(
            (deployment for deployment in declared if deployment.identifier == identifier), None
        )
        self._weights = self._deployment.source.weights if self._deployment else ""
        self._trials = [trial for trial in results.trials if trial.deployment == identifier]

    def metric(self, name: str) -> MetricExplanation:
        """One metric; SelectionError where none is called so."""
        recorded = {trial.metric for trial in self._trials}
        if name not in METRICS and name not in recorded:
            raise _no_metric(name, sorted(recorded))
        entry, unit, trials = METRICS.get(name), self._unit(name), self._raw(name)
        figures = statistics(name, unit, trials)
        meaning = definition(name)
        foreign = "a metric of another package" + ("" if entry else ", which is not installed here")
        return MetricExplanation(
            metric=name,
            unit=unit,
            label=entry.label if entry else "",
            better=entry.better if entry else "",
            sentence=meaning.sentence if meaning else foreign,
            circumstances=circumstances(self._results.session, self._row, self._weights),
            trials=trials,
            statistics=figures,
            absence="" if figures else self._why_missing(name, trials),
            steps=tuple(self._steps(name, unit, trials, figures)),
            findings=mentions(self._row.verdict.findings, name),
            commands=tuple(self._commands(name)),
        )

    def all_metrics(self) -> DeploymentExplanation:
        """Every metric that there is, in the order of :data:`METRICS`, a stranger's last."""
        names = dict.fromkeys((*METRICS, *(trial.metric for trial in self._trials)))
        raw = {name: self._raw(name) for name in names}
        figures = {name: statistics(name, self._unit(name), raw[name]) for name in names}
        return DeploymentExplanation(
            circumstances(self._results.session, self._row, self._weights),
            tuple(
                MetricLine(name, self._unit(name), of_trials)
                for name, of_trials in figures.items()
                if of_trials
            ),
            missing(
                {name: self._why_missing(name, raw[name]) for name in names if not figures[name]}
            ),
            tuple(self._commands("")),
        )

    def _unit(self, name: str) -> str:
        stored = (trial.unit for trial in self._trials if trial.metric == name)
        return METRICS[name].unit if name in METRICS else next(stored, "")

    def _raw(self, name: str) -> tuple[RawTrial, ...]:
        trials: list[Trial] = [trial for trial in self._trials if trial.metric == name]
        roof = bound(self._deployment, self._results.session.machine, self._decode_bytes)
        return raw_trials(trials, self._unit(name), roof if name == "decode_tps" else None)

    @property
    def _decode_bytes(self) -> int:
        return self._row.load.decode_bytes if self._row.load else 0

    def _steps(
        self, name: str, unit: str, trials: Sequence[RawTrial], figures: Statistics | None
    ) -> Iterator[Step]:
        if figures:
            yield from steps(name, unit, trials, figures)
        if figures and unit == "share":
            yield from share_steps(name, self._row, figures)
        if name == "decode_tps" and trials:
            machine = self._results.session.machine
            speed = figures.median if figures else None
            yield from roofline_steps(self._deployment, machine, self._decode_bytes, speed)

    def _why_missing(self, name: str, trials: Sequence[RawTrial]) -> str:
        if name == "decode_tps" and self._row.rejected:
            return self._row.rejected
        return why_missing(name, trials, self._row)

    def _commands(self, metric: str) -> Iterator[str]:
        """What to do next; what needs a declaration only where there is one."""
        name = shlex.quote(self._row.identifier)
        if not metric:
            yield f"qualify explain {name} METRIC{self._options}"
        else:
            yield f"qualify explain {name}{self._options}"
        yield f"qualify report{self._options}"
        recorder = meaning.recorder if (meaning := definition(metric)) else None
        if recorder and self._weights:
            random = " --weights synthetic" if self._weights == "synthetic" else ""
            option = f" {recorder.option}" if recorder.option else ""
            yield f"pytest --deployment {name} -m {recorder.suite}{random}{option}"
        if self._weights in ("hub", "canary") and self._unit(metric) == "share":
            yield f"qualify see {name}"
        if self._weights == "hub" and metric == "peak_memory_bytes":
            yield f"qualify footprint {name}"


def _row(results: Results, registry: Registry, identifier: str) -> Row:
    table = {row.identifier: row for row in rows(results, registry)}
    if identifier not in table:
        raise SelectionError(
            f"{identifier!r} is not in session {one_line(results.session.identifier)}; "
            f"{_nearest(identifier, dict.fromkeys(table, ''))}"
        )
    return table[identifier]


def _no_metric(name: str, recorded: Iterable[str]) -> SelectionError:
    labels = dict.fromkeys(recorded, "") | {key: entry.label for key, entry in METRICS.items()}
    return SelectionError(f"no metric is called {name!r}; {_nearest(name, labels)}")


def _nearest(name: str, labels: Mapping[str, str]) -> str:
    """What is meant, perhaps: names with it, also in their label, then those spelled most alike."""
    part = name.casefold()
    alike = [key for key, label in labels.items() if part in f"{key} {label}".casefold()]
    alike += difflib.get_close_matches(name, labels, _NEAREST, cutoff=0)
    nearest = [one_line(key) for key in dict.fromkeys(alike)][:_NEAREST]
    return f"did you mean {' or '.join(nearest)}?" if nearest else "nothing ran in it"
