"""Which package, and which release of it, broke a check: the search, on two environments.

The two are built already. Everything else that the search installs is the resolved set of one of
them with one package moved, so that nothing else changes and what does not fit is refused. First
the packages that differ are tried, one after the other, most suspect first; then the releases of
the one that is the cause, by binary search (:mod:`qualification.upgrade.bisect.halving`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from packaging.version import Version

from qualification.core.errors import EnvironmentFailed, SelectionError
from qualification.core.libraries import release_name
from qualification.upgrade.bisect.halving import Bracket, Judgment, first_bad
from qualification.upgrade.bisect.moves import Move, differing, pinned, pins_that_differ
from qualification.upgrade.bisect.records import Bisection, EnvironmentJudgment, Tried, record_of
from qualification.upgrade.bisect.releases import Between, without_addresses
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.records import Behaviour

Judge = Callable[[Built], EnvironmentJudgment]
Ready = Callable[[EnvironmentSpec], Built]
Releases = Callable[[str, str, str], Between]
"""(package, good, bad) -> the releases between."""


@dataclass
class Candidates:
    """The environments of a search, each installed and judged once.

    ``judge`` answers beyond doubt, ``ready`` installs; ``say`` gets a line for each environment.
    """

    good: Built
    bad: Built
    judge: Judge
    ready: Ready
    say: Callable[[str], None]
    observations: dict[str, Behaviour] = field(default_factory=dict)
    """The latest good and the latest bad behaviour, for the reproduction."""
    tried: list[Tried] = field(default_factory=list)
    installs: int = 0
    refused: int = 0
    _answers: dict[EnvironmentSpec, Judgment] = field(default_factory=dict)

    def judge_given(self, side: Judgment) -> EnvironmentJudgment:
        """Judge one of the two given environments."""
        built = self.good if side == "good" else self.bad
        judged = self.judge(built)
        self.say(f"{built.spec.name}, given as {side}: {judged.sentence}")
        if judged.answer == side:
            self._keep(judged)
        return judged

    def answer(self, base: Built, move: Move, version: str) -> Judgment:
        """The answer for ``base`` with the packages of a move at ``version``."""
        spec = pinned(base, dict.fromkeys(move.packages, version))
        if spec not in self._answers:
            side = "good" if base is self.good else "bad"
            judged = self._judged(spec)
            self._answers[spec] = judged.answer
            self._keep(judged)
            sentence = without_addresses(judged.sentence)
            self.tried.append(Tried(side, move.package, version, judged.answer, sentence))
            self.say(f"{side} with {move.package} {version}: {judged.answer}, {sentence}")
        return self._answers[spec]

    def _judged(self, spec: EnvironmentSpec) -> EnvironmentJudgment:
        try:
            built = self.ready(spec)
        except EnvironmentFailed as error:
            self.refused += 1
            return EnvironmentJudgment("unavailable", f"it cannot be installed: {error}")
        # A release may bring others along, so that the result is one of the two given.
        for answer, given_as in (("good", self.good), ("bad", self.bad)):
            if built.key == given_as.key:
                sentence = f"the same releases as {given_as.spec.name}"
                return EnvironmentJudgment(cast(Judgment, answer), sentence)
        self.installs += 1
        return self.judge(built)

    def _keep(self, judged: EnvironmentJudgment) -> None:
        if judged.observation is not None and judged.answer in ("good", "bad"):
            self.observations[judged.answer] = judged.observation


class Bisect:
    """One search between the two given ``candidates``, by a check of one deployment.

    ``only`` is the one package (canonical name) to search, '' for all.
    """

    def __init__(
        self,
        deployment: str,
        check: str,
        candidates: Candidates,
        releases: Releases,
        *,
        only: str = "",
    ) -> None:
        self._deployment = deployment
        self._check = check
        self._candidates = candidates
        self._good, self._bad = candidates.good, candidates.bad
        self._releases = releases
        self._only = only

    def run(self) -> Bisection:
        """Search; raises SelectionError if the two environments cannot be compared."""
        started = time.monotonic()
        good, bad = self._good, self._bad
        if good.python_version != bad.python_version:
            raise SelectionError(
                f"{good.spec.name} runs Python {good.python_version} and "
                f"{bad.spec.name} Python {bad.python_version}: a package cannot be "
                "moved from one to the other; give two environments of one Python"
            )
        result = self._verify() or self._find_package()
        return dataclasses.replace(
            result,
            tried=tuple(self._candidates.tried),
            installs=self._candidates.installs,
            refused=self._candidates.refused,
            wall_s=time.monotonic() - started,
        )

    def _verify(self) -> Bisection | None:
        """None if good passes and bad fails; else the result that says so."""
        expectations: tuple[tuple[Judgment, str], ...] = (("good", "pass"), ("bad", "fail"))
        for side, verb in expectations:
            judged = self._candidates.judge_given(side)
            if judged.answer != side:
                name = (self._good if side == "good" else self._bad).spec.name
                return self._undecided(
                    f"{self._check} does not certainly {verb} on {name}, given as {side}: "
                    f"{judged.sentence}"
                )
        return None

    def _find_package(self) -> Bisection:
        good, bad = self._good, self._bad
        moves = differing(good.versions, bad.versions, pins_that_differ(good.spec, bad.spec))
        if not moves:
            return self._undecided(
                f"{good.spec.name} and {bad.spec.name} have the same packages, "
                "so none of them is the reason"
            )
        if self._only:
            moves = self._moves_of_only(moves)
        elif len(moves) == 1:
            return self._find_release(moves[0], good)
        for move in moves:
            answer = self._candidates.answer(good, move, move.bad)
            if answer == "bad":
                return self._find_release(move, good)
            # Where good cannot take the move, bad may be able to take it back.
            if answer == "unavailable" and self._candidates.answer(bad, move, move.good) == "good":
                return self._find_release(move, bad)
        names = ", ".join(move.package for move in moves)
        return self._undecided(
            f"no package alone makes {self._check} fail (tried: {names}); "
            "two of them together do, or a combination that cannot be installed"
        )

    def _moves_of_only(self, moves: Sequence[Move]) -> tuple[Move, ...]:
        chosen = tuple(move for move in moves if self._only in move.packages)
        if not chosen:
            raise SelectionError(
                f"{self._only} is the same in both environments; they differ in "
                f"{', '.join(move.package for move in moves)}"
            )
        return chosen

    def _find_release(self, move: Move, base: Built) -> Bisection:
        """Search the releases of ``move``, everything else as in ``base``."""
        package = move.package
        if not (move.good and move.bad):
            side = "bad" if move.bad else "good"
            return dataclasses.replace(
                self._undecided(f"{package} is only in the {side} environment"),
                decided=True,
                package=package,
                last_good=move.good,
                first_bad=move.bad,
            )
        releases = self._releases(package, move.good, move.bad)
        count = len(releases.versions)
        self._candidates.say(f"{package}: {count} releases between {move.good} and {move.bad}")
        bracket = first_bad(
            move.good,
            releases.versions,
            move.bad,
            lambda version: self._candidates.answer(base, move, version),
        )
        return self._result(move, base, bracket, releases)

    def _result(
        self, move: Move, base: Built, bracket: Bracket[str], releases: Between
    ) -> Bisection:
        sentences = {
            tried.version: tried.sentence
            for tried in self._candidates.tried
            if tried.package == move.package
        }
        return dataclasses.replace(
            self._undecided(_sentence(move.package, bracket)),
            decided=not _unsure(bracket),
            package=move.package,
            last_good=bracket.last_good,
            first_bad=bracket.first_bad,
            pins=_advice(move.package, bracket),
            untold=tuple((version, sentences.get(version, "")) for version, _ in bracket.untold),
            left_out=releases.left_out,
            good_pins=pinned(base, dict.fromkeys(move.packages, bracket.last_good)).pins,
            bad_pins=pinned(base, dict.fromkeys(move.packages, bracket.first_bad)).pins,
            no_dependencies=pinned(base, {}).no_dependencies,
        )

    def _undecided(self, sentence: str) -> Bisection:
        return Bisection(
            deployment=self._deployment,
            check=self._check,
            good=record_of(self._good),
            bad=record_of(self._bad),
            decided=False,
            sentence=without_addresses(sentence),
        )


def _sentence(package: str, bracket: Bracket[str]) -> str:
    good, bad = bracket.last_good, bracket.first_bad
    if unsure := _unsure(bracket):
        text = (
            f"{package} broke between {good} and {bad}; {', '.join(unsure)} in between did not give"
            " the same answer twice"
        )
    else:
        text = f"{release_name(package, bad)} is the first bad release"
        if _is_repair(bracket):
            text = f"{release_name(package, good)} is the first release without the fault"
        if bracket.untold:
            between = ", ".join(version for version, _ in bracket.untold)
            text += f" of those that can be judged here ({between} before it cannot)"
    return f"{text}; the last good one is {good}"


def _unsure(bracket: Bracket[str]) -> list[str]:
    return [version for version, answer in bracket.untold if answer == "unsure"]


def _advice(package: str, bracket: Bracket[str]) -> tuple[str, ...]:
    """The pins that keep the fault away: a range and the exact release."""
    good = bracket.last_good
    if _is_repair(bracket):
        return (f"{package}>={good}", f"{package}=={good}")
    # Releases that gave no answer are excluded as well.
    lowest_suspect = bracket.untold[0][0] if bracket.untold else bracket.first_bad
    return (f"{package}<{lowest_suspect}", f"{package}=={good}")


def _is_repair(bracket: Bracket[str]) -> bool:
    """Whether good is the newer one, so that the search found a fix."""
    return Version(bracket.last_good) > Version(bracket.first_bad)
