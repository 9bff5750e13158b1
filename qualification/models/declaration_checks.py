"""Checks across the declared files: names, tiers, chips, rooflines, patterns.

The first fault is a ``DeclarationError`` of one sentence with file, line, entry, key and remedy.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, fields
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from qualification.core.backends import BACKENDS, ENGINES
from qualification.core.declarations import Deployment, Model, Source
from qualification.core.errors import DeclarationError
from qualification.core.servers import server_names
from qualification.models.registry import Registry
from qualification.models.roofline import roofline_at
from qualification.models.strict_toml import line_of

_NAME = re.compile(r"[A-Za-z0-9._+-]+")
_NAME_REMEDY = "write letters, digits and . _ - + only, because it names tests and files"


@dataclass(frozen=True)
class Origin:
    """The file that declares an entry, and the entry's place in it, as ``("models", 2)``."""

    file: Path
    location: tuple[int | str, ...]


def check_declarations(
    registry: Registry, origins: Mapping[str, Origin], own: Set[str] = frozenset()
) -> None:
    """Raise DeclarationError for the first fault.

    ``origins`` has the origin of each entry by its label (``model 'smolvlm'``), ``own`` the labels
    of a user's entries. A bug's pattern has to match a deployment only if everything ships: what a
    user's folder replaces may be what a bug is about.
    """
    files = _Files(origins)
    _check_chips(files, registry)
    _check_tiers(files, registry)
    _check_models(files, registry, own)
    _check_bugs(files, registry, patterns_match=not own)
    _check_memory(files, registry)


@dataclass(frozen=True)
class _Files:
    """The files that faults are reported in."""

    origins: Mapping[str, Origin]

    def refuse(self, entry: str, key: str, problem: str) -> None:
        label, _, number = entry.partition(", source number ")
        origin = self.origins[label]
        location = origin.location
        if number:
            location += ("sources", int(number.split()[0]) - 1)
        text = origin.file.read_text(encoding="utf-8")
        line = line_of(text, (*location, *key.split(".")))
        raise DeclarationError(f"{origin.file}:{line}: {entry}, key {key!r} {problem}")

    def require(self, holds: bool, entry: str, key: str, problem: str) -> None:
        if not holds:
            self.refuse(entry, key, problem)

    def unique(self, kind: str, key: str, names: Iterable[str]) -> None:
        earlier: set[str] = set()
        for name in names:
            problem = "is declared twice: remove one or rename it"
            self.require(name not in earlier, f"{kind} {name!r}", key, problem)
            earlier.add(name)


def _check_chips(files: _Files, registry: Registry) -> None:
    variants: set[tuple[str, int]] = set()
    for chip in registry.chips:
        entry, cores = f"chip {chip.name!r}", range(chip.gpu_cores_min, chip.gpu_cores_max + 1)
        files.require(
            bool(cores) and cores[0] >= 0,
            entry,
            "gpu_cores_max",
            "leaves no core count: write one that is not less than gpu_cores_min",
        )
        files.require(chip.bandwidth > 0, entry, "bandwidth", "is zero: write what the chip has")
        counts = {(chip.name, count) for count in cores}
        files.require(
            not variants & counts,
            entry,
            "gpu_cores_min",
            "overlaps a variant of the same name: remove one or part their core counts",
        )
        variants |= counts


def _check_tiers(files: _Files, registry: Registry) -> None:
    files.unique("tier", "name", (tier.name for tier in registry.tiers))
    chips = {chip.name for chip in registry.chips}
    for tier in registry.tiers:
        entry, budget = f"tier {tier.name!r}", tier.budget
        files.require(
            re.fullmatch("[a-z][a-z0-9_]*", tier.name) is not None,
            entry,
            "name",
            "is no marker name: write small letters, digits and underscores",
        )
        for chip in tier.chips:
            files.require(
                chip in chips,
                entry,
                "chips",
                f"names the unknown chip {chip!r}: correct it or declare it in chips.toml",
            )
        files.require(
            tier.memory_min <= tier.memory_max,
            entry,
            "memory_max",
            "is less than memory_min: exchange the two",
        )
        files.require(tier.load_limit > 0, entry, "load_limit", "is zero: write a time")
        files.require(
            0 < tier.speed_floor_share <= 1,
            entry,
            "speed_floor_share",
            f"is {tier.speed_floor_share:g}: write a share of the roofline, above 0 and up to 1",
        )
        files.require(
            0 < budget.warning_share < budget.critical_share <= 1,
            entry,
            "budget.warning_share",
            "and critical_share are no thresholds: write 0 < warning < critical <= 1",
        )


def _check_models(files: _Files, registry: Registry, own: Set[str]) -> None:
    files.unique("model", "name", (model.name for model in registry.models))
    identifiers = {deployment.identifier for deployment in registry.deployments()}
    earlier: set[str] = set()
    for model in registry.models:
        entry = f"model {model.name!r}"
        for key, problem in _faults_of_model(model):
            files.refuse(entry, key, problem)
        for number, source in enumerate(model.sources, 1):
            identifier = Deployment(model, source).identifier
            place = f"{entry}, source number {number} ({identifier})"
            twice = "gives a deployment that is declared twice: remove one or rename the model"
            files.require(identifier not in earlier, place, "quantisation", twice)
            earlier.add(identifier)
            for key, problem in _faults_of_source(model, source):
                files.refuse(place, key, problem)
            files.require(
                not source.fallback_of
                or bool(own and entry not in own)
                or (source.fallback_of in identifiers and source.fallback_of != identifier),
                place,
                "fallback_of",
                f"is {source.fallback_of!r}, which is no other deployment: write the "
                "identifier of one, such as 'qwen2.5-vl-7b-4bit@mlx'",
            )
            for key, problem in _faults_on_tiers(model, source, registry):
                files.refuse(place, key, problem)


