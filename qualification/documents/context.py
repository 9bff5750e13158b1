"""What a session's documents may say beside it, from the store and from the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement

from qualification.core.libraries import library_versions
from qualification.core.paths import DECLARATIONS, published_claims
from qualification.core.results import Results
from qualification.machine.probe import probe
from qualification.models.published_documents import Document as PublishedDocument
from qualification.models.published_documents import read_published
from qualification.models.registry import Registry
from qualification.results.store import Store


@dataclass(frozen=True)
class Context:
    """``earlier`` is the session of the same machine before this one, None where there is none.

    ``reported``: that of the report before this one, where it is another session of the machine.

    ``tested``: library -> the release that this package was tested with. ``published``: file ->
    the claims of a document. ``installed``: library -> version now, where the session is of this
    machine and of its own interpreter; empty elsewhere, where nothing is known of now.
    """

    earlier: Results | None = None
    tested: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, PublishedDocument] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    reported: Results | None = None


def context(results: Results, store: Store, registry: Registry, reported: str = "") -> Context:
    """That of a stored session; StoreError or BaselineError for what cannot be read.

    ``reported`` names the session of the report before this one, '' where there is none.
    """
    session = results.session
    before = store.before(results)
    earlier = store.results(before) if before else None
    is_of_here = (
        session.environment.name == HERE
        and session.machine.identifier == probe(registry.chips, registry.tiers).identifier
    )
    return Context(
        earlier,
        _tested(),
        read_published(published_claims()),
        library_versions() if is_of_here else {},
        _other(reported, results, store),
    )


def _other(reported: str, results: Results, store: Store) -> Results | None:
    """The session of an earlier report, where the store has it and it is of the same machine."""
    if reported in ("", results.session.identifier):
        return None
    if reported not in {summary.identifier for summary in store.summaries()}:
        return None
    earlier = store.results(reported)
    is_same = earlier.session.machine.identifier == results.session.machine.identifier
    return earlier if is_same else None


HERE = "current"
"""The environment of sessions that ran in the interpreter of pytest."""


def _tested() -> dict[str, str]:
    file = DECLARATIONS / "environments" / "constraints.txt"
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line]
    return {
        requirement.name: next(iter(requirement.specifier)).version for requirement in requirements
    }
