"""Drives a gate: behaviour of every deployment on both sides, then timed pairs until decided.

Every observation goes to the journal before the next one is made, and what to do next follows
from the journal alone, so a gate that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from qualification.core.declarations import Deployment, Tier
from qualification.core.results import Machine
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.compare import to_confirm
from qualification.upgrade.gate.decide import decide, pairs_of, wanted_pairs
from qualification.upgrade.gate.journal import Journal, Recorded
from qualification.upgrade.gate.observe import observe
from qualification.upgrade.gate.records import Behaviour, GatePlan, GateResult, Pair, Sample, Side
from qualification.upgrade.gate.side import Place
from qualification.upgrade.gate.timed import sample

SIDES: tuple[Side, Side] = ("a", "b")


class Shown(Protocol):
    """What a gate tells of its progress."""

    def doing(self, text: str) -> None:
        """What is being done now."""

    def observed(self, result: GateResult) -> None:
        """What follows from all that was observed so far."""


class Silent:
    """Shows nothing."""

    def doing(self, text: str) -> None:
        """See :class:`Shown`."""

    def observed(self, result: GateResult) -> None:
        """See :class:`Shown`."""


@dataclass(frozen=True)
class Sides:
    """The interpreters of A and B."""

    a: str
    b: str

    def python(self, side: Side) -> str:
        """The interpreter of a side."""
        return self.a if side == "a" else self.b


class Gate:
    """One gate on its journal. ``jobs`` processes are asked at the same time, never timed so."""

    def __init__(
        self,
        recorded: Recorded,
        journal: Journal,
        deployments: Mapping[str, Deployment],
        sides: Sides,
        *,
        machine: Machine,
        tier: Tier | None,
        fixtures: Path,
        shown: Shown | None = None,
        jobs: int = 1,
    ) -> None:
        self.plan: GatePlan = recorded.plan
        self._journal = journal
        self._deployments = deployments
        self._sides = sides
        self._shown = shown or Silent()
        self._jobs = jobs
        self._observations = list(recorded.observations)
        self._pairs = list(recorded.pairs)
        self._before_s = recorded.elapsed_s
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._compared: set[str] = set()
        self._place = Place(machine, tier, fixtures, journal.path.parent / "scratch")

    def run(self) -> GateResult:
        """Go on until everything is decided or the budget is spent."""
        with self.scratch(), _terminated():
            self._behaviour()
            for identifier in self.plan.timed:
                self._timed(self._deployments[identifier])
        return decide(self.plan, self._observations, self._pairs, wall_s=self._elapsed())

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """The folder of what workers leave for each other, removed at the end."""
        folder = self._place.scratch
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir()
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------------ behaviour

    def _behaviour(self) -> None:
        """Ask every deployment on both sides, and again where they differ, ``jobs`` at a time."""
        with ThreadPoolExecutor(self._jobs) as pool:
            asked: dict[Future[Behaviour | None], Deployment] = {}

            def ask(
                deployment: Deployment, attempt: int, checks: Collection[str] | None = None
            ) -> None:
                for side in SIDES:
                    one = pool.submit(self._observed, deployment, side, attempt, checks)
                    asked[one] = deployment

            for name in self.plan.deployments:
                ask(self._deployments[name], 0)
            try:
                while asked:
                    done, _ = wait(asked, return_when=FIRST_COMPLETED)
                    for one in done:
                        deployment = asked.pop(one)
                        found = one.result()
                        if found is not None and (checks := self._to_confirm(found)):
                            ask(deployment, 1, checks)
            except BaseException:
                # The threads wait for workers: without those they end, and keep nothing more.
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                _end_children()
                raise

    def _to_confirm(self, last: Behaviour) -> Collection[str]:
        """What is to be asked again: empty until both first attempts of a deployment are there."""
        sides = {
            one.side: one
            for one in self._observations
            if (one.deployment, one.attempt) == (last.deployment, 0)
        }
        if last.attempt or len(sides) < len(SIDES) or last.deployment in self._compared:
            return ()
        self._compared.add(last.deployment)
        return to_confirm(sides["a"], sides["b"], self.plan.warnings)

    def _observed(
        self, deployment: Deployment, side: Side, attempt: int, checks: Collection[str] | None
    ) -> Behaviour | None:
        """What the journal has, or else what is observed now; None once the gate is stopped."""
        key = (deployment.identifier, side, attempt)
        for one in self._observations:
            if (one.deployment, one.side, one.attempt) == key:
                return one
        if self._stop.is_set():
            return None
        again = " again" if attempt else ""
        self._shown.doing(f"{deployment.identifier}: behaviour of {side.upper()}{again}")
        found = observe(
            deployment,
            side,
            attempt,
            python=self._sides.python(side),
            place=self._place,
            checks=checks,
        )
        with self._lock:
            if self._stop.is_set():
                return None
            self._journal.add(found, self._elapsed())
            self._observations.append(found)
            self._show()
        return found

    # ------------------------------------------------------------------ timing

    def _timed(self, deployment: Deployment) -> None:
        name, metrics = deployment.identifier, self.plan.metrics
        loads = [
            any(p.check == "load" and p.outcome == "ok" for p in one.probes)
            for one in self._observations
            if (one.deployment, one.attempt) == (name, 0)
        ]
        if not metrics or not all(loads):
            return
        warm = False
        while True:
            pairs = pairs_of(self._pairs, name)
            wanted = wanted_pairs(name, metrics, pairs)
            if wanted <= len(pairs) or self._spent():
                return
            if not warm:  # caches of files and of compiled kernels, on each side
                for side in SIDES:
                    self._shown.doing(f"{name}: warm-up of {side.upper()}")
                    self._sample(deployment, side, 0)
                warm = True
            self._shown.doing(f"{name}: pair {len(pairs) + 1} of {wanted}")
            pair = self.pair(deployment, len(pairs))
            self._journal.add(pair, self._elapsed())
            self._pairs.append(pair)
            self._show()

    def pair(self, deployment: Deployment, number: int) -> Pair:
        """A and B back to back; the order is a fair coin's, the same coin in a resumed gate."""
        coin = random.Random(f"{self.plan.seed}:{deployment.identifier}:{number}")  # noqa: S311
        first: Side = "a" if coin.random() < 0.5 else "b"
        order = SIDES if first == "a" else SIDES[::-1]
        found = {side: self._sample(deployment, side, number) for side in order}
        return Pair(deployment.identifier, number, first, found["a"], found["b"])

    def _sample(self, deployment: Deployment, side: Side, number: int) -> Sample:
        return sample(
            deployment,
            python=self._sides.python(side),
            place=self._place,
            metrics=self.plan.metrics,
            seed=1000 * self.plan.seed + number,
        )

    # ------------------------------------------------------------------ both

    def _elapsed(self) -> float:
        return self._before_s + time.monotonic() - self._started

    def _spent(self) -> bool:
        return 0 < self.plan.budget_s < self._elapsed()

    def _show(self) -> None:
        self._shown.observed(
            decide(
                self.plan, self._observations, self._pairs, finished=False, wall_s=self._elapsed()
            )
        )


def _end_children() -> None:
    """End the workers of this process, whose threads wait for them."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends a gate as Ctrl-C does: workers ended, the journal whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_gate(
    folder: Path,
    plan: GatePlan,
    environments: tuple[Built, Built],
    deployments: Iterable[Deployment],
    *,
    tier: Tier | None,
    fixtures: Path,
    shown: Shown | None = None,
    jobs: int = 1,
) -> GateResult:
    """Run a new gate in a folder of its own to its end, journal and all."""
    a, b = environments
    with Journal.begin(folder, plan, a.spec, b.spec) as journal:
        recorded = Recorded(plan, a.spec, b.spec, (), 0.0)
        return Gate(
            recorded,
            journal,
            {one.identifier: one for one in deployments},
            Sides(str(a.python), str(b.python)),
            machine=plan.machine,
            tier=tier,
            fixtures=fixtures,
            shown=shown,
            jobs=jobs,
        ).run()
