"""The figures of the documents that this project replaces: kept as claims, in one form."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from qualification.registry import load_registry

PUBLISHED = Path(__file__).parent.parent / "baselines" / "published"
STRICT = ConfigDict(extra="forbid", strict=True)
UNITS = {
    "s",
    "GB",
    "tok/s",
    "%",
    "1",
    "px",
    "tokens",
    "frames",
    "frames/s",
    "million",
    "inferences",
}


@dataclass(frozen=True, config=STRICT)
class Figure:
    """One claim as it is printed in the document, with where and of what."""

    model: str | None
    deployment: str | None
    metric: str
    unit: str
    stated_as: str
    line: int
    machine: str | None
    projected_for: str | None
    note: str
    value: float | None = None
    values: list[float] | None = None
    range: list[float] | None = None
    last_line: int | None = None


@dataclass(frozen=True, config=STRICT)
class Document:
    """One document with all its figures."""

    schema_version: int
    document: str
    title: str
    date: str
    machine: str | None
    environment: dict[str, str]
    method: dict[str, str]
    note: str
    figures: list[Figure]


def documents() -> dict[str, Document]:
    """Return every published document by file name."""
    kind = TypeAdapter(Document)
    return {path.name: kind.validate_json(path.read_bytes()) for path in PUBLISHED.glob("*.json")}


def figures() -> list[Any]:
    """Return every figure as a parameter."""
    return [
        pytest.param(figure, id=f"{name}:{figure.line}:{figure.metric}")
        for name, document in documents().items()
        for figure in document.figures
    ]


def test_five_documents_are_kept_under_their_dates() -> None:
    """Each document has its date in its name and the version of this form."""
    found = documents()
    assert len(found) == 5
    assert len({document.document for document in found.values()}) == 5
    for name, document in found.items():
        assert name.startswith(date.fromisoformat(document.date).isoformat())
        assert document.schema_version == 1
        assert document.figures


@pytest.mark.parametrize("figure", figures())
def test_figure_is_a_number_that_its_printed_text_shows(figure: Figure) -> None:
    """Exactly one of value, values and range, each number readable in the printed text."""
    given = [each for each in (figure.value, figure.values, figure.range) if each is not None]
    assert len(given) == 1
    numbers = given[0] if isinstance(given[0], list) else [given[0]]
    assert figure.range is None or (len(numbers) == 2 and numbers[0] <= numbers[1])
    for number in numbers:
        shown = {f"{number:g}", f"{number:.1f}", f"{number:.2f}", f"{number:.3f}"}
        assert any(text in figure.stated_as for text in shown)
    assert figure.unit in UNITS
    assert figure.line >= 1
    assert figure.last_line is None or figure.last_line > figure.line


@pytest.mark.parametrize("figure", figures())
def test_figure_names_what_is_declared(figure: Figure) -> None:
    """Model, deployment and the tier that a claim is projected for exist in the registry."""
    registry = load_registry()
    if figure.deployment is not None:
        assert registry.deployment(figure.deployment).model.name == figure.model
    assert figure.model in {None, *(model.name for model in registry.models)}
    assert figure.projected_for in {None, *(tier.name for tier in registry.tiers)}


def test_three_runs_are_kept_where_three_are_given() -> None:
    """The raw runs of the 3B and the 7B are there, not only their means."""
    runs = {
        figure.model: figure.values
        for document in documents().values()
        for figure in document.figures
        if figure.values is not None
    }
    assert runs == {
        "qwen2.5-vl-7b": [94.58, 95.37, 96.26],
        "qwen2.5-vl-3b": [8.77, 12.28, 34.36],
    }


def test_wrong_claims_are_kept_unchanged_and_said_to_be_claims() -> None:
    """The impossible figures stay as published, with the reason beside them."""
    every = [json.dumps(json.loads(path.read_text())) for path in PUBLISHED.glob("*.json")]
    assert any(
        '"value": 94' in text and "roofline for this model is 30 tok/s" in text for text in every
    )
    assert any('"value": -1.15' in text and "cannot be negative" in text for text in every)
    assert any('"metric": "speed floor"' in text for text in every)
