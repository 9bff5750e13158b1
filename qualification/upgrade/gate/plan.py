"""What a gate is to do, from two built environments and what the user chose."""

from __future__ import annotations

import datetime
import fnmatch
import secrets
import uuid
from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import GateError
from qualification.core.libraries import LIBRARIES
from qualification.core.protocol import BackendName, WeightsSource
from qualification.core.results import Machine
from qualification.machine.conditions import preconditions
from qualification.machine.readiness import backends_absent_from
from qualification.models.memory_fit import does_not_fit, predict
from qualification.models.registry import Registry
from qualification.tasks.agreement import precision
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.records import EnvironmentRecord, GatePlan, WarningsPolicy
from qualification.upgrade.gate.timed import METRICS


def make_plan(
    sides: tuple[Built, Built],
    deployments: Sequence[Deployment],
    machine: Machine,
    *,
    metrics: tuple[str, ...] = (),
    named: bool = True,
    weights: WeightsSource = "canary",
    seed: int | None = None,
    warnings: WarningsPolicy = "note",
    budget_s: float = 0.0,
) -> GatePlan:
    """The plan of a new gate: the behaviour of ``deployments``, and ``metrics`` of some of them.

    ``named``: the user named them, so all are timed. Without a ``seed`` one is drawn and kept.
    """
    started = datetime.datetime.now(datetime.timezone.utc)
    first, second = records(sides)
    some = timed(deployments, named=named) if metrics else ()
    return GatePlan(
        identifier=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
        started=started.isoformat(timespec="seconds"),
        a=first,
        b=second,
        machine=machine,
        deployments=tuple(one.identifier for one in deployments),
        timed=tuple(one.identifier for one in some),
        metrics=metrics,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        weights=weights,
        warnings=warnings,
        budget_s=budget_s,
        conditions=tuple(preconditions()),
    )


def chosen_metrics(text: str, machine: Machine, weights: WeightsSource) -> tuple[str, ...]:
    """``all`` (of a GPU's only where there is one), ``none``, or names with commas; GateError.

    '' is ``all``, but for canaries the peak memory alone: the speed of a tiny model on a machine
    that has other work would leave most gates undecided, and says little about a real one.
    """
    if text == "none":
        return ()
    if not text and weights == "canary":
        return ("peak_memory_bytes",)
    text = text or "all"
    if text == "all":
        has_gpu = any(one.kind == "cuda" for one in machine.accelerators)
        return tuple(name for name in METRICS if has_gpu or name != "peak_device_bytes")
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise GateError(
            f"--metrics {text!r}: {', '.join(unknown) or 'nothing'} is no metric of the gate: "
            f"all, none, or some of {', '.join(METRICS)}"
        )
    return names


def records(sides: tuple[Built, Built]) -> tuple[EnvironmentRecord, EnvironmentRecord]:
    """The receipts of both sides: the libraries that matter, and whatever else differs."""
    a, b = (
        {canonicalize_name(name): version for name, version in side.versions.items()}
        for side in sides
    )
    shown = {str(canonicalize_name(name)) for name in (*LIBRARIES, "mlx-cpu")}
    shown |= {name for name in {*a, *b} if a.get(name) != b.get(name)}
    first, second = (
        EnvironmentRecord(
            side.spec.name,
            side.python_version,
            side.key,
            (*side.spec.pins, *side.spec.no_dependencies),
            {name: version for name, version in sorted(versions.items()) if name in shown},
        )
        for side, versions in zip(sides, (a, b), strict=True)
    )
    return first, second


def chosen(
    registry: Registry,
    *,
    weights: WeightsSource,
    models: Sequence[str],
    backends: Sequence[str],
    machine: Machine,
    tier: Tier | None,
    versions: Sequence[Mapping[str, str]],
) -> tuple[Deployment, ...]:
    """The deployments that match, whose backend both environments have, and that fit.

    ``models`` are shell patterns of a model's name or a deployment's identifier. Without any, real
    and synthetic weights are those of this machine's tier. GateError where nothing is left, with
    the reason.
    """
    found, reasons = [], set()
    absent = [backends_absent_from(some) for some in versions]
    for one in registry.with_weights(weights).deployments():
        if one.source.weights != weights or (backends and one.source.backend not in backends):
            continue
        if models and not any(_matches(one, pattern) for pattern in models):
            continue
        if not models and one.source.tiers and machine.tier not in one.source.tiers:
            reasons.add(f"{one.identifier} is for other tiers; name it with --models")
            continue
        if one.source.backend == "server":
            reasons.add("a server is gated by its library: gate the backend that does its work")
            continue
        missing = [number for number, some in enumerate(absent) if one.source.backend in some]
        if missing:
            side = " and ".join("AB"[number] for number in missing)
            reasons.add(f"environment {side} has no {one.source.backend} backend")
            continue
        if problem := does_not_fit(predict(one, registry), machine, tier):
            reasons.add(f"{one.identifier}: {problem}")
            continue
        found.append(one)
    if not found:
        why = "; ".join(sorted(reasons)[:3]) or "no declared deployment matches"
        raise GateError(f"no deployment of {weights} weights is left to compare: {why}")
    return tuple(found)


def timed(deployments: Sequence[Deployment], *, named: bool) -> tuple[Deployment, ...]:
    """All of them; of canaries that were not ``named``, one of full precision for each backend.

    A canary's figures are about the library's own overhead, and each fresh process of it costs the
    seconds that its library takes to import.
    """
    if named or any(one.source.weights != "canary" for one in deployments):
        return tuple(deployments)
    first: dict[BackendName, Deployment] = {}
    for one in deployments:
        if precision(one.source.quantisation):
            first.setdefault(one.source.backend, one)
    return tuple(first.values())


def _matches(deployment: Deployment, pattern: str) -> bool:
    names = (deployment.model.name, deployment.identifier, deployment.declared_as)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
