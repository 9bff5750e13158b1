"""pydantic's errors as one clause with the place of the problem."""

from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from qualification.core.validation import first_problem, location_text


@dataclass(frozen=True)
class Session:
    """A document with a nested list."""

    trials: list[int]


@dataclass(frozen=True)
class Document:
    """A document with nested records."""

    sessions: list[Session]


def problem_of(content, **arguments):
    """The clause for a document that is wrong."""
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Document).validate_python(content)
    return first_problem(raised.value, **arguments)


def test_the_place_is_written_as_one_indexes_it():
    """Keys with dots, positions in brackets."""
    clause = problem_of({"sessions": [{"trials": [1]}, {"trials": [1, "two"]}]})
    assert clause.startswith("sessions[1].trials[1]: ")


def test_the_first_of_several_problems_is_reported():
    """One clause, on one line, without a link to pydantic's manual or the input."""
    clause = problem_of({"sessions": [{"trials": ["secret"]}, {}]})
    assert clause.startswith("sessions[0].trials[0]: ")
    assert "\n" not in clause
    assert "http" not in clause
    assert "secret" not in clause


def test_a_problem_of_the_whole_document_has_its_name():
    """There is no place then."""
    assert problem_of(3).startswith("content: ")
    assert problem_of(3, whole="the journal").startswith("the journal: ")


def test_a_location_may_start_with_a_position_or_be_empty():
    """A list at the top, and no place at all."""
    assert location_text((0, "trials")) == "[0].trials"
    assert location_text(()) == ""
