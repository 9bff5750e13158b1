"""A disk that is full while a model is tried leaves it untested: /dev/full refuses as one does."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from qualification.core.errors import DiskFull, WeightsUnavailable, WorkerCrashed
from qualification.core.protocol import LoadRequest
from qualification.machine.probe import probe
from qualification.models.downloads import Download
from qualification.models.loading import load_registry
from qualification.models.weights import load_request
from qualification.results.store import Store
from qualification.session.context import Fetching, RunContext
from qualification.session.deployed import Deployed
from qualification.session.fetching import fetch
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request, start_worker
from qualification.session.session import is_its_own_fault
from qualification.session.worker import Worker
from qualification.tasks.questions import generate
from tests.support.toy_project import ToyProject, bug_toml

linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")

IMAGES_ON_FULL_DISK = """
import os, tempfile
made = tempfile.mkstemp
def mkstemp(*words, **named):
    descriptor, name = made(*words, **named)
    if name.endswith("png") or ".png." in name:
        os.close(descriptor)
        descriptor = os.open("/dev/full", os.O_WRONLY)
        os.fchmod = lambda *_: None
    return descriptor, name
tempfile.mkstemp = mkstemp
"""
"""A conftest: what is written of an image, the kernel refuses with ENOSPC."""

LOG_ON_FULL_DISK = """
import os
for number in (1, 2):
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)
"""
"""A worker's sitecustomize: what a library prints, the kernel refuses with ENOSPC."""

EVERYWHERE = [
    *(pytest.param(name, marks=pytest.mark.long) for name in ("mlx", "torch", "llama.cpp")),
    "llamacpp",
]
NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def stored(project: ToyProject) -> tuple[dict[str, tuple[str, str]], str, str]:
    """Test -> its outcome and detail, the verdict's name and its advice."""
    store = Store(f"sqlite:///{project.path}/reports/results.sqlite")
    results = store.results(store.latest())
    checks = {check.test: (check.outcome, check.detail) for check in results.checks}
    (verdict,) = results.verdicts
    return checks, verdict.name, verdict.advice


@linux
def test_a_full_scratch_folder_of_images_skips_what_needs_it(toy_project: ToyProject) -> None:
    """Also a test that is known to fail in another way; the others go on, and nothing failed."""
    (toy_project.path / "conftest.py").write_text(IMAGES_ON_FULL_DISK)
    result = toy_project.run(bugs_toml=bug_toml(">=0"), options={"second_image": "axis remapping"})
    result.assert_outcomes(passed=1, skipped=1)
    checks, name, _ = stored(toy_project)
    outcome, detail = checks["test_second_image"]
    assert outcome == "skipped"
    assert "/images: no space is left on its disk (" in detail
    assert name != "failed"


@linux
def test_a_full_disk_under_a_workers_log_is_no_failure_of_the_library(
    toy_project: ToyProject,
) -> None:
    """What it prints cannot be written; nor can the traceback of that."""
    (toy_project.path / "sitecustomize.py").write_text(LOG_ON_FULL_DISK)
    environment = {"PYTHONPATH": str(toy_project.path)}
    result = toy_project.run(options={"prints": "loading"}, environment=environment)
    result.assert_outcomes(skipped=2)
    checks, name, advice = stored(toy_project)
    (detail,) = (detail for _, detail in checks.values() if "not loaded" not in detail)
    assert "no space is left on its disk" in detail
    assert "OSError: [Errno 28]" in detail
    assert (name, advice) == ("inconclusive", "untested")


def test_a_worker_that_finds_no_room_to_start_has_not_crashed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder of temporary files is named."""
    registry = load_registry()
    deployment = registry.deployment("smolvlm-canary-f32@llamacpp")
    context = RunContext(probe(registry.chips, registry.tiers), None, tmp_path)

    def refuse(*_words: object, **_named: object) -> None:
        raise NO_ROOM

    monkeypatch.setattr("qualification.session.worker.make_scratch", refuse)
    with pytest.raises(DiskFull, match="no space is left on its disk") as raised:
        start_worker(deployment, context)
    assert not is_its_own_fault(deployment, raised.value)


def test_a_worker_that_dies_on_a_full_disk_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of a file that cannot grow ends a process without a word."""
    request = LoadRequest("fake", "synthetic", "toy", options={"on_load": "killed"})
    with Worker() as worker, pytest.raises(WorkerCrashed):
        worker.load(request, deadline_s=60)
    monkeypatch.setattr("qualification.session.worker.has_no_room", lambda _folder: True)
    with Worker() as worker, pytest.raises(DiskFull, match="the worker has ended"):
        worker.load(request, deadline_s=60)


def test_a_fetch_that_ends_badly_says_nothing_of_the_model(tmp_path: Path) -> None:
    """A library of the hub that crashes has loaded nothing."""
    planned = Download("owner/name", "main", "hub", tmp_path, ("x@mlx",))
    context = RunContext(probe((), ()), None, tmp_path, fetching=Fetching((planned,)))

    class Crashing:
        def fetch(self, *_words: object, **_named: object) -> None:
            raise WorkerCrashed("the worker died of SIGSEGV", stderr_tail="its last words")

    request = LoadRequest("mlx", "hub", "x", repository="owner/name", revision="main")
    with pytest.raises(WeightsUnavailable, match=r"could not be fetched: .*of SIGSEGV"):
        fetch(Crashing(), request, context, SimpleNamespace(identifier="x@mlx"))


@pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="huggingface_hub is missing")
def test_what_nobody_has_planned_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever loads a deployment: no code of ours downloads without a yes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    registry = load_registry()
    (deployment, *_) = registry.with_weights("hub").deployments()
    context = RunContext(probe((), ()), None, tmp_path)
    request = load_request(deployment)
    with pytest.raises(WeightsUnavailable, match=r"nobody has said yes .*: hf download "):
        fetch(SimpleNamespace(), request, context, deployment)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 2 MB for temporary files; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            monkeypatch.setattr(tempfile, "tempdir", str(folder))
            yield folder
            subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    pytest.skip("only root may mount a small disk")


def fill(folder: Path) -> None:
    """Leave no room on its disk."""
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(4096))
    os.close(filler)


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_full_tmp_is_the_machines_fault_on_every_backend(
    backend: str, is_loaded: bool, small_disk: Path
) -> None:
    """Full before the load or after it: compiled kernels, a server's log, an image."""
    registry = load_registry()
    canary = registry.deployment(f"smolvlm-canary-f32@{backend}")
    source = dataclasses.replace(canary.source, weights="hub")  # it compiles its own kernels
    deployment = dataclasses.replace(canary, source=source)
    (small_disk / "scratch").mkdir()
    context = RunContext(probe(registry.chips, registry.tiers), None, small_disk / "scratch")
    (question,) = generate(1, 1, "heldout", ["colour"])
    request = prepared_request(deployment, context)
    if not is_loaded:
        fill(small_disk)

    def ask() -> None:
        with contextlib.closing(Deployed(deployment, request, context, Journal())) as loaded:
            fill(small_disk)
            loaded.ask(question.prompt, *question.images())

    with pytest.raises(DiskFull, match=f"{small_disk}.*no space is left on its disk") as raised:
        ask()
    assert not is_its_own_fault(deployment, raised.value)
