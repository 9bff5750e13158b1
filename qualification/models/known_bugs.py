"""The change to bugs.toml that a known bug asks for once it no longer fails. Pure text to text."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from qualification.core.declarations import Deployment, KnownBug


def ended(versions: str, good: str) -> str:
    """Return the specifier without ``good`` and what comes after it.

    Upper bounds give way to ``<good``. Where nothing would be left below (the first bad release is
    good now), that one release is left out: ``!=good``. '' where no release is left at all.

    >>> ended(">=0.4.1,<0.9", "0.6.14")
    '>=0.4.1,<0.6.14'
    >>> ended("==0.3.9", "0.3.9")
    ''
    """
    specifiers = list(SpecifierSet(versions))
    kept = [one for one in specifiers if one.operator not in ("<", "<=")]
    if any(one.operator in ("==", "===") and "*" not in one.version for one in specifiers):
        return ""
    lower = [one for one in kept if one.operator in (">=", ">", "==", "===", "~=")]
    if any(not _allows_below(one, good) for one in lower):
        return _joined([*specifiers, Specifier(f"!={good}")])
    return _joined([*kept, Specifier(f"<{good}")])


def draft(text: str, ends: Iterable[tuple[str, str]], name: str = "bugs.toml") -> str:
    """Return the unified diff of a bugs.toml in which the ``versions`` of some bugs end.

    ``ends`` are (identifier, the version on which the bug no longer fails); the lowest version of
    an identifier counts. An entry of which no release is left goes. '' where nothing changes.
    Comments and order stay as they are.
    """
    lowest: dict[str, str] = {}
    for identifier, version in ends:
        if identifier not in lowest or Version(version) < Version(lowest[identifier]):
            lowest[identifier] = version
    lines = text.splitlines(keepends=True)
    made = list(lines)
    current = ""
    for number, line in enumerate(lines):
        if line.strip() == "[[bugs]]":
            current = ""
        elif found := re.match(r'identifier\s*=\s*"(.*)"\s*$', line):
            current = found.group(1)
        elif current in lowest and (found := re.match(r'(versions\s*=\s*")(.*)("\s*)$', line)):
            specifier = ended(found.group(2), lowest[current])
            made[number] = found.group(1) + specifier + found.group(3)
            if not specifier:
                _remove(made, number)
    return "".join(difflib.unified_diff(lines, made, f"a/{name}", f"b/{name}"))


def _remove(lines: list[str], number: int) -> None:
    """Empty the entry around a line, up to the blank line that ends it."""
    first = max(n for n in range(number) if lines[n].strip() == "[[bugs]]")
    ends = (n for n in range(number, len(lines)) if not lines[n].strip())
    last = next(ends, len(lines) - 1)
    lines[first : last + 1] = [""] * (last + 1 - first)


def _allows_below(specifier: Specifier, version: str) -> bool:
    bound = Version(specifier.version.removesuffix(".*"))
    return specifier.operator in (">=", ">", "~=") and bound < Version(version)


def _joined(specifiers: list[Specifier]) -> str:
    order = {">=": 0, ">": 0, "~=": 0, "==": 0, "===": 0, "!=": 1, "<": 2, "<=": 2}
    texts = sorted(specifiers, key=lambda one: (order[one.operator], str(one)))
    return ",".join(dict.fromkeys(map(str, texts)))


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
    name. What a library does wrong it does with random weights too.
    """
    return tuple(
        bug
        for bug in bugs
        if (must_fail(bug, test) or _names(bug.may_fail, test))
        and _any_match(deployment.declared_as, bug.deployments)
        and (not bug.tiers or tier in bug.tiers)
        and in_range(versions.get(bug.package, ""), bug.versions)
    )


def must_fail(bug: KnownBug, test: str) -> bool:
    """Whether the success of ``test`` would show that the bug is gone."""
    return _names(bug.tests, test)


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
