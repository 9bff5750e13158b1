"""With pytest-xdist all tests of a model stay in one process: one load, one comparison.

The groups are made of the tests' names: xdist 3.8's own (``loadgroup``) are not seen by pytest 9.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

    from qualification.core.declarations import Deployment


class ByModel(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Shares out whole models, those with most tests first; any other test by itself."""

    def __init__(self, config: pytest.Config, log: Any, deployments: Sequence[Deployment]) -> None:
        super().__init__(config, log)
        # An identifier may be the beginning of another one.
        self._models = {
            deployment.identifier: deployment.model.name
            for deployment in sorted(deployments, key=_longest_first)
        }

    def _split_scope(self, nodeid: str) -> str:
        _, _, parameters = nodeid.partition("[")
        for identifier, model in self._models.items():
            if identifier in parameters:
                return model
        return nodeid


def _longest_first(deployment: Deployment) -> int:
    return -len(deployment.identifier)
