"""pytest is the face: markers, the plan as parameters, known bugs as strict xfails, the verdict.

This, ``suite_fixtures`` and ``case`` are the only modules that import pytest. Collection
imports no model library, needs no network and starts no process, but for the ``--version`` of a
llama-server that is on the PATH and was not built by us: known bugs are held against it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qualification import plan, suite_fixtures
from qualification.case import (
    CASE,
    MEASURING,
    SUITES,
    asks_another_skill,
    check,
    deployment_of,
    hold_to_known_bugs,
    is_not_asked_for,
    suite_of,
    suite_rank,
    test_name,
)
from qualification.errors import (
    DatasetError,
    DeclarationError,
    QualificationError,
    SelectionError,
    StoreError,
)
from qualification.places import home, results_url
from qualification.plugin_options import SOURCES, built_environment, pytest_addoption, served
from qualification.records import Deployment, LoadRequest, Machine, Tier, Verdict
from qualification.registry import Registry, load_registry

if TYPE_CHECKING:
    from qualification.environment_cache import Built
    from qualification.session import Deployed, QualificationSession, Run

__all__ = ["Qualification", "pytest_addoption", "pytest_configure"]

BACKENDS = ("mlx", "torch", "llamacpp", "server", "fake")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With pytest-xdist all tests of a model stay in one process: one load, one comparison."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and, unless this is a worker of pytest-xdist, the qualification."""
    for names in (SUITES, SOURCES):
        for name, meaning in names.items():
            config.addinivalue_line("markers", f"{name}: {meaning}")
    for name in BACKENDS:
        config.addinivalue_line("markers", f"{name}: deployments on the {name} backend")
    config.addinivalue_line("markers", "here: deployments for the tier that this machine matches")
    config.addinivalue_line(
        "markers", "needs(capability): run only for models that declare the capability"
    )
    config.addinivalue_line(
        "markers", "needs_workaround(name): run only for deployments that declare the workaround"
    )
    config.addinivalue_line(
        "markers", "on_backends(name, ...): run only on backends that have what the test asks for"
    )
    config.addinivalue_line("markers", "owned: left out for a server that somebody else runs")
    config.addinivalue_line("markers", "xdist_group(name): kept in one process by pytest-xdist")
    _check_vqa_options(config)
    if 0 != config.getoption("--sustained") < suite_fixtures.SUSTAINED_MINUTES:
        least = suite_fixtures.SUSTAINED_MINUTES
        raise pytest.UsageError(f"--sustained takes {least:g} minutes or more: less is a burst")
    qualification = Qualification(config)
    for tier in qualification.registry.tiers:
        config.addinivalue_line("markers", f"{tier.name}: deployments for {tier.title}")
    config.pluginmanager.register(qualification, "qualification")
    config.pluginmanager.register(suite_fixtures, "qualification-suite-fixtures")


def _asked_for(metafunc: pytest.Metafunc, marker: str) -> set[str]:
    """Return all that the test's markers of that name have as arguments."""
    return {name for found in metafunc.definition.iter_markers(marker) for name in found.args}


def _check_vqa_options(config: pytest.Config) -> None:
    if config.getoption("--vqa-sample") < 0:
        raise pytest.UsageError("--vqa-sample is negative: ask for 1 question or more")
    if folder := config.getoption("--vqa-dir"):
        from qualification.vqa_files import splits_in

        try:
            splits_in(Path(folder))
        except DatasetError as error:
            raise pytest.UsageError(str(error)) from error


