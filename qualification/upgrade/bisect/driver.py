"""Puts a search together: environments, a deployment, a judge, pip and its indexes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from packaging.utils import canonicalize_name

from qualification.core import paths as places
from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.core.protocol import WeightsSource
from qualification.machine import probe as machine
from qualification.models.loading import load_registry
from qualification.upgrade.bisect import releases
from qualification.upgrade.bisect.judges import behaviour_judge, speed_judge
from qualification.upgrade.bisect.search import Bisect, Bisection, Judge
from qualification.upgrade.environments import cache as environment_cache
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.pip import base_interpreter
from qualification.upgrade.environments.spec import EnvironmentSpec, candidate, environment_spec
from qualification.upgrade.gate.records import CHECKS, Behaviour
from qualification.upgrade.gate.side import Place
from qualification.upgrade.gate.timed import METRICS

OF_DEFAULT = "qwen2.5-vl-canary-f32@mlx"
"""Asked where no deployment is named: the canary that most of the known regressions show in."""


@dataclass(frozen=True)
class Question:
    """What to search: ``package`` '' for whichever it is."""

    good: EnvironmentSpec
    bad: EnvironmentSpec
    check: str
    deployment: Deployment
    package: str = ""
    tries: int = 5
    seed: int = 0


def environment(name: str, pins: str, index: str) -> EnvironmentSpec:
    """A declared environment with pins laid over it, from another index where one is named."""
    spec = environment_spec(name)
    if pins.strip():
        spec = candidate(spec, pins)
    return dataclasses.replace(spec, index=index) if index else spec


def deployment(identifier: str, weights: str) -> Deployment:
    """The deployment of that identifier and source of weights; '' is the default canary."""
    registry = load_registry().with_weights(cast(WeightsSource, weights))
    return registry.deployment(identifier or OF_DEFAULT)


def answer(
    question: Question,
    scratch: Path,
    *,
    root: Path | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> tuple[Bisection, dict[str, Behaviour]]:
    """Build both environments, search, and return the result with what the two sides said.

    ``scratch`` is an empty folder for pictures; ``root`` the cache of environments. Raises
    SelectionError for a check that there is none of, EnvironmentFailed where one of the two given
    environments cannot be built.
    """
    if question.check not in (*CHECKS, *METRICS):
        known = ", ".join((*CHECKS, *METRICS))
        raise SelectionError(f"there is no check or metric {question.check!r}: known are {known}")

    def ready(spec: EnvironmentSpec) -> Built:
        return environment_cache.ready(spec, root=root, say=say)

    good, bad = ready(question.good), ready(question.bad)
    search = Bisect(
        question.deployment.identifier,
        question.check,
        good,
        bad,
        _judge(question, good, scratch),
        ready,
        lambda package, first, last: releases.releases_between(
            _pip(good, root), package, first, last, index=good.spec.index
        ),
        only=canonicalize_name(question.package) if question.package else "",
        say=say,
    )
    return search.run(), search.observations


def _judge(question: Question, good: Built, scratch: Path) -> Judge:
    registry = load_registry()
    here = machine.probe(registry.chips, registry.tiers)
    tier = registry.tier(here.tier) if here.tier else None
    place = Place(here, tier, places.home() / "fixtures", scratch)
    if question.check in CHECKS:
        return behaviour_judge(
            question.deployment, question.check, good, place, tries=question.tries
        )
    return speed_judge(question.deployment, question.check, good, place, seed=question.seed)


def _pip(built: Built, root: Path | None) -> Path:
    """An interpreter with pip and the Python of ``built``: the cache's, or what venvs are of."""
    folder = root or places.cache() / "environments"
    python = folder / f".pip-{built.python_version}" / "bin" / "python"
    return python if python.exists() else base_interpreter(built.spec.python).path
