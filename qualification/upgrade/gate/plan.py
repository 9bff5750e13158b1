"""The plan of a gate: the deployments and metrics to compare, chosen by the user's request.

:func:`choose_deployments`, :func:`choose_metrics` and :func:`choose_timed` select;
:func:`make_plan` puts the selection, the two built environments and the machine into a
:class:`~qualification.upgrade.gate.records.GatePlan`.
"""

from __future__ import annotations

import datetime
import fnmatch
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from qualification.core.declarations import Deployment, Source, Tier
from qualification.core.errors import GateError
from qualification.core.libraries import LIBRARIES
from qualification.core.project import Project, find_project
from qualification.core.protocol import WeightsSource
from qualification.core.results import Machine
from qualification.machine.conditions import preconditions
from qualification.machine.readiness import backends_absent_from
from qualification.models.memory_fit import does_not_fit, predict
from qualification.models.registry import Registry
from qualification.models.suitability import suitability
from qualification.servers.programs import missing
from qualification.tasks.agreement import precision
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import moved
from qualification.upgrade.gate.records import (
    SIDE_NAMES,
    DeploymentRef,
    EnvironmentRecord,
    GatePlan,
    WarningsPolicy,
)
from qualification.upgrade.gate.timed import METRICS


@dataclass(frozen=True)
class GateRequest:
    """A user's request for a gate; the options of ``qualify gate`` are its fields.

    ``candidate`` '' is the baseline with ``candidate_pins`` over it. ``as_of`` is the day of all
    that neither these nor ``baseline_pins`` name, '' for any day. ``models`` are shell patterns of
    a model's name or a deployment's identifier. ``metrics`` as in :func:`choose_metrics`.
    Without a ``seed`` one is drawn and kept. ``output`` is a new folder, ``resume`` the folder of
    an interrupted gate, which has everything from its journal but the
    ``project``, ``jobs`` and ``download``.
    """

    baseline: str = "current"
    baseline_pins: str = ""
    candidate: str = ""
    candidate_pins: str = ""
    as_of: str = ""
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    metrics: str = ""
    weights: WeightsSource = "canary"
    budget_minutes: float = 0.0
    seed: int | None = None
    warnings: WarningsPolicy = "note"
    project: Project = field(default_factory=find_project)
    output: Path | None = None
    resume: Path | None = None
    jobs: int = 2
    download: bool = False


def make_plan(
    environments: tuple[Built, Built],
    deployments: Sequence[Deployment],
    machine: Machine,
    request: GateRequest,
) -> GatePlan:
    """The plan of a new gate: the behaviour of ``deployments``, and the metrics of some of them."""
    started = datetime.datetime.now(datetime.UTC)
    a, b = environment_records(environments)
    metrics = choose_metrics(request.metrics, machine, request.weights)
    timed = choose_timed(deployments, named=bool(request.models)) if metrics else ()
    return GatePlan(
        identifier=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
        started=started.isoformat(timespec="seconds"),
        a=a,
        b=b,
        machine=machine,
        deployments=tuple(map(DeploymentRef.of, deployments)),
        timed=tuple(deployment.identifier for deployment in timed),
        metrics=metrics,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        weights=request.weights,
        warnings=request.warnings,
        budget_s=60 * request.budget_minutes,
        conditions=tuple(preconditions()),
    )


def environment_records(
    environments: tuple[Built, Built],
) -> tuple[EnvironmentRecord, EnvironmentRecord]:
    """Records of both environments: the libraries that matter, and every other difference."""
    versions_a, versions_b = (
        {str(canonicalize_name(name)): version for name, version in built.versions.items()}
        for built in environments
    )
    listed = {str(canonicalize_name(name)) for name in (*LIBRARIES, "mlx-cpu")}
    listed |= {
        name
        for name in versions_a.keys() | versions_b.keys()
        if versions_a.get(name) != versions_b.get(name)
    }
    a, b = (
        EnvironmentRecord(
            built.spec.name,
            built.python_version,
            built.key,
            (*built.spec.pins, *built.spec.no_dependencies),
            {name: version for name, version in sorted(versions.items()) if name in listed},
            moved(built.spec, versions),
        )
        for built, versions in zip(environments, (versions_a, versions_b), strict=True)
    )
    return a, b


