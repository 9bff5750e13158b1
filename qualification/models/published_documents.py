"""Published documents as ``baselines/published/`` keeps them: figures, tables and superlatives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from qualification.core.errors import BaselineError
from qualification.core.validation import first_problem
from qualification.models.strict_toml import read_declarations

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

_NUMBER = re.compile(r"(?:(?<!\w)-)?[0-9]+(?:\.[0-9]+)?")
"""The hyphen of ``24-28`` is no sign."""

Best = Literal["least", "most"]
"""Which value of a metric is the best: the least time, the most accuracy."""


@dataclass(frozen=True)
class Figure:
    """One claim as it is printed in the document, with its line, metric and model."""

    __pydantic_config__ = _STRICT
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

    @property
    def numbers(self) -> list[float]:
        """Every number of the claim."""
        if self.value is not None:
            return [self.value]
        return list(self.values or self.range or [])

    @property
    def printed(self) -> str:
        """The figure without its label, the other cells of its row, and emphasis.

        The whole printed text, where no such part has every number of the claim.
        """
        for cell in self.stated_as.split("|"):
            text = cell.replace("**", "").rpartition(": ")[2].strip()
            if set(self.numbers) <= {float(number) for number in _NUMBER.findall(text)}:
                return text or self.stated_as
        return self.stated_as

    @property
    def unprinted_unit(self) -> str:
        """The unit where ``printed`` has none, as in a column with the unit in its head."""
        return "" if self.unit == "1" or re.search("[A-Za-z%]", self.printed) else self.unit


@dataclass(frozen=True)
class PrintedColumn:
    """A column has the figures of a metric and of a model; without these, all that are left."""

    __pydantic_config__ = _STRICT
    title: str
    metric: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class PrintedRow:
    """A row has the figures of its lines; ``words`` are its cells without one, by column."""

    __pydantic_config__ = _STRICT
    name: str
    lines: list[int]
    words: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PrintedTable:
    """How a table or list of the document arranges figures; with ``best`` its rows are ranked."""

    __pydantic_config__ = _STRICT
    title: str
    name_of_rows: str
    columns: list[PrintedColumn]
    rows: list[PrintedRow]
    best: Best | None = None


@dataclass(frozen=True)
class Superlative:
    """That a model is the best by some metric; several where the document does not say by which."""

    __pydantic_config__ = _STRICT
    stated_as: str
    line: int
    model: str
    metrics: list[str]
    best: Best


@dataclass(frozen=True)
class Document:
    """One document with all its figures."""

    __pydantic_config__ = _STRICT
    schema_version: int
    document: str
    title: str
    date: str
    machine: str | None
    environment: dict[str, str]
    method: dict[str, str]
    note: str
    figures: list[Figure]
    superlatives: list[Superlative] = field(default_factory=list)
    tables: list[PrintedTable] = field(default_factory=list)


Key = tuple[str, int, str, str, str]
"""File, line, model ('' where there is none), metric and rule."""


@dataclass(frozen=True)
class Contradiction:
    """An impossible claim, and the arithmetic in one sentence."""

    file: str
    line: int
    model: str
    metric: str
    rule: str
    sentence: str

    @property
    def key(self) -> Key:
        """Its entry in ``contradictions.toml``."""
        return (self.file, self.line, self.model, self.metric, self.rule)


@dataclass(frozen=True)
class _Entry:
    file: str
    line: int
    model: str
    metric: str
    rule: str


@dataclass(frozen=True)
class _EntryFile:
    __pydantic_config__ = _STRICT
    known: tuple[_Entry, ...]


def read_published(folder: Path) -> dict[str, Document]:
    """Return every document of a folder by file name; BaselineError for one that is malformed."""
    kind = TypeAdapter(Document)
    documents = {}
    for path in sorted(folder.glob("*.json")):
        try:
            documents[path.name] = kind.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else error
            raise BaselineError(f"{path}: is no published document ({reason})") from error
    if not documents:
        raise BaselineError(f"{folder}: holds no published document")
    return documents


def read_known(folder: Path) -> set[Key]:
    """Return the keys that ``contradictions.toml`` records; none without such a file."""
    file = folder / "contradictions.toml"
    if not file.exists():
        return set()
    entries = read_declarations(file, _EntryFile).known
    return {(entry.file, entry.line, entry.model, entry.metric, entry.rule) for entry in entries}
