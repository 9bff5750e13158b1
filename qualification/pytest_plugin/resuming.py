"""``--resume``: which session is meant, its arguments, and what is offered at the next start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qualification.core.errors import DeclarationError
from qualification.core.journal_file import JournalError

if TYPE_CHECKING:
    from qualification.pytest_plugin.state import RunState
    from qualification.session.run_journal import Kept


def with_first_arguments(root: Path, arguments: Sequence[str]) -> list[str]:
    """The arguments of the session's first attempt, those that are given now behind them.

    Raises UsageError where there is no such session, or its journal cannot be read.
    """
    from qualification.core.project import project_at
    from qualification.session.run_journal import interrupted, kept

    named, words = "newest", []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "--resume":
            named = value or named
        else:
            words.append(argument)
    try:
        sessions = project_at(root).sessions
        folders = interrupted(sessions)
        folder = folders[-1] if named == "newest" and folders else sessions / named
        if folder not in folders:
            names = ", ".join(path.name for path in folders) or "none"
            raise pytest.UsageError(f"--resume: no such session; interrupted here: {names}")
        arguments = [word for word in kept(folder).arguments if word not in words]
    except (DeclarationError, JournalError) as error:
        raise pytest.UsageError(f"--resume: {error}") from error
    return [*words, *arguments, f"--resume={folder.name}"]


def offers(state: RunState) -> list[str]:
    """A line for each session that can be resumed, at the start of another one."""
    from qualification.session.run_journal import interrupted, kept

    if state.config.option.resume or state.project.results == "none":
        return []
    lines = []
    for folder in interrupted(state.project.sessions)[-3:]:
        try:
            content = kept(folder)
        except JournalError as error:
            lines.append(f"qualification: a session cannot be resumed: {error}")
            continue
        lines.append(f"qualification: {folder.name} was interrupted; {how_to_go_on(content)}")
    return lines


def how_to_go_on(content: Kept) -> str:
    """What of a session is left to do, and the command that does it."""
    count = sum(content.remaining.values())
    tried = f"{len(content.finished)} tests are finished, {count} are left"
    return f"{tried}: pytest --resume={content.session.identifier}"
