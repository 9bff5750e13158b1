"""``--resume``: which session is meant, its arguments, and what is offered at the next start."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qualification.core.errors import DeclarationError
from qualification.core.format import bytes_text
from qualification.core.journal_file import JournalError
from qualification.pytest_plugin.options import is_resume

if TYPE_CHECKING:
    from qualification.core.results import Environment, Machine
    from qualification.pytest_plugin.state import RunState
    from qualification.session.run_journal import Kept

_NAMED_DIFFERENCES = 4


def with_first_arguments(root: Path, arguments: Sequence[str], own: Sequence[str]) -> list[str]:
    """The arguments of the session's first attempt, and behind them those that are given now.

    ``own`` are the words of the command line, which end the ``arguments``; before them are those of
    the project's settings. Raises UsageError where there is no such session, or its journal cannot
    be read.
    """
    from qualification.core.project import project_at
    from qualification.session.run_journal import interrupted, kept
    from qualification.session.session_lock import who_goes_on

    settings = list(arguments[: max(0, len(arguments) - len(own))])
    named, words = "newest", []
    for argument in own:
        if is_resume(argument):
            named = argument.partition("=")[2] or named
        else:
            words.append(argument)
    try:
        project = project_at(root).with_options(results=_results_option(words))
        if project.results == "none":
            raise pytest.UsageError(
                "--resume: with the results 'none' no session is kept; name the results database "
                "that it was begun with: --results FILE"
            )
        folders = interrupted(project.sessions)
        waiting = [path for path in folders if not who_goes_on(path)]
        folder = waiting[-1] if named == "newest" and waiting else project.sessions / named
        if folder not in folders:
            names = ", ".join(path.name for path in waiting) or "none"
            raise pytest.UsageError(
                f"--resume: no such session in {project.sessions}; interrupted there: {names}"
            )
        kept_arguments = list(kept(folder).arguments)
    except (DeclarationError, JournalError) as error:
        raise pytest.UsageError(f"--resume: {error}") from error
    if _contains(kept_arguments, words):
        words = []
    return [*settings, *kept_arguments, *words, f"--resume={folder.name}"]


def _results_option(words: Sequence[str]) -> str:
    """The value of ``--results`` on a command line, '' without it."""
    values = [value for option, value in pairwise(words) if option == "--results"]
    values += [word.partition("=")[2] for word in words if word.startswith("--results=")]
    return values[-1] if values else ""


def _contains(arguments: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the words stand among the arguments, one behind the other."""
    places = range(len(arguments) - len(words) + 1)
    return any(arguments[place : place + len(words)] == words for place in places)


def require_same_conditions(state: RunState) -> None:
    """UsageError, one sentence, where the session to resume was begun elsewhere.

    That is on another machine, or under another Python or other libraries: its record has one of
    each. Nothing is refused where all tests have finished and only have to be stored.
    """
    earlier = state.earlier
    if earlier is None or (earlier.finished and not earlier.remaining):
        return
    session = earlier.session
    difference = _other_machine(session.machine, state.machine) or _other_environment(
        session.environment, state.environment
    )
    if difference:
        state.is_refused = True
        raise pytest.UsageError(
            f"--resume: {session.identifier}: it was begun {difference}, or begin a new session"
        )


def _other_machine(recorded: Machine, present: Machine) -> str:
    """How two machines differ, as the end of a sentence; '' where they are one."""
    if recorded.identifier == present.identifier:
        return ""
    names = [
        f"{machine.identifier} ({machine.chip}, {bytes_text(machine.memory_bytes)})"
        for machine in (recorded, present)
    ]
    return f"on machine {names[0]}, and this is machine {names[1]}; go on there"


def _other_environment(recorded: Environment, present: Environment) -> str:
    """How two environments differ, as the end of a sentence; '' where they are the same."""
    before, now = _names(recorded), _names(present)
    changed = [name for name in {**before, **now} if before.get(name, "") != now.get(name, "")]
    if not changed:
        return ""
    verb = "is" if len(changed) == 1 else "are"
    return (
        f"with {_listed(changed, before)}, and {_listed(changed, now)} {verb} in use now; use that "
        "again"
    )


def _names(environment: Environment) -> dict[str, str]:
    return {
        "environment": environment.name,
        "Python": environment.python,
        **environment.versions,
    }


def _listed(names: Sequence[str], versions: dict[str, str]) -> str:
    words = [
        f"{name} {versions[name]}" if versions.get(name) else f"no {name}"
        for name in names[:_NAMED_DIFFERENCES]
    ]
    if more := len(names) - len(words):
        words.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def offers(state: RunState) -> list[str]:
    """Each session that can be resumed, and on a line of its own how, at the start of another."""
    from qualification.session.run_journal import interrupted, kept
    from qualification.session.session_lock import who_goes_on

    if state.config.option.resume or state.project.results == "none":
        return []
    lines = []
    for folder in interrupted(state.project.sessions)[-3:]:
        if who_goes_on(folder):
            continue
        try:
            content = kept(folder)
        except JournalError as error:
            lines.append(f"qualification: a session cannot be resumed: {error}")
            continue
        count = sum(content.remaining.values())
        lines += [
            f"qualification: {folder.name} was interrupted; {len(content.finished)} tests are "
            f"finished, {count} are left:",
            f"    {command(state, folder.name)}",
        ]
    return lines


def command(state: RunState, session: str) -> str:
    """The command that goes on with a session of this run's results database."""
    results = state.config.getoption("--results")
    is_file = results and "://" not in results
    return f"pytest --resume={session}" + f" --results={shlex.quote(results)}" * bool(is_file)


def untried(state: RunState, content: Kept) -> list[str]:
    """A sentence for tests that were selected and not tried: how to go on, or what prevents it."""
    if not content.remaining:
        return []
    if state.project.results == "none":
        return [f"{sum(content.remaining.values())} tests were not tried"]
    declared = {deployment.identifier for deployment in state.registry.deployments()}
    before = state.earlier.remaining if state.earlier else {}
    go_on = command(state, content.session.identifier)
    lines, waiting = [], 0
    for name, count in content.remaining.items():
        missing = min(count, max(0, before.get(name, 0) - content.selected.get(name, 0)))
        if name not in declared:
            missing = count
        text = f"{missing} tests of {name} were left and cannot be tried:"
        if name not in declared:
            lines.append(f"{text} it is not declared any more; declare it again for: {go_on}")
        elif missing:
            lines.append(f"{text} they are not selected any more; select them again for: {go_on}")
        waiting += count - missing
    if waiting:
        lines.append(f"{waiting} tests were not tried; go on with: {go_on}")
    return lines
