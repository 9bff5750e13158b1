"""From looks to a verdict: pure.

=========================  =========================================================================
sees                       its answers are about its images
blind                      no better than the best constant answer
stale                      an answer is about an earlier image
permuted                   images are taken for each other, or only some of them are seen
wrong colours              channels exchanged, grey, transparency ignored, 16 bits clipped
rotated                    the orientation that a photo's EXIF has is ignored
low resolution             it tells colours and shapes, and cannot read printed letters
forgets                    two turns later it knows nothing of the image
text breaks it             it sees, and not with a system prompt, with tools or with a JSON schema
swayed by text             a text in the image, or a false premise of the question, wins
thinking eats the answer   its limit of tokens is used up before it answers
no chat template           turns are not told apart
miscounts                  the usage that a server reports is not what it was given
context cut                a long prompt is answered as if the rest of it had been read
replayed                   an answer is kept from an earlier request
cannot tell                none of these for certain, or no answers
=========================  =========================================================================

A known bug of the library (``bugs.toml``) is named and decides nothing. How seldom a sound
deployment is given a finding, all of them together: :func:`false_alarms`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qualification.core.declarations import KnownBug, Model
from qualification.judging.stats.distributions import binomial_tail
from qualification.see import accounts
from qualification.see.findings import (
    Finding,
    SeeName,
    fault,
    is_sighted,
    of,
    without_sight,
)
from qualification.see.series import FAULTS, FORMATS, OF_SHAPES, Look, SeriesName
from qualification.tasks.questions import skills_of

MOST_REQUESTS = 60

_SOUND = 0.95
"""Share of correct answers of a deployment without a fault."""

_NEEDS: dict[SeriesName, str] = {
    "words": "word",
    "pairs": "pair",
    "three images": "pair",
    "four images": "pair",
    "recall": "recall",
    "EXIF": "position",
    "transparency": "shape",
    "16 bits": "shape",
}
"""Series -> the skill that a model must be declared for; ``colour`` for the others."""

_NOT_LEARNT: tuple[SeriesName, ...] = (
    *("three images", "four images", "system prompt", "text in the image", "false premise"),
)
"""Not for a canary: it has never seen the like."""

_FILES_ONLY: tuple[SeriesName, ...] = ("file name",)
_SERVERS_ONLY: tuple[SeriesName, ...] = (
    *("tools", "JSON schema", "without an image", "turns", "long prompt", "asked again"),
)
_AFTER: tuple[SeriesName, ...] = ("without an image", "turns", "long prompt", "asked again")
"""Asked once, for what they cost and not for what they answer."""

_FIRST: tuple[SeriesName, ...] = ("colours", "shapes", "both", "colours again")
"""Whether it sees at all."""

TESTS: dict[SeriesName, str] = {
    series: f"test_format[{file_format}]" for series, file_format in FORMATS.items()
}
"""Series -> the test of the suites that the same fault fails, by which known bugs name it."""


@dataclass(frozen=True)
class Target:
    """What a deployment can be asked: by its model, as a canary, at a server or in a process."""

    model: Model
    is_canary: bool = False
    is_server: bool = False


@dataclass(frozen=True)
class Conclusion:
    """The verdict with what else was found, the known bugs, and those that no longer show."""

    verdict: Finding
    also: tuple[Finding, ...] = ()
    known_findings: tuple[Finding, ...] = ()
    gone: tuple[KnownBug, ...] = ()

    @property
    def name(self) -> SeeName:
        """The verdict's name."""
        return self.verdict.name

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return self.verdict.sentence


def next_series(looks: Sequence[Look], target: Target) -> SeriesName | None:
    """What is still undecided; None where enough is known."""
    tried = {look.series for look in looks}
    if _broken(looks) or len(looks) >= MOST_REQUESTS - 3:
        return None
    if "colours" not in tried:
        return "colours"
    if accounts.thinking(of(looks, "colours")):
        return None
    if "shapes" not in tried:
        return "shapes"
    if not is_sighted(looks):
        # Whether an answer repeats the first one of its prompt: one in eighteen by chance.
        if "both" not in tried:
            return "both"
        if target.is_server and "turns" not in tried:
            return "turns"
        undecided = conclude(looks).name == "cannot tell" and "colours again" not in tried
        return "colours again" if undecided else None
    more = (series for series in (*FAULTS, *_AFTER) if _can_be_asked(series, target))
    return next((series for series in more if series not in tried), None)


