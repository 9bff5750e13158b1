"""Which package, and which release of it, broke a check: the search, on two environments.

The two are there already. What the search installs besides is the resolved set of one of them with
one package moved, so that nothing else changes and pip refuses what does not go together. First
the packages that differ, one after the other, most suspect first; then the releases of the one
that it is, by halves (:mod:`qualification.upgrade.bisect.halving`).
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from qualification.core.errors import EnvironmentFailed, SelectionError
from qualification.upgrade.bisect.halving import Answer, Bracket, first_bad
from qualification.upgrade.bisect.releases import Between, without_addresses
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.records import Behaviour, EnvironmentRecord

NOT_MOVED = ("pip", "setuptools", "wheel", "qualification")
"""What installs packages is none of those that are searched."""

SUSPECTS = (
    "mlx-vlm", "mlx", "llama-cpp-python", "transformers", "torch", "mlx-lm", "tokenizers",
    "torchvision", "huggingface-hub", "numpy", "pillow",
)  # fmt: skip
"""Tried in this order, after what was named as pins and before everything else."""

TOGETHER = (("mlx", "mlx-cpu", "mlx-metal", "mlx-cuda"),)
"""Parts of one library: of different versions they do not load at all."""


@dataclass(frozen=True)
class Judged:
    """What a check says of an environment, beyond doubt or ``unsure``.

    ``observation`` is the last of those that it rests on, where it is one of behaviour.
    """

    answer: Answer
    sentence: str
    observation: Behaviour | None = None


@dataclass(frozen=True)
class Move:
    """Packages that go from good's version to bad's in one step; '' where they are not there."""

    packages: tuple[str, ...]
    good: str
    bad: str

    @property
    def package(self) -> str:
        """The one that it is called by."""
        return self.packages[0]


@dataclass(frozen=True)
class Tried:
    """One environment of the search: ``side`` with ``package`` at ``version``, and what came."""

    side: str
    package: str
    version: str
    answer: Answer
    sentence: str


@dataclass(frozen=True)
class Bisection:
    """What a search found. ``decided`` False: ``sentence`` says why there is no answer.

    ``untold`` are releases between ``last_good`` and ``first_bad`` that gave no answer, with what
    was said of each; ``left_out`` those that were not asked, with why. ``installs`` counts the
    environments that the search had installed beyond the two given, ``refused`` those that pip
    would not install. ``good_pins`` and ``bad_pins`` are the complete sets of the two releases.
    """

    deployment: str
    check: str
    good: EnvironmentRecord
    bad: EnvironmentRecord
    decided: bool
    sentence: str
    package: str = ""
    last_good: str = ""
    first_bad: str = ""
    pins: tuple[str, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    tried: tuple[Tried, ...] = ()
    installs: int = 0
    refused: int = 0
    wall_s: float = 0.0
    good_pins: tuple[str, ...] = ()
    bad_pins: tuple[str, ...] = ()
    no_dependencies: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 found, 3 undecided."""
        return 0 if self.decided else 3


Judge = Callable[[Built], Judged]
Ready = Callable[[EnvironmentSpec], Built]
Releases = Callable[[str, str, str], Between]
"""(package, good, bad) -> the releases between."""


def differing(
    good: Mapping[str, str], bad: Mapping[str, str], named: Sequence[str] = ()
) -> tuple[Move, ...]:
    """Return the moves between two resolved sets (name -> version), most suspect first."""
    a: dict[str, str] = {canonicalize_name(name): version for name, version in good.items()}
    b: dict[str, str] = {canonicalize_name(name): version for name, version in bad.items()}
    names = [n for n in (*a, *b) if a.get(n, "") != b.get(n, "") and n not in NOT_MOVED]
    order = dict.fromkeys((*map(canonicalize_name, named), *SUSPECTS))
    rank: dict[str, int] = {name: number for number, name in enumerate(order)}
    moves: dict[tuple[str, ...], Move] = {}
    for name in sorted(dict.fromkeys(names), key=lambda name: (rank.get(name, len(rank)), name)):
        step = (a.get(name, ""), b.get(name, ""))
        family = next((parts for parts in TOGETHER if name in parts), (name,))
        parts = tuple(part for part in family if (a.get(part, ""), b.get(part, "")) == step)
        moves.setdefault(parts, Move(parts, *step))
    return tuple(moves.values())


