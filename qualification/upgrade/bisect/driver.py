"""Puts a search together: environments, a deployment, a judge, pip and its indexes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from packaging.utils import canonicalize_name

from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.core.protocol import WeightsSource
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.registry import Registry
from qualification.session.context import NOTHING, Fetching, RunContext
from qualification.upgrade.bisect.judges import behaviour_judge, speed_judge
from qualification.upgrade.bisect.records import Bisection
from qualification.upgrade.bisect.releases import Between, releases_between
from qualification.upgrade.bisect.search import Bisect, Candidates, Judge
from qualification.upgrade.environments import cache
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.interpreters import probe as probe_interpreter
from qualification.upgrade.environments.spec import EnvironmentSpec, candidate, environment_spec
from qualification.upgrade.gate.records import CHECKS, Behaviour
from qualification.upgrade.gate.timed import METRICS

DEFAULT_DEPLOYMENT = "qwen2.5-vl-canary-f32@mlx"
"""The canary that most of the known regressions show in."""


@dataclass(frozen=True)
class BisectQuestion:
    """What broke ``check`` of a deployment between good and bad? ``package`` '' searches all."""

    good: EnvironmentSpec
    bad: EnvironmentSpec
    check: str
    deployment: Deployment
    package: str = ""
    tries: int = 5
    seed: int = 0

    @property
    def is_timed(self) -> bool:
        """Whether its answer depends on what else the machine does."""
        return self.check in (*METRICS, "latency")


def environment(name: str, pins: str, index: str, own: Path | None = None) -> EnvironmentSpec:
    """A declared environment with pins that replace its own, from another index if one is named."""
    spec = environment_spec(name, own)
    if index:
        spec = dataclasses.replace(spec, index=index)
    return candidate(spec, pins) if pins.strip() else spec


def deployment(registry: Registry, identifier: str, weights: str) -> Deployment:
    """The deployment with that identifier and source of weights; '' is the default canary."""
    chosen = registry.with_weights(cast(WeightsSource, weights))
    return chosen.deployment(identifier or DEFAULT_DEPLOYMENT)


def answer(
    question: BisectQuestion,
    registry: Registry,
    scratch: Path,
    *,
    root: Path | None = None,
    say: Callable[[str], None] = lambda _text: None,
    fetching: Fetching = NOTHING,
) -> tuple[Bisection, dict[str, Behaviour]]:
    """Build both environments and search; returns the result, and the behaviour of its two sides.

    ``scratch`` is an empty folder for images; ``root`` the cache of environments; ``fetching`` is
    what may come from the hub. Raises
    SelectionError for an unknown check, EnvironmentFailed if one of the two given environments
    cannot be built.
    """
    if question.check not in (*CHECKS, *METRICS):
        checks = ", ".join((*CHECKS, *METRICS))
        raise SelectionError(f"there is no check or metric {question.check!r}: known are {checks}")

    def ready(spec: EnvironmentSpec) -> Built:
        return cache.ready(spec, root=root, say=say)

    def releases(package: str, good_version: str, bad_version: str) -> Between:
        pip = cache.with_pip(probe_interpreter(good.python), root, say)
        return releases_between(pip, package, good_version, bad_version, index=good.spec.index)

    good, bad = ready(question.good), ready(question.bad)
    machine = probe(registry.chips, registry.tiers)
    tier = tier_of(machine, registry.tiers)
    context = RunContext(machine, tier, scratch, fetching=fetching)
    candidates = Candidates(good, bad, _judge(question, good, context), ready, say)
    search = Bisect(
        question.deployment.identifier,
        question.check,
        candidates,
        releases,
        only=canonicalize_name(question.package) if question.package else "",
    )
    return search.run(), candidates.observations


def _judge(question: BisectQuestion, good: Built, context: RunContext) -> Judge:
    if question.check in CHECKS:
        return behaviour_judge(
            question.deployment, question.check, good, context, tries=question.tries
        )
    return speed_judge(question.deployment, question.check, good, context, seed=question.seed)
