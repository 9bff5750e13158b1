"""The results of the conformance suite: a row per requirement, a column per server.

Pure: checks in, a table out. Deployments of one server program with equal results share a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.results import Check
from qualification.models.known_bugs import remedy
from qualification.results.capability_table import MARKS, Mark, title

SUITE = "conformance"
REQUIREMENTS: dict[str, dict[str, str]] = {
    "Answers": {
        "test_health_is_answered": "the health endpoint answers",
        "test_lists_its_model": "/v1/models has the model that is served",
        "test_answers_text": "a question without an image",
        "test_answers_about_an_image[jpeg]": "an image as data URL, JPEG",
        "test_answers_about_an_image[png]": "an image as data URL, PNG",
        "test_answers_about_an_image[webp]": "an image as data URL, WebP",
        "test_answers_about_two_images": "two images in one turn",
        "test_continues_a_conversation": "several turns",
        "test_takes_a_system_message": "a system message",
        "test_answer_has_openais_shape": "all fields of an answer, usage adds up",
        "test_max_tokens_ends_the_answer": "max_tokens ends the answer, and it says so",
        "test_stop_cuts_the_answer": "stop cuts the answer",
        "test_seed_repeats_the_answer": "a seed repeats what was drawn",
        "test_temperature_0_repeats_the_answer": "temperature 0 repeats the answer",
        "test_each_request_has_its_own_image[whole]": "each request has its own image",
    },
    "Streams": {
        "test_stream_gives_the_same_answer": "the same answer as whole",
        "test_stream_has_one_reason_to_end": "role, text, one reason to end, in this order",
        "test_stream_ends_with_usage": "include_usage gives the usage of the whole",
        "test_stream_is_closed_by_done": "closed by [DONE]",
        "test_each_request_has_its_own_image[streamed]": "each request has its own image",
        "test_a_broken_off_stream_harms_nothing": "broken off, the next is answered correctly",
        "test_a_failing_stream_tells_its_failure": "reports a failure, by status or in the stream",
    },
    "Refused with 4xx and a sentence": {
        "test_refuses[no_body]": "no body",
        "test_refuses[bad_json]": "bad JSON",
        "test_refuses[no_messages]": "an empty list of messages",
        "test_refuses[unknown_role]": "a role that does not exist",
        "test_refuses[no_content]": "a message without content",
        "test_refuses[unknown_model]": "a model that is not served",
        "test_refuses[negative_max_tokens]": "negative max_tokens",
        "test_refuses[broken_base64]": "broken base64",
        "test_refuses[no_image]": "base64 of something that is no image",
        "test_refuses[unreachable_url]": "an image that cannot be fetched",
        "test_refuses[file_url]": "a file of the server, by file:// URL",
        "test_refuses[file_path]": "a file of the server, by its path",
        "test_refuses[unknown_path]": "an unknown path",
        "test_refuses[wrong_method]": "GET of a completion",
        "test_refuses[decompression_bomb]": "a decompression bomb (or answered)",
        "test_refuses[image_of_50_mb]": "an image of 50 MB (or answered)",
        "test_refuses[1001_messages]": "1,001 messages (or answered)",
        "test_refusals_have_openais_shape": 'all of them as {"error": {"message"}}',
        "test_bad_requests_harm_nothing": "the next request is answered correctly",
    },
}
"""Heading -> test -> what its row says."""

_WORST_FIRST = ("error", "failed", "xpassed", "xfailed", "passed", "skipped")


@dataclass(frozen=True)
class RequirementCell:
    """The result of one requirement; ``note`` is the number of a known bug's footnote, or 0."""

    mark: Mark
    note: int = 0


@dataclass(frozen=True)
class Footnote:
    """A known bug that a cell names; both texts are '' if it is no longer declared."""

    identifier: str
    title: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Conformance:
    """The table: headings over rows, a cell for each column, and its footnotes from 1 on."""

    columns: tuple[str, ...]
    sections: tuple[tuple[str, tuple[tuple[str, tuple[RequirementCell, ...]], ...]], ...]
    notes: tuple[Footnote, ...]


Outcomes = dict[str, tuple[str, str]]
"""Test -> outcome and known bug, of one deployment."""


def conformance(
    checks: Sequence[Check], deployments: Sequence[Deployment], bugs: Sequence[KnownBug]
) -> Conformance | None:
    """The table of all servers that the suite ran on, None where there is none."""
    columns = _columns(_outcomes(checks), deployments)
    if not columns:
        return None
    numbers: dict[str, int] = {}

    def cell(outcome: tuple[str, str] | None) -> RequirementCell:
        if outcome is None:
            return RequirementCell("undeclared")
        name, bug = outcome
        return RequirementCell(MARKS[name], numbers.setdefault(bug, len(numbers) + 1) if bug else 0)

    sections = tuple(
        (heading, rows)
        for heading, texts in _sections([outcomes for _, outcomes in columns]).items()
        if (
            rows := tuple(
                (text, tuple(cell(outcomes.get(test)) for _, outcomes in columns))
                for test, text in texts.items()
            )
        )
    )
    declared = {bug.identifier: Footnote(bug.identifier, bug.title, remedy(bug)) for bug in bugs}
    notes = tuple(declared.get(bug, Footnote(bug)) for bug in numbers)
    return Conformance(tuple(name for name, _ in columns), sections, notes)


def _columns(
    outcomes: dict[str, Outcomes], deployments: Sequence[Deployment]
) -> list[tuple[str, Outcomes]]:
    """A column for each server program, or one for each of its deployments where they disagree."""
    servers: dict[str, list[str]] = {}
    for deployment in deployments:
        if deployment.identifier in outcomes:
            servers.setdefault(deployment.source.place, []).append(deployment.identifier)
    columns: list[tuple[str, Outcomes]] = []
    for server, identifiers in servers.items():
        shared = _shared([outcomes[identifier] for identifier in identifiers])
        if shared is not None:
            columns.append((server, shared))
        else:
            columns += [(identifier, outcomes[identifier]) for identifier in identifiers]
    return columns


def _outcomes(checks: Sequence[Check]) -> dict[str, Outcomes]:
    """Deployment -> outcomes; a test with several (its call, its teardown) has the worst."""
    outcomes: dict[str, Outcomes] = {}
    # The worst come last and overwrite the better ones.
    for check in sorted(checks, key=lambda check: _WORST_FIRST.index(check.outcome), reverse=True):
        if check.suite == SUITE:
            bug = check.known_bug if check.outcome in ("xfailed", "xpassed") else ""
            outcomes.setdefault(check.deployment, {})[check.test] = (check.outcome, bug)
    return outcomes


def _shared(several: Sequence[Outcomes]) -> Outcomes | None:
    """The outcomes of all deployments together; None where two disagree on a test."""
    shared: Outcomes = {}
    for outcomes in several:
        for test, outcome in outcomes.items():
            if shared.setdefault(test, outcome) != outcome:
                return None
    return shared


def _sections(several: Sequence[Outcomes]) -> dict[str, dict[str, str]]:
    """The requirements that were tried, under their headings; tests without a row come last."""
    tried = list(dict.fromkeys(test for outcomes in several for test in outcomes))
    sections = {
        heading: {test: text for test, text in texts.items() if test in tried}
        for heading, texts in REQUIREMENTS.items()
    }
    listed = {test for texts in REQUIREMENTS.values() for test in texts}
    sections["Other tests"] = {test: title(test) for test in tried if test not in listed}
    return sections
