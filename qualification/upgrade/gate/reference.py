"""The references of the canaries: the logit margins of their first tokens under good releases.

A trained canary answers correctly in spite of some silent faults (wrong positions, a missing mask),
but with less certainty. ``margins.json`` beside the canaries has, for every one of full precision
on every backend, the margin of the first token of the gate's questions: the largest logit minus the
second largest. ``python -m fixtures.make_margins`` writes it under environments whose suites
compare the backends with each other; two good releases agree with it to 0.1 %. A canary has several
references if a release changed the model's input rather than the computation (a processor's
resizing).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.errors import WeightsError
from qualification.core.paths import how_to_restore
from qualification.tasks.agreement import precision

NAME = "margins.json"
Margins = Mapping[str, float]
"""Question -> margin."""


def has_reference(deployment: Deployment) -> bool:
    """Whether references are made of a deployment."""
    source = deployment.source
    is_exact = source.weights == "canary" and bool(precision(source.quantisation))
    return is_exact and source.is_its_own_engine


def references_of(deployment: Deployment) -> tuple[Margins, ...]:
    """The margins in each reference; () where there is none. WeightsError for a damaged file."""
    if not has_reference(deployment):
        return ()
    references = _read(Path(deployment.source.path).parent / NAME).values()
    name = deployment.identifier
    return tuple(margins[name] for margins in references if name in margins)


@lru_cache(maxsize=2)
def _read(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Environment -> deployment -> question -> margin."""
    if not path.exists():
        return {}
    try:
        return {
            str(environment): {
                str(name): {str(question): float(margin) for question, margin in margins.items()}
                for name, margins in reference["margins"].items()
            }
            for environment, reference in json.loads(path.read_text(encoding="utf-8")).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path}: cannot be read as margins ({error!r}); {how_to_restore(path)}"
        ) from error