def is_decided(part: Sequence[Look]) -> bool:
    """Whether a series that looks for one fault needs no further answer."""
    right = sum(look.correct for look in part)
    enough = 2 if part[0].series not in OF_SHAPES or len(part) == 2 else 3
    return part[0].series in FAULTS and right >= enough


def conclude(
    looks: Sequence[Look], known_bugs: Callable[[str], tuple[KnownBug, ...]] = lambda _: ()
) -> Conclusion:
    """The verdict on all looks so far; ``known_bugs(test)`` are those that apply here."""
    if failed := _broken(looks):
        return Conclusion(Finding("cannot tell", f"cannot tell: {failed.failure}", (failed,)))
    thinking = accounts.thinking(of(looks, "colours"))
    if thinking:
        name: SeeName = "thinking eats the answer"
        return Conclusion(Finding(name, f"{name}: {thinking}", tuple(looks[:3])))
    counted = _counted(looks)
    if not is_sighted(looks):
        template = [finding for finding in counted if finding.name == "no chat template"]
        return Conclusion((template or [without_sight(looks)])[0])
    new, known_findings, gone = list[Finding](), list[Finding](), list[KnownBug]()
    for series in FAULTS:
        part = [look for look in of(looks, series) if not look.failure]
        finding = fault(series, part, looks) if part else None
        bugs = known_bugs(TESTS[series]) if series in TESTS and part else ()
        if finding is None:
            gone += bugs if bugs and is_decided(part) else ()
        elif bugs:
            known_findings.append(replace(finding, bug=bugs[0]))
        else:
            new.append(finding)
    new += counted
    set_aside = {finding.series for finding in known_findings}
    judged = [
        look
        for look in looks
        if look.request.is_judged
        and not (look.request.texts or look.failure)
        and look.series not in set_aside
    ]
    right = sum(look.correct for look in judged)
    sees = Finding("sees", f"sees: {right} of {len(judged)} answers are correct")
    verdict, *also = new or [sees]
    return Conclusion(verdict, tuple(also), tuple(known_findings), tuple(gone))


def false_alarms(sound: float = _SOUND) -> float:
    """The probability that a sound deployment is given any finding, at most.

    By the union of the patterns: wrong colours take three wrong answers of six, whatever else the
    first two series show four; those of shapes take three of five, each of the others three of
    three. What is counted and not answered (usage, turns, cuts, replays) has no chance in it.
    """
    wrong = 1 - sound
    wrong_colours, alike = binomial_tail(3, 6, wrong), 2 * binomial_tail(4, 6, wrong)
    of_shapes = len(OF_SHAPES) * binomial_tail(3, 5, wrong)
    return wrong_colours + alike + of_shapes + (len(FAULTS) - len(OF_SHAPES)) * wrong**3


def _counted(looks: Sequence[Look]) -> list[Finding]:
    """What numbers show: usage, chat template, context, cache."""
    pictured = [look for look in looks if look.series in ("colours", "shapes")]
    without, turns = of(looks, "without an image"), of(looks, "turns")
    findings: list[Finding] = []
    if text := accounts.usage(pictured, without, of(looks, "asked again")):
        findings.append(Finding("miscounts", f"miscounts: {text}", tuple(without)))
    elif text := accounts.template(turns, pictured):
        findings.append(Finding("no chat template", f"no chat template: {text}", tuple(turns)))
    if not findings and (text := accounts.cut(of(looks, "long prompt"))):
        evidence = tuple(of(looks, "long prompt"))
        findings.append(Finding("context cut", f"context cut: {text}", evidence))
    if text := accounts.replayed(of(looks, "asked again")):
        evidence = tuple(of(looks, "asked again"))
        findings.append(Finding("replayed", f"replayed: {text}", evidence))
    return findings


def _can_be_asked(series: SeriesName, target: Target) -> bool:
    skill = _NEEDS.get(series, "colour")
    return (
        skill in skills_of(target.model)
        and not (target.is_canary and series in _NOT_LEARNT)
        and not (target.is_server and series in _FILES_ONLY)
        and (target.is_server or series not in _SERVERS_ONLY)
    )


def _broken(looks: Sequence[Look]) -> Look | None:
    """The first failure of the questions without which nothing is known; others decide nothing."""
    return next((look for look in looks if look.failure and look.series in _FIRST), None)
