"""Whether the documents in a folder still follow from the store."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qualification.core.errors import QualificationError
from qualification.core.paths import published_claims
from qualification.core.validation import first_problem
from qualification.documents.context import context
from qualification.documents.model import Document
from qualification.documents.published.document import published_document
from qualification.documents.session_documents import forms, session_documents
from qualification.models.registry import Registry
from qualification.results.store import Store


def stale_documents(folder: Path, store: Store, registry: Registry) -> tuple[int, list[str]]:
    """How many documents are there, and a sentence for each file that is not what they give.

    Raises QualificationError where there is none, or one cannot be read.
    """
    documents = [_read(file) for file in sorted(folder.glob("*.json"))]
    if not documents:
        raise QualificationError(f"{folder}: has no document that qualify report has written")
    stale = []
    rendered: dict[str, list[Document]] = {}
    for document in documents:
        if document.session not in rendered:
            rendered[document.session] = _documents(document.session, store, registry)
        same_name = [d for d in rendered[document.session] if d.name == document.name]
        texts = forms(same_name, folder)
        if not texts:
            stale.append(f"{folder / document.name}.json: is no document of this release")
        for name, text in texts.items():
            file = folder / name
            if not file.is_file() or file.read_text("utf-8", errors="replace") != text:
                stale.append(f"{file}: does not follow from the store; write it anew")
    return len(documents), stale


def _documents(session: str, store: Store, registry: Registry) -> list[Document]:
    if not session:
        return [published_document(published_claims(), registry)]
    results = store.results(session)
    return session_documents(results, registry, context(results, store, registry))


def _read(file: Path) -> Document:
    try:
        return TypeAdapter(Document).validate_json(file.read_bytes())
    except OSError as error:
        raise QualificationError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise QualificationError(f"{file}: is no document ({first_problem(error)})") from error
