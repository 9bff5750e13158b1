"""Past regressions through the gate: what really broke must be caught, what did not must pass.

The catalogue is ``declarations/regressions.toml``: for each regression the pins of an environment
that was good, of the one that was bad, perhaps of another good one (``fixed``), and the canaries on
which it shows. ``good`` against ``bad`` must be regressed; ``good`` against itself, built again or
not, and against ``fixed`` must not be.
"""

from __future__ import annotations

import fnmatch
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from pydantic import ConfigDict

from qualification.core.errors import EnvironmentFailed, SelectionError
from qualification.core.paths import DECLARATIONS, home
from qualification.machine.probe import probe
from qualification.models.registry import Registry
from qualification.models.strict_toml import read_declarations
from qualification.upgrade.environments.cache import Built, ready
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.plan import make_plan
from qualification.upgrade.gate.run import run_gate

_STRICT = ConfigDict(extra="forbid")
_PLACE = re.compile(r"(?<![\w.])(/[\w.@+-]+){2,}")
"""A path: the record is committed, and says nothing of where it was made."""

Against = Literal["bad", "good", "fixed"]
Outcome = Literal["caught", "missed", "false alarm", "quiet", "not installable"]


@dataclass(frozen=True)
class Regression:
    """One released regression. Pins are complete; ``caught_by`` are checks of the gate.

    ``alone`` names those of the pins that are installed without what they depend on, like all of
    ``no_dependencies``.
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
    no_dependencies: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    def environment(self, side: Against) -> EnvironmentSpec:
        """The environment of one side."""
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
    """A regression that cannot be shown on such a machine, and why."""

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
    """What the gate said of one pair. ``named`` are the checks that it called regressed."""

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
    found = tuple(
        one
        for one in catalogue.regressions
        if not patterns
        or any(fnmatch.fnmatchcase(one.identifier, p) or p == str(one.row) for p in patterns)
    )
    if not found:
        known = ", ".join(one.identifier for one in catalogue.regressions)
        raise SelectionError(f"no regression matches {', '.join(patterns)}: known are {known}")
    return found


def replay(
    regressions: Iterable[Regression],
    registry: Registry,
    *,
    say: Callable[[str], None],
    also_good: bool = True,
    root: Path | None = None,
) -> Iterable[Replayed]:
    """Yield what the gate says of each pair of environments, as soon as it does."""
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


def outcome(against: Against, verdict: str) -> Outcome:
    """What a verdict means for a pair that is bad, or that is not."""
    if against == "bad":
        return "caught" if verdict == "regressed" else "missed"
    return "false alarm" if verdict == "regressed" else "quiet"


def as_json(found: Sequence[Replayed], catalogue: Catalogue, date: str) -> dict[str, Any]:
    """The record that is committed."""
    return {
        "date": date,
        "pairs": [asdict(one) for one in found],
        "not_here": [asdict(one) for one in catalogue.not_here],
    }


def document(found: Sequence[Replayed], catalogue: Catalogue, date: str) -> str:
    """The same as Markdown."""
    titles = {one.identifier: one for one in catalogue.regressions}
    counts = {
        name: sum(one.outcome == name for one in found)
        for name in ("caught", "missed", "quiet", "false alarm", "not installable")
    }
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
    for one in found:
        regression = titles[one.identifier]
        moved = ", ".join(
            f"{name} {one.a.get(name) or '–'} → {one.b.get(name) or '–'}"
            for name in sorted({*one.a, *one.b})
            if one.a.get(name) != one.b.get(name) and name == regression.package.lower()
        )
        pair = f"good, {one.against}" + (f" ({moved})" if moved else "")
        named = ", ".join(one.named) or "–"
        lines.append(
            f"| {one.row} | {one.identifier}: {regression.title} | {pair} | "
            f"**{one.outcome}** ({one.verdict}) | {named} | {one.wall_s:.0f} |"
        )
    lines += ["", "## Not here", "", "| row | what | why |", "|---|---|---|"]
    lines += [f"| {one.row} | {one.title} | {one.why} |" for one in catalogue.not_here]
    return "\n".join(lines) + "\n"


def _through_the_gate(  # type: ignore[no-untyped-def]
    regression: Regression,
    against: Against,
    sides: tuple[Built, Built],
    registry: Registry,
    machine,
) -> Replayed:
    deployments = [registry.deployment(name) for name in regression.deployments]
    plan = make_plan(sides, deployments, machine, seed=regression.row)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qualify-replay-") as folder:
        result = run_gate(
            Path(folder) / "gate",
            plan,
            sides,
            deployments,
            tier=registry.tier(machine.tier) if machine.tier else None,
            fixtures=home() / "fixtures",
            jobs=2,
        )
    worst = [one for one in result.behaviour if one.verdict == "regressed"]
    return Replayed(
        regression.identifier,
        regression.row,
        against,
        result.verdict,
        tuple(dict.fromkeys(one.check for one in worst)),
        outcome(against, result.verdict),
        _PLACE.sub("…", worst[0].sentence if worst else result.sentence),
        time.monotonic() - started,
        plan.a.versions,
        plan.b.versions,
    )


def _not_installable(regression: Regression, against: Against, why: str) -> Replayed:
    return Replayed(
        regression.identifier, regression.row, against, "", (), "not installable", why, 0.0, {}, {}
    )
