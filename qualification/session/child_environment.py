"""The environment variables of every process that a session starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qualification.core.paths import hub_cache


def child_environment(scratch: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a worker: those of this process, ours, and ``extra``."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment.pop("PYTHONPATH", None)
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
