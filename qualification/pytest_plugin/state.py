"""What the hooks of one run share. Whatever costs time is read or probed only when it is needed."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qualification.core.errors import DeclarationError
from qualification.core.text import without_login
from qualification.pytest_plugin.cases import SESSION, TERMINAL
from qualification.pytest_plugin.downloading import Downloads
from qualification.session.scratch import make_scratch, remove_scratch

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment, Tier
    from qualification.core.project import Project
    from qualification.core.results import Environment, Machine
    from qualification.models.registry import Registry
    from qualification.models.suitability import Suitability
    from qualification.pytest_plugin.collection import Collection
    from qualification.session.run_journal import Kept
    from qualification.session.session import Place, QualificationSession
    from qualification.upgrade.environments.cache import Built


class RunState:
    """The project, the registry, the machine and the session of one run of pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.session: QualificationSession | None = None
        self.scratch: Path | None = None
        self.selected: dict[str, int] = {}  # tests to try, by deployment
        self.is_held = False  # the session is this process's, no other one may go on with it
        self.is_refused = False  # the session that was to be resumed stays as it is
        self.downloads = Downloads(self)
        self.measuring = ExitStack()  # while it is open, no other session measures
        config.add_cleanup(self.measuring.close)
        self._collection: Collection | None = None
        self._suited: dict[str, Suitability] = {}
        self._misfits: dict[str, str] = {}

    def activate(self) -> Collection:
        """Read the declarations, and register what only a qualification needs; once.

        Raises UsageError for declarations or an environment that cannot be used.
        """
        if self._collection is not None:
            return self._collection
        from qualification.pytest_plugin import tracebacks
        from qualification.pytest_plugin.collection import Collection
        from qualification.pytest_plugin.ending import Ending
        from qualification.pytest_plugin.running import Running

        for name, meaning in self.deployment_markers.items():
            self.config.addinivalue_line("markers", f"{name}: {meaning}")
        assert self.built is None or self.built.versions
        self._collection = Collection(self)
        parts: dict[str, object] = {
            "collection": self._collection,
            "running": Running(self),
            "ending": Ending(self),
            "downloads": self.downloads,
            "tracebacks": tracebacks,
        }
        if (stream := self.config.stash.get(TERMINAL, None)) is not None:
            from qualification.pytest_plugin.progress import Progress

            parts["progress"] = Progress(self, stream)
        for name, part in parts.items():
            self.config.pluginmanager.register(part, f"qualification-{name}")
        return self._collection

    @cached_property
    def project(self) -> Project:
        """The project that pytest's rootdir is, with the options of the command line."""
        from qualification.core.project import project_at

        try:
            return project_at(self.config.rootpath).with_options(
                declarations=self.config.getoption("--declarations"),
                results=self.config.getoption("--results"),
            )
        except DeclarationError as error:
            raise pytest.UsageError(str(error)) from error

    @cached_property
    def folder(self) -> Path:
        """Of the session's journal: a new one, or that of the session to resume."""
        from qualification.session.session import new_identifier

        if self._of_controller:
            return Path(self._of_controller["folder"])
        if self.project.results == "none":
            scratch = make_scratch("unkept")
            self.config.add_cleanup(lambda: remove_scratch(scratch))
            return scratch / new_identifier()
        return self.project.sessions / (self.config.option.resume or new_identifier())

    @cached_property
    def number(self) -> int:
        """The session's place in the order of those that were begun."""
        from qualification.session.run_journal import next_number

        if self._of_controller:
            return int(self._of_controller["number"])
        return next_number(self.folder.parent)

    @cached_property
    def attempt(self) -> int:
        """The number of this attempt at the session."""
        if self._of_controller:
            return int(self._of_controller["attempt"])
        if not self.config.option.resume:
            return 1
        from qualification.core.journal_file import JournalError
        from qualification.session.run_journal import kept

        try:
            return kept(self.folder).attempts + 1
        except JournalError as error:
            raise pytest.UsageError(f"--resume: {error}") from error

    @cached_property
    def earlier(self) -> Kept | None:
        """What the attempts before this one left."""
        if self.attempt == 1:
            return None
        from qualification.machine.boot import boot_identity
        from qualification.session.run_journal import kept

        return kept(self.folder, boot_identity(), before=self.attempt)

    @property
    def _of_controller(self) -> dict[str, Any]:
        """Which session and attempt this process of pytest-xdist belongs to; {} in any other."""
        place: dict[str, Any] = getattr(self.config, "workerinput", {}).get(SESSION, {})
        return place

    def place(self) -> Place:
        """Where this process keeps its part of the journal."""
        from qualification.session.session import Place

        process = getattr(self.config, "workerinput", {}).get("workerid", "main")
        earlier = self.earlier
        words = map(str, self.config.invocation_params.args)
        arguments = tuple(without_login(word) if "//" in word else word for word in words)
        return Place(
            self.folder,
            self.number,
            self.attempt,
            process,
            earlier.arguments if earlier else arguments,
            self.config.option.markexpr,
            self.selected,
            earlier,
        )

    @cached_property
    def built(self) -> Built | None:
        """The environment that the options name; None is this interpreter."""
        from qualification.pytest_plugin.options import built_environment

        return built_environment(self.config, self.project.declarations)

    @cached_property
    def environment(self) -> Environment:
        """The environment to qualify, as the session's record has it."""
        from qualification.core.results import Environment
        from qualification.machine.probe import environment

        if self.built is None:
            return environment()
        return Environment(self.built.spec.name, self.built.python_version, self.versions)

    @cached_property
    def registry(self) -> Registry:
        """What is declared for this run: the weights and the server of the options, bugs in range.

        A known bug is left out where all programs are there that avoid it.
        """
        import dataclasses
        import shutil

        from qualification.models.loading import load_registry
        from qualification.pytest_plugin.options import with_choice, with_server_option

        try:
            registry = load_registry(self.project.declarations)
        except DeclarationError as error:
            raise pytest.UsageError(str(error)) from error
        if weights := self.config.getoption("--weights"):
            registry = registry.with_weights(weights)
        registry = with_choice(self.config, with_server_option(self.config, registry))
        bugs = tuple(
            bug
            for bug in registry.bugs
            if not bug.unless_programs or not all(map(shutil.which, bug.unless_programs))
        )
        return dataclasses.replace(registry, bugs=bugs)

    @cached_property
    def deployment_markers(self) -> dict[str, str]:
        """Marker -> meaning, for all tiers and backends."""
        from qualification.core.backends import BACKENDS

        tiers = {tier.name: f"deployments for {tier.title}" for tier in self.registry.tiers}
        return {name: f"deployments on the {name} backend" for name in BACKENDS} | tiers

    @cached_property
    def machine(self) -> Machine:
        """This host."""
        from qualification.machine.probe import probe

        return probe(self.registry.chips, self.registry.tiers)

    @cached_property
    def tier(self) -> Tier | None:
        """The tier of this machine, declared or derived."""
        from qualification.machine.tiers import tier_of

        return tier_of(self.machine, self.registry.tiers)

    def suitability(self, deployment: Deployment) -> Suitability:
        """Whether a deployment is meant for this machine."""
        from qualification.models.suitability import suitability

        if deployment.identifier not in self._suited:
            suited = suitability(deployment, self.machine, self.tier, self.registry)
            self._suited[deployment.identifier] = suited
        return self._suited[deployment.identifier]

    def misfit(self, deployment: Deployment) -> str:
        """A sentence with the sum if the predicted memory exceeds this machine's, else ''."""
        from qualification.core.errors import WeightsError
        from qualification.models.memory_fit import does_not_fit, predict
        from qualification.models.weights import tensors_here

        name = deployment.identifier
        if deployment.source.server == "url":  # a user's server has loaded it already
            return ""
        if name not in self._misfits:
            try:
                tensors = tensors_here(deployment)
            except WeightsError:  # loading checks the files too, and reports the damage
                tensors = ()
            predicted = predict(deployment, self.registry, tensors)
            self._misfits[name] = does_not_fit(predicted, self.machine, self.tier)
        return self._misfits[name]

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
