"""Past regressions through the gate: released faults must be caught, good environments must pass.

The catalogue is ``declarations/regressions.toml``: for each regression the pins of a good
environment, of the bad one, perhaps of another good one (``fixed``), and the canaries on which it
shows. With ``good`` as the baseline, ``bad`` must be regressed, by one of the checks that are
declared to catch it; ``good`` itself, built again or not, and ``fixed`` must not be.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from packaging.requirements import Requirement
from pydantic import ConfigDict

from qualification.core.declarations import KnownBug
from qualification.core.errors import EnvironmentFailed, SelectionError
from qualification.core.paths import DECLARATIONS
from qualification.core.results import Machine
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.known_bugs import remedy
from qualification.models.registry import Registry
from qualification.models.strict_toml import read_declarations
from qualification.session.context import RunContext
from qualification.session.scratch import scratch as scratch_folder
from qualification.upgrade.environments.cache import Built, ready
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.plan import GateRequest, make_plan
from qualification.upgrade.gate.start import begin_gate

_STRICT = ConfigDict(extra="forbid")
_PLACE = re.compile(r"(?<![\w.])(/[\w.@+-]+){2,}")
"""A path: the record is committed, and must not say where it was made."""

Against = Literal["bad", "good", "fixed"]
Outcome = Literal[
    "caught", "caught by another check", "missed", "quiet", "false alarm", "not installable"
]
_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

FAULTS: frozenset[Outcome] = frozenset({"caught by another check", "missed", "false alarm"})
"""Outcomes that say that the gate, or the catalogue, is wrong."""


@dataclass(frozen=True)
class Regression:
    """One released regression. Pins are complete; ``caught_by`` are checks of the gate.

    ``known_bug`` is its identifier in bugs.toml, where it has an entry. ``alone`` names the pins
    that are installed without their dependencies, as all of ``no_dependencies`` are.
    """

    __pydantic_config__ = _STRICT
    identifier: str
    row: int
    package: str
    title: str
    source: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    deployments: tuple[str, ...]
    caught_by: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    known_bug: str = ""
    no_dependencies: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    def environment(self, side: Against) -> EnvironmentSpec:
        """The environment of that name."""
        pins: tuple[str, ...] = getattr(self, side)
        alone = tuple(pin for pin in pins if Requirement(pin).name in self.alone)
        return EnvironmentSpec(
            f"{self.identifier} {side}",
            self.title,
            tuple(pin for pin in pins if pin not in alone),
            (*self.no_dependencies, *alone),
        )


@dataclass(frozen=True)
class NotHere:
    """A regression that cannot be reproduced here, and why."""

    __pydantic_config__ = _STRICT
    row: int
    title: str
    why: str


@dataclass(frozen=True)
class Catalogue:
    """Everything in regressions.toml."""

    __pydantic_config__ = _STRICT
    regressions: tuple[Regression, ...]
    not_here: tuple[NotHere, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """The gate's result for one pair. ``named`` are the checks that it called regressed."""

    identifier: str
    row: int
    against: Against
    verdict: str
    named: tuple[str, ...]
    outcome: Outcome
    sentence: str
    wall_s: float
    a: dict[str, str]
    b: dict[str, str]


def read_catalogue(folder: Path = DECLARATIONS) -> Catalogue:
    """The catalogue of a folder of declarations; DeclarationError with file and key."""
    return read_declarations(folder / "regressions.toml", Catalogue)


def select(catalogue: Catalogue, patterns: Sequence[str]) -> tuple[Regression, ...]:
    """The regressions whose identifier or row matches one of the patterns; all without any."""

    def matches(regression: Regression, pattern: str) -> bool:
        identifier, row = regression.identifier, str(regression.row)
        return fnmatch.fnmatchcase(identifier, pattern) or pattern == row

    chosen = tuple(
        regression
        for regression in catalogue.regressions
        if not patterns or any(matches(regression, pattern) for pattern in patterns)
    )
    if not chosen:
        identifiers = ", ".join(regression.identifier for regression in catalogue.regressions)
        raise SelectionError(
            f"no regression matches {', '.join(patterns)}: known are {identifiers}"
        )
    return chosen


def replay(
    regressions: Iterable[Regression],
    registry: Registry,
    *,
    say: Callable[[str], None],
    also_good: bool = True,
    root: Path | None = None,
) -> Iterable[Replayed]:
    """Yield the gate's result for each pair of environments, as soon as it is there."""
    machine = probe(registry.chips, registry.tiers)
    for regression in regressions:
        pairs: list[Against] = ["bad"]
        if also_good:
            pairs.append("fixed" if regression.fixed else "good")
        for against in pairs:
            say(f"{regression.identifier}: good against {against}")
            try:
                sides = tuple(
                    ready(regression.environment(side), root=root, say=say)
                    for side in ("good", against)
                )
            except EnvironmentFailed as error:
                yield _not_installable(regression, against, str(error))
                continue
            yield _through_the_gate(regression, against, (sides[0], sides[1]), registry, machine)


