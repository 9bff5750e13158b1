"""``python -m benchmarks.newcomer GROUP …``: measure; other groups keep their earlier results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks.newcomer import installing, mapping, verdicts
from benchmarks.newcomer.figures import keep
from benchmarks.newcomer.zoo import zoo


def _zoo() -> None:
    for figure in zoo():
        keep(figure["id"], figure["value"], figure["unit"], "pytest -m canary -n 2")


GROUPS: dict[str, Callable[[], None]] = {
    "environment": installing.environment,
    "core": installing.core,
    "first_verdict": verdicts.first_verdict,
    "gate": verdicts.gate,
    "map": mapping.release,
    "zoo": _zoo,
}
"""Name on the command line -> what measures and keeps its figures."""


def main() -> None:
    """Parse the command line, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groups", nargs="*", default=list(GROUPS), help=", ".join(GROUPS))
    groups = parser.parse_args().groups
    if unknown := [name for name in groups if name not in GROUPS]:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(GROUPS)}")
    for name in groups:
        print(f"{name} ...", file=sys.stderr, flush=True)
        GROUPS[name]()


if __name__ == "__main__":
    main()
