"""With pytest-xdist all tests of a model stay in one process: one load, one comparison.

The first verdict compares no deployments, so there all tests of an engine stay in one: its
libraries are imported once. The groups are made of the tests' names: xdist 3.8's own
(``loadgroup``) are not seen by pytest 9.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

from qualification.pytest_plugin.cases import NamedDeployments
from qualification.pytest_plugin.options import marker_expression_names

if TYPE_CHECKING:
    import pytest

    from qualification.core.declarations import Deployment


class ByModel(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Shares out whole models, or engines, those with most tests first; other tests one by one."""

    def __init__(self, config: pytest.Config, log: Any, deployments: Sequence[Deployment]) -> None:
        super().__init__(config, log)
        self._is_first = "first_verdict" in marker_expression_names(config.option.markexpr)
        self._deployments = NamedDeployments(deployments)

    def _split_scope(self, nodeid: str) -> str:
        deployment = self._deployments.of(nodeid)
        if deployment is None:
            return nodeid
        return deployment.source.engine if self._is_first else deployment.model.name
