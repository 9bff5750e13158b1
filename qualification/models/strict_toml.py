"""Reads one TOML file strictly into a type.

A fault is one sentence that names the file, the line, the entry, the key, and what to write
instead.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from qualification.core.errors import DeclarationError

_T = TypeVar("_T")

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}  # building one takes longer than reading a file
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"""\s*([\w."'-]+)\s*=""")
_TRIPLE = re.compile(r'"""|\'\'\'')


def read_declarations(path: Path, kind: type[_T]) -> _T:
    """Return the file as ``kind``, a dataclass with one list of records for each top-level key.

    Raises DeclarationError where the file cannot be read, is not TOML, or does not fit the type.
    """
    try:
        source = path.read_bytes().decode("utf-8")
        document = tomllib.loads(source)
    except OSError as error:
        raise DeclarationError(
            f"{path}: cannot be read ({error.strerror}); put a readable file there"
        ) from error
    except UnicodeDecodeError as error:
        raise DeclarationError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error).replace("\n", " ")
        raise DeclarationError(
            f"{path}: is not valid TOML: {reason}; correct the file there"
        ) from error
    # JSON, because pydantic's strict mode takes lists and tables from JSON only. A TOML date must
    # not become a text on the way.
    text = json.dumps(document, default=lambda value: {"date or time": str(value)})
    try:
        if kind not in _ADAPTERS:
            _ADAPTERS[kind] = TypeAdapter(kind)
        record: _T = _ADAPTERS[kind].validate_json(text, strict=True)
    except ValidationError as error:
        # A misspelt required key is both unknown and missing: the unknown one is the cause.
        details = error.errors(include_url=False)
        details.sort(key=lambda detail: detail["type"] != "unexpected_keyword_argument")
        line = line_of(source, details[0]["loc"])
        raise DeclarationError(f"{path}:{line}: {_sentence(details[0], document, kind)}") from error
    return record


def line_of(source: str, location: tuple[int | str, ...]) -> int:
    """The line of a TOML text, from 1, that a key of its document stands in.

    ``location`` are keys and numbers from 0, as ``("models", 2, "licence")``. For a key that is not
    there, or that is a part of a value of several lines, the line where its table or value begins.
    """
    best, line_number = 0, 1
    table: tuple[int | str, ...] = ()
    counts: dict[tuple[int | str, ...], int] = {}
    in_text = False
    for number, line in enumerate(source.splitlines(), 1):
        is_text, in_text = in_text, in_text ^ (len(_TRIPLE.findall(line)) % 2 == 1)
        if is_text:
            continue
        if header := _HEADER.match(line):
            table = ()
            *parents, name = header[2].split(".")
            for parent in parents:
                table = (*table, parent)
                table += (counts[table],) if table in counts else ()
            table = (*table, name)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            here = table
        elif key := _KEY.match(line):
            here = (*table, *(part.strip("\"'") for part in key[1].split(".")))
        else:
            continue
        if len(here) > best and here == location[: len(here)]:
            best, line_number = len(here), number
    return line_number


_REMEDIES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list in [ ]",
    "dataclass_type": "a table",
    "dict_type": "a table",
}


def _sentence(detail: ErrorDetails, document: Any, kind: type[Any]) -> str:
    """Say what is wrong with which key of which entry, and what to write instead."""
    location, value = detail["loc"], repr(detail["input"])
    value = value if len(value) <= 60 else value[:57] + "..."
    where, key = _place(location, document)
    if detail["type"] == "unexpected_keyword_argument":
        keys = _keys_of(location[:-1], kind)
        close = difflib.get_close_matches(str(location[-1]), keys, n=1)
        remedy = f"was {close[0]!r} meant?" if close else f"known keys are {', '.join(keys)}"
        return f"{where}key {key!r} is unknown: remove it or correct it ({remedy})"
    if detail["type"] == "missing":
        return f"{where}key {key!r} is missing: add it"
    if detail["type"] == "value_error":
        return f"{where}key {key!r}: {detail['ctx']['error']}"
    if detail["type"] == "literal_error":
        return f"{where}key {key!r} is {value}: write one of {detail['ctx']['expected']}"
    remedy = _REMEDIES.get(detail["type"], detail["msg"])
    return f"{where}key {key!r} is {value}, which is of the wrong type: write {remedy}"


def _place(location: tuple[int | str, ...], document: Any) -> tuple[str, str]:
    """Say in words which entry a location lies in, and the dotted key within it."""
    words: list[str] = []
    key: list[str] = []
    for step in location:
        if isinstance(step, int) and key and isinstance(document[step], dict):
            entry = document[step]
            name = entry.get("name", entry.get("identifier"))
            label = repr(name) if isinstance(name, str) else f"number {step + 1}"
            words.append(f"{key.pop().removesuffix('s')} {label}, ")
        else:
            key.append(str(step + 1) if isinstance(step, int) else step)
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            document = None
    return "".join(words), ".".join(key) or str(location[0])


def _keys_of(location: tuple[int | str, ...], kind: Any) -> list[str]:
    """List the keys that the record at a location has."""
    for step in location:
        if isinstance(step, str) and is_dataclass(kind):
            hint = get_type_hints(kind)[step]
            kind = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []
