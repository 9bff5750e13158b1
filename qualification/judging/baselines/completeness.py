"""Whether a stored session has all of what it was to measure of a deployment. Pure."""

from __future__ import annotations

from qualification.core.results import Results


def is_complete(results: Results, deployment: str) -> str:
    """'' where all tests that were selected for the deployment ran, else why not, as a clause."""
    if count := results.session.untried.get(deployment, 0):
        return f"{count} of its tests were not tried: go on with pytest --resume"
    if any(
        (state.name, state.value) == ("run", "interrupted") for state in results.session.conditions
    ):
        return "the run was interrupted, so not all of its tests ran"  # stored before 2026-12
    return ""
