"""One side of a gate: an environment's interpreter, and one deployment in a fresh process of it."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qualification.core.declarations import Deployment, Tier, answers_at_random
from qualification.core.protocol import LoadRequest
from qualification.core.results import Machine
from qualification.models.memory_fit import critical_memory_bytes
from qualification.models.weights import check_files, check_manifest, load_request
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.worker import Worker


@dataclass(frozen=True)
class Place:
    """What both sides share: the machine, where fixtures lie, a scratch folder, deadlines.

    ``scratch`` holds pictures and what MLX's CPU build compiles; whoever makes a place removes it.
    """

    machine: Machine
    tier: Tier | None
    fixtures: Path
    scratch: Path
    load_deadline_s: float = 3600.0
    deadline_s: float = 600.0


def request_for(deployment: Deployment, place: Place) -> LoadRequest:
    """What a worker is asked to load; files are checked, random weights made where missing."""
    request = load_request(deployment, place.fixtures)
    if answers_at_random(deployment):
        from qualification.models.synthetic.cache import ready

        limit = critical_memory_bytes(place.machine, place.tier) or float("inf")
        folder = ready(deployment, place.fixtures, memory_limit=limit)
        request = dataclasses.replace(request, path=str(folder))
    if request.weights == "canary" and request.path:
        check_manifest(Path(request.path).parent, Path(request.path))
    check_files(request)
    return request


@contextlib.contextmanager
def deployed(deployment: Deployment, python: str, place: Place) -> Iterator[Deployed]:
    """Load a deployment in a fresh process of ``python``; raises a WorkerError where it fails."""
    pictures = place.scratch / "pictures"
    # MLX does not write a kernel at once: two processes that compile the same one need two folders.
    kernels = place.scratch / "kernels" / str(threading.get_ident())
    for folder in (pictures, kernels):
        folder.mkdir(parents=True, exist_ok=True)
    limit = critical_memory_bytes(place.machine, place.tier) or None
    is_canary = deployment.source.weights == "canary"
    loaded = Deployed(
        deployment,
        request_for(deployment, place),
        Journal(),
        pictures,
        machine=place.machine,
        tier=place.tier,
        start_worker=lambda: Worker(
            python=python,
            memory_limit=limit,
            environment=deployment.source.environment,
            kernels=kernels if is_canary else None,
        ),
        load_deadline_s=place.load_deadline_s,
        deadline_s=place.deadline_s,
    )
    try:
        yield loaded
    finally:
        loaded.close()
