"""Downloads of a run: said before the first test, begun only if somebody has said yes.

Without a yes the tests of what is not on this machine are skipped; everything else runs.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from qualification.core.text import disarm
from qualification.pytest_plugin.cases import CASE
from qualification.session.context import Fetching

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment
    from qualification.pytest_plugin.state import RunState


class Downloads:
    """The plan of a run, and why a deployment is left out of it.

    ``seconds`` are those of all weights that were fetched or made so far.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._refusals: dict[str, str] = {}
        self.fetching = Fetching(took=self._add)
        self.seconds = 0.0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The tests are known; of several processes, none downloads real models."""
        if not self._config.option.collectonly and not hasattr(self._config, "workerinput"):
            cases = [item.stash[CASE][0] for item in session.items if CASE in item.stash]
            self.announce({case.identifier: case for case in cases}.values())

    def announce(self, deployments: Iterable[Deployment]) -> None:
        """Say what is to be downloaded for these, and have a yes or a no to it."""
        from qualification.core.pace import Paced
        from qualification.session.download_choice import choose

        chosen = choose(
            filter(self._is_to_be_tried, deployments),
            is_allowed=self._config.option.download,
            ask=self._says_yes,
            say=self._say,
            command=("pytest", *map(str, self._config.invocation_params.args)),
        )
        # While tests run, pytest captures the terminal.
        paced = Paced(self._say_line, is_terminal=sys.stdout.isatty())
        self.fetching = Fetching(chosen.plan, paced, self._add)
        self._refusals = chosen.refusals

    def refusal(self, deployment: Deployment) -> str:
        """Why its weights are not downloaded, in a sentence; '' where they are, or are there."""
        return self._refusals.get(deployment.identifier, "")

    def _add(self, seconds: float) -> None:
        self.seconds += seconds

    def _say_line(self, line: str) -> None:
        if progress := self._config.pluginmanager.get_plugin("qualification-progress"):
            progress.say(line)
        else:
            self._say([f"qualification: {line}"])

    def _is_to_be_tried(self, deployment: Deployment) -> bool:
        from qualification.models.downloads import needs_hub

        state = self._state
        if not needs_hub(deployment):
            return False
        if deployment.source.remote_code and not self._config.option.allow_remote_code:
            return False
        return not state.missing_for(deployment) and not state.misfit(deployment)

    def _says_yes(self) -> bool:
        """Whether somebody at a terminal wants the downloads; the session keeps the answer."""
        with _typed_input(self._config):
            if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
                return False
            try:
                answer = input("download them? [y/N] ")
            except (EOFError, OSError):
                return False
        if answer.strip().lower() not in ("y", "yes"):
            return False
        invocation = self._config.invocation_params
        arguments = ("--download", *invocation.args)
        self._config.invocation_params = dataclasses.replace(invocation, args=arguments)
        return True

    def _say(self, lines: Sequence[str]) -> None:
        """On the terminal, and not into what pytest captures of a test."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is None or capture is None:
            return
        from qualification.results.terminal import wrapped

        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            for line in lines:
                for part in wrapped(disarm(line), reporter._tw.fullwidth):
                    reporter.write_line(part)


@contextmanager
def _typed_input(config: pytest.Config) -> Iterator[None]:
    """While this is open, input comes from where pytest was started and output goes there."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend_global_capture(in_=True)
    try:
        yield
    finally:
        capture.resume_global_capture()
        capture.suspend_global_capture(in_=False)  # as it is between tests
