"""A test of a backend that is not installed is skipped: tox runs these without any."""

import functools

import pytest

from qualification.machine.readiness import backend_readiness
from qualification.servers.programs import PROGRAMS, missing


@functools.cache
def why_not_ready(backend):
    """What a backend, or a program that serves, lacks here; '' for one that is ready."""
    if backend in PROGRAMS:
        return missing(backend)
    notes = {entry.name: entry.note for entry in backend_readiness() if not entry.ready}
    return notes.get(backend, "")


@pytest.fixture(autouse=True)
def _is_installed(request):
    """The backend that the test's parameter of that name says."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if problem := why_not_ready(parameters.get("backend", "")):
        pytest.skip(problem)
