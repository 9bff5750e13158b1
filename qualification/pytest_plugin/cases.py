"""One test of one deployment: its suite, its name, and whether it can be part of this run."""

from __future__ import annotations

from typing import cast

import pytest

from qualification.core.declarations import Deployment, KnownBug

SUITES = {
    "load": "loads, and in time",
    "throughput": "time to first token and decoding speed, through pytest-benchmark",
    "memory": "peak memory against the tier's budget",
    "consistency": "equal answers and equal speed when repeated",
    "capability": "the capabilities that the declaration lists",
    "parity": "equal answers on every backend of a model",
    "context": "what the model retains of an image two turns later",
    "quality": "accuracy on generated questions",
    "vqa": "VQA 2.0 accuracy, on the official files or on generated questions",
    "diagram": "recall, hallucination, repetition and truncation on a drawn diagram",
    "prompts": "wordings, lengths and scripts of a prompt, limits of an answer",
    "state": "a request leaves nothing behind",
    "conformance": "a server's responses to good and to bad requests, by raw HTTP",
    "concurrency": "several clients of a server at once, each with images of its own",
    "known_bugs": "known nuisances that no other suite would notice",
    "drift": "the same request as fast at the end as at the beginning",
    "sustained": "speed after minutes of continuous load, with --sustained",
}
"""Suite -> description of its marker, in the order in which the suites run."""

MEASURING = ("load", "throughput", "memory")
"""Suites that only measure time and memory, which does not depend on trained weights."""

CASE = pytest.StashKey[tuple[Deployment, tuple[KnownBug, ...]]]()
"""On the item: the deployment, and the known bugs that are in range for this test of it."""


def deployment_of(item: pytest.Item) -> Deployment | None:
    """The deployment that a test is run on, if it takes one."""
    specification = getattr(item, "callspec", None)
    value = specification.params.get("deployed") if specification is not None else None
    return value if isinstance(value, Deployment) else None


def asks_another_skill(item: pytest.Item) -> bool:
    """Whether a test is parametrised by a skill that its model is not declared for."""
    deployment = deployment_of(item)
    if deployment is None or not deployment.model.skills:
        return False
    parameters = cast(pytest.Function, item).callspec.params
    return "skill" in parameters and parameters["skill"] not in deployment.model.skills


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
    """The suite by marker; for a test without such a marker, the name of its file."""
    for name in SUITES:
        if item.get_closest_marker(name) is not None:
            return name
    return item.path.stem.removeprefix("test_")


def suite_rank(item: pytest.Item) -> int:
    """The place of a test's suite in the order of suites."""
    suites = list(SUITES)
    suite = suite_of(item)
    return suites.index(suite) if suite in suites else len(suites)


def test_name(item: pytest.Item, deployment: Deployment) -> str:
    """The function's name, with its parameters except for the deployment."""
    function = cast(pytest.Function, item)
    identifier = function.callspec.id if hasattr(function, "callspec") else ""
    parameters = identifier.replace(deployment.identifier, "").strip("-")
    return f"{function.originalname}[{parameters}]" if parameters else function.originalname
