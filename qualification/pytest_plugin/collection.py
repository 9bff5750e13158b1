"""Collection: the plan as parameters, known bugs as strict xfails, and what is left out."""

from __future__ import annotations

import re
from functools import cached_property

import pytest

from qualification.core.declarations import answers_at_random, marks
from qualification.core.errors import SelectionError
from qualification.models.known_bugs import known_bugs, must_fail
from qualification.pytest_plugin.cases import (
    CASE,
    MEASURING,
    SUITES,
    asks_another_skill,
    deployment_of,
    is_not_asked_for,
    suite_of,
    suite_rank,
    test_name,
)
from qualification.pytest_plugin.options import BACKENDS
from qualification.pytest_plugin.state import RunState


class Collection:
    """The hooks that decide which test meets which deployment."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One case per deployment that has, or is said to have, what the test needs."""
        if "deployed" not in metafunc.fixturenames:
            return
        test = metafunc.definition.name
        needs = _asked_for(metafunc, "needs")
        workarounds = _asked_for(metafunc, "needs_workaround")
        backends = _asked_for(metafunc, "on_backends") or set(BACKENDS)
        owned = metafunc.definition.get_closest_marker("owned") is not None
        cases = []
        for deployment in self._state.registry.deployments():
            if not workarounds <= set(deployment.source.workarounds):
                continue
            if deployment.source.backend not in backends:
                continue
            if owned and deployment.source.server == "url":
                continue
            bugs = known_bugs(
                self._state.registry.bugs, deployment, test, self._state.versions, self._bug_tier
            )
            if needs <= set(deployment.model.capabilities) or bugs:
                marked = [getattr(pytest.mark, name) for name in marks(deployment)]
                cases.append(pytest.param(deployment, id=deployment.identifier, marks=marked))
        # Not scope="session": that would also cache a failure to load, for every later test.
        metafunc.parametrize("deployed", cases, indirect=True)

    @cached_property
    def _bug_tier(self) -> str:
        tiers = {tier for bug in self._state.registry.bugs for tier in bug.tiers}
        return self._state.machine.tier if tiers else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what is for this machine and what is known to fail, before ``-m`` selects."""
        here = None
        if "here" in _names(self._config.option.markexpr):
            here = self._state.machine.tier
        items[:] = [
            item for item in items if not asks_another_skill(item) and not is_not_asked_for(item)
        ]
        for item in items:
            deployment = deployment_of(item)
            if deployment is None:
                continue
            if here and here in deployment.source.tiers:
                item.add_marker(pytest.mark.here)
            item.add_marker(pytest.mark.xdist_group(deployment.model.name))
            test = test_name(item, deployment)
            bugs = known_bugs(
                self._state.registry.bugs, deployment, test, self._state.versions, self._bug_tier
            )
            item.stash[CASE] = (deployment, bugs)
            suite = suite_of(item)
            if answers_at_random(deployment) and suite in SUITES and suite not in MEASURING:
                item.add_marker(pytest.mark.skip(reason="random weights cannot answer"))
            if bugs:
                reason = "; ".join(f"{bug.identifier}: {bug.title} ({bug.cause})" for bug in bugs)
                strict = any(must_fail(bug, test) for bug in bugs)
                item.add_marker(pytest.mark.xfail(reason=reason, strict=strict))
        # One load per deployment, and loading first: what it costs is not hidden by later tests.
        order = {d.identifier: n for n, d in enumerate(self._state.registry.deployments())}
        items.sort(
            key=lambda item: (
                (order[item.stash[CASE][0].identifier], suite_rank(item))
                if CASE in item.stash
                else (len(order), 0)
            )
        )
        self._leave_out_other_tiers(items)

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse to judge another machine's tier on this one."""
        config = self._config
        if config.option.collectonly or config.option.any_machine:
            return
        tiers = {tier.name for tier in self._state.registry.tiers}
        names = _names(config.option.markexpr)
        if "here" in names and not self._state.machine.tier:
            from qualification.machine.probe import explain_no_match

            raise pytest.UsageError(
                "no tier matches this machine, so nothing is declared for it: this is "
                f"{explain_no_match(self._state.machine, self._state.registry.tiers)}; to run a tier's models "
                "all the same, name it and add --any-machine: results are filed under this machine"
            )
        asked = tiers & names
        if not asked:
            return
        foreign = {
            tier
            for item in session.items
            if CASE in item.stash
            for tiers in [asked.intersection(item.stash[CASE][0].source.tiers)]
            if self._state.machine.tier not in tiers
            for tier in tiers
        }
        if foreign:
            from qualification.machine.probe import explain_no_match

            problem = SelectionError(
                f"{', '.join(sorted(foreign))} is not this machine: this is "
                f"{explain_no_match(self._state.machine, self._state.registry.tiers)}; "
                "select with -m here, or add --any-machine to run all the same"
            )
            raise pytest.UsageError(str(problem))

    def _leave_out_other_tiers(self, items: list[pytest.Item]) -> None:
        """Deselect real models that are for other machines and were not asked for by their tier."""
        config = self._config
        if config.option.collectonly or config.option.any_machine:
            return
        asked = _names(config.option.markexpr)
        left_out = []
        for item in items:
            tiers = item.stash[CASE][0].source.tiers if CASE in item.stash else ()
            if tiers and not asked.intersection(tiers) and self._state.machine.tier not in tiers:
                left_out.append(item)
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            identities = set(map(id, left_out))
            items[:] = [item for item in items if id(item) not in identities]


def _asked_for(metafunc: pytest.Metafunc, marker: str) -> set[str]:
    """Return all that the test's markers of that name have as arguments."""
    return {name for found in metafunc.definition.iter_markers(marker) for name in found.args}


def _names(expression: str) -> set[str]:
    return set(re.findall(r"\w+", expression or ""))