def pinned(built: Built, changes: Mapping[str, str]) -> EnvironmentSpec:
    """Return a spec of everything in ``built``, with ``changes`` (package -> version, '' none).

    A local version (``+cpu``) is left off: it is none that an index could be asked for.
    """
    alone = {_name_of(pin) for pin in built.spec.no_dependencies}
    versions: dict[str, str] = {
        canonicalize_name(name): str(Version(version).public)
        for name, version in built.versions.items()
        if canonicalize_name(name) not in NOT_MOVED
    }
    versions |= changes
    pins = {name: f"{name}=={version}" for name, version in sorted(versions.items()) if version}
    python = built.spec.python
    if built.spec.interpreter:
        python = ".".join(built.python_version.split(".")[:2])
    moved = ", ".join(f"{name}=={version}" for name, version in changes.items())
    return dataclasses.replace(
        built.spec,
        name=f"{built.spec.name} + {moved}" if moved else built.spec.name,
        title="",
        pins=tuple(pin for name, pin in pins.items() if name not in alone),
        no_dependencies=tuple(pin for name, pin in pins.items() if name in alone),
        python=python,
        interpreter="",
    )


@dataclass
class Bisect:
    """One search. ``judge`` answers beyond doubt, ``ready`` installs, ``releases`` lists.

    ``only`` is the one package (canonical name) to search, '' for all; ``say`` gets a line for each
    step.
    """

    deployment: str
    check: str
    good: Built
    bad: Built
    judge: Judge
    ready: Ready
    releases: Releases
    only: str = ""
    say: Callable[[str], None] = lambda _text: None
    observations: dict[str, Behaviour] = field(default_factory=dict)
    """Of the sides of the result: ``good`` and ``bad``, for the reproduction."""
    _tried: list[Tried] = field(default_factory=list)
    _answers: dict[EnvironmentSpec, Answer] = field(default_factory=dict)
    _installs: int = 0
    _refused: int = 0

    def run(self) -> Bisection:
        """Search; raises SelectionError where the two environments cannot be compared."""
        started = time.monotonic()
        if self.good.python_version != self.bad.python_version:
            raise SelectionError(
                f"{self.good.spec.name} runs Python {self.good.python_version} and "
                f"{self.bad.spec.name} Python {self.bad.python_version}: a package cannot be "
                "moved from one to the other; give two environments of one Python"
            )
        result = self._verified() or self._found()
        return dataclasses.replace(
            result,
            tried=tuple(self._tried),
            installs=self._installs,
            refused=self._refused,
            wall_s=time.monotonic() - started,
        )

    def _verified(self) -> Bisection | None:
        """What is wrong with the question; None where good passes and bad fails."""
        for side, built, wanted in (("good", self.good, "good"), ("bad", self.bad, "bad")):
            judged = self.judge(built)
            self.say(f"{built.spec.name}, given as {side}: {judged.sentence}")
            if judged.answer != wanted:
                verb = "pass" if wanted == "good" else "fail"
                return self._undecided(
                    f"{self.check} does not certainly {verb} on {built.spec.name}, given as "
                    f"{side}: {judged.sentence}"
                )
            if judged.observation is not None:
                self.observations[side] = judged.observation
        return None

    def _found(self) -> Bisection:
        moves = differing(self.good.versions, self.bad.versions, _named(self.good, self.bad))
        if not moves:
            return self._undecided(
                f"{self.good.spec.name} and {self.bad.spec.name} have the same packages, "
                "so none of them is the reason"
            )
        if self.only:
            every, moves = moves, tuple(move for move in moves if self.only in move.packages)
            if not moves:
                raise SelectionError(
                    f"{self.only} is the same in both environments; they differ in "
                    f"{', '.join(move.package for move in every)}"
                )
        elif len(moves) == 1:
            return self._released(moves[0], self.good)
        for move in moves:
            if self._at(self.good, move, move.bad) == "bad":
                return self._released(move, self.good)
            if self._last == "unavailable" and self._at(self.bad, move, move.good) == "good":
                return self._released(move, self.bad)
        tried = ", ".join(move.package for move in moves)
        return self._undecided(
            f"no package alone makes {self.check} fail (tried: {tried}); "
            "two of them together do, or a combination that pip refuses"
        )

    @property
    def _last(self) -> Answer:
        return self._tried[-1].answer

    def _released(self, move: Move, base: Built) -> Bisection:
        """Search the releases of ``move``, all else as in ``base``."""
        if not (move.good and move.bad):
            where = "bad" if move.bad else "good"
            result = self._result(move, base, f"{move.package} is only in the {where} environment")
            return dataclasses.replace(result, last_good=move.good, first_bad=move.bad)
        listed = self.releases(move.package, move.good, move.bad)
        count = len(listed.versions)
        self.say(f"{move.package}: {count} releases between {move.good} and {move.bad}")
        found = first_bad(
            move.good, listed.versions, move.bad, lambda version: self._at(base, move, version)
        )
        return self._said(move, base, found, listed)

    def _said(self, move: Move, base: Built, found: Bracket[str], listed: Between) -> Bisection:
        answer = f"{move.package} {found.first_bad} is the first bad release"
        if Version(found.last_good) > Version(found.first_bad):
            answer = f"{move.package} {found.last_good} is the first release without the fault"
        unsure = [version for version, told in found.untold if told == "unsure"]
        if unsure:
            answer = (
                f"{move.package} broke between {found.last_good} and {found.first_bad}; "
                f"{', '.join(unsure)} in between did not answer alike twice"
            )
        elif found.untold:
            between = ", ".join(version for version, _ in found.untold)
            answer += f" of those that can be judged here ({between} before it cannot)"
        told = {tried.version: tried.sentence for tried in self._tried}
        return dataclasses.replace(
            self._result(move, base, f"{answer}; the last good one is {found.last_good}"),
            decided=not unsure,
            last_good=found.last_good,
            first_bad=found.first_bad,
            pins=_advice(move.package, found),
            untold=tuple((version, told.get(version, "")) for version, _ in found.untold),
            left_out=listed.left_out,
            good_pins=pinned(base, dict.fromkeys(move.packages, found.last_good)).pins,
            bad_pins=pinned(base, dict.fromkeys(move.packages, found.first_bad)).pins,
            no_dependencies=pinned(base, {}).no_dependencies,
        )

    def _at(self, base: Built, move: Move, version: str) -> Answer:
        """The answer of ``base`` with one move made; installed and asked once."""
        spec = pinned(base, dict.fromkeys(move.packages, version))
        if spec in self._answers:
            return self._answers[spec]
        side = "good" if base is self.good else "bad"
        try:
            built = self.ready(spec)
        except EnvironmentFailed as error:
            self._refused += 1
            judged = Judged("unavailable", f"pip does not install it: {error}")
        else:
            judged = self._known(built) or self._asked(built)
        self._answers[spec] = judged.answer
        if judged.observation is not None and judged.answer in ("good", "bad"):
            self.observations[judged.answer] = judged.observation
        sentence = without_addresses(judged.sentence)
        self._tried.append(Tried(side, move.package, version, judged.answer, sentence))
        self.say(f"{side} with {move.package} {version}: {judged.answer}, {sentence}")
        return judged.answer

    def _asked(self, built: Built) -> Judged:
        self._installs += 1
        return self.judge(built)

    def _known(self, built: Built) -> Judged | None:
        """What is known of one that came to the same releases as one of the two given."""
        for answer, given in (("good", self.good), ("bad", self.bad)):
            if built.key == given.key:
                return Judged(cast(Answer, answer), f"the same releases as {given.spec.name}")
        return None

    def _result(self, move: Move, base: Built, sentence: str) -> Bisection:
        result = self._undecided(sentence)
        return dataclasses.replace(result, decided=True, package=move.package)

    def _undecided(self, sentence: str) -> Bisection:
        return Bisection(
            self.deployment,
            self.check,
            record_of(self.good),
            record_of(self.bad),
            False,
            without_addresses(sentence),
        )


