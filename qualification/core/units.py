"""Quantities that are declared as text with a unit and stored as SI floats."""

from __future__ import annotations

import re
from typing import Annotated, Any

_UNITS: dict[str, dict[str, float]] = {
    "time": {"ms": 1e-3, "s": 1.0, "min": 60.0},
    "memory": {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30},
    "bandwidth": {"MB/s": 1e6, "GB/s": 1e9},
    "rate": {"tok/s": 1.0},
}

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z/]+)\s*\Z")


def parse_quantity(text: object, dimension: str) -> float:
    """``"10 s"`` -> 10.0, ``"32 GB"`` -> 32e9; a bare number or another unit is a ValueError."""
    units = _UNITS[dimension]
    match = _QUANTITY.match(text) if isinstance(text, str) else None
    if match is None or match.group(2) not in units:
        names = ", ".join(units)
        raise ValueError(f"{text!r} is not a {dimension}: write a number with one of {names}")
    return float(match.group(1)) * units[match.group(2)]


class _Dimension:
    """Annotation for a field that is declared as text with a unit and stored as an SI float."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            lambda value: parse_quantity(value, self.name), handler(source)
        )


Seconds = Annotated[float, _Dimension("time")]

Bytes = Annotated[float, _Dimension("memory")]

BytesPerSecond = Annotated[float, _Dimension("bandwidth")]

TokensPerSecond = Annotated[float, _Dimension("rate")]
