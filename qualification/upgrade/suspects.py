"""What a ``suspect`` starts: the gate that holds the accepted environment against this one.

A stored baseline is of another day, so a suspect never fails by itself. The two environments,
interleaved on this machine, decide: the accepted session's exact versions as pins laid over
``current`` (which adds what no session records, such as num2words), against the interpreter that
the suspect session ran under, or against its pins where that is not the one that runs this.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

from qualification.core.errors import BaselineError, SelectionError
from qualification.core.libraries import library_versions
from qualification.core.metrics import BASELINE_LIMITS, GATE_LIMITS
from qualification.core.protocol import WeightsSource
from qualification.core.results import Environment, Machine, Session, Verdict
from qualification.judging.baselines.staleness import newest
from qualification.judging.baselines.storage import AcceptedSession, baseline_path, read_baseline
from qualification.judging.library_versions import backend_of, difference, pins, python_series
from qualification.judging.stats.estimators import sessions_to_decide
from qualification.models.loading import load_registry
from qualification.models.registry import Registry
from qualification.upgrade.environments.spec import EnvironmentSpec

QUALIFY = (sys.executable, "-m", "qualification.cli")
"""How this very ``qualify`` is started."""

_WITHOUT_DEPENDENCIES = ("torchvision",)
"""Its Linux wheel asks for a CUDA build of torch."""

_SAME = (
    "its baseline has the same library versions, so the cause is not among them: measure again, "
    "and look at the machine"
)

_RANK = (1, 2, 3, 0)
"""Exit codes of a gate, the gravest first: regressed, an error, not decided, passed."""


@dataclass(frozen=True)
class Suspect:
    """A deployment with suspect metrics, and the environment of an accepted session.

    ``accepted`` is that session, ``differs`` what its libraries had where they differ from this
    session's. ``now`` are this session's pins where it did not run under this interpreter, else
    empty. ``problem`` is a clause where no gate would tell anything; ``environment`` is None where
    there is nothing to hold against.
    """

    deployment: str
    metrics: tuple[str, ...]
    environment: EnvironmentSpec | None
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
) -> tuple[Suspect, ...]:
    """The deployments of a session that a stored baseline makes suspect, in the verdicts' order.

    The environment is that of the newest accepted session with other versions, among those that
    the judge holds this machine against. A baseline that is gone or cannot be read is a
    ``problem`` of its deployment and hides no other suspect. ``installed`` are this interpreter's
    library versions, looked up where they are not given, as the declarations are.
    """
    wanted = {
        verdict.deployment: tuple(
            dict.fromkeys(one.metric for one in verdict.findings if one.status == "suspect")
        )
        for verdict in verdicts
    }
    if not any(wanted.values()):
        return ()
    registry = load_registry() if registry is None else registry
    declared: dict[str, WeightsSource] = {
        one.identifier: one.source.weights
        for known in (registry.with_weights("synthetic"), registry)
        for one in known.deployments()
    }
    here = replace(session.environment, versions=dict(installed or library_versions()))
    found = []
    for deployment, metrics in wanted.items():
        if not metrics:
            continue
        one = _suspect(deployment, metrics, baselines, session)
        if deployment not in declared:
            problem = one.problem or "it is no longer declared"
            found.append(replace(one, environment=None, problem=problem))
            continue
        backend, system = backend_of(deployment), session.machine.system
        now = pins(backend, session.environment, system)
        if now == pins(backend, here, system):
            now = ()
        found.append(replace(one, weights=declared[deployment], now=now))
    return tuple(found)


def order(suspect: Suspect, declarations: Path | None = None) -> list[str]:
    """The command line that holds the accepted environment against the suspect session's.

    Metrics that a gate does not time (accuracy) are left to its behaviour checks. ``declarations``
    is a folder other than the project's own. SelectionError where there is no environment to hold
    against.
    """
    spec = suspect.environment
    if spec is None:
        raise SelectionError(f"{suspect.deployment}: {suspect.problem}")
    wanted = ["qualify", "gate", "--from-pins", " ".join((*spec.pins, *spec.no_dependencies))]
    if suspect.now:
        wanted += ["--to", "current", "--candidate", " ".join(suspect.now)]
    else:
        wanted += ["--to", "here"]
    wanted += ["--models", suspect.deployment, "--weights", suspect.weights]
    if timed := [metric for metric in suspect.metrics if metric in GATE_LIMITS]:
        wanted += ["--metrics", ",".join(timed)]
    return [*wanted, "--declarations", str(declarations)] if declarations else wanted


def start(orders: Sequence[Sequence[str]]) -> int:
    """Run gates one after the other; the gravest exit code: 1, then 2, then 3, then 0.

    They share this terminal. One that a signal ended counts as an error, and so does none at all.
    """
    codes = [subprocess.run([*QUALIFY, *one[1:]], check=False).returncode for one in orders]
    known = [code if code in _RANK else 2 for code in codes]
    return min(known, key=_RANK.index, default=2)


def _suspect(
    deployment: str, metrics: tuple[str, ...], baselines: Path, session: Session
) -> Suspect:
    file = baseline_path(baselines, session.machine.tier, deployment)
    try:
        sessions = read_baseline(file).sessions
    except BaselineError as error:
        return Suspect(deployment, metrics, None, problem=f"its baseline is gone: {error}")
    if not sessions:
        return Suspect(deployment, metrics, None, problem="its baseline has no session any more")
    backend = backend_of(deployment)
    considered = _considered(sessions, metrics, session.machine)
    others = [one for one in considered if _other_libraries(backend, one, session)]
    accepted = newest(others or considered)
    spec = _spec(backend, accepted, session.environment)
    if spec is None:
        problem = f"the versions of the backend {backend!r} are not recorded"
        return Suspect(deployment, metrics, None, accepted.identifier, problem=problem)
    differs = difference(backend, [accepted.environment], session.environment)
    problem = "" if others else _SAME
    return Suspect(deployment, metrics, spec, accepted.identifier, differs, problem)


def _other_libraries(backend: str, accepted: AcceptedSession, session: Session) -> bool:
    """Whether a gate would have two environments: its Python is the same on both sides."""
    then = replace(accepted.environment, python=session.environment.python)
    return bool(difference(backend, [then], session.environment))


def _considered(
    sessions: Sequence[AcceptedSession], metrics: Sequence[str], machine: Machine
) -> Sequence[AcceptedSession]:
    """This machine's where they were enough to decide each metric, else all, as the judge does."""
    own = [one for one in sessions if one.machine.identifier == machine.identifier]
    if not set(metrics) <= BASELINE_LIMITS.keys():
        return sessions
    enough = max(sessions_to_decide(BASELINE_LIMITS[metric][1]) for metric in metrics)
    return own if enough and len(own) >= enough else sessions


def _spec(backend: str, accepted: AcceptedSession, here: Environment) -> EnvironmentSpec | None:
    exact = pins(backend, accepted.environment, accepted.machine.system)
    if not exact:
        return None
    apart = tuple(one for one in exact if Requirement(one).name in _WITHOUT_DEPENDENCIES)
    series = python_series(accepted.environment)
    return EnvironmentSpec(
        name=f"accepted {accepted.identifier}",
        title=f"what the accepted session {accepted.identifier} was measured with",
        pins=tuple(one for one in exact if one not in apart),
        no_dependencies=apart,
        python="" if series == python_series(here) else series,
    )
