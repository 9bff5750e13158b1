"""What the hooks of one run share; the machine and the versions are probed only when asked for."""

from __future__ import annotations

import dataclasses
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import DeclarationError
from qualification.core.results import Machine
from qualification.models.loading import load_registry
from qualification.models.registry import Registry
from qualification.pytest_plugin.options import built_environment, served

if TYPE_CHECKING:
    from qualification.session.session import QualificationSession
    from qualification.upgrade.environments.cache import Built


class RunState:
    """The registry, the machine and the session of one run of pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session: QualificationSession | None = None
        self.built: Built | None = built_environment(config)
        folder = config.getoption("--declarations")
        try:
            registry = load_registry(Path(folder) if folder else None)
        except DeclarationError as error:
            raise pytest.UsageError(str(error)) from error
        if weights := config.getoption("--weights"):
            registry = registry.with_weights(weights)
        registry = served(config, registry)
        bugs = tuple(
            bug
            for bug in registry.bugs
            if not bug.unless_programs or not all(map(shutil.which, bug.unless_programs))
        )
        self.registry: Registry = dataclasses.replace(registry, bugs=bugs)

    @cached_property
    def machine(self) -> Machine:
        """This host; probed once, and only where a selection or a run needs it."""
        from qualification.machine.probe import probe

        return probe(self.registry.chips, self.registry.tiers)

    @cached_property
    def tier(self) -> Tier | None:
        """The tier that this machine matches."""
        return self.registry.tier(self.machine.tier) if self.machine.tier else None

    @cached_property
    def versions(self) -> dict[str, str]:
        """Library -> version in the environment to qualify ('' where absent)."""
        from qualification.core.libraries import library_versions, versions_among
        from qualification.servers.programs import llama_server_version

        found = library_versions() if self.built is None else versions_among(self.built.versions)
        return found | {"llama-server": llama_server_version()}

    @cached_property
    def _absent(self) -> dict[str, str]:
        """Backend -> the sentence that says what is missing, for those that are not installed."""
        from qualification.machine.readiness import backend_readiness, backends_absent_from

        if self.built is not None:
            name = self.built.spec.name
            absent = backends_absent_from(self.built.versions)
            return {backend: f"environment {name} has no backend {backend}" for backend in absent}
        return {
            backend.name: f"backend {backend.name} is not ready ({backend.note})"
            + (f"; install it with: {backend.install_command}" * bool(backend.install_command))
            for backend in backend_readiness()
            if not backend.ready
        }

    def not_ready(self, deployment: Deployment) -> str:
        """'' where a deployment can be tried, else what is missing and what installs it."""
        source = deployment.source
        if source.backend != "server":
            return self._absent.get(source.backend, "")
        from qualification.servers.programs import missing

        return missing(source.server, None if self.built is None else dict(self.built.versions))
