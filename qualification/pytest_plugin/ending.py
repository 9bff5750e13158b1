"""The end of a run: workers ended, verdicts given, results stored, the last lines printed."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from qualification.core.errors import StoreError
from qualification.core.journal_file import JournalError
from qualification.core.paths import DECLARATIONS
from qualification.machine.tiers import tier_of
from qualification.pytest_plugin.cases import SESSION
from qualification.pytest_plugin.resuming import command, untried
from qualification.pytest_plugin.state import RunState
from qualification.session.scratch import remove_scratch, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qualification.core.results import Results, Verdict
    from qualification.documents.model import Line
    from qualification.results.rows import Row
    from qualification.session.journal import Run


class Ending:
    """The hooks after the last test."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._run: Run | None = None
        self._verdicts: tuple[Verdict, ...] = ()
        self._without_gate: list[str] = []
        self._untried: list[str] = []
        self._store_failure = ""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """End the workers, judge, and store what the journal holds.

        Last of all, so that the processes of pytest-xdist have ended. A run that tried nothing is
        not green.
        """
        if self._state.session is not None:
            self._state.session.close()
        if self._state.scratch is not None:  # before the results are stored: who is killed after
            remove_scratch(self._state.scratch)  # that is not resumed, and nobody would sweep it up
        self._state.measuring.close()  # the gate of a suspect measures next
        sweep()  # a resumed run that had nothing left to try has made no folder
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[SESSION] = self._state.session is not None
            return
        if self._state.is_refused:
            return
        try:
            self._run = self._recorded()
        except JournalError as error:
            self._store_failure = f"THE RESULTS WERE NOT STORED: {error}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self._run is None:
            return
        checks = self._run.journal.checks
        from qualification.results.conclude import conclude, keep
        from qualification.session.run_journal import remove

        self._verdicts = conclude(
            self._run, self._state.project.baselines, self._state.registry.bugs
        )
        is_stored_only = (
            self._state.attempt > 1 and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        )
        if exitstatus == pytest.ExitCode.OK or is_stored_only:
            session.exitstatus = self._exit_status({check.outcome for check in checks})
        try:
            keep(
                self._run,
                self._verdicts,
                self._state.project.results,
                resumed=self._state.attempt > 1,
            )
        except StoreError as error:
            go_on = command(self._state, self._state.folder.name)
            self._store_failure = (
                f"THE RESULTS WERE NOT STORED: {error}\nThey are in {self._state.folder}; once "
                f"that is mended, store them with: {go_on}"
            )
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        else:
            if not self._run.record.untried or self._state.project.results == "none":
                remove(self._state.folder)
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return  # whoever ends a run, by Ctrl-C or another signal, wants no gate
        if self._config.getoption("--gate-suspects") and self._suspects_regressed(self._run):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _recorded(self) -> Run | None:
        """The session as its journal has it; None where it has not finished a test."""
        from qualification.session.journal import Run
        from qualification.session.run_journal import exists, kept, remove

        if not exists(self._state.folder):
            return None
        content = kept(self._state.folder)
        if not content.finished:
            remove(self._state.folder)  # it would be the newest, which reports are made of
            return None
        deployments = {
            deployment.identifier: deployment
            for deployment in self._state.registry.deployments()
            if deployment.identifier in content.deployments
        }
        self._untried = untried(self._state, content)
        record = dataclasses.replace(content.session, untried=content.remaining)
        tier = tier_of(record.machine, self._state.registry.tiers)  # it may be stored elsewhere
        return Run(record, tier, content.journal, deployments)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line for each deployment, what was not tried, and whether the results are stored."""
        if self._run is not None and self._verdicts:
            self._summarise(terminalreporter, self._run)
            _leave_out_benchmarks(self._config)
        for line in self._untried:
            terminalreporter.write_line(line)
        if self._store_failure:
            terminalreporter.write_line(self._store_failure, red=True)

    def _summarise(self, terminalreporter: Any, run: Run) -> None:
        """The verdicts, what did not run, and the known bugs that no longer fail."""
        from qualification.results import closing, terminal
        from qualification.results.conclude import results_of
        from qualification.results.rows import rows

        journal = run.journal
        if journal.fixed_bugs:
            _section(
                terminalreporter,
                "known bugs that no longer fail",
                [*journal.fixed_bugs, *self._bugs_toml_diff(run)],
            )
        results = results_of(run, self._verdicts)
        table = rows(results, self._state.registry)
        width = terminalreporter._tw.fullwidth
        sections = {
            "not run": closing.not_run(journal.checks),
            "known bugs": closing.known_bugs(journal.checks, self._state.registry.bugs, width),
            "failures by cause": closing.causes(journal.checks),
        }
        for title, lines in sections.items():
            if section := list(lines):
                _section(terminalreporter, title, section)
        verdicts = (
            terminal.findings(self._verdicts)
            if self._config.get_verbosity() > 0
            else closing.table(table, width)
        )
        screen = [
            *terminal.machine_lines(run.record.machine, run.record.conditions),
            *verdicts,
            *(f"no gate was started for the suspect {reason}" for reason in self._without_gate),
            "",
            *(f"{line.word}: {line.text}" for line in self._first_screen(results, table)),
            closing.sentence(table),
            "all figures: qualify report --open; one: qualify explain DEPLOYMENT METRIC",
        ]
        _section(terminalreporter, "verdicts", screen)

    def _first_screen(self, results: Results, table: Sequence[Row]) -> tuple[Line, ...]:
        """What to run, where a real model was tried."""
        from qualification.documents.first_screen import first_screen, picks

        if all(row.is_canary or row.is_synthetic for row in table):
            return ()
        registry = self._state.registry
        return first_screen(results, table, registry, picks(results, table, registry))

    def _exit_status(self, outcomes: set[str]) -> pytest.ExitCode:
        """For a run whose tests passed: a failed verdict, or nothing tried, is not a success."""
        if any(verdict.name in ("failed", "regressed") for verdict in self._verdicts):
            return pytest.ExitCode.TESTS_FAILED
        if "skipped" in outcomes and self._config.option.require_all:
            return pytest.ExitCode.TESTS_FAILED
        if outcomes <= {"skipped"}:
            return pytest.ExitCode.NO_TESTS_COLLECTED
        return pytest.ExitCode.OK

    def _suspects_regressed(self, run: Run) -> bool:
        """Start a gate for each suspect deployment; returns whether a gate says regressed."""
        from qualification.upgrade.suspects import gate_command, run_gates, suspects

        deployments = suspects(
            self._verdicts,
            self._state.project.baselines,
            run.record,
            self._state.registry,
            load_reports=run.journal.load_reports,
        )
        self._without_gate = [
            f"{suspect.deployment}: {suspect.problem}" for suspect in deployments if suspect.problem
        ]
        declarations = self._state.project.declarations
        commands = [
            gate_command(suspect, declarations) for suspect in deployments if not suspect.problem
        ]
        if not commands:
            return False
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            return run_gates(commands) == 1

    def _bugs_toml_diff(self, run: Run) -> list[str]:
        """The change to the declarations that ends the ranges of bugs that no longer fail."""
        from qualification.models.known_bugs import draft

        packages = {bug.identifier: bug.package for bug in self._state.registry.bugs}
        ends = [
            (check.known_bug, self._state.versions[packages[check.known_bug]])
            for check in run.journal.checks
            if check.outcome == "xpassed"
        ]
        own = self._state.project.declarations
        files = [DECLARATIONS / "bugs.toml", *(sorted(own.glob("*.toml")) if own else ())]
        return [
            line
            for file in files
            for line in draft(file.read_text(encoding="utf-8"), ends, file.name).splitlines()
        ]


def _section(terminalreporter: Any, title: str, lines: list[str]) -> None:
    """Lines that are too long go on indented."""
    from qualification.results.terminal import wrapped

    terminalreporter.section(title)
    for line in lines:
        for part in wrapped(line, terminalreporter._tw.fullwidth):
            terminalreporter.write_line(part)


def _leave_out_benchmarks(config: pytest.Config) -> None:
    """Leave out the table of pytest-benchmark, which comes next, where all of it is ours.

    It has a line of 110 columns for each model and request, whose figures were just printed; ``-v``
    and ``--benchmark-compare`` show it.
    """
    benchmarks = getattr(config, "_benchmarksession", None)
    if benchmarks is None or config.get_verbosity() > 0 or config.option.benchmark_compare:
        return
    if all("deployment" in benchmark.extra_info for benchmark in benchmarks.benchmarks):
        benchmarks.quiet = True
