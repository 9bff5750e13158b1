"""The environment variables of every worker that a session starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qualification.core.child_variables import Use, child_variables
from qualification.core.paths import hub_cache


def child_environment(scratch: Path, extra: Mapping[str, str], *uses: Use) -> dict[str, str]:
    """The variables of a worker: what libraries and its ``uses`` need, ours, and ``extra``."""
    environment = child_variables("library", *uses)
    environment.update(
        TMPDIR=str(scratch),
        PYTHONUNBUFFERED="1",
        TOKENIZERS_PARALLELISM="false",
        HF_HUB_DISABLE_TELEMETRY="1",
        DO_NOT_TRACK="1",
    )
    environment.update(extra)
    # The default, set explicitly: releases that warn about this variable then warn in every run,
    # whatever the user has set, so that the known bug for it has one outcome.
    if not environment.get("TRANSFORMERS_CACHE"):
        environment["TRANSFORMERS_CACHE"] = str(hub_cache(environment))
    return environment
