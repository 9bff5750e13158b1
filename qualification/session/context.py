"""What every load of one run shares: the machine, its limits, and a folder for files."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qualification.core.declarations import Deployment, Tier
from qualification.core.protocol import Thinking
from qualification.core.results import Machine
from qualification.models.downloads import Download
from qualification.models.memory_fit import critical_memory_bytes
from qualification.session.template import Templates

IMPORTS_S = 180.0
"""Libraries from a cold disk, or beside other work; a canary is loaded within it too."""

SLOWEST_DISK = 20e6
"""Bytes per second: a folder on the network."""

LONGEST_LOAD_S = 3600.0


@dataclass(frozen=True)
class Fetching:
    """What may come from the hub, and who hears of weights that are fetched or made.

    ``say`` takes a line at least every 5 s, ``took`` the seconds of each, which are no load's.
    """

    plan: tuple[Download, ...] = ()
    say: Callable[[str], object] | None = None
    took: Callable[[float], object] | None = None

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """While this is open, weights are fetched or made."""
        begun_s = time.monotonic()
        try:
            yield
        finally:
            if self.took is not None:
                self.took(time.monotonic() - begun_s)


NOTHING = Fetching()


@dataclass(frozen=True)
class RunContext:
    """The surroundings in which deployments are loaded.

    ``tier`` is None on a machine of no tier. ``scratch`` takes the images of the questions and what
    MLX's CPU build compiles; whoever makes the context also makes the folder and removes it.
    ``python`` is the interpreter of the environment to qualify. ``deadline_s`` are the seconds that
    one request may take. With ``templates`` canaries are loaded in processes that are forked with
    their libraries imported. ``allow_remote_code``: a person has said yes to the code of models
    that are declared for it. ``thinking`` is for all requests.
    """

    machine: Machine
    tier: Tier | None
    scratch: Path
    python: str = sys.executable
    deadline_s: float = 600.0
    templates: Templates | None = None
    allow_remote_code: bool = False
    thinking: Thinking = "default"
    fetching: Fetching = NOTHING

    @property
    def images(self) -> Path:
        """The folder of the questions' images; :class:`Deployed` makes it."""
        return self.scratch / "images"

    def load_deadline_s(self, deployment: Deployment) -> float:
        """Seconds that a load may take: those of imports, and of 4 bytes a weight from the disk."""
        if deployment.source.server == "url":  # nothing is loaded: it answers, or it does not
            return self.deadline_s
        if not (parameters := deployment.model.parameters):
            return LONGEST_LOAD_S
        return min(LONGEST_LOAD_S, IMPORTS_S + 4 * parameters / SLOWEST_DISK)

    @property
    def memory_limit_bytes(self) -> float | None:
        """Bytes at which a worker is ended: the tier's critical threshold, None without one."""
        return critical_memory_bytes(self.machine, self.tier) or None
