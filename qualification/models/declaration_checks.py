"""Checks across the declared files: names, tiers, chips, rooflines, patterns.

The first fault is a ``DeclarationError`` of one sentence with file, entry, key and remedy.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from qualification.core.backends import BACKENDS
from qualification.core.declarations import Deployment, Model, Source
from qualification.core.errors import DeclarationError
from qualification.models.footprint import BYTES_PER_WEIGHT, decode_bound_tps
from qualification.models.registry import Registry


def check_declarations(registry: Registry, folder: Path, memory_file: Path) -> None:
    """Raise DeclarationError for the first fault in the files of ``folder``, or in memory.toml."""
    _check_chips(_File(folder / "chips.toml"), registry)
    _check_tiers(_File(folder / "tiers.toml"), registry)
    _check_models(_File(folder / "models.toml"), registry)
    _check_bugs(_File(folder / "bugs.toml"), registry)
    _check_memory(_File(memory_file), registry)


@dataclass(frozen=True)
class _File:
    """The file that a fault is reported in."""

    path: Path

    def refuse(self, entry: str, key: str, problem: str) -> None:
        raise DeclarationError(f"{self.path}: {entry}, key {key!r} {problem}")

    def require(self, holds: bool, entry: str, key: str, problem: str) -> None:
        if not holds:
            self.refuse(entry, key, problem)

    def unique(self, kind: str, key: str, names: Iterable[str]) -> None:
        earlier: set[str] = set()
        for name in names:
            problem = "is declared twice: remove one or rename it"
            self.require(name not in earlier, f"{kind} {name!r}", key, problem)
            earlier.add(name)


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
        counts = {(chip.name, count) for count in cores}
        file.require(
            not variants & counts,
            entry,
            "gpu_cores_min",
            "overlaps a variant of the same name: remove one or part their core counts",
        )
        variants |= counts


def _check_tiers(file: _File, registry: Registry) -> None:
    file.unique("tier", "name", (tier.name for tier in registry.tiers))
    chips = {chip.name for chip in registry.chips}
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
                chip in chips,
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
            "and critical_share are no thresholds: write 0 < warning < critical <= 1",
        )


def _check_models(file: _File, registry: Registry) -> None:
    file.unique("model", "name", (model.name for model in registry.models))
    # Not registry.deployments(), a table that has each identifier once.
    pairs = ((model, source) for model in registry.models for source in model.sources)
    file.unique("deployment", "sources", (Deployment(*pair).identifier for pair in pairs))
    identifiers = {deployment.identifier for deployment in registry.deployments()}
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
                or (source.fallback_of in identifiers and source.fallback_of != identifier),
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
        for field in fields(model.shape):
            counts[f"shape.{field.name}"] = getattr(model.shape, field.name)
    for key, count in counts.items():
        if count < 1:
            yield key, f"is {count}: write 1 or more"
    if model.generation.temperature < 0:
        yield "generation.temperature", "is negative: write 0 (greedy) or more"
    for key, items in (("capabilities", model.capabilities), ("sources", model.sources)):
        if not items:
            yield key, "is empty: declare at least one"


def _faults_of_source(source: Source) -> Iterator[tuple[str, str]]:
    if source.backend not in BACKENDS:
        yield "backend", unknown_backend(source.backend)
        return
    if source.quantisation not in BYTES_PER_WEIGHT:
        names = ", ".join(BYTES_PER_WEIGHT)
        yield "quantisation", f"is {source.quantisation!r}, which is unknown: write one of {names}"
    if source.weights == "hub" and not re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository):
        yield "repository", f"is {source.repository!r}: write owner/name, as the hub does"
    if source.weights == "hub" and not source.revision:
        yield "revision", "is empty: write a commit, a tag or a branch"
    path = PurePosixPath(source.path)
    if source.weights == "canary" and (not source.path or path.is_absolute() or ".." in path.parts):
        yield "path", f"is {source.path!r}: write a folder inside fixtures/"
    if BACKENDS[source.engine].weight_files == "gguf":
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


def unknown_backend(name: str) -> str:
    """The problem with a declared backend that is none, and the names of those that are."""
    return f"is {name!r}, which is unknown: write one of {', '.join(map(repr, BACKENDS))}"


def _faults_on_tiers(model: Model, source: Source, registry: Registry) -> Iterator[tuple[str, str]]:
    tiers = {tier.name: tier for tier in registry.tiers}
    for name in source.tiers:
        if name not in tiers:
            yield (
                "tiers",
                f"names the unknown tier {name!r}: correct it or declare it in tiers.toml",
            )
        elif "vision" in model.capabilities and not tiers[name].vision:
            yield "tiers", f"names {name!r}, where vision models do not belong: remove it"
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
            yield key, "cannot be compared with the roofline: declare the model's shape"
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
    identifiers = [deployment.identifier for deployment in registry.deployments()]
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
                any(fnmatch.fnmatchcase(name, pattern) for name in identifiers),
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
    names = (combination.name for combination in registry.together)
    file.unique("combination", "name", names)
    for backend in registry.backends:
        entry = f"backend {backend.name!r}"
        file.require(backend.name in BACKENDS, entry, "name", unknown_backend(backend.name))
        for key in ("weights_copies", "repacked_copies"):
            copies, problem = getattr(backend, key), "is no count of copies: write 0 to 4"
            file.require(0 <= copies <= 4, entry, key, problem)
    identifiers = {deployment.identifier for deployment in registry.deployments()}
    for combination in registry.together:
        entry = f"combination {combination.name!r}"
        file.require(len(combination.deployments) > 1, entry, "deployments", "names fewer than two")
        for name in combination.deployments:
            problem = f"names the unknown deployment {name!r}"
            file.require(name in identifiers, entry, "deployments", problem)
