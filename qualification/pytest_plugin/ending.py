"""The end of a run: workers ended, verdicts given, results stored, the last lines printed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qualification.core.errors import StoreError
from qualification.core.paths import home, results_url
from qualification.core.results import Verdict
from qualification.pytest_plugin.state import RunState

if TYPE_CHECKING:
    from qualification.session.journal import Run


class Ending:
    """The hooks after the last test."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._run: Run | None = None
        self._outputs: list[dict[str, Any]] = []
        self._verdicts: tuple[Verdict, ...] = ()
        self._suspects: list[str] = []
        self._not_kept = ""

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """End the workers, judge, and keep the results; a run that tried nothing is not green."""
        from qualification.session import merge as parallel

        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._state.session is not None:
            self._state.session.close(interrupted=interrupted)
            self._run = self._state.session.run
            if hasattr(self._config, "workeroutput"):
                self._config.workeroutput[parallel.KEY] = parallel.packed(self._run)
                return
        elif parts := parallel.parts_of(self._outputs):
            self._run = parallel.merged(parts, self._state.registry.deployments(), self._state.tier)
        if self._run is None:
            return
        checks = self._run.journal.checks
        if interrupted and not checks:
            return  # nothing was found out, and an empty session would stand for the newest
        from qualification.results.conclude import conclude, keep

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
        from qualification.upgrade.suspects import order, start, suspects

        assert self._run is not None
        found = suspects(
            self._verdicts, home() / "baselines", self._run.record, self._state.registry
        )
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
        from qualification.core.paths import DECLARATIONS
        from qualification.models.known_bugs import draft

        assert self._run is not None
        packages = {bug.identifier: bug.package for bug in self._state.registry.bugs}
        ends = [
            (check.known_bug, self._state.versions[packages[check.known_bug]])
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
        from qualification.results import terminal as screen

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
        for line in screen.verdicts(self._state.machine, conditions, self._verdicts):
            terminalreporter.write_line(line)
        for line in self._suspects:
            terminalreporter.write_line(f"no gate was started for the suspect {line}")
        if self._not_kept:
            terminalreporter.write_line(self._not_kept, red=True)