def _faults_of_model(model: Model) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(model.name):
        yield "name", f"is no name: {_NAME_REMEDY}"
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


def _faults_of_source(model: Model, source: Source) -> Iterator[tuple[str, str]]:
    if source.backend not in BACKENDS:
        yield "backend", unknown_backend(source.backend)
        return
    if source.server and source.server not in server_names():
        names = ", ".join(map(repr, server_names()))
        yield (
            "server",
            f"is {source.server!r}, which is unknown: write one of {names}, or install the package "
            "that registers it",
        )
        return
    if source.engine not in ENGINES:
        yield (
            "server",
            f"is {source.server!r}, whose engine {source.engine!r} is no backend: its package must "
            f"name one of {', '.join(map(repr, ENGINES))}",
        )
        return
    if not _NAME.fullmatch(source.quantisation):
        yield "quantisation", f"is {source.quantisation!r}: {_NAME_REMEDY}"
    if (source.backend == "server") != bool(source.server):
        yield (
            "server",
            f"is {source.server!r} with the backend {source.backend!r}: a source of the backend "
            "'server' names its program, any other has none",
        )
    if source.server == "url" and not str(source.options.get("url", "")).startswith("http"):
        yield "options.url", "is missing: write where the server is, http://127.0.0.1:8080/v1"
    yield from _faults_of_files(model, source)


def _faults_of_files(model: Model, source: Source) -> Iterator[tuple[str, str]]:
    if source.weights == "canary" and not source.path:
        yield "path", "is missing: write the folder of the canary"
    if source.weights == "hub" and not source.path:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository):
            yield (
                "repository",
                f"is {source.repository!r}: write owner/name, as the hub does, or a local 'path'",
            )
        if not source.revision:
            yield "revision", "is empty: write a commit, a tag or a branch"
        if source.remote_code and not re.fullmatch("[0-9a-f]{40}", source.revision):
            yield (
                "revision",
                f"is {source.revision!r}, which can change under us: with remote_code write the "
                "full 40-digit commit whose code was reviewed",
            )
    if ENGINES[source.engine].weight_files != "gguf":
        if source.model_file:
            yield (
                "model_file",
                "is a single file, which only llama.cpp loads: write a folder's path",
            )
        return
    if not source.model_file:
        yield "model_file", "is missing: write the name of the language model's GGUF"
    if not source.mmproj_file and {"vision", "multi_image", "video"} & set(model.capabilities):
        yield (
            "mmproj_file",
            "is missing: write the name of the projector's GGUF, without which llama.cpp takes no "
            "images, or declare the capabilities without them",
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
        bound = roofline_at(Deployment(model, source), max(rates)).bound_tps
        if bound and floor > bound:
            yield (
                key,
                f"is {floor:g} tok/s, which no machine of that tier can reach (at most "
                f"{bound:.0f} tok/s at {max(rates) / 1e9:g} GB/s): declare less, or keep the "
                "figure as a published claim",
            )


def _check_bugs(files: _Files, registry: Registry, *, patterns_match: bool) -> None:
    files.unique("bug", "identifier", (bug.identifier for bug in registry.bugs))
    identifiers = [deployment.identifier for deployment in registry.deployments()]
    tiers = {tier.name for tier in registry.tiers}
    for bug in registry.bugs:
        entry = f"bug {bug.identifier!r}"
        try:
            SpecifierSet(bug.versions)
        except InvalidSpecifier:
            files.refuse(
                entry,
                "versions",
                f"is {bug.versions!r}: write a PEP 440 specifier, such as '>=0.0.10,<0.4.1'",
            )
        try:
            re.compile(bug.failure)
        except re.error as error:
            files.refuse(
                entry, "failure", f"is no regular expression ({error.msg}): correct the pattern"
            )
        tests = bug.tests or bug.may_fail
        for key, patterns in (("deployments", bug.deployments), ("tests", tests)):
            files.require(bool(patterns), entry, key, "is empty: write at least one pattern")
        for pattern in bug.deployments:
            files.require(
                not patterns_match
                or any(fnmatch.fnmatchcase(name, pattern) for name in identifiers),
                entry,
                "deployments",
                f"has the pattern {pattern!r}, which matches no deployment: correct it",
            )
        for tier in bug.tiers:
            files.require(
                tier in tiers,
                entry,
                "tiers",
                f"names the unknown tier {tier!r}: correct it or declare it in tiers.toml",
            )


def _check_memory(files: _Files, registry: Registry) -> None:
    files.unique("backend", "name", (backend.name for backend in registry.backends))
    names = (combination.name for combination in registry.together)
    files.unique("combination", "name", names)
    for backend in registry.backends:
        entry = f"backend {backend.name!r}"
        files.require(backend.name in BACKENDS, entry, "name", unknown_backend(backend.name))
        for key in ("weights_copies", "repacked_copies"):
            copies, problem = getattr(backend, key), "is no count of copies: write 0 to 4"
            files.require(0 <= copies <= 4, entry, key, problem)
    identifiers = {deployment.identifier for deployment in registry.deployments()}
    for combination in registry.together:
        entry = f"combination {combination.name!r}"
        files.require(
            len(combination.deployments) > 1, entry, "deployments", "names fewer than two"
        )
        for name in combination.deployments:
            problem = f"names the unknown deployment {name!r}"
            files.require(name in identifiers, entry, "deployments", problem)
