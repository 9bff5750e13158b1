"""Downloads of a run: said before the first test, begun only if somebody has said yes.

Yes is ``--download``, or the answer to one question on a terminal. Without it the tests of what is
not on this machine are skipped; everything else runs.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from qualification.core.format import bytes_text
from qualification.core.text import disarm, without_login
from qualification.pytest_plugin.cases import CASE

if TYPE_CHECKING:
    from pathlib import Path

    from qualification.core.declarations import Deployment
    from qualification.models.downloads import Download
    from qualification.pytest_plugin.state import RunState

CI = ("CI", "BUILD_NUMBER")
"""Variables that say that nobody sits there; pytest knows the same two."""

_PLAIN_S = 30.0
_TERMINAL_S = 5.0


class Downloads:
    """The plan of a run, and why a deployment is left out of it."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._refusals: dict[str, str] = {}
        self._said_s = -math.inf
        self._is_terminal = False
        self.plan: tuple[Download, ...] = ()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The tests are known; of several processes, none downloads real models."""
        if not self._config.option.collectonly and not hasattr(self._config, "workerinput"):
            cases = [item.stash[CASE][0] for item in session.items if CASE in item.stash]
            self.announce({case.identifier: case for case in cases}.values())

    def announce(self, deployments: Iterable[Deployment]) -> None:
        """Say what is to be downloaded for these, and have a yes or a no to it."""
        from qualification.models.downloads import needs_hub, plan

        self._is_terminal = sys.stdout.isatty()  # while tests run, pytest captures it
        candidates = [
            case for case in deployments if needs_hub(case) and self._is_to_be_tried(case)
        ]
        if not candidates:
            return
        self.plan = plan(candidates)
        waiting = [
            entry
            for entry in self.plan
            if not entry.is_whole and (entry.missing_bytes or entry.problem)
        ]
        if waiting:
            self._decide(waiting)

    def refusal(self, deployment: Deployment) -> str:
        """Why its weights are not downloaded, in a sentence; '' where they are, or are there."""
        return self._refusals.get(deployment.identifier, "")

    def say_progress(self, line: str) -> None:
        """A line on a download that goes on; not every one where nobody watches."""
        now_s = time.monotonic()
        if now_s - self._said_s >= (_TERMINAL_S if self._is_terminal else _PLAIN_S) - 0.5:
            self._said_s = now_s
            if progress := self._config.pluginmanager.get_plugin("qualification-progress"):
                progress.say(line)
            else:
                self._say([f"qualification: {line}"])

    def _is_to_be_tried(self, deployment: Deployment) -> bool:
        state = self._state
        if deployment.source.remote_code and not self._config.option.allow_remote_code:
            return False
        return not state.missing_for(deployment) and not state.misfit(deployment)

    def _decide(self, waiting: Sequence[Download]) -> None:
        from qualification.models.downloads import without_room

        full = without_room(waiting)
        self._say(announcement(waiting, full))
        coming = [entry for entry in waiting if entry.may_come and entry not in full]
        is_allowed = self._config.option.download or bool(coming and self._says_yes())
        for entry in waiting:
            if entry in full:
                sentence = full[entry]
            elif entry.may_come or (is_allowed and not entry.is_offline):
                sentence = "" if is_allowed else self._how_to_say_yes(entry)
            else:
                sentence = f"{entry.subject} is not whole on this machine, and {entry.problem}"
            if sentence:
                for name in entry.deployments:
                    self._refusals.setdefault(name, sentence)

    def _how_to_say_yes(self, entry: Download) -> str:
        words = [disarm(str(word)) for word in self._config.invocation_params.args]
        words = [without_login(word) if "//" in word else word for word in words]
        size = bytes_text(entry.missing_bytes) if entry.files else "an unknown number of bytes"
        return (
            f"{entry.subject} is not on this machine, and nobody has said yes to downloading "
            f"{size} from {entry.host}: {shlex.join(['pytest', *words, '--download'])}"
        )

    def _says_yes(self) -> bool:
        """Whether somebody at a terminal wants the downloads; the session keeps the answer."""
        if any(os.environ.get(name) for name in CI):
            return False
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
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            for line in lines:
                reporter.write_line(disarm(line))


def announcement(waiting: Sequence[Download], full: dict[Download, str]) -> list[str]:
    """What is to be downloaded, where from and where to, and a line for each repository."""
    lines = []
    places = {(entry.host, entry.cache): None for entry in waiting}
    for host, cache in places:
        entries = [entry for entry in waiting if (entry.host, entry.cache) == (host, cache)]
        coming = [entry for entry in entries if entry.may_come and entry not in full]
        lines.append(f"qualification: {_headline(coming, host, cache)}")
        lines += [_line(entry, full.get(entry, "")) for entry in entries]
    return lines


def _headline(coming: Sequence[Download], host: str, cache: Path) -> str:
    from qualification.models.downloads import free_bytes

    if not coming:
        return f"what is missing is not downloaded from {host}:"
    size = bytes_text(sum(entry.missing_bytes for entry in coming))
    size += " and more" * any(entry.problem for entry in coming)
    count = "1 repository is" if len(coming) == 1 else f"{len(coming)} repositories are"
    free = bytes_text(free_bytes(cache))
    return f"{count} to be downloaded: {size} from {host} to {cache} ({free} free)"


def _line(entry: Download, refusal: str) -> str:
    missing = bytes_text(entry.missing_bytes)
    if entry.files and entry.missing_bytes < entry.total_bytes:
        missing += f" of {bytes_text(entry.total_bytes)}"
    size = missing if entry.files else "size unknown"
    line = f"  {size}  {entry.subject}, for {', '.join(entry.deployments)}"
    return f"{line}: {problem}" if (problem := refusal or entry.problem) else line


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
