"""Runs a gate: behaviour of every deployment on both sides, then timed pairs until decided.

Every observation goes to the journal before the next one is made, and the next step follows from
the journal alone, so a gate that was killed continues where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol

import psutil

from qualification.core.declarations import Deployment
from qualification.session.context import RunContext
from qualification.session.template import Templates, can_fork
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.compare import to_confirm
from qualification.upgrade.gate.decide import decide, pairs_of, wanted_pairs
from qualification.upgrade.gate.journal import GateJournal, Recorded
from qualification.upgrade.gate.observe import observe
from qualification.upgrade.gate.records import (
    SIDE_NAMES,
    SIDES,
    Behaviour,
    DeploymentRef,
    GatePlan,
    GateResult,
    Pair,
    ProcessSample,
    Side,
)
from qualification.upgrade.gate.timed import MEMORY, sample


class Watcher(Protocol):
    """Follows a gate's progress."""

    def doing(self, text: str) -> None:
        """A short text on the current step."""

    def observed(self, result: GateResult) -> None:
        """The result that follows from the observations so far."""


class _NoWatcher:
    def doing(self, text: str) -> None:
        """See :class:`Watcher`."""

    def observed(self, result: GateResult) -> None:
        """See :class:`Watcher`."""


class Gate:
    """One gate on its journal; a context manager that closes the journal.

    ``environments`` are baseline and candidate. ``jobs`` canaries are asked at the same time, and
    both sides measured if only their memory is; nothing is ever timed at the same time.
    """

    def __init__(
        self,
        recorded: Recorded,
        journal: GateJournal,
        deployments: Sequence[Deployment],
        environments: tuple[Built, Built],
        context: RunContext,
        *,
        jobs: int = 1,
    ) -> None:
        self.plan: GatePlan = recorded.plan
        self._journal = journal
        self._deployments = {deployment.identifier: deployment for deployment in deployments}
        self._contexts: dict[Side, RunContext] = {
            side: dataclasses.replace(context, python=str(built.python))
            for side, built in zip(SIDES, environments, strict=True)
        }
        self._scratch, self._machine = context.scratch, context.machine
        # Other weights are too large for two processes at once.
        self._jobs = jobs if recorded.plan.weights == "canary" else 1
        self._watcher: Watcher = _NoWatcher()
        self._observations = list(recorded.observations)
        self._pairs = list(recorded.pairs)
        self._before_s = recorded.elapsed_s
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._compared: set[str] = set()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._journal.close()

    @property
    def folder(self) -> Path:
        """The folder of the journal and the reports."""
        return self._journal.path.parent

    def run(self, watcher: Watcher | None = None) -> GateResult:
        """Continue until everything is decided or the budget is spent."""
        self._watcher = watcher or self._watcher
        with self.scratch(), _interrupted_by_sigterm():
            with contextlib.closing(Templates()) as templates:
                self._observe_all(templates if can_fork(self._machine) else None)
            for identifier in self.plan.timed:
                self._time(self._deployments[identifier])
        return decide(self.plan, self._observations, self._pairs, wall_s=self._elapsed_s())

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """The scratch folder of all workers, removed at the end."""
        shutil.rmtree(self._scratch, ignore_errors=True)  # left by a run that was killed
        self._scratch.mkdir()
        try:
            yield
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _observe_all(self, templates: Templates | None) -> None:
        """Observe every deployment on both sides, and again where they differ."""
        contexts = {
            side: dataclasses.replace(context, templates=templates)
            for side, context in self._contexts.items()
        }
        with ThreadPoolExecutor(self._jobs) as pool:
            pending: dict[Future[Behaviour | None], DeploymentRef] = {}

            def submit(
                ref: DeploymentRef, attempt: int, checks: Collection[str] | None = None
            ) -> None:
                for side in SIDES:
                    future = pool.submit(
                        self._observed, ref.identifier, side, attempt, contexts[side], checks
                    )
                    pending[future] = ref

            for ref in self.plan.deployments:
                submit(ref, 0)
            try:
                while pending:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        ref = pending.pop(future)
                        behaviour = future.result()
                        if behaviour is not None and (checks := self._to_confirm(ref)):
                            submit(ref, 1, checks)
            except BaseException:
                # The threads wait for workers; when these are ended, the threads end and add
                # nothing to the journal.
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                _end_children()
                raise

    def _to_confirm(self, ref: DeploymentRef) -> Collection[str]:
        """The checks to repeat; empty until attempt 0 of both sides is there, and later again."""
        by_side = {
            observation.side: observation
            for observation in self._observations
            if (observation.deployment, observation.attempt) == (ref.identifier, 0)
        }
        if len(by_side) < len(SIDES) or ref.identifier in self._compared:
            return ()
        self._compared.add(ref.identifier)
        return to_confirm(ref, by_side["a"], by_side["b"], self.plan.warnings)

    def _observed(
        self,
        identifier: str,
        side: Side,
        attempt: int,
        context: RunContext,
        checks: Collection[str] | None,
    ) -> Behaviour | None:
        """From the journal, or observed now; None once the gate is stopped."""
        key = (identifier, side, attempt)
        for observation in self._observations:
            if (observation.deployment, observation.side, observation.attempt) == key:
                return observation
        if self._stop.is_set():
            return None
        again = " again" if attempt else ""
        self._watcher.doing(f"{identifier}: behaviour of the {SIDE_NAMES[side]}{again}")
        deployment = self._deployments[identifier]
        behaviour = observe(deployment, side, attempt, context=context, checks=checks)
        with self._lock:
            if self._stop.is_set():
                return None
            self._journal.add(behaviour, self._elapsed_s())
            self._observations.append(behaviour)
            self._show()
        return behaviour

    def _time(self, deployment: Deployment) -> None:
        """Time pairs of one deployment until its metrics are decided, if it loads on both sides."""
        name, metrics = deployment.identifier, self.plan.metrics
        loads = [
            any(probe.check == "load" and probe.outcome == "ok" for probe in observation.probes)
            for observation in self._observations
            if (observation.deployment, observation.attempt) == (name, 0)
        ]
        if not metrics or not all(loads):
            return
        is_warm = False
        while True:
            pairs = pairs_of(self._pairs, name)
            total = wanted_pairs(name, metrics, pairs)
            if total <= len(pairs) or self._is_budget_spent():
                return
            if not is_warm:  # fills each side's caches of files and compiled kernels
                self._watcher.doing(f"{name}: warm-up of both sides")
                self._samples(deployment, SIDES, 0)
                is_warm = True
            self._watcher.doing(f"{name}: pair {len(pairs) + 1} of {total}")
            pair = self.pair(deployment, len(pairs))
            self._journal.add(pair, self._elapsed_s())
            self._pairs.append(pair)
            self._show()

    def pair(self, deployment: Deployment, number: int) -> Pair:
        """Both sides back to back, in an order by a fair coin, the same coin in a resumed gate."""
        coin = random.Random(f"{self.plan.seed}:{deployment.identifier}:{number}")  # noqa: S311
        leader: Side = "a" if coin.random() < 0.5 else "b"
        order = SIDES if leader == "a" else SIDES[::-1]
        samples = self._samples(deployment, order, number)
        return Pair(deployment.identifier, number, leader, samples["a"], samples["b"])

    def _samples(
        self, deployment: Deployment, order: Sequence[Side], number: int
    ) -> dict[Side, ProcessSample]:
        """A sample of each side: one after the other, unless only their memory is measured.

        Two processes at once slow each other down, but neither takes more memory.
        """
        if self._jobs == 1 or not set(self.plan.metrics) <= MEMORY:
            return {side: self._sample(deployment, side, number) for side in order}
        with ThreadPoolExecutor(len(order)) as pool:
            try:
                samples = pool.map(lambda side: self._sample(deployment, side, number), order)
                return dict(zip(order, samples, strict=True))
            except BaseException:
                _end_children()  # the threads wait for them
                raise

    def _sample(self, deployment: Deployment, side: Side, number: int) -> ProcessSample:
        return sample(
            deployment,
            context=self._contexts[side],
            metrics=self.plan.metrics,
            seed=1000 * self.plan.seed + number,
        )

    def _elapsed_s(self) -> float:
        return self._before_s + time.monotonic() - self._started

    def _is_budget_spent(self) -> bool:
        return 0 < self.plan.budget_s < self._elapsed_s()

    def _show(self) -> None:
        so_far = decide(
            self.plan, self._observations, self._pairs, finished=False, wall_s=self._elapsed_s()
        )
        self._watcher.observed(so_far)


def _end_children() -> None:
    """End the workers of this process, whose threads wait for them."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a gate as Ctrl-C does: workers are ended, the journal is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
