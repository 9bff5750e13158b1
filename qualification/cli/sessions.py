"""``qualify sessions``: what is stored, and what was interrupted and can be resumed."""

from __future__ import annotations

import json
import shlex

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.core.project import Project

_SHOWN = 20


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, all of them.")
@click.option("--results", default="", metavar="URL", help="Another results database.")
@in_project
@one_sentence
def sessions(*, as_json: bool, results: str, project: Project) -> None:
    """List the sessions of this project, the newest last; interrupted ones with what is left.

    They are ordered as they were begun and stored, whatever the clock said. An interrupted one goes
    on with pytest --resume=SESSION.
    """
    from qualification.core.journal_file import JournalError
    from qualification.results.store import Store
    from qualification.session.run_journal import interrupted, kept
    from qualification.session.session_lock import who_goes_on

    named = f" --results={shlex.quote(results)}" if results and "://" not in results else ""
    project = project.with_options(results=results)
    stored = [] if project.results == "none" else Store(project.results).summaries()
    lines = [
        f"{entry.identifier}  {entry.machine}  {entry.tier or 'no tier'}"
        + (f"  {entry.untried} tests not tried" if entry.untried else "")
        for entry in stored
    ]
    records = [entry.as_json() for entry in stored]
    for folder in interrupted(project.sessions):
        try:
            content = kept(folder)
        except JournalError as error:
            lines.append(f"{folder.name}  cannot be resumed: {error}")
            records.append({"session": folder.name, "problem": str(error)})
            continue
        count = sum(content.remaining.values())
        if holder := who_goes_on(folder):
            lines.append(
                f"{folder.name}  running ({holder}): {len(content.finished)} tests are finished, "
                f"{count} are left"
            )
            records.append({"session": folder.name, "running": holder})
            continue
        lines.append(
            f"{folder.name}  interrupted: {len(content.finished)} tests are finished, {count} are "
            f"left; go on with: pytest --resume={folder.name}{named}"
        )
        records.append(
            {
                "session": folder.name,
                "finished": len(content.finished),
                "remaining": content.remaining,
                "attempts": content.attempts,
            }
        )
    if as_json:
        click.echo(json.dumps(records, indent=2))
    else:
        click.echo("\n".join(lines[-_SHOWN:]) or "no session yet; run pytest -m canary first")
