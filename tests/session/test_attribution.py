"""What neither a model nor its library did is untested with its cause, never failed."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qualification.core.results import Results
from tests.support.canary_copies import (
    EVERYWHERE,
    FOLDER,
    GGUF,
    Project,
    weights_of,
    write_model,
)
from tests.support.gguf_in_parts import write_in_parts
from tests.support.hub_stand_in import COMMIT, HubStandIn, hub

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")


def with_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def with_pruned_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("gone"))


def with_two_shards(file: Path) -> None:
    present, missing = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    file.rename(file.with_name(present))
    index = json.dumps({"weight_map": {"a": present, "b": missing}})
    file.with_name("model.safetensors.index.json").write_text(index)


def with_one_part(file: Path) -> None:
    write_in_parts(file, file.with_name("big"))[1].unlink()
    file.unlink()


@dataclass(frozen=True)
class Fault:
    """What is wrong with the files of a model, and the sentence about it."""

    sentence: str
    make: Callable[[Path], object]
    backends: tuple[str, ...] = EVERYWHERE
    model_file: str = "model.gguf"


AGAIN = "; download or copy it again"
FAULTS = {
    "shard": Fault(
        f"model-00002-of-00002.safetensors: no such file, but the index names this shard{AGAIN}",
        with_two_shards,
        FOLDER,
    ),
    "mmproj": Fault(
        "mmproj.gguf: no such file; correct the path that its declaration names, or put it there",
        lambda file: file.with_name("mmproj.gguf").unlink(),
        GGUF,
    ),
    "part": Fault(
        "big-00002-of-00002.gguf: no such file; correct the path that its declaration names",
        with_one_part,
        GGUF,
        "big-00001-of-00002.gguf",
    ),
    "empty": Fault(
        f"damaged or truncated file (it is empty){AGAIN}", lambda file: file.write_bytes(b"")
    ),
    "half": Fault("damaged or truncated", with_half),
    "pointer": Fault(
        "is a pointer of Git LFS, not the file itself; git lfs pull",
        lambda file: file.write_bytes(POINTER),
    ),
    "page": Fault(
        f"is a web page (a login, an error?), not the file itself{AGAIN}",
        lambda file: file.write_bytes(b"<!DOCTYPE html><html>Sign in</html>"),
    ),
    "pruned": Fault("a link to a file that is gone (was a cache pruned?); ", with_pruned_link),
    "tokenizer pointer": Fault(
        "tokenizer.json: is a pointer of Git LFS, not the file itself; git lfs pull",
        lambda file: file.with_name("tokenizer.json").write_bytes(POINTER),
        FOLDER,
    ),
    "half tokenizer": Fault(
        "tokenizer.json: cannot be read as JSON",
        lambda file: with_half(file.with_name("tokenizer.json")),
        FOLDER,
    ),
}
LOCAL = [(cause, backend) for cause, fault in FAULTS.items() for backend in fault.backends]


@pytest.fixture(scope="module")
def surroundings() -> Iterator[pytest.MonkeyPatch]:
    """Nothing of the caller's environment reaches the runs of this module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("QUALIFY_RESULTS", "PYTEST_ADDOPTS", "HF_TOKEN", "HF_HUB_OFFLINE"):
            patch.delenv(name, raising=False)
        for name in ("WORKER", "WORKER_COUNT", "TESTRUNUID"):
            patch.delenv(f"PYTEST_XDIST_{name}", raising=False)
        yield patch


