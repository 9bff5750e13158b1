"""The gate that a ``suspect`` starts: it compares this environment with the accepted one.

A stored baseline is of another day, so a suspect never fails by itself. The two environments,
interleaved on this machine, decide. The gate's baseline is ``current`` with the exact versions of
the accepted session (``current`` adds packages that no session records, such as num2words). Its
candidate is this interpreter, or the pins of the suspect session if that ran under another one.
A server is not gated: its suspect starts the gate of the same model in process, on its engine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

from qualification.core.child_variables import child_variables
from qualification.core.declarations import Deployment
from qualification.core.errors import BaselineError, SelectionError
from qualification.core.libraries import library_versions
from qualification.core.metrics import BASELINE_LIMITS, GATE_LIMITS
from qualification.core.protocol import LoadReport, WeightsSource
from qualification.core.results import Environment, Machine, Session, Verdict
from qualification.judging.baselines.staleness import newest
from qualification.judging.baselines.storage import AcceptedSession, baseline_path, read_baseline
from qualification.judging.library_versions import difference, engine_of, pins, python_series
from qualification.judging.reference_sessions import may_be_same_weights
from qualification.judging.stats.estimators import sessions_to_decide
from qualification.models.loading import load_registry
from qualification.models.registry import Registry
from qualification.upgrade.environments.spec import EnvironmentSpec

QUALIFY = (sys.executable, "-m", "qualification")
"""How this very ``qualify`` is started."""

_WITHOUT_DEPENDENCIES = ("torchvision",)
"""Their Linux wheels require a CUDA build of torch."""

_SAME = (
    "its baseline has the same library versions, so the cause is not among them: measure again, "
    "and look at the machine"
)

_RANK = (1, 2, 3, 0)
"""Exit codes of a gate, the gravest first: regressed, an error, undecided, passed."""


@dataclass(frozen=True)
class Suspect:
    """A deployment with suspect metrics, and the environment of an accepted session.

    ``accepted`` is that session, ``differs`` how its libraries differ from this session's. ``now``
    are this session's pins, empty if it ran under this interpreter. ``problem`` is a clause that
    says why no gate would help; ``environment`` is None if there is nothing to compare with.
    ``gated`` is the deployment that the gate asks: itself, or a server's model on its engine.
    """

    deployment: str
    metrics: tuple[str, ...]
    gated: str = ""
    environment: EnvironmentSpec | None = None
    accepted: str = ""
    differs: str = ""
    problem: str = ""
    weights: WeightsSource = "hub"
    now: tuple[str, ...] = ()


def suspects(
    verdicts: Sequence[Verdict],
    baselines: Path,
    session: Session,
    registry: Registry | None = None,
    installed: Mapping[str, str] | None = None,
    load_reports: Mapping[str, LoadReport] | None = None,
) -> tuple[Suspect, ...]:
    """The deployments of a session that a stored baseline makes suspect, in the verdicts' order.

    The environment is that of the newest accepted session with other versions, among those that
    the judge compares this machine and these weights with. A baseline that is gone or cannot be
    read is a ``problem`` of its deployment and hides no other suspect. ``installed`` are this
    interpreter's library versions; they, and the declarations, are looked up if they are not given.
    ``load_reports`` are the session's.
    """
    candidates = [
        Suspect(verdict.deployment, metrics)
        for verdict in verdicts
        if (metrics := _suspect_metrics(verdict))
    ]
    if not candidates:
        return ()
    registry = load_registry() if registry is None else registry
    declared = {
        deployment.identifier: deployment
        for weights in (registry.with_weights("synthetic"), registry)
        for deployment in weights.deployments()
    }
    interpreter = replace(session.environment, versions=dict(installed or library_versions()))
    revisions = {name: report.revision for name, report in (load_reports or {}).items()}
    return tuple(
        _completed(
            suspect,
            declared,
            baselines,
            session,
            interpreter,
            revisions.get(suspect.deployment, ""),
        )
        for suspect in candidates
    )


def gate_command(suspect: Suspect, declarations: Path | None = None) -> list[str]:
    """The command line of the gate between the accepted environment and the suspect session's.

    Metrics that a gate does not time (accuracy) are left to its behaviour checks. ``declarations``
    is a folder other than the project's own. Raises SelectionError if there is no environment to
    compare with.
    """
    spec = suspect.environment
    if spec is None:
        raise SelectionError(f"{suspect.deployment}: {suspect.problem}")
    words = ["qualify", "gate", "--from-pins", " ".join((*spec.pins, *spec.no_dependencies))]
    if suspect.now:
        words += ["--to", "current", "--candidate", " ".join(suspect.now)]
    else:
        words += ["--to", "here"]
    words += ["--models", suspect.gated, "--weights", suspect.weights]
    if timed := [metric for metric in suspect.metrics if metric in GATE_LIMITS]:
        words += ["--metrics", ",".join(timed)]
    return [*words, "--declarations", str(declarations)] if declarations else words


def run_gates(commands: Sequence[Sequence[str]]) -> int:
    """Run gates one after the other; returns the gravest exit code: 1, then 2, then 3, then 0.

    They share this terminal. A gate that a signal ended counts as an error, and so does no gate.
    """
    variables = child_variables("library", "installer", "gate")
    codes = [
        subprocess.run([*QUALIFY, *words[1:]], check=False, env=variables).returncode
        for words in commands
    ]
    return min((code if code in _RANK else 2 for code in codes), key=_RANK.index, default=2)


def _suspect_metrics(verdict: Verdict) -> tuple[str, ...]:
    metrics = (finding.metric for finding in verdict.findings if finding.status == "suspect")
    return tuple(dict.fromkeys(metrics))


def _completed(
    suspect: Suspect,
    declared: Mapping[str, Deployment],
    baselines: Path,
    session: Session,
    interpreter: Environment,
    revision: str,
) -> Suspect:
    """The suspect with its two environments, and the deployment that a gate of them asks."""
    deployment = declared.get(suspect.deployment)
    engine = engine_of(suspect.deployment) if deployment is None else deployment.source.engine
    suspect = _with_accepted(suspect, engine, baselines, session, revision)
    if deployment is None:
        problem = suspect.problem or "it is no longer declared"
        return replace(suspect, environment=None, problem=problem)
    source = deployment.source
    gated = deployment.on_engine
    if gated not in declared or declared[gated].source.weights != source.weights:
        problem = f"a server is gated by its engine, and {gated} is not declared"
        return replace(suspect, environment=None, problem=suspect.problem or problem)
    system = session.machine.system
    now = pins(engine, session.environment, system)
    is_here = now == pins(engine, interpreter, system)
    return replace(suspect, gated=gated, weights=source.weights, now=() if is_here else now)


def _with_accepted(
    suspect: Suspect, engine: str, baselines: Path, session: Session, revision: str
) -> Suspect:
    """The suspect with the environment of an accepted session, or the problem with it."""
    file = baseline_path(baselines, session.machine.tier, suspect.deployment)
    try:
        stored = read_baseline(file).sessions
    except BaselineError as error:
        return replace(suspect, problem=f"its baseline is gone: {error}")
    sessions = [accepted for accepted in stored if may_be_same_weights(accepted.revision, revision)]
    if not sessions:
        return replace(suspect, problem="its baseline has no session any more")
    considered = _considered(sessions, suspect.metrics, session.machine)
    different = [
        accepted for accepted in considered if _has_other_libraries(engine, accepted, session)
    ]
    accepted = newest(different or considered)
    spec = _spec(engine, accepted, session.environment)
    suspect = replace(suspect, environment=spec, accepted=accepted.identifier)
    if spec is None:
        return replace(suspect, problem=f"the versions of the engine {engine!r} are not recorded")
    differs = difference(engine, [accepted.environment], session.environment)
    return replace(suspect, differs=differs, problem="" if different else _SAME)


def _has_other_libraries(engine: str, accepted: AcceptedSession, session: Session) -> bool:
    """Whether a gate would have two environments; both would have the session's Python."""
    same_python = replace(accepted.environment, python=session.environment.python)
    return bool(difference(engine, [same_python], session.environment))


def _considered(
    sessions: Sequence[AcceptedSession], metrics: Sequence[str], machine: Machine
) -> Sequence[AcceptedSession]:
    """This machine's sessions if they are enough to decide each metric, else all, as in judging."""
    if not set(metrics) <= BASELINE_LIMITS.keys():
        return sessions
    same_machine = [
        session for session in sessions if session.machine.identifier == machine.identifier
    ]
    enough = max(sessions_to_decide(BASELINE_LIMITS[metric].margin) for metric in metrics)
    return same_machine if enough and len(same_machine) >= enough else sessions


def _spec(
    engine: str, accepted: AcceptedSession, environment: Environment
) -> EnvironmentSpec | None:
    exact = pins(engine, accepted.environment, accepted.machine.system)
    if not exact:
        return None
    alone = tuple(pin for pin in exact if Requirement(pin).name in _WITHOUT_DEPENDENCIES)
    series = python_series(accepted.environment)
    return EnvironmentSpec(
        name=f"accepted {accepted.identifier}",
        title=f"the environment of the accepted session {accepted.identifier}",
        pins=tuple(pin for pin in exact if pin not in alone),
        no_dependencies=alone,
        python="" if series == python_series(environment) else series,
    )
