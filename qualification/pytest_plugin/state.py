"""What the hooks of one run share; the machine and the versions are probed only when needed."""

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
from qualification.pytest_plugin.options import built_environment, with_server_option

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
        registry = with_server_option(config, registry)
        bugs = tuple(
            bug
            for bug in registry.bugs
            if not bug.unless_programs or not all(map(shutil.which, bug.unless_programs))
        )
        self.registry: Registry = dataclasses.replace(registry, bugs=bugs)

    @cached_property
    def machine(self) -> Machine:
        """This host."""
        from qualification.machine.probe import probe

        return probe(self.registry.chips, self.registry.tiers)

    @cached_property
    def tier(self) -> Tier | None:
        """The tier that this machine matches."""
        return self.registry.tier(self.machine.tier) if self.machine.tier else None

    @cached_property
    def versions(self) -> dict[str, str]:
        """Library -> version in the environment to qualify ('' if not installed)."""
        from qualification.core.libraries import library_versions, versions_among
        from qualification.servers.programs import llama_server_version

        versions = library_versions() if self.built is None else versions_among(self.built.versions)
        return versions | {"llama-server": llama_server_version()}

    @cached_property
    def _unready_backends(self) -> dict[str, str]:
        """Backend that is not installed -> a sentence that names what is missing."""
        from qualification.machine.readiness import backend_readiness, backends_absent_from

        if self.built is not None:
            environment = self.built.spec.name
            return {
                backend: f"environment {environment} has no backend {backend}"
                for backend in backends_absent_from(self.built.versions)
            }
        return {
            backend.name: f"backend {backend.name} is not ready ({backend.note})"
            + (f"; install it with: {backend.install_command}" * bool(backend.install_command))
            for backend in backend_readiness()
            if not backend.ready
        }

    def missing_for(self, deployment: Deployment) -> str:
        """A sentence on what a deployment lacks here and what installs it; '' if it is ready."""
        source = deployment.source
        if source.backend != "server":
            return self._unready_backends.get(source.backend, "")
        from qualification.servers.programs import missing

        return missing(source.server, None if self.built is None else dict(self.built.versions))
