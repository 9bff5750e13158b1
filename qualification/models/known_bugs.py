"""Known bugs: which apply, what to do about them, and the edit of bugs.toml when one is gone.

The first half matches the declared bugs with deployment, test, versions and tier; the second half
drafts the diff that ends a bug's range before the first good release. Pure: data and text in, data
and text out.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.paths import advice
from qualification.models.release_advice import pinned_instead


def known_bugs(
    bugs: Iterable[KnownBug],
    deployment: Deployment,
    test: str,
    versions: Mapping[str, str],
    tier: str,
) -> tuple[KnownBug, ...]:
    """The known bugs that make ``test`` fail here, or may: those in range of these versions.

    ``test`` is a function's name, with its parameters in brackets if it has some: ``test_format``
    in bugs.toml means all of ``test_format[webp]`` and its siblings, or one of them by its full
    name. A library's fault is there with random weights too.
    """
    return tuple(
        bug
        for bug in bugs
        if (must_fail(bug, test) or _names(bug.may_fail, test))
        and concerns(bug, deployment.declared_as)
        and (not bug.tiers or tier in bug.tiers)
        and in_range(versions.get(bug.package, ""), bug.versions)
    )


def must_fail(bug: KnownBug, test: str) -> bool:
    """Whether the success of ``test`` would show that the bug is gone."""
    return _names(bug.tests, test)


def remedy(bug: KnownBug) -> str:
    """``workaround: …; see …``: what a user can do, and where the bug is tracked.

    With the release that a map of releases knows to be good.
    """
    words = [f"workaround: {bug.workaround}" if bug.workaround else "no workaround is known"]
    if pin := pinned_instead(bug.package, bug.deployments, bug.versions):
        words.append(f"the map of releases pins {pin}")
    if bug.issue:
        words.append(f"see {bug.issue}")
    return "; ".join(words)


def how_to_end() -> str:
    """What to do about a bug that no longer fails; a file of an installed package is not edited."""
    return advice(
        "end its range in bugs.toml",
        "declare it again in your own declarations, with a range that ends before",
    )


def concerns(bug: KnownBug, declared_as: str) -> bool:
    """Whether a bug is declared for the deployment that is declared under that identifier."""
    return _any_match(declared_as, bug.deployments)


def in_range(version: str, specifier: str) -> bool:
    """Whether an installed version ('' where absent) is within a PEP 440 specifier."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _names(patterns: tuple[str, ...], test: str) -> bool:
    return test in patterns or _any_match(test.partition("[")[0], patterns)


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


# --------------------------------------------------------------------------- the draft of bugs.toml


def ended(versions: str, good: str) -> str:
    """Return the specifier without ``good`` and all later releases.

    ``<good`` replaces the upper bounds. Where no release would remain below it (the first bad
    release is good now), only that release is excluded: ``!=good``. '' where no release remains.

    >>> ended(">=0.4.1,<0.9", "0.6.14")
    '>=0.4.1,<0.6.14'
    >>> ended("==0.3.9", "0.3.9")
    ''
    """
    specifiers = list(SpecifierSet(versions))
    if any(bound.operator in ("==", "===") and "*" not in bound.version for bound in specifiers):
        return ""
    without_upper = [bound for bound in specifiers if bound.operator not in ("<", "<=")]
    lower = [bound for bound in without_upper if bound.operator != "!="]
    if any(not _allows_below(bound, good) for bound in lower):
        return _joined([*specifiers, Specifier(f"!={good}")])
    return _joined([*without_upper, Specifier(f"<{good}")])


def draft(text: str, ends: Iterable[tuple[str, str]], name: str = "bugs.toml") -> str:
    """Return the unified diff of a bugs.toml in which the ``versions`` of some bugs end.

    ``ends`` are (identifier, the version on which the bug no longer fails); the lowest version of
    an identifier counts. An entry without any remaining release is removed. '' where nothing
    changes. Comments and order stay as they are.
    """
    lowest: dict[str, str] = {}
    for identifier, version in ends:
        if identifier not in lowest or Version(version) < Version(lowest[identifier]):
            lowest[identifier] = version
    lines = text.splitlines(keepends=True)
    edited = list(lines)
    current = ""
    for number, line in enumerate(lines):
        if line.strip() == "[[bugs]]":
            current = ""
        elif match := re.match(r'identifier\s*=\s*"(.*)"\s*$', line):
            current = match.group(1)
        elif current in lowest and (match := re.match(r'(versions\s*=\s*")(.*)("\s*)$', line)):
            specifier = ended(match.group(2), lowest[current])
            edited[number] = match.group(1) + specifier + match.group(3)
            if not specifier:
                _remove(edited, number)
    return "".join(difflib.unified_diff(lines, edited, f"a/{name}", f"b/{name}"))


def _remove(lines: list[str], number: int) -> None:
    """Empty the entry around a line, up to the blank line that ends it."""
    start = max(n for n in range(number) if lines[n].strip() == "[[bugs]]")
    blanks = (n for n in range(number, len(lines)) if not lines[n].strip())
    stop = next(blanks, len(lines) - 1) + 1
    lines[start:stop] = [""] * (stop - start)


def _allows_below(specifier: Specifier, version: str) -> bool:
    bound = Version(specifier.version.removesuffix(".*"))
    return specifier.operator in (">=", ">", "~=") and bound < Version(version)


def _joined(specifiers: list[Specifier]) -> str:
    order = {">=": 0, ">": 0, "~=": 0, "==": 0, "===": 0, "!=": 1, "<": 2, "<=": 2}
    texts = sorted(specifiers, key=lambda bound: (order[bound.operator], str(bound)))
    return ",".join(dict.fromkeys(map(str, texts)))
