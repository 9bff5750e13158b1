"""One test of one deployment: which suite it is of, what it is called, what its report means."""

from __future__ import annotations

from typing import cast

import pytest

from qualification.core.declarations import Deployment, KnownBug

SUITES = {
    "load": "loads, and in time",
    "throughput": "time to first token and decoding speed, through pytest-benchmark",
    "memory": "peak memory against the tier's budget",
    "consistency": "equal answers and equal speed when repeated",
    "capability": "what the declaration says that it can do",
    "parity": "equal answers on every backend of a model",
    "context": "what is remembered of a picture two turns later",
    "quality": "share of right answers",
    "vqa": "VQA 2.0 accuracy, of the official files or of generated questions",
    "diagram": "recall, invention, repetition and cut-off on a drawn diagram",
    "prompts": "wordings, lengths and scripts of a prompt, limits of an answer",
    "state": "a request leaves nothing behind",
    "conformance": "what a server answers to good and to bad requests, by raw HTTP",
    "concurrency": "several clients of a server at once, each with pictures of its own",
    "known_bugs": "known nuisances that no other suite would notice",
    "drift": "the same request as fast at the end as at the beginning",
    "sustained": "speed after minutes without a pause, with --sustained",
}

MEASURING = ("load", "throughput", "memory")
"""Suites that ask for time and memory alone: random weights can be held to them."""

CASE = pytest.StashKey[tuple[Deployment, tuple[KnownBug, ...]]]()
"""On the item: the deployment, and the known bugs that are in range for this test of it."""


def deployment_of(item: pytest.Item) -> Deployment | None:
    """The deployment that a test is of, if it is of one."""
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


def is_not_asked_for(item: pytest.Item) -> bool:
    """Whether a test takes what an option asks for that was not given.

    Such tests are left out and not skipped: with ``--require-all`` a skip fails the run.
    """
    fixtures = getattr(item, "fixturenames", ())
    option = item.config.getoption
    return ("sustained_minutes" in fixtures and not option("--sustained")) or (
        "cold_load" in fixtures and not option("--cold-load")
    )


def suite_of(item: pytest.Item) -> str:
    """The suite by marker, or by the name of the file for a test of a user's own."""
    for name in SUITES:
        if item.get_closest_marker(name) is not None:
            return name
    return item.path.stem.removeprefix("test_")


def suite_rank(item: pytest.Item) -> int:
    """Where the suite of a test comes in the order of suites."""
    suites = list(SUITES)
    suite = suite_of(item)
    return suites.index(suite) if suite in suites else len(suites)


def test_name(item: pytest.Item, deployment: Deployment) -> str:
    """The function's name, with its parameters but for the deployment."""
    function = cast(pytest.Function, item)
    parameters = function.callspec.id if hasattr(function, "callspec") else ""
    others = parameters.replace(deployment.identifier, "").strip("-")
    return f"{function.originalname}[{others}]" if others else function.originalname
