"""Where the figures of a deployment come from: weights, session, machine, environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from qualification.core.results import Session
from qualification.machine.names import describe
from qualification.results.rows import Row
from qualification.results.terminal import machine_lines

_ORIGINS = {
    "hub": "measured with the real weights",
    "canary": "measured with a canary: a tiny model whose speed and memory say nothing about a "
    "real one's",
    "synthetic": "measured with random weights of the real shape: they answer nothing",
    "": "measured; the deployment is not declared (any more), so its weights are not known",
}


@dataclass(frozen=True)
class Circumstances:
    """Where the figures come from: deployment, weights, session, machine, environment."""

    deployment: str
    origin: str
    verdict: str
    advice: str
    revision: str
    session: str
    started: str
    machine: str
    tier: str
    environment: str
    python: str
    versions: dict[str, str]
    unfit: tuple[str, ...]


def circumstances(session: Session, row: Row, weights: str) -> Circumstances:
    """Those of a row; ``weights`` are '' where the deployment is no longer declared."""
    return Circumstances(
        deployment=row.identifier,
        origin=_ORIGINS[weights],
        verdict=row.verdict.name,
        advice=row.advice,
        revision=row.load.revision if row.load else "",
        session=session.identifier,
        started=session.started,
        machine=describe(session.machine),
        tier=session.machine.tier,
        environment=session.environment.name,
        python=session.environment.python,
        versions={name: text for name, text in session.environment.versions.items() if text},
        unfit=tuple(machine_lines(session.machine, session.conditions))[1:],
    )
