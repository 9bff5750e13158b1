"""Which recorded library versions matter to an engine, and how environments differ. Pure.

An engine is the backend whose library does the work: that of a server's program, for a server.
"""

from __future__ import annotations

from collections.abc import Sequence

from packaging.utils import canonicalize_name

from qualification.core.backends import ENGINES
from qualification.core.results import Environment
from qualification.core.servers import server_engine

_EXTRAS_ON_LINUX = {"mlx": "[cpu]"}
"""Without the extra, ``mlx`` has nothing to compute with on Linux (docs/regressions.md, "The
catalogue", row 8); a release that has no such extra ignores it."""


def engine_of(identifier: str) -> str:
    """``mlx`` of ``qwen2.5-vl-7b-4bit@mlx_vlm.server``; '' where the identifier names none.

    For stored results whose deployment is no longer declared; else ask ``Source.engine``.
    """
    _, at, place = identifier.rpartition("@")
    return (server_engine(place) or place) if at else ""


def principal_libraries(engine: str) -> tuple[str, ...]:
    """The libraries of an engine that compute or that make the prompt; none of an unknown one."""
    return ENGINES[engine].principal if engine in ENGINES else ()


def libraries(engine: str) -> tuple[str, ...]:
    """All that an engine loads, by their names in an index: the principal ones first."""
    return tuple(
        canonicalize_name(name)
        for name in (*principal_libraries(engine), *_libraries_beside(engine))
    )


def _libraries_beside(engine: str) -> tuple[str, ...]:
    return ENGINES[engine].beside if engine in ENGINES else ()


def python_series(environment: Environment) -> str:
    """``3.12`` of Python 3.12.1: the series, for which packages are built."""
    return ".".join(environment.python.split(".")[:2])


def pins(engine: str, environment: Environment, system: str) -> tuple[str, ...]:
    """Exact requirements for what an engine loads, from a recorded environment.

    Local labels (``2.13.0+cpu``) are left out, since no index knows a release by them, and so is
    what is no version at all.
    """
    from packaging.version import InvalidVersion, Version

    extras = _EXTRAS_ON_LINUX if system == "linux" else {}
    requirements = []
    for name in (*principal_libraries(engine), *_libraries_beside(engine)):
        if version := environment.versions.get(name):
            try:
                requirements.append(f"{name}{extras.get(name, '')}=={Version(version).public}")
            except InvalidVersion:
                continue
    return tuple(requirements)


def difference(engine: str, earlier: Sequence[Environment], now: Environment) -> str:
    """``mlx-vlm 0.3.9 or 0.5.0 (now 0.7.10) and 2 libraries besides``; '' where nothing differs.

    Principal libraries and Python's series by name, other libraries by their number. A library
    whose version is not recorded, then or now, is not compared.
    """
    clauses = []
    series = _change([python_series(environment) for environment in earlier], python_series(now))
    if series:
        clauses.append(f"Python {series}")
    for name in principal_libraries(engine):
        if change := _library_change(name, earlier, now):
            clauses.append(f"{name} {change}")
    beside = sum(bool(_library_change(name, earlier, now)) for name in _libraries_beside(engine))
    if beside:
        noun = "libraries" if beside > 1 else "library"
        clauses.append(f"{beside} {noun} besides" if clauses else f"{beside} other {noun}")
    *listed, final = clauses or [""]
    return f"{', '.join(listed)} and {final}" if listed else final


def _library_change(name: str, earlier: Sequence[Environment], now: Environment) -> str:
    versions = [environment.versions.get(name, "") for environment in earlier]
    return _change(versions, now.versions.get(name, ""))


def _change(earlier: Sequence[str], now: str) -> str:
    """``0.3.9 or 0.5.0 (now 0.7.10)`` where an earlier version differs; '' where none does."""
    recorded = list(dict.fromkeys(version for version in earlier if version))
    if not now or all(version == now for version in recorded):
        return ""
    return f"{' or '.join(recorded)} (now {now})"
