"""Reads the declarations (TOML) into one frozen, cross-checked ``Registry``.

The types are those of ``records``; pydantic checks them strictly and rejects unknown keys. After
that the files are held against each other: names, tiers, chips, rooflines, patterns. The first
thing that is wrong is a ``DeclarationError`` of one sentence with file, entry, key and remedy.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import ConfigDict

from qualification.declaration_file import read_declarations
from qualification.errors import DeclarationError, SelectionError
from qualification.footprint import BYTES_PER_WEIGHT, decode_bound_tps
from qualification.places import DECLARATIONS
from qualification.records import (
    BackendMemory,
    Capability,
    Chip,
    Deployment,
    KnownBug,
    Model,
    Source,
    Tier,
    WeightsSource,
)
from qualification.records import Together as Combination

# Nested dataclasses of records inherit this configuration.
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_T = TypeVar("_T")

NOISE_TOKENS = 16
"""Noise does not end by itself: answers that are not timed are cut off there."""


@dataclass(frozen=True)
class _Chips:
    __pydantic_config__ = _STRICT
    chips: tuple[Chip, ...]


@dataclass(frozen=True)
class _Tiers:
    __pydantic_config__ = _STRICT
    tiers: tuple[Tier, ...]


@dataclass(frozen=True)
class _Models:
    __pydantic_config__ = _STRICT
    models: tuple[Model, ...]


@dataclass(frozen=True)
class _Bugs:
    __pydantic_config__ = _STRICT
    bugs: tuple[KnownBug, ...]


@dataclass(frozen=True)
class _Memory:
    __pydantic_config__ = _STRICT
    backends: tuple[BackendMemory, ...]
    together: tuple[Combination, ...] = ()


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


def load_registry(folder: Path | None = None) -> Registry:
    """Read ``chips``, ``tiers``, ``models``, ``bugs``, ``memory`` (.toml) of a folder; check them.

    A folder without ``memory.toml`` has the constants that ship with the package.

    Raises DeclarationError; without ``folder`` the declarations that ship with the package.
    """
    folder = DECLARATIONS if folder is None else Path(folder)
    own = (folder / "memory.toml").exists()
    memory = read_declarations((folder if own else DECLARATIONS) / "memory.toml", _Memory)
    registry = Registry(
        backends=memory.backends,
        together=memory.together if own else (),
        chips=read_declarations(folder / "chips.toml", _Chips).chips,
        tiers=read_declarations(folder / "tiers.toml", _Tiers).tiers,
        models=read_declarations(folder / "models.toml", _Models).models,
        bugs=read_declarations(folder / "bugs.toml", _Bugs).bugs,
    )
    _check_chips(_File(folder / "chips.toml"), registry)
    _check_tiers(_File(folder / "tiers.toml"), registry)
    _check_models(_File(folder / "models.toml"), registry)
    _check_bugs(_File(folder / "bugs.toml"), registry)
    _check_memory(_File((folder if own else DECLARATIONS) / "memory.toml"), registry)
    return registry


# --------------------------------------------------------------------------- across the files


@dataclass(frozen=True)
class _File:
    path: Path

    def refuse(self, entry: str, key: str, problem: str) -> None:
        raise DeclarationError(f"{self.path}: {entry}, key {key!r} {problem}")

    def require(self, holds: bool, entry: str, key: str, problem: str) -> None:
        if not holds:
            self.refuse(entry, key, problem)

    def unique(self, kind: str, key: str, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            self.require(
                name not in seen,
                f"{kind} {name!r}",
                key,
                "is declared twice: remove one or rename it",
            )
            seen.add(name)


def _check_chips(file: _File, registry: Registry) -> None:
    variants: set[tuple[str, int]] = set()
    for chip in registry.chips:
        entry, cores = f"chip {chip.name!r}", range(chip.gpu_cores_min, chip.gpu_cores_max + 1)
        file.require(
            bool(cores) and cores[0] >= 0,
            entry,
            "gpu_cores_max",
            "leaves no core count: write one that is not less than gpu_cores_min",
        )
        file.require(chip.bandwidth > 0, entry, "bandwidth", "is zero: write what the chip has")
        mine = {(chip.name, count) for count in cores}
        file.require(
            not variants & mine,
            entry,
            "gpu_cores_min",
            "overlaps a variant of the same name: remove one or part their core counts",
        )
        variants |= mine


def _check_tiers(file: _File, registry: Registry) -> None:
    file.unique("tier", "name", (tier.name for tier in registry.tiers))
    known = {chip.name for chip in registry.chips}
    for tier in registry.tiers:
        entry, budget = f"tier {tier.name!r}", tier.budget
        file.require(
            re.fullmatch("[a-z][a-z0-9_]*", tier.name) is not None,
            entry,
            "name",
            "is no marker name: write small letters, digits and underscores",
        )
        for chip in tier.chips:
            file.require(
                chip in known,
                entry,
                "chips",
                f"names the unknown chip {chip!r}: correct it or declare it in chips.toml",
            )
        file.require(
            tier.memory_min <= tier.memory_max,
            entry,
            "memory_max",
            "is less than memory_min: exchange the two",
        )
        file.require(tier.load_limit > 0, entry, "load_limit", "is zero: write a time")
        file.require(
            0 < tier.speed_floor_share <= 1,
            entry,
            "speed_floor_share",
            f"is {tier.speed_floor_share:g}: write a share of the roofline, above 0 and up to 1",
        )
        file.require(
            0 < budget.warning_share < budget.critical_share <= 1,
            entry,
            "budget.warning_share",
            "and critical_share are no marks: write shares with 0 < warning < critical <= 1",
        )


def _check_models(file: _File, registry: Registry) -> None:
    file.unique("model", "name", (model.name for model in registry.models))
    file.unique(
        "deployment",
        "sources",
        (Deployment(model, one).identifier for model in registry.models for one in model.sources),
    )
    known = {deployment.identifier for deployment in registry.deployments()}
    for model in registry.models:
        entry = f"model {model.name!r}"
        for key, problem in _faults_of_model(model):
            file.refuse(entry, key, problem)
        for number, source in enumerate(model.sources, 1):
            identifier = Deployment(model, source).identifier
            place = f"{entry}, source number {number} ({identifier})"
            for key, problem in _faults_of_source(source):
                file.refuse(place, key, problem)
            file.require(
                not source.fallback_of
                or (source.fallback_of in known and source.fallback_of != identifier),
                place,
                "fallback_of",
                f"is {source.fallback_of!r}, which is no other deployment: write the "
                "identifier of one, such as 'qwen2.5-vl-7b-4bit@mlx'",
            )
            for key, problem in _faults_on_tiers(model, source, registry):
                file.refuse(place, key, problem)


def _faults_of_model(model: Model) -> Iterator[tuple[str, str]]:
    counts = {"parameters": model.parameters, "context": model.context}
    counts["generation.max_tokens"] = model.generation.max_tokens
    if model.shape is not None:
        for each in fields(model.shape):
            counts[f"shape.{each.name}"] = getattr(model.shape, each.name)
    for key, count in counts.items():
        if count < 1:
            yield key, f"is {count}: write 1 or more"
    if model.generation.temperature < 0:
        yield "generation.temperature", "is negative: write 0 (greedy) or more"
    for key, items in (("capabilities", model.capabilities), ("sources", model.sources)):
        if not items:
            yield key, "is empty: declare at least one"


def _faults_of_source(source: Source) -> Iterator[tuple[str, str]]:
    if source.quantisation not in BYTES_PER_WEIGHT:
        known = ", ".join(BYTES_PER_WEIGHT)
        yield "quantisation", f"is {source.quantisation!r}, which is unknown: write one of {known}"
    if source.weights == "hub" and not re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository):
        yield "repository", f"is {source.repository!r}: write owner/name, as the hub does"
    if source.weights == "hub" and not source.revision:
        yield "revision", "is empty: write a commit, a tag or a branch"
    path = PurePosixPath(source.path)
    if source.weights == "canary" and (not source.path or path.is_absolute() or ".." in path.parts):
        yield "path", f"is {source.path!r}: write a folder inside fixtures/"
    if source.engine == "llamacpp":
        for key in ("model_file", "mmproj_file"):
            if not getattr(source, key):
                yield key, "is missing: llama.cpp needs the language model and the projector"
    if (source.backend == "server") != bool(source.server):
        yield (
            "server",
            f"is {source.server!r} with the backend {source.backend!r}: a source of the backend "
            "'server' names its program, any other has none",
        )
    if source.server == "url" and not str(source.options.get("url", "")).startswith("http"):
        yield "options.url", "is missing: write where the server is, http://127.0.0.1:8080/v1"
    if source.remote_code and not re.fullmatch("[0-9a-f]{40}", source.revision):
        yield (
            "revision",
            f"is {source.revision!r}, which can change under us: with remote_code write the "
            "full 40-digit commit whose code was reviewed",
        )


def _faults_on_tiers(model: Model, source: Source, registry: Registry) -> Iterator[tuple[str, str]]:
    tiers = {tier.name: tier for tier in registry.tiers}
    for name in source.tiers:
        if name not in tiers:
            yield (
                "tiers",
                f"names the unknown tier {name!r}: correct it or declare it in tiers.toml",
            )
        elif "vision" in model.capabilities and not tiers[name].vision:
            yield "tiers", f"names {name!r}, where vision models do not belong: take it out"
    if len(set(source.tiers)) != len(source.tiers):
        yield "tiers", "names a tier twice: remove one"
    for name, floor in source.speed_floors.items():
        key = f"speed_floors.{name}"
        if name not in source.tiers:
            yield key, "is for a tier that this source is not meant for: add it to tiers"
            continue
        rates = [chip.bandwidth for chip in registry.chips if chip.name in tiers[name].chips]
        if not rates:
            continue
        if model.shape is None:
            yield key, "cannot be held against the roofline: declare the model's shape"
            continue
        bound = decode_bound_tps(model.shape, source.quantisation, max(rates))
        if floor > bound:
            yield (
                key,
                f"is {floor:g} tok/s, which no machine of that tier can reach (at most "
                f"{bound:.0f} tok/s at {max(rates) / 1e9:g} GB/s): declare less, or keep the "
                "figure as a published claim",
            )


def _check_bugs(file: _File, registry: Registry) -> None:
    file.unique("bug", "identifier", (bug.identifier for bug in registry.bugs))
    known = [deployment.identifier for deployment in registry.deployments()]
    tiers = {tier.name for tier in registry.tiers}
    for bug in registry.bugs:
        entry = f"bug {bug.identifier!r}"
        try:
            SpecifierSet(bug.versions)
        except InvalidSpecifier:
            file.refuse(
                entry,
                "versions",
                f"is {bug.versions!r}: write a PEP 440 specifier, such as '>=0.0.10,<0.4.1'",
            )
        try:
            re.compile(bug.failure)
        except re.error as error:
            file.refuse(
                entry, "failure", f"is no regular expression ({error.msg}): correct the pattern"
            )
        for key, patterns in (("deployments", bug.deployments), ("tests", bug.tests)):
            file.require(bool(patterns), entry, key, "is empty: write at least one pattern")
        for pattern in bug.deployments:
            file.require(
                any(fnmatch.fnmatchcase(name, pattern) for name in known),
                entry,
                "deployments",
                f"has the pattern {pattern!r}, which matches no deployment: correct it",
            )
        for tier in bug.tiers:
            file.require(
                tier in tiers,
                entry,
                "tiers",
                f"names the unknown tier {tier!r}: correct it or declare it in tiers.toml",
            )


def _check_memory(file: _File, registry: Registry) -> None:
    file.unique("backend", "name", (backend.name for backend in registry.backends))
    file.unique("combination", "name", (one.name for one in registry.together))
    present = {backend.name for backend in registry.backends}
    for deployment in registry.deployments():
        if deployment.source.server == "url":  # it is in memory already
            continue
        file.require(
            deployment.source.engine in present,
            f"backend {deployment.source.engine!r}",
            "name",
            f"is not declared, but {deployment.identifier} uses it: measure it and add it",
        )
    for backend in registry.backends:
        for key in ("weights_copies", "repacked_copies"):
            copies, problem = getattr(backend, key), "is no count of copies: write 0 to 4"
            file.require(0 <= copies <= 4, f"backend {backend.name!r}", key, problem)
    known = {deployment.identifier for deployment in registry.deployments()}
    for one in registry.together:
        entry = f"combination {one.name!r}"
        file.require(len(one.deployments) > 1, entry, "deployments", "names fewer than two")
        for name in one.deployments:
            problem = f"names the unknown deployment {name!r}"
            file.require(name in known, entry, "deployments", problem)


def _named(table: dict[str, _T], name: str, kind: str) -> _T:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(table)}"
        raise SelectionError(f"no {kind} is called {name!r}: {hint}")
    return table[name]
