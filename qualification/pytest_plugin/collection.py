"""Collection: the plan as parameters, known bugs as strict xfails, and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qualification.pytest_plugin.cases import (
    CASE,
    FIRST,
    MEASURING,
    SHIPPED_SUITES,
    SUITES,
    asks_another_skill,
    deployment_of,
    has_no_deployment,
    lacks_its_option,
    suite_marker,
    suite_of,
    suite_rank,
    test_name,
)
from qualification.pytest_plugin.options import SOURCES, marker_expression_names
from qualification.pytest_plugin.preflight import require_device, require_place, require_session
from qualification.pytest_plugin.resuming import require_same_conditions
from qualification.pytest_plugin.state import RunState

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment, KnownBug


class Collection:
    """The hooks that decide which test meets which deployment."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._config = state.config
        self._suites = set(SUITES)
        self._bugs: dict[str, tuple[KnownBug, ...]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Of an environment in the project only the suites are collected, and the way to them."""
        if any(suite.is_relative_to(collection_path) for suite in self._environments):
            return False
        for suite, environment in self._environments.items():
            if environment in collection_path.parents and suite not in collection_path.parents:
                return True
        return None

    @cached_property
    def _environments(self) -> dict[Path, Path]:
        """Suite inside a folder that is collected -> the folder on the way that pytest ignores.

        That is the root of a virtual environment, ``.tox`` and the like; without one, the suite.
        """
        by_pytest = self._config.pluginmanager.subset_hook_caller("pytest_ignore_collect", [self])
        environments: dict[Path, Path] = {}
        for place in getattr(self._config.option, "suites_inside", ()):
            suite = Path(place)
            below = [p for p in suite.parents if {str(a) for a in p.parents} & {*self._config.args}]
            ignored = (
                p for p in reversed(below) if by_pytest(collection_path=p, config=self._config)
            )
            environments[suite] = next(ignored, suite)
        return environments

    @pytest.hookimpl
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """A shipped suite, also where the project's ``python_files`` do not name it."""
        is_shipped = file_path.parent == SHIPPED_SUITES and file_path.match("test_*.py")
        if not is_shipped and file_path not in self._environments:
            return None
        patterns: list[str] = self._config.getini("python_files")
        if any(file_path.match(pattern) for pattern in patterns):
            return None
        return pytest.Module.from_parent(parent, path=file_path)

    def parametrise(self, metafunc: pytest.Metafunc) -> None:
        """One case for each deployment that declares what the test needs, or has a bug to show."""
        from qualification.core.declarations import marker_names

        needs = _marker_arguments(metafunc, "needs")
        workarounds = _marker_arguments(metafunc, "needs_workaround")
        backends = _marker_arguments(metafunc, "on_backends")
        managed_only = metafunc.definition.get_closest_marker("managed") is not None
        cases = []
        for deployment in self._state.registry.deployments():
            source = deployment.source
            if backends and source.backend not in backends:
                continue
            if not workarounds <= set(source.workarounds):
                continue
            if managed_only and source.server == "url":
                continue
            capabilities = set(deployment.model.capabilities)
            if "vision" in needs - capabilities:  # a model of text alone has no bug with images
                continue
            if needs <= capabilities or self._known_bugs(deployment, metafunc.definition.name):
                marks = [getattr(pytest.mark, name) for name in marker_names(deployment)]
                cases.append(pytest.param(deployment, id=deployment.identifier, marks=marks))
        # Not scope="session": that would also cache a failure to load, for every later test.
        metafunc.parametrize("deployed", cases, indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what is for this machine and what is known to fail, before ``-m`` selects."""
        items[:] = [
            item
            for item in items
            if not asks_another_skill(item)
            and not lacks_its_option(item)
            and not has_no_deployment(item)
        ]
        for item in items:
            if (deployment := deployment_of(item)) is not None:
                self._mark_suite(item)
                self._mark(item, deployment)
        # One load for each deployment, and its load suite first: no later test hides that cost.
        places = {
            deployment.identifier: place
            for place, deployment in enumerate(self._state.registry.deployments())
        }
        items.sort(
            key=lambda item: (
                (places[item.stash[CASE][0].identifier], suite_rank(item))
                if CASE in item.stash
                else (len(places), 0)
            )
        )
        self._deselect_other_tiers(items)
        self._deselect_finished(items)

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse to judge another machine's tier on this one."""
        if self._config.option.collectonly:
            return
        names = [item.stash[CASE][0].identifier for item in session.items if CASE in item.stash]
        self._state.selected = dict(Counter(names))
        is_part = hasattr(self._config, "workerinput")  # the process that started it has asked
        if names and not is_part:
            require_same_conditions(self._state)
            require_session(self._state)
            require_place(self._state)
            require_device(self._state, {suite_of(i) for i in session.items if CASE in i.stash})
        if self._config.option.any_machine:
            return
        selected = marker_expression_names(self._config.option.markexpr)
        if "here" in selected and not self._state.machine.tier:
            raise pytest.UsageError(f"-m here selects nothing: this is {self._explain_machine()}")
        foreign = {name for name in self._derived_names if name != self._state.machine.tier}
        for item in session.items:
            if CASE in item.stash:
                tiers = selected.intersection(item.stash[CASE][0].source.tiers)
                if tiers and self._state.machine.tier not in tiers:
                    foreign |= tiers
        if foreign:
            raise pytest.UsageError(
                f"{', '.join(sorted(foreign))} is not this machine: this is "
                f"{self._explain_machine()}; select with -m here, or add --any-machine to run "
                "all the same"
            )

    def _mark_suite(self, item: pytest.Item) -> None:
        """Make the suite's name a marker that ``-m`` can select."""
        try:
            suite = suite_marker(item)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        if suite is None:
            return
        name, meaning = suite
        if name in {*SOURCES, "here", "first_verdict", *self._state.deployment_markers}:
            raise pytest.UsageError(
                f"{item.nodeid}: the suite {name!r} has the name of a marker of deployments; "
                "rename it"
            )
        if name not in self._suites:
            self._suites.add(name)
            self._config.addinivalue_line("markers", f"{name}: {meaning}")
        item.add_marker(getattr(pytest.mark, name))

    def _mark(self, item: pytest.Item, deployment: Deployment) -> None:
        """Add the markers that depend on this machine and on the installed versions."""
        from qualification.core.declarations import answers_at_random
        from qualification.models.known_bugs import must_fail
        from qualification.pytest_plugin.expected_failures import xfail_reason

        if self._own_tier and self._is_meant(deployment):
            item.add_marker(pytest.mark.here)
            item.add_marker(getattr(pytest.mark, self._own_tier))
        test, suite = test_name(item, deployment), suite_of(item)
        bugs = self._known_bugs(deployment, test)
        item.stash[CASE] = (deployment, bugs)
        is_first = test.partition("[")[0] in FIRST and suite in SUITES
        if is_first and deployment.identifier in self._first_deployments:
            item.add_marker(pytest.mark.first_verdict)
        if answers_at_random(deployment) and suite in SUITES and suite not in MEASURING:
            item.add_marker(pytest.mark.skip(reason="random weights cannot answer"))
        if bugs:
            strict = any(must_fail(bug, test) for bug in bugs)
            item.add_marker(pytest.mark.xfail(reason=xfail_reason(bugs), strict=strict))

    def _known_bugs(self, deployment: Deployment, test: str) -> tuple[KnownBug, ...]:
        from qualification.models.known_bugs import concerns, known_bugs

        name = deployment.declared_as
        if name not in self._bugs:
            bugs = self._state.registry.bugs
            self._bugs[name] = tuple(bug for bug in bugs if concerns(bug, name))
        return known_bugs(self._bugs[name], deployment, test, self._state.versions, self._bug_tier)

    @cached_property
    def _first_deployments(self) -> frozenset[str]:
        """One canary of each model on each engine: the one that is declared first."""
        by_engine: dict[tuple[str, str], str] = {}
        for deployment in self._state.registry.deployments():
            source = deployment.source
            if source.weights == "canary" and source.is_its_own_engine:
                key = (deployment.model.name, source.engine)
                by_engine.setdefault(key, deployment.identifier)
        return frozenset(by_engine.values())

    @cached_property
    def _bug_tier(self) -> str:
        """This machine's tier; it is not probed if no known bug depends on a tier."""
        depends = any(bug.tiers for bug in self._state.registry.bugs)
        return self._state.machine.tier if depends else ""

    @cached_property
    def _derived_names(self) -> frozenset[str]:
        """The names in ``-m`` that only a derived tier can have, of this machine or another one."""
        from qualification.machine.tiers import is_derived_name

        names = marker_expression_names(self._config.option.markexpr)
        markers = {re.split(r"[:(]", line)[0].strip() for line in self._config.getini("markers")}
        return frozenset(name for name in names - markers if is_derived_name(name))

    @cached_property
    def _own_tier(self) -> str:
        """This machine's tier; not probed unless ``-m`` selects ``here`` or a derived tier."""
        names = marker_expression_names(self._config.option.markexpr)
        return self._state.machine.tier if "here" in names or self._derived_names else ""

    def _is_meant(self, deployment: Deployment) -> bool:
        """Whether a deployment of real weights is meant for this machine."""
        is_real = deployment.source.weights != "canary"
        return is_real and self._state.suitability(deployment).meant

    def _explain_machine(self) -> str:
        from qualification.machine.tiers import explain_tier

        return explain_tier(self._state.machine, self._state.registry.tiers)

    @pytest.hookimpl
    def pytest_report_collectionfinish(self) -> list[str]:
        """Where ``-m`` selects this machine's tier: what is meant for it and what not, and why."""
        if not self._own_tier or self._state.tier is None:
            return []
        suited = [
            self._state.suitability(deployment)
            for deployment in self._state.registry.deployments()
            if deployment.source.weights != "canary"
        ]
        tier, meant = self._state.tier, sum(answer.meant for answer in suited)
        lines = [
            f"tier {tier.name} ({tier.title}): {meant} of {len(suited)} models are meant for it"
        ]
        if not tier.vision:
            lines.append(f"{tier.name} is text-only by its policy: no model that sees is run")
        for answer in sorted(suited, key=lambda answer: not answer.meant):
            word = "" if answer.meant else "not meant, "
            lines.append(f"  {answer.deployment}: {word}{answer.why}")
        return lines

    def _deselect_other_tiers(self, items: list[pytest.Item]) -> None:
        """Deselect what is not meant for this machine, unless it or its tier is named."""
        options = self._config.option
        if options.collectonly or options.any_machine or options.deployment:
            return
        selected = marker_expression_names(options.markexpr)
        deselected = []
        for item in items:
            deployment = item.stash[CASE][0] if CASE in item.stash else None
            tiers = deployment.source.tiers if deployment else ()
            if not tiers or selected.intersection(tiers) or self._state.machine.tier in tiers:
                continue  # one that is declared for this tier and does not fit has a verdict
            if deployment and not self._is_meant(deployment):
                deselected.append(item)
        if deselected:
            self._config.hook.pytest_deselected(items=deselected)
            identities = set(map(id, deselected))
            items[:] = [item for item in items if id(item) not in identities]

    def _deselect_finished(self, items: list[pytest.Item]) -> None:
        """Of a session that is resumed, only what it has not finished."""
        finished = self._state.earlier.finished if self._state.earlier else {}
        done = [item for item in items if item.nodeid in finished]
        if done:
            self._config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item.nodeid not in finished]


def _marker_arguments(metafunc: pytest.Metafunc, name: str) -> set[str]:
    """All arguments of a test's markers of that name."""
    markers = metafunc.definition.iter_markers(name)
    return {argument for marker in markers for argument in marker.args}
