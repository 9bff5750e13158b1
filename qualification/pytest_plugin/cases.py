"""One test of one deployment: its suite, its name, and whether it can be part of this run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO, cast

import pytest

from qualification.core.paths import PACKAGE

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment, KnownBug

SUITES = (
    "load",
    "throughput",
    "memory",
    "consistency",
    "capability",
    "parity",
    "context",
    "quality",
    "vqa",
    "diagram",
    "prompts",
    "state",
    "conformance",
    "concurrency",
    "known_bugs",
    "drift",
    "sustained",
)
"""The suites that ship, in the order in which they run."""

SHIPPED_SUITES = PACKAGE / "suites"
"""The folder of their files."""

BACKEND_MARKERS = ("mlx", "torch", "llamacpp", "server", "fake")
"""The backends that ship, named without reading the table of all: a test compares the two."""

SESSION = "qualification_session"
"""Key of the session's identifier and attempt in the input of a process of pytest-xdist, and in its
output where it has tried something."""

MEASURING = ("load", "throughput", "memory")
"""Suites that only measure time and memory, which does not depend on trained weights."""

TIMED = (*MEASURING, "concurrency", "drift", "sustained")
"""Suites with figures of time or memory, which another session on the machine would change."""

FIRST = (
    "test_loads",
    "test_says_what_it_sees",
    "test_tells_two_images_apart",
    "test_says_which_of_two_images",
    "test_sees_movement",
    "test_answers_in_a_conversation",
    "test_text_only_question",
    "test_ends_its_answer_by_itself",
)
"""Tests of the first verdict: a canary loads, sees and stops. Formats and sizes come later."""

TERMINAL: pytest.StashKey[TextIO] = pytest.StashKey()
"""On the configuration: pytest's own output, also while it captures what tests print."""

CASE: pytest.StashKey[tuple[Deployment, tuple[KnownBug, ...]]] = pytest.StashKey()
"""On the item: the deployment, and the known bugs that are in range for this test of it."""


def deployment_of(item: pytest.Item) -> Deployment | None:
    """The deployment that a test is run on, if it takes one."""
    from qualification.core.declarations import Deployment

    specification = getattr(item, "callspec", None)
    value = specification.params.get("deployed") if specification is not None else None
    return value if isinstance(value, Deployment) else None


class NamedDeployments:
    """Finds the deployment of a test by its node id, where there is no item: under pytest-xdist."""

    def __init__(self, deployments: Sequence[Deployment]) -> None:
        # An identifier may be the beginning of another one.
        self._longest_first = sorted(deployments, key=lambda case: -len(case.identifier))
        self._found: dict[str, Deployment | None] = {}

    def of(self, nodeid: str) -> Deployment | None:
        """The deployment that the test's parameters name; None for any other test."""
        if nodeid not in self._found:
            _, _, parameters = nodeid.partition("[")
            self._found[nodeid] = next(
                (case for case in self._longest_first if case.identifier in parameters), None
            )
        return self._found[nodeid]


def has_no_deployment(item: pytest.Item) -> bool:
    """Whether a shipped test asks what no chosen deployment declares; pytest would skip it."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or "deployed" not in callspec.params or item.path.parent != SHIPPED_SUITES:
        return False
    return deployment_of(item) is None


def asks_another_skill(item: pytest.Item) -> bool:
    """Whether its parameter is a skill that the model does not declare, or about an image."""
    deployment = deployment_of(item)
    if deployment is None:
        return False
    model, parameters = deployment.model, cast(pytest.Function, item).callspec.params
    if getattr(parameters.get("case"), "has_image", False):
        return "vision" not in model.capabilities
    return "skill" in parameters and bool(model.skills) and parameters["skill"] not in model.skills


def lacks_its_option(item: pytest.Item) -> bool:
    """Whether a test needs ``--sustained`` or ``--cold-load``, which is not given.

    Such a test is left out and not skipped: with ``--require-all`` a skip fails the run.
    """
    fixtures = getattr(item, "fixturenames", ())
    option = item.config.getoption
    return ("sustained_minutes" in fixtures and not option("--sustained")) or (
        "cold_load" in fixtures and not option("--cold-load")
    )


def suite_of(item: pytest.Item) -> str:
    """The suite of the marker ``suite``, or of a shipped suite's own; else the file's name."""
    if (marker := item.get_closest_marker("suite")) is not None:
        return str(marker.args[0])
    for name in SUITES:
        if item.get_closest_marker(name) is not None:
            return name
    return item.path.stem.removeprefix("test_")


def suite_marker(item: pytest.Item) -> tuple[str, str] | None:
    """Name and meaning of a test's marker ``suite``, None without one.

    ValueError for a marker without a name that ``-m`` can select.
    """
    marker = item.get_closest_marker("suite")
    if marker is None:
        return None
    try:
        name, meaning = marker.args
        is_name = re.fullmatch("[a-z][a-z0-9_]*", name) is not None
    except (TypeError, ValueError):
        is_name = False
    if not is_name or marker.kwargs:
        raise ValueError(
            f"{item.nodeid}: the marker suite has {marker.args!r}: write "
            'pytest.mark.suite("name", "the question that it answers"), with a name of small '
            "letters, digits and underscores"
        )
    return name, meaning


def suite_rank(item: pytest.Item) -> int:
    """The place of a test's suite in the order of suites."""
    suite = suite_of(item)
    return SUITES.index(suite) if suite in SUITES else len(SUITES)


def test_name(item: pytest.Item, deployment: Deployment) -> str:
    """The function's name, with its parameters except for the deployment."""
    function = cast(pytest.Function, item)
    identifier = function.callspec.id if hasattr(function, "callspec") else ""
    parameters = identifier.replace(deployment.identifier, "").strip("-")
    return f"{function.originalname}[{parameters}]" if parameters else function.originalname
