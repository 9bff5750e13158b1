"""The end of a run on one screen: figures, known bugs once, failures by cause, one sentence. Pure.

The sentence is that of the documents too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from qualification.core.declarations import KnownBug
from qualification.core.format import bytes_text, number, percent_text, seconds_text
from qualification.core.results import Check, Verdict
from qualification.core.text import disarm
from qualification.judging.stats.estimators import median
from qualification.results.rows import ANSWER_SUITES, Row
from qualification.session.session import NOT_LOADED

_HEADS = ("deployment", "verdict", "tok/s", "first", "peak", "accuracy")
_SHOWN, _REASONS = 8, 3
"""Deployments, and reasons, that a line names before it only counts the others."""

_LONGEST_EXAMPLE = 200
"""Characters of a failure."""

_BUGS = 16
"""Known bugs that have a line each."""


def sentence(rows: Sequence[Row]) -> str:
    """``30 of 38 work, 6 answer wrongly because of known bugs, 2 not tried: …``, with a full stop.

    Each deployment is counted once; where no suite asked how well they answer, that is said.
    """
    if not rows:
        return "Nothing was tried."
    states = Counter(state(row) for row in rows)
    works = states.pop("works", 0)
    words = [f"{works} of {len(rows)} work{'s' if works == 1 else ''}"]
    for counted, (singular, plural) in _STATES.items():
        if count := states.get(counted, 0):
            words.append(f"{count} {singular if count == 1 else plural}")
    if reasons := _reasons(row for row in rows if state(row) == "not tried"):
        words[-1] += f": {reasons}"
    return f"{', '.join(words)}{_as_far_as(rows) if works else ''}."


def _as_far_as(rows: Sequence[Row]) -> str:
    """What was asked, where that says nothing about how well they answer."""
    suites = {c.suite for row in rows for c in row.checks if c.outcome != "skipped"}
    if not suites or not suites.isdisjoint(ANSWER_SUITES) or any(row.accuracy for row in rows):
        return ""
    names = sorted(suites)
    more = f" and {len(names) - _REASONS} more" if len(names) > _REASONS else ""
    return f", as far as the suites {', '.join(names[:_REASONS])}{more} tell"


_STATES = {
    "wrong": ("answers wrongly because of a known bug", "answer wrongly because of known bugs"),
    "failed": ("fails", "fail"),
    "does not fit": ("does not fit", "do not fit"),
    "in part": ("was not tried to its end", "were not tried to their end"),
    "undecided": ("cannot be told", "cannot be told"),
    "not tried": ("not tried", "not tried"),
}


def state(row: Row) -> str:
    """What the closing sentence counts it as; the documents show the same."""
    name = row.verdict.name
    if name == "does_not_fit":
        return "does not fit"
    if name in ("failed", "regressed") or row.rejected:
        return "failed"
    if {check.outcome for check in row.checks} <= {"skipped"}:
        return "not tried"
    if row.advice.startswith("answers wrongly"):
        return "wrong"
    if row.untried:
        return "in part"
    return "works" if row.verdict.advice in ("usable", "recommended") else "undecided"


def _reasons(rows: Iterator[Row]) -> str:
    """Why some were not tried: each reason once, the most frequent first."""
    reasons = (
        next(
            (c.detail for c in row.checks if c.detail and not c.detail.endswith(NOT_LOADED)),
            "no reason was given",
        )
        for row in rows
    )
    # Without what to do, which stands in the list of what did not run.
    short = [
        disarm(reason).partition(";")[0].rstrip(".") + like_it
        for _, reason, like_it in _grouped(reasons)
    ]
    more = len(short) - _REASONS
    return "; ".join(short[:_REASONS]) + (f"; and {more} more reasons" if more > 0 else "")


def table(rows: Sequence[Row], width: int) -> Iterator[str]:
    """A line for each deployment, of ``width`` columns at most; its problems are below it."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    figures = sum(widths[1:]) + 2 * len(widths[1:])
    widths[0] = max(10, min(widths[0], width - figures))
    for line, row in zip(lines, (None, *rows), strict=True):
        cells = [f"{_named(line[0], widths[0]):{widths[0]}}", f"{line[1]:{widths[1]}}"]
        cells += [f"{cell:>{size}}" for cell, size in zip(line[2:], widths[2:], strict=True)]
        yield "  ".join(cells).rstrip()[:width]
        if row is not None:
            yield from (f"    {text}" for text in _problems(row.verdict))
            sentences = [finding.sentence for finding in row.verdict.findings]
            if row.rejected and row.rejected not in sentences:
                yield f"    {disarm(row.rejected)}"
    if any(row.verdict.name == "unfit" and row.decode_tps for row in rows):
        yield "* not judged: the machine was not fit for timing"