@pytest.fixture
def project(surroundings: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """A project of its own."""
    surroundings.setenv("QUALIFY_HOME", str(tmp_path))
    return Project(tmp_path)


def is_untested(results: Results, model: str, sentence: str) -> None:
    """Nothing of the model failed, and both its check and its verdict say the sentence."""
    (verdict,) = (v for v in results.verdicts if v.deployment.startswith(f"{model}-"))
    (check,) = (c for c in results.checks if c.deployment == verdict.deployment)
    assert (check.outcome, verdict.name, verdict.advice) == ("skipped", "inconclusive", "untested")
    assert sentence in check.detail
    assert "\n" not in check.detail
    assert sentence in " ".join(finding.sentence for finding in verdict.findings)


def model_name(*words: str) -> str:
    return "-".join(words).replace(" ", "-").replace("_", "-")


# --------------------------------------------------------------------------- files on the disk


@dataclass(frozen=True)
class Run:
    """What one run of many models printed, stored and reported."""

    result: pytest.RunResult
    results: Results
    report: str


@pytest.fixture(scope="module")
def local_run(surroundings: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of a damaged copy of a canary for each fault and backend."""
    project = Project(tmp_path_factory.mktemp("damaged"))
    surroundings.setenv("QUALIFY_HOME", str(project.folder))
    for cause, backend in LOCAL:
        name, fault = model_name(cause, backend), FAULTS[cause]
        write_model(project.folder / "weights" / name, backend)
        fault.make(project.folder / "weights" / name / weights_of(backend))
        files = {"model_file": fault.model_file} if backend in GGUF else {}
        project.declare(name, backend, path=f"../weights/{name}", **files)
    result, results = project.run()
    return Run(result, results, project.report())


@pytest.mark.parametrize(("cause", "backend"), LOCAL)
def test_files_that_are_missing_or_damaged_leave_a_model_untested(
    cause: str, backend: str, local_run: Run
) -> None:
    """Whatever was left of a download, the sentence names the file and what to do."""
    is_untested(local_run.results, model_name(cause, backend), FAULTS[cause].sentence)


def test_a_run_of_damaged_models_blames_none(local_run: Run) -> None:
    """On the terminal, in the report and by the exit code."""
    assert local_run.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    local_run.result.assert_outcomes(skipped=len(LOCAL))
    screen = local_run.result.stdout.str()
    assert screen.count("  not tried") == len(LOCAL)
    assert f"0 of {len(LOCAL)} work, {len(LOCAL)} not tried: " in " ".join(screen.split())
    assert local_run.report.count("not tried") >= len(LOCAL)
    assert "not recommended" not in screen + local_run.report


# --------------------------------------------------------------------------- the hub


@dataclass(frozen=True)
class HubFault:
    """Why the hub's files cannot be had; ``make`` damages what is in the cache already.

    ``owner`` is that of a repository of the stand-in; '' for a machine without a network.
    """

    sentence: str
    owner: str = ""
    make: Callable[[Path], object] | None = None
    backends: tuple[str, ...] = EVERYWHERE


def with_partial_blob(file: Path) -> None:
    blobs = file.parents[2] / "blobs"
    blobs.mkdir()
    (blobs / "abc.incomplete").write_bytes(file.read_bytes()[:1000])
    file.unlink()


NOT_GIVEN = ", and the hub does not have it or cannot be reached; correct the name, or download it"
FETCH = f"; download it again: hf download owner/model {{}} --revision {COMMIT} --force-download"
HUB_FAULTS = {
    "gated": HubFault("its repository is gated: ask for access at ", "gated"),
    "gone": HubFault("the hub has no such revision (any more): declare one of ", "gone"),
    "nowhere": HubFault("no such repository for you: correct the name, or log in to ", "nowhere"),
    "refused": HubFault(
        "refuses the credentials (401): log in again with hf auth login", "refused"
    ),
    "closed": HubFault("it could not be downloaded (the hub answers 403); try again ", "closed"),
    "cut": HubFault("downloaded (OSError: Consistency check failed: file should be of", "cut"),
    "not in it": HubFault(NOT_GIVEN, "whole"),
    "full": HubFault("no space is left on its disk (", "full"),
    "no network": HubFault(
        "owner/model@main is not in the local hub cache, and it could not be downloaded (Connect"
    ),
    "lost shard": HubFault(NOT_GIVEN, make=with_two_shards, backends=FOLDER),
    "lost mmproj": HubFault(
        NOT_GIVEN, make=lambda file: file.with_name("mmproj.gguf").unlink(), backends=GGUF
    ),
    "pruned blob": HubFault(NOT_GIVEN, make=with_pruned_link),
    "partial blob": HubFault(NOT_GIVEN, make=with_partial_blob),
    "empty blob": HubFault(FETCH, make=lambda file: file.write_bytes(b"")),
    "half blob": HubFault(FETCH, make=with_half),
    "page blob": HubFault(FETCH, make=lambda file: file.write_bytes(b"<html>404</html>")),
    "pointer blob": HubFault(
        "is a pointer of Git LFS, not the file itself; git lfs pull",
        make=lambda file: file.write_bytes(POINTER),
    ),
}
LOST = {
    "lost shard": "model-00002-of-00002.safetensors is not in ",
    "lost mmproj": "mmproj.gguf is not in ",
}
"""What is named besides."""

ON_FULL_DISK = """
import io
opened = io.open
def on_a_full_disk(file, *words, **named):
    return opened("/dev/full" if str(file).endswith(".incomplete") else file, *words, **named)
io.open = on_a_full_disk
"""
"""A worker's sitecustomize: the kernel refuses what a download writes, as on a full disk."""

EVERY_HUB = [(cause, backend) for cause, fault in HUB_FAULTS.items() for backend in fault.backends]
IN_TURN = [
    (cause, fault.backends[number % len(fault.backends)])
    for number, (cause, fault) in enumerate(HUB_FAULTS.items())
    if cause not in ("closed", "empty blob", "page blob")
]
"""A cause once, and each backend: a download ends before the worker imports a library."""


def declare_hub(project: Project, cause: str, backend: str, server: HubStandIn) -> None:
    """Declare a model of the hub that has a fault of :data:`HUB_FAULTS`."""
    name, fault = model_name(cause, backend), HUB_FAULTS[cause]
    cache = project.folder / "caches" / name
    environment = {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": server.address}
    repository = f"{fault.owner or 'owner'}/{'model' if fault.owner == '' else backend}"
    if not fault.owner:
        environment["HF_ENDPOINT"] = f"http://127.0.0.1:{_closed_port()}"
    if fault.owner == "full":
        (project.folder / "full").mkdir(exist_ok=True)
        (project.folder / "full/sitecustomize.py").write_text(ON_FULL_DISK)
        environment["PYTHONPATH"] = str(project.folder / "full")
    if fault.make is not None:
        place = cache / "models--owner--model"
        write_model(place / "snapshots" / COMMIT, backend)
        (place / "refs").mkdir()
        (place / "refs/main").write_text(COMMIT)
        fault.make(place / "snapshots" / COMMIT / weights_of(backend))
    if cause == "not in it":
        repository = "whole/empty"
    project.declare(name, backend, repository=repository, environment=environment)


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def hub_run(folder: Path, cases: list[tuple[str, str]]) -> Results:
    """One run of a model of the hub for each cause and backend; what was stored."""
    project = Project(folder)
    repositories = {backend: folder / "repositories" / backend for backend in EVERYWHERE}
    for backend, place in repositories.items():
        write_model(place, backend)
    (folder / "repositories/empty").mkdir()
    (folder / "repositories/empty/config.json").write_text("{}")
    with hub({**repositories, "empty": folder / "repositories/empty"}) as server:
        for cause, backend in cases:
            if cause != "full" or sys.platform == "linux":
                declare_hub(project, cause, backend, server)
        result, results = project.run()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "not recommended" not in result.stdout.str()
    return results


@pytest.fixture(scope="module")
def hub_results(
    surroundings: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """What a run of :data:`IN_TURN` stored."""
    folder = tmp_path_factory.mktemp("hub")
    surroundings.setenv("QUALIFY_HOME", str(folder))
    return hub_run(folder, IN_TURN)


def check_hub(results: Results, cause: str, backend: str) -> None:
    """The model is untested with the sentence of its cause."""
    if cause == "full" and sys.platform != "linux":
        pytest.skip("/dev/full is of Linux")
    name = model_name(cause, backend)
    is_untested(results, name, HUB_FAULTS[cause].sentence.format(weights_of(backend)))
    is_untested(results, name, LOST.get(cause, ""))


@pytest.mark.parametrize(("cause", "backend"), IN_TURN)
def test_a_model_that_the_hub_does_not_give_is_untested(
    cause: str, backend: str, hub_results: Results
) -> None:
    """Refused, unreachable, cut off, pruned or damaged in the cache: with what to do."""
    check_hub(hub_results, cause, backend)


@pytest.mark.long
def test_the_hub_is_as_clear_on_every_backend(project: Project) -> None:
    """Every cause with every backend that can meet it."""
    results = hub_run(project.folder, EVERY_HUB)
    for cause, backend in EVERY_HUB:
        check_hub(results, cause, backend)
