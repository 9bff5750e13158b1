"""The capability matrix: which capability each deployment of a model showed."""

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
    """One model: a row per capability, a column per deployment (``4bit@mlx``)."""

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
    by_model: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        if deployment.identifier in ran:
            by_model.setdefault(deployment.model.name, []).append(deployment)
    return tuple(
        Matrix(
            model,
            tuple(
                f"{deployment.source.quantisation}@{deployment.source.place}"
                for deployment in columns
            ),
            tuple(
                (title(test), marks)
                for test in tests
                if set(marks := _row(outcomes, columns, test)) != {"undeclared"}
            ),
        )
        for model, columns in by_model.items()
    )


def title(test: str) -> str:
    """``test_given_as[data_url]`` for a reader: ``given as: data url``."""
    match = re.fullmatch(r"test_(\w+)(?:\[(.*)\])?", test, re.DOTALL)
    if match is None:
        return test
    name, parameter = (part.replace("_", " ") if part else "" for part in match.groups())
    return f"{name}: {parameter}" if parameter else str(name)


def _row(
    outcomes: dict[tuple[str, str], str], deployments: Sequence[Deployment], test: str
) -> tuple[Mark, ...]:
    return tuple(
        MARKS.get(outcomes.get((deployment.identifier, test), ""), "undeclared")
        for deployment in deployments
    )
