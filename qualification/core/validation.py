"""pydantic's errors as one clause that names the place; pydantic is imported by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_problem(error: ValidationError, whole: str = "content") -> str:
    """``sessions[0].trials: Field required``: the first problem, with its place.

    ``whole`` names the document, for a problem that is not in a part of it.
    """
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{location_text(problem['loc']) or whole}: {problem['msg']}"


def location_text(location: Sequence[int | str]) -> str:
    """``("sessions", 0, "trials")`` as ``sessions[0].trials``; '' for an empty one."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")
