"""Finding the release that broke something: pure searches over a test that may not answer.

A test of a release says ``good`` or ``bad``, or that there is nothing to judge (``unavailable``: it
does not install here) or that the answers do not agree (``unsure``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Answer = Literal["good", "bad", "unavailable", "unsure"]
_Release = TypeVar("_Release")

LEAD = 2
"""By how many one answer must be ahead of the other before it is believed."""


@dataclass(frozen=True)
class Bracket(Generic[_Release]):
    """The tightest pair that was found: between the two no release gave an answer.

    ``untold`` are those between them, from good to bad, with what the test said of each; with none
    of them ``first_bad`` follows ``last_good`` directly. ``tests`` counts the calls of the test.
    """

    last_good: _Release
    first_bad: _Release
    untold: tuple[tuple[_Release, Answer], ...]
    tests: int


def first_bad(
    good: _Release,
    between: Sequence[_Release],
    bad: _Release,
    test: Callable[[_Release], Answer],
) -> Bracket[_Release]:
    """Search by halves between a release known as good and one known as bad.

    ``between`` is in order from good to bad, without either. At most ceil(log2(n + 1)) tests for n
    releases between, and one more for each that gives no answer: such a one is dropped and the
    middle of what is left, its neighbour, is tried. Where the answers change more than once, one
    of the changes from good to bad is found.
    """
    releases = [good, *between, bad]
    lower, upper = 0, len(releases) - 1
    untold: dict[int, Answer] = {}
    tests = 0
    while open_ones := [n for n in range(lower + 1, upper) if n not in untold]:
        number = open_ones[len(open_ones) // 2]
        answer = test(releases[number])
        tests += 1
        if answer == "good":
            lower = number
        elif answer == "bad":
            upper = number
        else:
            untold[number] = answer
    gap = tuple((releases[n], untold[n]) for n in range(lower + 1, upper))
    return Bracket(releases[lower], releases[upper], gap, tests)


def agreed(ask: Callable[[int], bool], tries: int) -> Answer:
    """Ask fresh processes until one answer leads by :data:`LEAD`, ``tries`` times at most.

    ``ask`` gets the number of the attempt, from 0, and says whether it passed. Two alike settle
    it; after one of each it takes three of four, and so on. ``unsure`` where none gets that far.
    """
    lead = 0
    for attempt in range(tries):
        lead += 1 if ask(attempt) else -1
        if abs(lead) >= LEAD:
            return "good" if lead > 0 else "bad"
    return "unsure"
