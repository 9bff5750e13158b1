"""Running: the session, the ``deployed`` fixture, and the outcome of each test."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.errors import QualificationError
from qualification.core.paths import home
from qualification.core.protocol import LoadRequest
from qualification.models.memory_fit import critical_memory_bytes, does_not_fit, predict
from qualification.pytest_plugin.cases import CASE, suite_of, test_name
from qualification.pytest_plugin.expected_failures import check, hold_to_known_bugs
from qualification.pytest_plugin.state import RunState

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.session.session import QualificationSession


class Running:
    """The fixture and the hooks of the tests that run."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config

    def _opened_session(self) -> QualificationSession:
        """The run's session, opened by the first test that needs a deployment."""
        if self._state.session is None:
            signal.signal(signal.SIGTERM, _terminated)
            from qualification.core.results import Environment
            from qualification.machine.conditions import preconditions
            from qualification.machine.probe import environment
            from qualification.session.merge import condition
            from qualification.session.session import QualificationSession

            conditions = preconditions()
            if process := _xdist_process(self._config):
                conditions = (*conditions, condition(process["workercount"]))
            built = self._state.built
            self._state.session = QualificationSession(
                self._state.machine,
                environment()
                if built is None
                else Environment(built.spec.name, built.python_version, self._state.versions),
                conditions,
                tier=self._state.tier,
                fixtures=home() / "fixtures",
                selection=self._config.option.markexpr,
                deadline_s=self._config.getoption("--deadline"),
                python=sys.executable if built is None else str(built.python),
            )
        return self._state.session

    def _does_not_fit(self, deployment: Deployment) -> str:
        """One sentence with the sum where a prediction exceeds this machine, else ''."""
        from qualification.core.errors import WeightsError
        from qualification.models.weights import tensors_here

        if deployment.source.server == "url":  # it is loaded already, somewhere
            return ""
        try:
            tensors = tensors_here(deployment, home() / "fixtures")
        except WeightsError:  # the loading, which checks the files, says so as a failure
            tensors = ()
        predicted = predict(deployment, self._state.registry, tensors)
        return does_not_fit(predicted, self._state.machine, self._state.tier)

    # The session keeps the loaded deployment; a fixture that lived as long would also keep a
    # failure to load and repeat it for every test.
    @pytest.fixture
    def deployed(self, request: pytest.FixtureRequest) -> Deployed:
        """A deployment, loaded once for all its tests in a process of its own."""
        from qualification.session.session import NotLoaded

        deployment: Deployment = request.param
        if deployment.source.weights != "canary" and _xdist_process(self._config):
            pytest.fail(
                "real models need the machine for themselves: run without -n", pytrace=False
            )
        session = self._opened_session()
        session.deployments[deployment.identifier] = deployment
        if problem := self._state.not_ready(deployment):
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
        from qualification.models.weights import load_request

        fixtures = home() / "fixtures"
        request = load_request(deployment, fixtures)
        if not answers_at_random(deployment):
            return request
        from qualification.models.synthetic.cache import ready

        limit = critical_memory_bytes(self._state.machine, self._state.tier) or float("inf")
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
            report, call, deployment, test_name(item, deployment), bugs, self._state.versions
        )
        if self._state.session is None:
            return report  # type: ignore[return-value]
        if no_longer:
            self._state.session.journal.no_longer.append(no_longer)
        if report.when == "call" or report.outcome != "passed":
            self._state.session.journal.checks.append(check(item, deployment, bug, report, call))
        return report  # type: ignore[return-value]


def _xdist_process(config: pytest.Config) -> dict[str, Any] | None:
    """What pytest-xdist told this process, if it is one of several."""
    found: dict[str, Any] | None = getattr(config, "workerinput", None)
    return found


def _terminated(_number: int, _frame: object) -> None:
    pytest.exit("terminated", returncode=128 + signal.SIGTERM)
