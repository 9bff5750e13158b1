"""pytest is the face: options, markers, the plan as parameters, xfails, the verdict at the end.

May import every room but ``cli``, ``suites`` and ``backends``; with ``suites`` it alone imports
pytest. Start reading in ``hooks.py``, then ``collection.py``, ``running.py`` and ``ending.py``.

Collection imports no model library, needs no network and starts no process, but for the
``--version`` of a llama-server that is on the PATH and was not built by us: known bugs are compared
with it.
"""

from qualification.pytest_plugin.hooks import (
    pytest_configure,
    pytest_configure_node,
    pytest_generate_tests,
    pytest_load_initial_conftests,
    pytest_report_header,
    pytest_sessionstart,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
    pytest_xdist_setupnodes,
)
from qualification.pytest_plugin.options import pytest_addoption

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_generate_tests",
    "pytest_load_initial_conftests",
    "pytest_report_header",
    "pytest_sessionstart",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
    "pytest_xdist_setupnodes",
]
