"""Reads the declarations (TOML) into one frozen, cross-checked ``Registry``.

The types are those of ``records``; pydantic checks them strictly and rejects unknown keys. After
that the files are held against each other: names, tiers, chips, rooflines, patterns. The first
thing that is wrong is a ``DeclarationError`` of one sentence with file, entry, key and remedy.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from qualification.core.declarations import (
    BackendMemory,
    Capability,
    Chip,
    Deployment,
    KnownBug,
    Model,
    Source,
    Tier,
)
from qualification.core.declarations import Together as Combination
from qualification.core.errors import SelectionError
from qualification.core.protocol import WeightsSource

_T = TypeVar("_T")

NOISE_TOKENS = 16
"""Noise does not end by itself: answers that are not timed are cut off there."""


@dataclass(frozen=True)
class Registry:
    """Everything that is declared, in the order of the files."""

    models: tuple[Model, ...]
    tiers: tuple[Tier, ...]
    chips: tuple[Chip, ...]
    bugs: tuple[KnownBug, ...]
    backends: tuple[BackendMemory, ...] = ()
    together: tuple[Combination, ...] = ()

    @cached_property
    def _deployments(self) -> dict[str, Deployment]:
        each = (Deployment(model, source) for model in self.models for source in model.sources)
        return {deployment.identifier: deployment for deployment in each}

    def deployments(self) -> tuple[Deployment, ...]:
        """Every deployment, models in declared order and the sources of each in theirs."""
        return tuple(self._deployments.values())

    def deployment(self, identifier: str) -> Deployment:
        """Return the deployment of that identifier; an unknown one is a SelectionError."""
        return _named(self._deployments, identifier, "deployment")

    def tier(self, name: str) -> Tier:
        """Return the tier of that name; an unknown one is a SelectionError."""
        return _named({tier.name: tier for tier in self.tiers}, name, "tier")

    def with_weights(self, weights: WeightsSource) -> Registry:
        """The deployments of one source of weights.

        ``synthetic`` is every real model that can be made, with random values instead of its own:
        the same tiers and options, under an identifier that says so; what is declared as
        synthetic (the scripted fake) stays.
        """
        wanted = ("hub", "synthetic") if weights == "synthetic" else (weights,)
        models = []
        for model in self.models:
            sources = tuple(source for source in model.sources if source.weights in wanted)
            if weights == "synthetic":
                sources = tuple(replace(source, weights=weights) for source in sources)
                settings = replace(model.generation, max_tokens=NOISE_TOKENS)
                model = replace(model, generation=settings)
            if sources:
                models.append(replace(model, sources=sources))
        return replace(self, models=tuple(models))

    def with_server(self, url: str, model: str = "") -> Registry:
        """One deployment only: what the server at ``url`` serves under the name ``model``."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.rpartition("/")[2]) or "model"
        options = {"url": url, "model": model}
        source = Source(backend="server", quantisation="as-served", server="url", options=options)
        capabilities: tuple[Capability, ...] = ("vision", "text_only", "multi_image", "multi_turn")
        served = Model(name, "unknown", 0, "unknown", capabilities, (source,))
        return replace(self, models=(served,))

    def backend(self, name: str) -> BackendMemory:
        """Return what a backend holds besides a model; an unknown one is a SelectionError."""
        return _named({one.name: one for one in self.backends}, name, "backend of memory.toml")

    def bandwidth(self, chip_name: str, gpu_cores: int = 0) -> float | None:
        """Memory bandwidth in bytes/s of a chip, told from its variants by GPU cores.

        ``chip_name`` may start with "Apple ", as the system writes it. None where the chip is
        unknown, where no variant has that many cores, or where the cores are unknown (0) and the
        variants differ.
        """
        name = chip_name.removeprefix("Apple ").strip()
        rates = {
            chip.bandwidth
            for chip in self.chips
            if chip.name == name
            and (gpu_cores == 0 or chip.gpu_cores_min <= gpu_cores <= chip.gpu_cores_max)
        }
        return rates.pop() if len(rates) == 1 else None


# --------------------------------------------------------------------------- across the files


def _named(table: dict[str, _T], name: str, kind: str) -> _T:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(table)}"
        raise SelectionError(f"no {kind} is called {name!r}: {hint}")
    return table[name]
