"""What was not tried, why, and the command that would try it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from qualification.core.backends import ENGINES
from qualification.core.declarations import Deployment
from qualification.core.libraries import install_command
from qualification.core.results import Results, Session
from qualification.core.text import one_line
from qualification.documents.model import Inline, Section, Span, Table, code, columns, inline
from qualification.machine.tiers import tier_of
from qualification.models.memory_fit import does_not_fit, predict
from qualification.models.registry import Registry
from qualification.models.suitability import suitability

_LONGEST_REASON = 300
_EXTRAS = {"llama.cpp": "llama-cpp"}
"""Engine -> the extra that installs it, where that has another name."""


def roadmap(untested: Sequence[Deployment], results: Results, registry: Registry) -> Section | None:
    """A row for each deployment that was not tried, or not to its end; None without any."""
    session = results.session
    skipped = _skipped(results)
    rows = []
    for deployment in untested:
        reason, is_possible = _why(deployment, skipped, session, registry)
        command = code(_command(deployment, session)) if is_possible else Span("–", "quiet")
        rows.append((inline(code(deployment.identifier)), reason, inline(command)))
    rows += list(_unfinished(session))
    if not rows:
        return None
    table = Table(
        "What this session has no figures of",
        columns("deployment", "why", "to try it"),
        tuple(rows),
    )
    return Section("roadmap", "Not tried yet", (table,), is_folded=True)


def _why(
    deployment: Deployment, skipped: Mapping[str, str], session: Session, registry: Registry
) -> tuple[Inline, bool]:
    """The reason, and whether this machine could try it all the same."""
    machine = session.machine
    tier = tier_of(machine, registry.tiers)
    if too_big := does_not_fit(predict(deployment, registry), machine, tier):
        return inline(f"does not fit: {too_big}"), False
    if lacking := _lacking(deployment, session):
        return inline(f"needs {', '.join(lacking)}, which this environment lacks"), True
    if reason := skipped.get(deployment.identifier, ""):
        return inline("skipped: ", Span(reason, "quoted")), True
    meant = suitability(deployment, machine, tier, registry)
    if not meant.meant:
        return inline(f"not meant for this machine: {meant.why}"), True
    ran = inline(", which ran ", code(session.selection)) if session.selection else ()
    return inline("not part of this session", *ran), True


def _skipped(results: Results) -> dict[str, str]:
    """The first reason of each deployment of which every check was skipped."""
    reasons: dict[str, str] = {}
    tried = {check.deployment for check in results.checks if check.outcome != "skipped"}
    for check in results.checks:
        if check.deployment not in tried and check.detail:
            reasons.setdefault(check.deployment, one_line(check.detail, _LONGEST_REASON))
    return reasons


def _lacking(deployment: Deployment, session: Session) -> list[str]:
    """The distributions of its engine that were recorded as not installed."""
    engine = ENGINES.get(deployment.source.engine)
    versions = session.environment.versions
    return [
        name for name in (engine.imports.values() if engine else ()) if versions.get(name) == ""
    ]


def _command(deployment: Deployment, session: Session) -> str:
    source = deployment.source
    words = ["pytest", "--download", "--deployment", deployment.identifier]
    words += ["--allow-remote-code"] if source.remote_code else []
    install = ""
    if _lacking(deployment, session):
        install = f"{install_command(_EXTRAS.get(source.engine, source.engine))} && "
    return install + shlex.join(words)


def _unfinished(session: Session) -> Iterator[tuple[Inline, Inline, Inline]]:
    """Deployments of which selected tests were not tried: the session can be gone on with."""
    for identifier, count in session.untried.items():
        if count:
            yield (
                inline(code(identifier)),
                inline(f"{count} selected tests were not tried: the session was interrupted"),
                inline(code(shlex.join(["pytest", f"--resume={session.identifier}"]))),
            )
