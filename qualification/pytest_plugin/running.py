"""Running: the session, the ``deployed`` fixture, and the outcome of each test."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from qualification.core.declarations import Deployment
from qualification.core.errors import QualificationError, WorkerError
from qualification.core.text import disarm
from qualification.pytest_plugin.cases import CASE, TERMINAL, suite_of, test_name
from qualification.pytest_plugin.expected_failures import check_of, compare_with_known_bugs
from qualification.pytest_plugin.resuming import command
from qualification.pytest_plugin.state import RunState
from qualification.session.scratch import make_scratch, remove_scratch

if TYPE_CHECKING:
    from types import FrameType

    from qualification.core.results import Condition
    from qualification.session.deployed import Deployed
    from qualification.session.journal import Journal
    from qualification.session.session import QualificationSession


GRACE_S = 60.0
"""From a signal to the end of the run: workers are ended, verdicts given and results stored."""

_MOST_CRASHES = 2
"""How often the machine may go down with a deployment before it is left alone."""

_SWALLOWED = r"ignore:(?s).*pytest_plugin.running\.py:pytest.PytestUnraisableExceptionWarning"
"""pytest's warning about a signal that Python has swallowed; the run ends for it all the same."""


class Running:
    """The fixture and the hooks of the tests that run."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._received: list[int] = []
        self._is_over = False
        self._config.addinivalue_line("filterwarnings", _SWALLOWED)

    def deployed(self, request: pytest.FixtureRequest) -> Deployed:
        """The loaded deployment that the request's parameter names; skips where it cannot be."""
        from qualification.session.session import NotLoaded, is_its_own_fault

        deployment: Deployment = request.param
        if deployment.source.weights != "canary" and _xdist_process(self._config):
            pytest.fail(
                "real models need the machine for themselves: run without -n", pytrace=False
            )
        session = self._opened_session()
        if problem := self._quarantined(deployment):
            pytest.skip(problem)
        if problem := self._state.missing_for(deployment):
            pytest.skip(problem)
        if problem := self._state.misfit(deployment):
            session.journal.does_not_fit[deployment.identifier] = problem
            pytest.skip(f"does not fit: {problem}")
        if deployment.source.remote_code and not self._config.option.allow_remote_code:
            pytest.skip("its files run their own code: say yes with --allow-remote-code")
        if problem := self._state.downloads.refusal(deployment):
            pytest.skip(problem)
        try:
            deployed = session.deployed(deployment)
        except NotLoaded as error:
            pytest.skip(str(error))
        except QualificationError as error:
            if not is_its_own_fault(deployment, error):
                pytest.skip(str(error))
            raise
        deployed.suite = suite_of(request.node)
        return deployed

    def kept_answers(self) -> tuple[Journal, tuple[Deployment, ...]]:
        """The run's journal, and whose answers it had when it was resumed, first tried first."""
        return self._opened_session().journal, self._answered_before

    @cached_property
    def _answered_before(self) -> tuple[Deployment, ...]:
        earlier = self._state.earlier
        names = tuple(earlier.journal.answers) if earlier else ()
        by_name = {case.identifier: case for case in self._state.registry.deployments()}
        return tuple(by_name[name] for name in names if name in by_name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Compare a failure with the known bugs, and record the outcome."""
        report = yield
        if CASE not in item.stash:
            return report
        deployment, bugs = item.stash[CASE]
        if cause := _outside_cause(deployment, report, call):
            _turn_into_skip(report, item, cause)
            bugs = ()
        elif call.excinfo is not None and isinstance(call.excinfo.value, WorkerError):
            tail = disarm(call.excinfo.value.stderr_tail).strip()
            report.sections += [("last output of the worker", tail)] * bool(tail)
        bug, no_longer_fails = compare_with_known_bugs(
            report, call, deployment, test_name(item, deployment), bugs, self._state.versions
        )
        if self._state.session is None:
            return report
        journal = self._state.session.journal
        if no_longer_fails:
            journal.fixed_bugs.append(no_longer_fails)
        if report.when == "call" or report.outcome != "passed":
            journal.checks.append(check_of(item, deployment, bug, report, call))
        if report.when == "teardown":
            try:
                self._state.session.finish(item.nodeid, deployment.identifier)
            except OSError as error:
                _without_journal(self._state, error)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """End now where Python has swallowed what a signal raised, as it does in callbacks."""
        if self._received:
            self._end(self._received[0], None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """From here on a signal has no test left to end, and would break into what is stored.

        It is over at last :data:`GRACE_S` after the signal.
        """
        self._is_over = True

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self._end)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if not self._received:
            self._end_at_last(number)
        self._received.append(number)
        if self._is_over:
            return
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)

    def _end_at_last(self, number: int) -> None:
        """Whatever hangs after a signal does not hang for ever: what has finished is kept."""

        def give_up() -> None:
            name = signal.Signals(number).name
            text = f"\nended {GRACE_S:g} s after {name}, which something held up\n"
            if (stream := self._config.stash.get(TERMINAL, None)) is not None:
                with contextlib.suppress(OSError):
                    os.write(stream.fileno(), text.encode())
            os._exit(128 + number)

        timer = threading.Timer(GRACE_S, give_up)
        timer.daemon = True
        timer.start()
        self._config.add_cleanup(timer.cancel)

    def _quarantined(self, deployment: Deployment) -> str:
        """Why a deployment is left alone: the machine itself ended while it was loaded, or ''."""
        earlier = self._state.earlier
        count = earlier.went_down[deployment.identifier] if earlier else 0
        if count < _MOST_CRASHES:
            return ""
        return (
            f"quarantined: the machine went down {count} times while it was loaded; try it alone, "
            f"in a session of its own: pytest --deployment '{deployment.identifier}'"
        )

    def _opened_session(self) -> QualificationSession:
        """The run's session, opened by the first test that needs a deployment."""
        if self._state.session is None:
            from qualification.session.context import RunContext
            from qualification.session.session import QualificationSession
            from qualification.session.template import Templates, can_fork

            # A process of pytest-xdist may die, which is mended, but must not end in order.
            if not _xdist_process(self._config):
                self._take_signals()
            built = self._state.built
            scratch = self._state.scratch = make_scratch("session")
            self._config.add_cleanup(lambda: remove_scratch(scratch))
            templates = None
            if _xdist_process(self._config) and can_fork(self._state.machine):
                templates = Templates()  # the figures of such a run are unfit anyway
                self._config.add_cleanup(templates.close)
            context = RunContext(
                self._state.machine,
                self._state.tier,
                scratch,
                python=sys.executable if built is None else str(built.python),
                deadline_s=self._config.getoption("--deadline"),
                templates=templates,
                allow_remote_code=self._config.option.allow_remote_code,
                thinking=self._config.option.thinking,
                fetching=self._state.downloads.fetching,
            )
            try:
                self._state.session = QualificationSession(
                    context, self._state.environment, self._conditions(), self._state.place()
                )
            except OSError as error:
                _without_journal(self._state, error)
        return self._state.session

    def _conditions(self) -> tuple[Condition, ...]:
        """The state of the machine before the run."""
        from qualification.machine.conditions import preconditions
        from qualification.session.session import parallel_condition

        process = _xdist_process(self._config)
        parallel = (parallel_condition(process["workercount"]),) if process else ()
        return (*preconditions(), *parallel)


def _without_journal(state: RunState, error: OSError) -> NoReturn:
    """A run whose journal has no place at all ends: it would lose what it sees from now on."""
    pytest.exit(
        f"the journal of the run can be written neither to {state.folder} nor to "
        f"{tempfile.gettempdir()} ({error.strerror or error}); free some space there, then go on "
        f"with: {command(state, state.folder.name)}",
        returncode=pytest.ExitCode.INTERNAL_ERROR,
    )


def _outside_cause(
    deployment: Deployment, report: pytest.TestReport, call: pytest.CallInfo[Any]
) -> str:
    """Why a test that failed says nothing of its deployment, '' where it does."""
    from qualification.session.session import outside_cause

    failed = report.failed or hasattr(report, "wasxfail")
    return outside_cause(deployment, call.excinfo.value) if failed and call.excinfo else ""


def _turn_into_skip(report: pytest.TestReport, item: pytest.Item, cause: str) -> None:
    """As ``pytest.skip(cause)`` in the test would; an expected failure is none either."""
    file, line, _ = item.location
    report.outcome = "skipped"
    report.longrepr = (file, (line or 0) + 1, f"Skipped: {disarm(cause)}")
    if hasattr(report, "wasxfail"):
        del report.wasxfail


def _xdist_process(config: pytest.Config) -> dict[str, Any] | None:
    """pytest-xdist's description of this process, if it is one of several."""
    process: dict[str, Any] | None = getattr(config, "workerinput", None)
    return process