def _cells(row: Row) -> tuple[str, ...]:
    def middle(values: Sequence[float]) -> float | None:
        return median(values) if values else None

    words = {"works": "works", "wrong": "answers wrongly", "not tried": "not tried"}
    word = words.get(state(row), row.verdict.name)
    speed = number(middle(row.decode_tps))
    if row.verdict.name == "unfit" and row.decode_tps:
        speed += "*"
    return (
        row.identifier,
        word.replace("_", " "),
        speed,
        seconds_text(middle(row.ttft_s)),
        bytes_text(middle(row.peak_memory_bytes)),
        percent_text(middle(row.accuracy), digits=0),
    )


def _problems(verdict: Verdict) -> Iterator[str]:
    """What is against a deployment and is neither a failed check nor a known bug."""
    for finding in verdict.findings:
        if finding.status in ("fail", "suspect") and finding.metric != "check":
            yield f"{finding.status}: {disarm(finding.sentence)}"
        elif finding.status == "warn" and finding.metric != "known_bug":
            yield f"warn: {disarm(finding.sentence)}"
        elif (
            finding.status == "unknown"
            and verdict.name == "inconclusive"
            and finding.metric not in ("check", "conditions", "measured")
        ):
            yield f"unknown: {disarm(finding.sentence)}"


def known_bugs(checks: Sequence[Check], bugs: Sequence[KnownBug], width: int) -> Iterator[str]:
    """A line for each known bug that showed: where, what it is; of many, one for each library."""
    titles = {bug.identifier: bug.title for bug in bugs}
    bug_deployments: dict[str, set[str]] = {}
    for check in checks:
        if check.known_bug and check.outcome == "xfailed":
            bug_deployments.setdefault(check.known_bug, set()).add(check.deployment)
    if len(bug_deployments) > _BUGS:
        packages = {bug.identifier: bug.package for bug in bugs}
        for line in _by_package(bug_deployments, packages):
            yield _fitted(line, width)
        return
    size = max(map(len, bug_deployments), default=0)
    for name, deployments in bug_deployments.items():
        yield _fitted(
            f"{name:{size}}  {len(deployments):3} × {disarm(titles.get(name, ''))}", width
        )


def _by_package(
    bug_deployments: Mapping[str, set[str]], packages: Mapping[str, str]
) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for name in bug_deployments:
        groups.setdefault(packages.get(name, "of a library that is not known"), []).append(name)
    for package, names in groups.items():
        count = len(set().union(*(bug_deployments[name] for name in names)))
        yield f"{package}, {len(names)} in {count} deployments: {', '.join(names)}"


def causes(checks: Sequence[Check]) -> Iterator[str]:
    """Failed tests by their cause, each with where it showed and what to do next."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        if check.outcome in ("failed", "error"):
            groups.setdefault(_cause(check), []).append(check)
    for cause, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        deployments = list(dict.fromkeys(check.deployment for check in group))
        tests = list(dict.fromkeys(check.test for check in group))
        yield f"{len(group)} × {cause}"
        detail = (disarm(group[0].detail).strip().splitlines() or [cause])[0]
        if detail != cause:
            yield f"    such as: {_fitted(detail, _LONGEST_EXAMPLE)}"
        yield f"    {_listed(tests)} of {_listed(deployments)}"
        function = tests[0].partition("[")[0]
        yield f"    pytest -v --deployment '{deployments[0]}' -k {function}"
    if groups:
        yield f"or see whose fault it is: qualify see '{next(iter(groups.values()))[0].deployment}'"


def _cause(check: Check) -> str:
    """The first line of a failure, as :func:`kind` has it."""
    lines = disarm(check.detail).strip().splitlines() or ["no reason was given"]
    # What follows a semicolon are the questions, or what to do.
    return kind(lines[0].replace(check.deployment, "…").partition(";")[0])


def kind(text: str) -> str:
    """Without figures, quotations, repositories and paths: one cause differs in them."""
    text = re.sub(r"'[^']*'", "'…'", text[:500])  # the next takes the square of its length
    text = re.sub(r"[\w.~-]*/[\w./@-]+", "…", text)
    return re.sub(r"\d+(\.\d+)?", "#", text)


def _grouped(reasons: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """How often each kind of reason is given, the first of its kind, ``", and 3 like it"``."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(kind(reason), []).append(reason)
    for group in sorted(kinds.values(), key=len, reverse=True):
        count = len({*group}) - 1
        yield len(group), group[0], f", and {count} like it" if count else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def not_run(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each kind of reason for which tests were skipped, with their number."""
    reasons = (
        disarm(check.detail)
        for check in checks
        if check.outcome == "skipped" and not check.detail.endswith(NOT_LOADED)
    )
    for count, reason, like_it in _grouped(reasons):
        yield f"{count:4} × {reason}{like_it}"


def _fitted(text: str, width: int) -> str:
    """At most so many columns."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _named(identifier: str, width: int) -> str:
    """At most so many columns of a name; its end, the backend, tells it from the others."""
    if len(identifier) <= width:
        return identifier
    tail = width * 2 // 3
    return f"{identifier[: width - tail - 1]}…{identifier[-tail:]}"
