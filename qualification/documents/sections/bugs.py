"""Known bugs: those of this environment with what to do, the others by their range."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.declarations import KnownBug
from qualification.core.results import Results
from qualification.documents.model import Section, Span, Table, code, columns, inline
from qualification.models.known_bugs import how_to_end, in_range


def known_bugs(bugs: Sequence[KnownBug], results: Results) -> tuple[Section, ...]:
    """A section of those that showed or no longer fail, and a folded one of the rest."""
    showing = {check.known_bug for check in results.checks if check.known_bug}
    here = [bug for bug in bugs if bug.identifier in showing]
    absent = [bug for bug in bugs if bug.identifier not in showing]
    sections = []
    if here:
        title = f"Known bugs that showed here ({len(here)})"
        is_long = len(here) > MOST
        sections.append(Section("known-bugs", title, (_table(here, results),), is_long))
    if absent:
        title = f"Known bugs that did not show here ({len(absent)})"
        sections.append(Section("other-bugs", title, (_table(absent, results),), True))
    return tuple(sections)


MOST = 12
"""Bugs that stand in the open; a longer table is folded."""


def _table(bugs: Sequence[KnownBug], results: Results) -> Table:
    return Table(
        "Known bugs",
        columns("bug", "cause", "package", "here", "workaround", "issue"),
        tuple(
            (
                inline(bug.title, " ", code(bug.identifier)),
                inline(Span(bug.cause, "quiet")),
                inline(f"{bug.package} {bug.versions}"),
                inline(_state(bug, results)),
                inline(bug.workaround or "none is known"),
                inline(_issue(bug.issue)),
            )
            for bug in bugs
        ),
    )


def _issue(address: str) -> Span:
    if address.startswith("https://"):
        return Span(address.removeprefix("https://github.com/"), link=address)
    return Span(address or "–", "quiet")


def package_version(package: str, results: Results) -> str:
    """The release that a session ran, of the environment or as a program reported it; else ''."""
    reported = (report.versions.get(package, "") for report in results.load_reports.values())
    return results.session.environment.versions.get(package, "") or next(filter(None, reported), "")


def _state(bug: KnownBug, results: Results) -> str:
    """Whether a known bug applies to this session's environment, and whether it showed."""
    of_it = [check for check in results.checks if check.known_bug == bug.identifier]
    outcomes = {check.outcome for check in of_it}
    version = package_version(bug.package, results)
    if "xpassed" in outcomes:
        return f"no longer fails: {how_to_end()}"
    if "xfailed" in outcomes:
        count = len({check.deployment for check in of_it if check.outcome == "xfailed"})
        return f"seen again in {count} deployment{'s' if count > 1 else ''} ({version})"
    if outcomes:
        return "in range, but failed in another way or did not run"
    if in_range(version, bug.versions):
        return f"in range ({bug.package} {version}), not tried in this session"
    return f"not in range: {bug.package} {version or 'is not installed'}"
