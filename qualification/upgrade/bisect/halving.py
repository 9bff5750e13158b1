"""Finding the release that broke something: pure searches over a test that may not answer.

A test of a release says ``good`` or ``bad``, or that there is nothing to judge (``unavailable``: it
does not install here) or that its answers do not agree (``unsure``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Judgment = Literal["good", "bad", "unavailable", "unsure"]
_Release = TypeVar("_Release")

LEAD = 2
"""Number by which one answer must lead the other before it is believed."""


@dataclass(frozen=True)
class Bracket(Generic[_Release]):
    """The tightest pair that a search ends with: no release between the two gave an answer.

    ``untold`` are the releases between them, from good to bad, with the test's result for each; if
    there is none, ``first_bad`` follows ``last_good`` directly. ``tests`` counts the tests.
    """

    last_good: _Release
    first_bad: _Release
    untold: tuple[tuple[_Release, Judgment], ...]
    tests: int


def first_bad(
    good: _Release,
    between: Sequence[_Release],
    bad: _Release,
    test: Callable[[_Release], Judgment],
) -> Bracket[_Release]:
    """Binary search between a release that is known to be good and one that is known to be bad.

    ``between`` is in order from good to bad, without either. It takes at most ceil(log2(n + 1))
    tests for n releases between, and one more for each that gives no answer: such a release is
    dropped and its neighbour tried. If the answers change more than once, one of the changes from
    good to bad is found.
    """
    releases = [good, *between, bad]
    lower, upper = 0, len(releases) - 1
    untold: dict[int, Judgment] = {}
    tests = 0
    while untested := [number for number in range(lower + 1, upper) if number not in untold]:
        middle = untested[len(untested) // 2]
        answer = test(releases[middle])
        tests += 1
        if answer == "good":
            lower = middle
        elif answer == "bad":
            upper = middle
        else:
            untold[middle] = answer
    gap = tuple((releases[number], untold[number]) for number in range(lower + 1, upper))
    return Bracket(releases[lower], releases[upper], gap, tests)


def agreed(ask: Callable[[int], bool], tries: int) -> Judgment:
    """Ask fresh processes until one answer leads by :data:`LEAD`, at most ``tries`` times.

    ``ask`` takes the number of the attempt, from 0, and says whether it passed. Two equal answers
    settle it; after one of each it takes three of four, and so on. ``unsure`` if neither leads.
    """
    lead = 0
    for attempt in range(tries):
        lead += 1 if ask(attempt) else -1
        if abs(lead) >= LEAD:
            return "good" if lead > 0 else "bad"
    return "unsure"