def choose_metrics(text: str, machine: Machine, weights: WeightsSource) -> tuple[str, ...]:
    """``all``, ``none``, or names with commas; GateError for any other name.

    ``all`` includes GPU memory only on a machine with a CUDA GPU. '' is ``all``, but for canaries
    the peak memory alone: the speed of a tiny model on a machine with other work would leave most
    gates undecided, and says little about a real model.
    """
    if text == "none":
        return ()
    if not text and weights == "canary":
        return ("peak_memory_bytes",)
    text = text or "all"
    if text == "all":
        has_gpu = any(accelerator.kind == "cuda" for accelerator in machine.accelerators)
        return tuple(name for name in METRICS if has_gpu or name != "peak_device_bytes")
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise GateError(
            f"--metrics {text!r}: {', '.join(unknown) or 'nothing'} is no metric of the gate: "
            f"all, none, or some of {', '.join(METRICS)}"
        )
    return names


def choose_deployments(
    registry: Registry,
    request: GateRequest,
    machine: Machine,
    tier: Tier | None,
    versions: Sequence[Mapping[str, str]],
) -> tuple[Deployment, ...]:
    """The deployments that match, whose backend both environments have, and that fit.

    ``versions`` are the distributions of baseline and candidate. Unless the request names models,
    real and synthetic weights are those meant for this machine's tier. GateError, with the reasons,
    if no deployment qualifies.
    """
    weights = request.weights
    chosen, reasons = [], set()
    absent_backends = [backends_absent_from(installed) for installed in versions]
    for deployment in registry.with_weights(weights).deployments():
        if not _is_requested(deployment, request):
            continue
        name, source = deployment.identifier, deployment.source
        lacking = [
            side
            for side, installed, absent in zip(
                SIDE_NAMES.values(), versions, absent_backends, strict=True
            )
            if source.backend in absent or _has_no_program(source, installed)
        ]
        suited = suitability(deployment, machine, tier, registry) if source.tiers else None
        if not request.models and suited and not suited.meant:
            reasons.add(f"{name} is not meant for this machine ({suited.why}); name it by --models")
        elif not source.is_its_own_engine:
            reasons.add("a server is gated by its library: gate the backend that does its work")
        elif lacking:
            verb = "has" if len(lacking) == 1 else "have"
            reasons.add(f"{' and '.join(lacking)} {verb} no {source.place} backend")
        elif problem := does_not_fit(predict(deployment, registry), machine, tier):
            reasons.add(f"{name}: {problem}")
        else:
            chosen.append(deployment)
    if not chosen:
        why = "; ".join(sorted(reasons)[:3]) or "no declared deployment matches"
        raise GateError(f"no deployment of {weights} weights can be compared: {why}")
    return tuple(chosen)


def choose_timed(deployments: Sequence[Deployment], *, named: bool) -> tuple[Deployment, ...]:
    """All of them; but of canaries that were not ``named``, one of full precision per engine.

    A canary's figures are about the library's own overhead, and each fresh process of it costs the
    seconds that its library takes to import.
    """
    if named or any(deployment.source.weights != "canary" for deployment in deployments):
        return tuple(deployments)
    by_engine: dict[str, Deployment] = {}
    for deployment in deployments:
        if precision(deployment.source.quantisation):
            by_engine.setdefault(deployment.source.engine, deployment)
    return tuple(by_engine.values())


def _has_no_program(source: Source, installed: Mapping[str, str]) -> bool:
    return bool(source.server and missing(source.server, installed))


def _is_requested(deployment: Deployment, request: GateRequest) -> bool:
    source = deployment.source
    if source.weights != request.weights:
        return False
    if request.backends and source.engine not in request.backends:
        return False
    names = (deployment.model.name, deployment.identifier, deployment.declared_as)
    return not request.models or any(
        fnmatch.fnmatchcase(name, pattern) for pattern in request.models for name in names
    )
