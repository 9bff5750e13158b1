"""What a gate is to do, from two built environments and what the user chose."""

from __future__ import annotations

import datetime
import secrets
import uuid
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from qualification.environment_cache import Built
from qualification.errors import GateError
from qualification.gate.records import EnvironmentRecord, GatePlan, WarningsPolicy
from qualification.gate.selection import timed
from qualification.gate.timed import METRICS
from qualification.libraries import LIBRARIES
from qualification.preconditions import preconditions
from qualification.records import Deployment, Machine, WeightsSource


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
