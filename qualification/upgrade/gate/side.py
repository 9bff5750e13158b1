"""One side of a gate: one deployment in a fresh process of an environment's interpreter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qualification.core.declarations import Deployment
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request


@contextlib.contextmanager
def deployed(deployment: Deployment, context: RunContext) -> Iterator[Deployed]:
    """Load a deployment in a fresh process; raises a WorkerError where that fails."""
    request = prepared_request(deployment, context)
    with contextlib.closing(Deployed(deployment, request, context, Journal())) as loaded:
        yield loaded
