"""What a session's documents may say beside it, from the store and from the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement

from qualification.core.paths import DECLARATIONS, published_claims
from qualification.core.results import Results
from qualification.models.published_documents import Document as PublishedDocument
from qualification.models.published_documents import read_published
from qualification.results.store import Store


@dataclass(frozen=True)
class Context:
    """``earlier`` is the session of the same machine before this one, None where there is none.

    ``tested``: library -> the release that this package was tested with. ``published``: file ->
    the claims of a document.
    """

    earlier: Results | None = None
    tested: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, PublishedDocument] = field(default_factory=dict)


def context(results: Results, store: Store) -> Context:
    """That of a stored session; StoreError or BaselineError for what cannot be read."""
    session = results.session
    before = store.before(session.identifier, session.machine.identifier)
    earlier = store.results(before) if before else None
    return Context(earlier, _tested(), read_published(published_claims()))


def _tested() -> dict[str, str]:
    file = DECLARATIONS / "environments" / "constraints.txt"
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line]
    return {
        requirement.name: next(iter(requirement.specifier)).version for requirement in requirements
    }
