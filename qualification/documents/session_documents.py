"""All documents of one session, and their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qualification.core.paths import PACKAGE, is_checkout
from qualification.core.results import Results
from qualification.documents.certificate import certificate
from qualification.documents.context import Context
from qualification.documents.model import Document
from qualification.documents.recommendations import recommendations
from qualification.documents.reference_guide import reference_guide
from qualification.documents.render import render
from qualification.documents.session_view import session_view
from qualification.models.registry import Registry


def session_documents(results: Results, registry: Registry, context: Context) -> list[Document]:
    """The recommendations first."""
    view = session_view(results, registry, context)
    return [recommendations(view), reference_guide(view), certificate(view)]


def forms(documents: Sequence[Document], folder: Path) -> dict[str, str]:
    """File name -> text of every form of every document, as they would stand in a folder."""
    docs = docs_address(folder)
    return {
        name: text for document in documents for name, text in render(document, docs=docs).items()
    }


def docs_address(folder: Path) -> str:
    """The relative address of docs/ from a folder of the checkout; '' from anywhere else."""
    checkout = PACKAGE.parent
    if not is_checkout() or not folder.resolve().is_relative_to(checkout):
        return ""
    return f"{os.path.relpath(checkout / 'docs', folder.resolve())}/".replace(os.sep, "/")
