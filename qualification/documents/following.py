"""Whether the documents in a folder still follow from the store."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qualification.core.errors import QualificationError
from qualification.core.paths import published_claims
from qualification.core.text import disarm
from qualification.core.validation import first_problem
from qualification.documents.context import context
from qualification.documents.junit import session_junit
from qualification.documents.model import Document
from qualification.documents.published.document import published_document
from qualification.documents.recommendations import NAME
from qualification.documents.session_documents import forms, session_documents
from qualification.models.registry import Registry
from qualification.results.store import Store


def stale_documents(folder: Path, store: Store, registry: Registry) -> tuple[int, list[str]]:
    """How many documents are there, and a sentence for each file that is not what the store gives.

    A file that is missing, or that no session gives, is told too. Raises QualificationError where
    there is no document, or one cannot be read.
    """
    documents = [_read(file) for file in sorted(folder.glob("*.json"))]
    sessions = {document.session: "" for document in documents}
    sessions |= {document.session: document.reported for document in documents if document.reported}
    if not sessions:
        raise QualificationError(f"{folder}: has no document that qualify report has written")
    expected: dict[str, str] = {}
    for session, reported in sessions.items():
        expected |= _files(session, reported, folder, store, registry)
    present = {file.name for form in FORMS for file in folder.glob(f"*.{form}")}
    stale = [
        f"{folder / name}: is there, and no session gives it"
        for name in sorted(present - expected.keys())
    ]
    for name, text in expected.items():
        file = folder / name
        if not file.is_file():
            stale.append(f"{file}: is missing")
        elif file.read_text("utf-8", errors="replace") != text:
            stale.append(f"{file}: does not follow from the store; write it anew")
    return len(expected), [disarm(sentence) for sentence in stale]


FORMS = ("md", "html", "json", "xml")


def reported_before(folder: Path, session: str) -> str:
    """The session of the report that lies in a folder, for one of ``session`` that replaces it.

    Written anew of the same session, a report compares with what it did; '' where nothing is known.
    """
    try:
        document = _read(folder / f"{NAME}.json")
    except QualificationError:
        return ""
    return document.reported if document.session == session else document.session


def _files(
    session: str, reported: str, folder: Path, store: Store, registry: Registry
) -> dict[str, str]:
    if not session:
        return forms([published_document(published_claims(), registry)], folder)
    results = store.results(session)
    documents = session_documents(results, registry, context(results, store, registry, reported))
    return forms(documents, folder) | {"session.xml": session_junit(results)}


_DOCUMENT = TypeAdapter(Document)


def _read(file: Path) -> Document:
    try:
        return _DOCUMENT.validate_json(file.read_bytes())
    except OSError as error:
        raise QualificationError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise QualificationError(f"{file}: is no document ({first_problem(error)})") from error
