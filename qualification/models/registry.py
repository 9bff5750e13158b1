"""Everything that is declared, as one frozen ``Registry``, and how it is selected from.

``loading`` reads it from the TOML files, ``declaration_checks`` compares them with each other.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from qualification.core.declarations import (
    BackendMemory,
    Capability,
    Chip,
    Combination,
    Deployment,
    KnownBug,
    Model,
    Source,
    Tier,
)
from qualification.core.errors import SelectionError
from qualification.core.protocol import WeightsSource

_T = TypeVar("_T")

NOISE_TOKENS = 16
"""Random weights rarely predict an end: answers that are not timed are truncated there."""

_LONGEST_NAME = 80
"""Characters of a served model's name, which a server chooses."""


@dataclass(frozen=True)
class UserServer(Source):
    """A server at a user's URL, named by its address: two of them are two deployments."""

    @property
    def place(self) -> str:
        """The part behind the ``@``: host, port and path."""
        return address_name(str(self.options["url"]))


@dataclass(frozen=True)
class Registry:
    """Everything that is declared, a user's own before what ships; in the order of the files.

    ``notes`` are sentences on what a user's folder replaces.
    """

    models: tuple[Model, ...]
    tiers: tuple[Tier, ...]
    chips: tuple[Chip, ...]
    bugs: tuple[KnownBug, ...]
    backends: tuple[BackendMemory, ...] = ()
    together: tuple[Combination, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def _deployments(self) -> dict[str, Deployment]:
        pairs = ((model, source) for model in self.models for source in model.sources)
        deployments = (Deployment(model, source) for model, source in pairs)
        return {deployment.identifier: deployment for deployment in deployments}

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

        ``synthetic`` is every real model with random values instead of its own weights: the same
        tiers and options, under an identifier that says so; a source that is declared as synthetic
        (the scripted fake) stays.
        """
        declared = ("hub", "synthetic") if weights == "synthetic" else (weights,)
        models = []
        for model in self.models:
            sources = tuple(source for source in model.sources if source.weights in declared)
            if weights == "synthetic":
                sources = tuple(_synthetic(source) for source in sources)
                settings = replace(model.generation, max_tokens=NOISE_TOKENS)
                model = replace(model, generation=settings)
            if sources:
                models.append(replace(model, sources=sources))
        return replace(self, models=tuple(models))

    def with_server(self, url: str, model: str = "") -> Registry:
        """One deployment only: the ``model`` that the server at ``url`` serves.

        ``Qwen3-VL-8B-as-served@127.0.0.1:8080``; without a ``model`` it is called ``model``.
        SelectionError where ``url`` is none.
        """
        name = _plain(model.rstrip("/").rpartition("/")[2])[:_LONGEST_NAME].strip("-") or "model"
        options = {"url": url, "model": model}
        try:
            address_name(url)
        except ValueError as error:
            raise SelectionError(
                "the server's URL is no address: write one such as http://127.0.0.1:8080/v1"
            ) from error
        source = UserServer("server", "as-served", server="url", options=options)
        capabilities: tuple[Capability, ...] = ("vision", "text_only", "multi_image", "multi_turn")
        served = Model(name, "unknown", 0, "unknown", capabilities, (source,))
        return replace(self, models=(served,))

    def with_models(self, described: Sequence[tuple[Model, str]]) -> Registry:
        """These models alone, each with a note on where it comes from.

        Two quantisations of one model are its deployments. SelectionError where two models, or two
        deployments, would have the same name.
        """
        by_name: dict[str, Model] = {}
        for model, _ in described:
            namesake = by_name.setdefault(model.name, model)
            if namesake is model:
                continue
            merged = replace(namesake, sources=(*namesake.sources, *model.sources))
            names = [Deployment(merged, source).identifier for source in merged.sources]
            if len(set(names)) < len(names) or namesake.family != model.family:
                raise SelectionError(
                    f"two models would be called {model.name!r}: try each by itself"
                )
            by_name[model.name] = merged
        models = tuple(by_name.values())
        return replace(self, models=models, notes=tuple(note for _, note in described))

    def matching(self, patterns: Sequence[str]) -> Registry:
        """The deployments whose identifier matches one of the shell patterns.

        SelectionError for a pattern that matches none.
        """
        chosen: set[str] = set()
        for pattern in patterns:
            matches = fnmatch.filter(self._deployments, pattern)
            if not matches:
                _named(self._deployments, pattern, "deployment")
            chosen.update(matches)
        models = []
        for model in self.models:
            sources = tuple(s for s in model.sources if Deployment(model, s).identifier in chosen)
            if sources:
                models.append(replace(model, sources=sources))
        return replace(self, models=tuple(models))

    def backend(self, name: str) -> BackendMemory:
        """Return the memory that a backend takes besides a model.

        A backend that memory.toml does not measure takes none, and one copy of the weights: its
        predictions are lower bounds.
        """
        unmeasured = BackendMemory(name, 0.0, 1.0, 0.0, source="")
        return next((memory for memory in self.backends if memory.name == name), unmeasured)


def address_name(url: str) -> str:
    """A server's address as the part of an identifier behind the ``@``; ValueError for no URL.

    A file name, a shell pattern, the id of a test and ``TIER/DEPLOYMENT:SESSION`` take it: small
    letters, digits and ``.-_`` of the host, the port after a colon (80 or 443 if none is given),
    and the path with ``+`` for its slashes and without the ``/v1`` that an API ends in. User,
    password, query and fragment are secrets or say nothing of the server: they are left out.

    >>> address_name("https://user:password@GPU.example/llm/v1?key=secret")
    'gpu.example:443+llm'
    """
    parts = urlsplit(url)
    match = re.fullmatch(r"(.+?)(?::(\d*))?", parts.netloc.rpartition("@")[2].lower())
    if match is None:
        raise ValueError("it names no host")
    if ":" in match[1] and not match[1].startswith("["):
        raise ValueError("its port is no number")  # as of a password with a slash
    # Each colon of an IPv6 address for itself: 1::2:3 is not 1:2::3.
    host = re.sub("[^a-z0-9._-]", "-", match[1].strip("[]"))
    port = match[2] or ("443" if parts.scheme == "https" else "80")
    path = parts.path.rstrip("/").removesuffix("/v1").removesuffix("/api")
    names = (_plain(name) for name in path.split("/") if name)
    return "+".join((f"{host}:{port}", *names))


def _plain(text: str) -> str:
    return re.sub("[^A-Za-z0-9._-]+", "-", text)


def _synthetic(source: Source) -> Source:
    """The source with random weights; no file of its own lies outside their folder."""
    mmproj = source.mmproj_file
    if Path(mmproj).is_absolute() or ".." in Path(mmproj).parts:
        mmproj = Path(mmproj).name
    return replace(source, weights="synthetic", mmproj_file=mmproj)


def _named(table: dict[str, _T], name: str, kind: str) -> _T:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(table)}"
        raise SelectionError(f"no {kind} is called {name!r}: {hint}")
    return table[name]