class Qualification:
    """The hooks and fixtures that share one run's state."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: QualificationSession | None = None
        self._run: Run | None = None
        self._outputs: list[dict[str, Any]] = []
        self._verdicts: tuple[Verdict, ...] = ()
        self._suspects: list[str] = []
        self._not_kept = ""
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

    # ------------------------------------------------------------------ what is known lazily

    @cached_property
    def machine(self) -> Machine:
        """This host; probed once, and only where a selection or a run needs it."""
        from qualification.machine import probe

        return probe(self.registry.chips, self.registry.tiers)

    @cached_property
    def tier(self) -> Tier | None:
        """The tier that this machine matches."""
        return self.registry.tier(self.machine.tier) if self.machine.tier else None

    @cached_property
    def versions(self) -> dict[str, str]:
        """Library -> version in the environment to qualify ('' where absent)."""
        from qualification.libraries import library_versions, versions_among
        from qualification.server_programs import llama_server_version

        found = library_versions() if self.built is None else versions_among(self.built.versions)
        return found | {"llama-server": llama_server_version()}

    @cached_property
    def not_ready(self) -> dict[str, str]:
        """Backend -> the sentence that says what is missing, for those that are not installed."""
        from qualification.machine import backend_readiness, backends_absent_from

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

    def _not_ready(self, deployment: Deployment) -> str:
        """'' where a deployment can be tried, else what is missing and what installs it."""
        source = deployment.source
        if source.backend != "server":
            return self.not_ready.get(source.backend, "")
        from qualification.server_programs import missing

        return missing(source.server, None if self.built is None else dict(self.built.versions))

    @pytest.hookimpl
    def pytest_report_header(self) -> list[str]:
        """Which of the official VQA questions are asked, where there are any."""
        folder = self._config.getoption("--vqa-dir")
        if not folder:
            return []
        from qualification.vqa_files import splits_in

        taken, *others = splits_in(Path(folder))
        text = f"vqa: real weights are asked about {taken} in {folder}"
        return [text + f"; {' and '.join(others)} there not taken" * bool(others)]

    # ------------------------------------------------------------------ collection

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One case per deployment that has, or is said to have, what the test needs."""
        if "deployed" not in metafunc.fixturenames:
            return
        test = metafunc.definition.name
        needs = _asked_for(metafunc, "needs")
        workarounds = _asked_for(metafunc, "needs_workaround")
        backends = _asked_for(metafunc, "on_backends") or set(BACKENDS)
        owned = metafunc.definition.get_closest_marker("owned") is not None
        cases = []
        for deployment in self.registry.deployments():
            if not workarounds <= set(deployment.source.workarounds):
                continue
            if deployment.source.backend not in backends:
                continue
            if owned and deployment.source.server == "url":
                continue
            bugs = plan.known_bugs(
                self.registry.bugs, deployment, test, self.versions, self._bug_tier
            )
            if needs <= set(deployment.model.capabilities) or bugs:
                marks = [getattr(pytest.mark, name) for name in plan.marks(deployment)]
                cases.append(pytest.param(deployment, id=deployment.identifier, marks=marks))
        # Not scope="session": that would also cache a failure to load, for every later test.
        metafunc.parametrize("deployed", cases, indirect=True)

    @cached_property
    def _bug_tier(self) -> str:
        tiers = {tier for bug in self.registry.bugs for tier in bug.tiers}
        return self.machine.tier if tiers else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what is for this machine and what is known to fail, before ``-m`` selects."""
        here = None
        if "here" in _names(self._config.option.markexpr):
            here = self.machine.tier
        items[:] = [
            item for item in items if not asks_another_skill(item) and not is_not_asked_for(item)
        ]
        for item in items:
            deployment = deployment_of(item)
            if deployment is None:
                continue
            if here and here in deployment.source.tiers:
                item.add_marker(pytest.mark.here)
            item.add_marker(pytest.mark.xdist_group(deployment.model.name))
            test = test_name(item, deployment)
            bugs = plan.known_bugs(
                self.registry.bugs, deployment, test, self.versions, self._bug_tier
            )
            item.stash[CASE] = (deployment, bugs)
            suite = suite_of(item)
            if plan.answers_at_random(deployment) and suite in SUITES and suite not in MEASURING:
                item.add_marker(pytest.mark.skip(reason="random weights cannot answer"))
            if bugs:
                reason = "; ".join(f"{bug.identifier}: {bug.title} ({bug.cause})" for bug in bugs)
                strict = any(plan.must_fail(bug, test) for bug in bugs)
                item.add_marker(pytest.mark.xfail(reason=reason, strict=strict))
        # One load per deployment, and loading first: what it costs is not hidden by later tests.
        order = {d.identifier: n for n, d in enumerate(self.registry.deployments())}
        items.sort(
            key=lambda item: (
                (order[item.stash[CASE][0].identifier], suite_rank(item))
                if CASE in item.stash
                else (len(order), 0)
            )
        )
        self._leave_out_other_tiers(items)

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse to judge another machine's tier on this one."""
        config = self._config
        if config.option.collectonly or config.option.any_machine:
            return
        tiers = {tier.name for tier in self.registry.tiers}
        names = _names(config.option.markexpr)
        if "here" in names and not self.machine.tier:
            from qualification.machine import explain_no_match

            raise pytest.UsageError(
                "no tier matches this machine, so nothing is declared for it: this is "
                f"{explain_no_match(self.machine, self.registry.tiers)}; to run a tier's models "
                "all the same, name it and add --any-machine: results are filed under this machine"
            )
        asked = tiers & names
        if not asked:
            return
        foreign = {
            tier
            for item in session.items
            if CASE in item.stash
            for tiers in [asked.intersection(item.stash[CASE][0].source.tiers)]
            if self.machine.tier not in tiers
            for tier in tiers
        }
        if foreign:
            from qualification.machine import explain_no_match

            problem = SelectionError(
                f"{', '.join(sorted(foreign))} is not this machine: this is "
                f"{explain_no_match(self.machine, self.registry.tiers)}; "
                "select with -m here, or add --any-machine to run all the same"
            )
            raise pytest.UsageError(str(problem))

    def _leave_out_other_tiers(self, items: list[pytest.Item]) -> None:
        """Deselect real models that are for other machines and were not asked for by their tier."""
        config = self._config
        if config.option.collectonly or config.option.any_machine:
            return
        asked = _names(config.option.markexpr)
        left_out = []
        for item in items:
            tiers = item.stash[CASE][0].source.tiers if CASE in item.stash else ()
            if tiers and not asked.intersection(tiers) and self.machine.tier not in tiers:
                left_out.append(item)
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            identities = set(map(id, left_out))
            items[:] = [item for item in items if id(item) not in identities]

    # ------------------------------------------------------------------ running

    @property
    def session(self) -> QualificationSession:
        """The run's session, opened by the first test that needs a deployment."""
        if self._session is None:
            signal.signal(signal.SIGTERM, _terminated)
            from qualification.machine import environment
            from qualification.parallel import condition
            from qualification.preconditions import preconditions
            from qualification.records import Environment
            from qualification.session import QualificationSession

            conditions = preconditions()
            if process := _xdist_process(self._config):
                conditions = (*conditions, condition(process["workercount"]))
            built = self.built
            self._session = QualificationSession(
                self.machine,
                environment()
                if built is None
                else Environment(built.spec.name, built.python_version, self.versions),
                conditions,
                tier=self.tier,
                fixtures=home() / "fixtures",
                selection=self._config.option.markexpr,
                deadline_s=self._config.getoption("--deadline"),
                python=sys.executable if built is None else str(built.python),
            )
        return self._session

    def _does_not_fit(self, deployment: Deployment) -> str:
        """One sentence with the sum where a prediction exceeds this machine, else ''."""
        from qualification.errors import WeightsError
        from qualification.weights import tensors_here

        if deployment.source.server == "url":  # it is loaded already, somewhere
            return ""
        try:
            tensors = tensors_here(deployment, home() / "fixtures")
        except WeightsError:  # the loading, which checks the files, says so as a failure
            tensors = ()
        predicted = plan.predict(deployment, self.registry, tensors)
        return plan.does_not_fit(predicted, self.machine, self.tier)

    # The session keeps the loaded deployment; a fixture that lived as long would also keep a
    # failure to load and repeat it for every test.
    @pytest.fixture
    def deployed(self, request: pytest.FixtureRequest) -> Deployed:
        """A deployment, loaded once for all its tests in a process of its own."""
        from qualification.session import NotLoaded

        deployment: Deployment = request.param
        if deployment.source.weights != "canary" and _xdist_process(self._config):
            pytest.fail(
                "real models need the machine for themselves: run without -n", pytrace=False
            )
        session = self.session
        session.deployments[deployment.identifier] = deployment
        if problem := self._not_ready(deployment):
            pytest.skip(problem)
        if problem := self._does_not_fit(deployment):
            session.journal.does_not_fit[deployment.identifier] = problem
            pytest.skip(f"does not fit: {problem}")
        if deployment.source.remote_code and not self._config.option.allow_remote_code:
            pytest.skip("its files run their own code: say yes with --allow-remote-code")
        try:
            deployed = session.deployed(deployment, self._request(deployment))
        except NotLoaded as error:
            pytest.skip(str(error))
        except QualificationError as error:
            if getattr(error, "kind", "") == "weights_unavailable":
                pytest.skip(str(error))
            raise
        deployed.suite = suite_of(request.node)
        return deployed

    def _request(self, deployment: Deployment) -> LoadRequest:
        """What a worker is asked to load; random weights are made first where they are missing."""
        from qualification.weights import load_request

        fixtures = home() / "fixtures"
        request = load_request(deployment, fixtures)
        if not plan.answers_at_random(deployment):
            return request
        from qualification.synthetic.cache import ready

        limit = plan.critical_memory_bytes(self.machine, self.tier) or float("inf")
        return dataclasses.replace(
            request, path=str(ready(deployment, fixtures, memory_limit=limit))
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Iterator[None]:
        """Hold a known bug to the failure that it must show, and note the outcome."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        if CASE not in item.stash:
            return report  # type: ignore[return-value]
        deployment, bugs = item.stash[CASE]
        bug, no_longer = hold_to_known_bugs(
            report, call, deployment, test_name(item, deployment), bugs, self.versions
        )
        if self._session is None:
            return report  # type: ignore[return-value]
        if no_longer:
            self._session.journal.no_longer.append(no_longer)
        if report.when == "call" or report.outcome != "passed":
            self._session.journal.checks.append(check(item, deployment, bug, report, call))
        return report  # type: ignore[return-value]

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """End the workers, judge, and keep the results; a run that tried nothing is not green."""
        from qualification import parallel

        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._session is not None:
            self._session.close(interrupted=interrupted)
            self._run = self._session.run
            if hasattr(self._config, "workeroutput"):
                self._config.workeroutput[parallel.KEY] = parallel.packed(self._run)
                return
        elif parts := parallel.parts_of(self._outputs):
            self._run = parallel.merged(parts, self.registry.deployments(), self.tier)
        if self._run is None:
            return
        checks = self._run.journal.checks
        if interrupted and not checks:
            return  # nothing was found out, and an empty session would stand for the newest
        from qualification.outcome import conclude, keep

        self._verdicts = conclude(self._run, home() / "baselines")
        if exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self._exit_status({check.outcome for check in checks})
        try:
            target = self._config.getoption("--results") or results_url()
            keep(self._run, self._verdicts, target)
        except StoreError as error:
            self._not_kept = f"THE RESULTS WERE NOT KEPT: {error}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self._config.getoption("--gate-suspects") and self._suspects_regressed():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _suspects_regressed(self) -> bool:
        """Start the interleaved comparison for each suspect; whether one is regressed."""
        from qualification.suspects import order, start, suspects

        assert self._run is not None
        found = suspects(self._verdicts, home() / "baselines", self._run.record, self.registry)
        self._suspects = [f"{one.deployment}: {one.problem}" for one in found if one.problem]
        folder = self._config.getoption("--declarations")
        orders = [order(one, Path(folder) if folder else None) for one in found if not one.problem]
        if not orders:
            return False
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            return start(orders) == 1

    def _draft(self) -> list[str]:
        """The change to bugs.toml that the bugs which no longer fail ask for, as a diff."""
        from qualification.bug_draft import draft
        from qualification.places import DECLARATIONS

        assert self._run is not None
        packages = {bug.identifier: bug.package for bug in self.registry.bugs}
        ends = [
            (check.known_bug, self.versions[packages[check.known_bug]])
            for check in self._run.journal.checks
            if check.outcome == "xpassed"
        ]
        folder = self._config.getoption("--declarations") or DECLARATIONS
        return draft((Path(folder) / "bugs.toml").read_text(encoding="utf-8"), ends).splitlines()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a process of pytest-xdist found; one that crashed has nothing to give."""
        self._outputs.append(getattr(node, "workeroutput", None) or {})

    def _exit_status(self, outcomes: set[str]) -> pytest.ExitCode:
        """For a run whose tests are green: a failed verdict, or nothing tried, is not."""
        if any(verdict.name in ("failed", "regressed") for verdict in self._verdicts):
            return pytest.ExitCode.TESTS_FAILED
        if "skipped" in outcomes and self._config.option.require_all:
            return pytest.ExitCode.TESTS_FAILED
        if outcomes <= {"skipped"}:
            return pytest.ExitCode.NO_TESTS_COLLECTED
        return pytest.ExitCode.OK

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line per deployment, and the known bugs that no longer fail."""
        if self._run is None or not self._verdicts:
            return
        from qualification import screen

        if self._run.journal.no_longer:
            terminalreporter.section("known bugs that no longer fail")
            for line in self._run.journal.no_longer:
                terminalreporter.write_line(line)
            for line in self._draft():
                terminalreporter.write_line(line)
        if lines := list(screen.not_run(self._run.journal.checks)):
            terminalreporter.section("not run")
            for line in lines:
                terminalreporter.write_line(line)
        terminalreporter.section("verdicts")
        conditions = self._run.record.conditions
        for line in screen.verdicts(self.machine, conditions, self._verdicts):
            terminalreporter.write_line(line)
        for line in self._suspects:
            terminalreporter.write_line(f"no gate was started for the suspect {line}")
        if self._not_kept:
            terminalreporter.write_line(self._not_kept, red=True)


def _xdist_process(config: pytest.Config) -> dict[str, Any] | None:
    """What pytest-xdist told this process, if it is one of several."""
    found: dict[str, Any] | None = getattr(config, "workerinput", None)
    return found


def _terminated(_number: int, _frame: object) -> None:
    pytest.exit("terminated", returncode=128 + signal.SIGTERM)


def _names(expression: str) -> set[str]:
    return set(re.findall(r"\w+", expression or ""))
