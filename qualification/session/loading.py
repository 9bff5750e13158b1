"""From a declared deployment to a checked request and a worker that can answer it."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import threading
from pathlib import Path

from qualification.core.backends import BACKENDS
from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.disk import room_in
from qualification.core.errors import WeightsUnavailable
from qualification.core.protocol import LoadRequest
from qualification.models.weights import check_files, check_manifest, load_request
from qualification.servers.client import bare
from qualification.session.context import RunContext
from qualification.session.template import Template
from qualification.session.worker import Worker


def prepared_request(deployment: Deployment, context: RunContext) -> LoadRequest:
    """The load request of a deployment; synthetic weights are made first where they are missing.

    Raises WeightsError for local files that are damaged or are not those of the manifest, and
    WeightsUnavailable where synthetic weights do not fit on this machine, and for a model whose own
    code nobody has allowed.
    """
    if deployment.source.remote_code and not context.allow_remote_code:
        raise WeightsUnavailable(
            f"{deployment.identifier}: its files run their own code, which pytest alone allows, "
            "with --allow-remote-code"
        )
    request = load_request(deployment)
    if answers_at_random(deployment):
        from qualification.models.synthetic.cache import ready

        limit = context.memory_limit_bytes or float("inf")
        with context.fetching.timed():
            folder = ready(deployment, memory_limit=limit, say=context.fetching.say)
        request = dataclasses.replace(request, path=str(folder))
    if request.backend == "server":
        request = dataclasses.replace(request, python=context.python)
    if request.server == "url":
        options = request.options | {"url": bare(str(request.options["url"]))}
        request = dataclasses.replace(request, options=options)
    if request.weights == "canary" and request.path:
        check_manifest(Path(request.path).parent, Path(request.path))
    check_files(request)
    return request


def start_worker(deployment: Deployment, context: RunContext) -> Worker:
    """A fresh process that can load the deployment; it is ended at the context's memory limit.

    Raises DiskFull where there is no room for its temporary files.
    """
    with room_in(Path(tempfile.gettempdir())):
        return _started(deployment, context)


def _started(deployment: Deployment, context: RunContext) -> Worker:
    kernels: Path | None = None
    # The load time of a real model includes compiling, so only canaries share compiled kernels.
    if deployment.source.weights == "canary":
        # MLX writes a kernel in several steps: two processes that compile the same one at the
        # same time need two folders, hence one for each thread that starts workers.
        kernels = context.scratch / "kernels" / str(threading.get_ident())
        kernels.mkdir(parents=True, exist_ok=True)
    # A server's program is what is qualified, not its client, so the client runs under our Python.
    python = sys.executable if deployment.source.backend == "server" else context.python
    return Worker(
        python=python,
        memory_limit=context.memory_limit_bytes,
        environment=deployment.source.environment,
        uses=("server",) if deployment.source.server == "url" else (),
        kernels=kernels,
        template=_template(deployment, context, python),
    )


def _template(deployment: Deployment, context: RunContext, python: str) -> Template | None:
    """What the deployment's worker can be forked from; None where it must be a fresh process."""
    source = deployment.source
    shares = source.weights == "canary" and not source.remote_code
    if context.templates is None or not shares or not BACKENDS[source.backend].has_template:
        return None
    return context.templates.of(python, source.backend, source.environment)