def outcome(
    against: Against, verdict: str, named: Collection[str], caught_by: Collection[str]
) -> Outcome:
    """The meaning of a verdict for a bad or a good pair.

    ``named`` are the checks that the gate called regressed, such as ``given_as[bytes]``;
    ``caught_by`` those declared, in which ``given_as`` stands for all of its variants. A bad pair
    that only other checks call regressed may well be regressed by chance.
    """
    if verdict != "regressed":
        return "missed" if against == "bad" else "quiet"
    if against != "bad":
        return "false alarm"
    checks = {*named, *(check.partition("[")[0] for check in named)}
    return "caught" if checks & set(caught_by) else "caught by another check"


def as_json(replayed: Sequence[Replayed], catalogue: Catalogue, date: str) -> dict[str, Any]:
    """The record that is committed."""
    return {
        "date": date,
        "pairs": [asdict(pair) for pair in replayed],
        "not_here": [asdict(regression) for regression in catalogue.not_here],
    }


def document(
    replayed: Sequence[Replayed], catalogue: Catalogue, date: str, bugs: Iterable[KnownBug] = ()
) -> str:
    """The record as Markdown; a regression that is among ``bugs`` has its workaround too."""
    regressions = {regression.identifier: regression for regression in catalogue.regressions}
    counts = {name: sum(pair.outcome == name for pair in replayed) for name in _OUTCOMES}
    lines = [
        "# Past regressions through the gate",
        "",
        f"`qualify replay`, {date}, on canaries, behaviour alone: "
        + ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        + ".",
        "",
        "| row | regression | pair | gate | named | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(pair, regressions[pair.identifier]) for pair in replayed]
    identifiers = dict.fromkeys(pair.identifier for pair in replayed)
    remedies = {bug.identifier: f"`{bug.identifier}`, {remedy(bug)}" for bug in bugs}
    lines += ["", "## What to do about them", "", "| regression | source | known bug |"]
    lines += ["|---|---|---|"]
    lines += [
        f"| {name} | {regressions[name].source} | "
        f"{remedies.get(regressions[name].known_bug, 'not declared')} |"
        for name in identifiers
    ]
    lines += ["", "## Not reproduced here", "", "| row | regression | why |", "|---|---|---|"]
    lines += [
        f"| {missing.row} | {missing.title} | {missing.why} |" for missing in catalogue.not_here
    ]
    return "\n".join(lines) + "\n"


def _row(pair: Replayed, regression: Regression) -> str:
    package = regression.package.lower()
    good, against = pair.a.get(package), pair.b.get(package)
    moved = f" ({package} {good or '–'} → {against or '–'})" if good != against else ""
    named = ", ".join(pair.named) or "–"
    return (
        f"| {pair.row} | {pair.identifier}: {regression.title} | good, {pair.against}{moved} | "
        f"**{pair.outcome}** ({pair.verdict}) | {named} | {pair.wall_s:.0f} |"
    )


def _through_the_gate(
    regression: Regression,
    against: Against,
    sides: tuple[Built, Built],
    registry: Registry,
    machine: Machine,
) -> Replayed:
    deployments = [registry.deployment(name) for name in regression.deployments]
    request = GateRequest(metrics="none", seed=regression.row)
    plan = make_plan(sides, deployments, machine, request)
    tier = tier_of(machine, registry.tiers)
    started = time.monotonic()
    with scratch_folder("replay") as scratch:
        folder = Path(scratch) / "gate"
        context = RunContext(machine, tier, folder / "scratch")
        with begin_gate(folder, plan, sides, deployments, context, jobs=request.jobs) as gate:
            result = gate.run()
    regressed = [finding for finding in result.behaviour if finding.verdict == "regressed"]
    named = tuple(dict.fromkeys(finding.check for finding in regressed))
    return Replayed(
        identifier=regression.identifier,
        row=regression.row,
        against=against,
        verdict=result.verdict,
        named=named,
        outcome=outcome(against, result.verdict, named, regression.caught_by),
        sentence=_PLACE.sub("…", regressed[0].sentence if regressed else result.sentence),
        wall_s=time.monotonic() - started,
        a=plan.a.versions,
        b=plan.b.versions,
    )


def _not_installable(regression: Regression, against: Against, why: str) -> Replayed:
    return Replayed(
        regression.identifier, regression.row, against, "", (), "not installable", why, 0.0, {}, {}
    )
