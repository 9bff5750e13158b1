"""The capability matrix: for each model, what each of its deployments could do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.declarations import Deployment
from qualification.core.results import Check

Mark = Literal["yes", "no", "known bug", "fixed", "not run", "undeclared"]
MARKS: dict[str, Mark] = {
    "passed": "yes",
    "failed": "no",
    "error": "no",
    "xfailed": "known bug",
    "xpassed": "fixed",
    "skipped": "not run",
}


@dataclass(frozen=True)
class Matrix:
    """One model: a row per capability, a column per deployment, named by what tells it apart."""

    model: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Mark, ...]], ...]


def matrices(checks: Sequence[Check], deployments: Sequence[Deployment]) -> tuple[Matrix, ...]:
    """A matrix for each model whose capability suite ran, in the order of the declarations."""
    outcomes: dict[tuple[str, str], str] = {
        (check.deployment, check.test): check.outcome
        for check in checks
        if check.suite == "capability"
    }
    tests = list(dict.fromkeys(test for _, test in outcomes))
    ran = {deployment for deployment, _ in outcomes}
    found: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        if deployment.identifier in ran:
            found.setdefault(deployment.model.name, []).append(deployment)
    return tuple(
        Matrix(
            model,
            tuple(f"{one.source.quantisation}@{one.source.place}" for one in some),
            tuple(
                (title(test), marks)
                for test in tests
                if set(marks := _row(outcomes, some, test)) != {"undeclared"}
            ),
        )
        for model, some in found.items()
    )


def title(test: str) -> str:
    """``test_given_as[data_url]`` as a reader wants it: ``given as: data url``."""
    found = re.fullmatch(r"test_(\w+)(?:\[(.*)\])?", test, re.DOTALL)
    if found is None:
        return test
    name, parameter = (part.replace("_", " ") if part else "" for part in found.groups())
    return f"{name}: {parameter}" if parameter else str(name)


def _row(
    outcomes: dict[tuple[str, str], str], deployments: Sequence[Deployment], test: str
) -> tuple[Mark, ...]:
    return tuple(
        MARKS.get(outcomes.get((one.identifier, test), ""), "undeclared") for one in deployments
    )
