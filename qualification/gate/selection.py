"""Which deployments a gate is about, and which of them are timed. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from qualification.errors import GateError
from qualification.machine import backends_absent_from
from qualification.parity import precision
from qualification.plan import does_not_fit, predict
from qualification.records import BackendName, Deployment, Machine, Tier, WeightsSource
from qualification.registry import Registry


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