def record_of(built: Built) -> EnvironmentRecord:
    """The receipt of an environment; its Python by version, because a path says nothing later."""
    return EnvironmentRecord(
        built.spec.name, built.python_version, built.key, built.spec.pins, dict(built.versions)
    )


def _advice(package: str, found: Bracket[str]) -> tuple[str, ...]:
    """The pins that keep the fault away: a range and the exact release."""
    good, bad = found.last_good, found.first_bad
    if Version(good) > Version(bad):
        return (f"{package}>={good}", f"{package}=={good}")
    return (f"{package}<{_below(found)}", f"{package}=={good}")


def _below(found: Bracket[str]) -> str:
    """The lowest release that is not known as good."""
    return found.untold[0][0] if found.untold else found.first_bad


def _named(good: Built, bad: Built) -> list[str]:
    """Names of the pins that are written in one of the two and not alike in the other, in order."""
    pins = [*good.spec.pins, *bad.spec.pins]
    return [_name_of(pin) for pin in pins if not (pin in good.spec.pins and pin in bad.spec.pins)]


def _name_of(pin: str) -> str:
    try:
        return canonicalize_name(Requirement(pin).name)
    except InvalidRequirement:
        return canonicalize_name(re.split(r"[\s\[=<>!~;@]", pin, maxsplit=1)[0])
