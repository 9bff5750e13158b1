"""What lies beside the weights is ignored, and a GGUF in parts is one model: loaded and asked."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest

from qualification.core.declarations import Deployment
from qualification.machine.probe import probe
from qualification.models.downloads import plan
from qualification.models.loading import load_registry
from qualification.models.weights import tensors_here
from qualification.session.context import Fetching, RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request
from qualification.tasks.questions import generate
from tests.support.canary_copies import CANARY, FOLDER, GGUF, write_model
from tests.support.gguf_in_parts import write_in_parts
from tests.support.hub_stand_in import hub

BESIDE = [*(pytest.param(name, marks=pytest.mark.long) for name in FOLDER), "llamacpp"]


def copy_of(backend: str, **source: object) -> Deployment:
    """The canary on a backend, from other files that a user has."""
    canary = load_registry().deployment(f"smolvlm-canary-f32@{backend}")
    changes: dict[str, object] = {"weights": "hub", "path": ""}
    if backend in GGUF:
        changes |= {"model_file": "model.gguf", "mmproj_file": "mmproj.gguf"}
    changes |= source
    return dataclasses.replace(canary, source=dataclasses.replace(canary.source, **changes))


def answers(deployment: Deployment, scratch: Path) -> Deployed:
    """Load it in a worker and ask it a question; it answers as the canary does."""
    registry = load_registry()
    machine, fetching = probe(registry.chips, registry.tiers), Fetching(plan([deployment]))
    context = RunContext(machine, None, scratch, fetching=fetching)
    (question,) = generate(1, 1, "heldout", ["colour"])
    request = prepared_request(deployment, context)
    with contextlib.closing(Deployed(deployment, request, context, Journal())) as loaded:
        assert loaded.ask(question.prompt, *question.images()) == question.answer
    return loaded


@pytest.mark.parametrize("backend", BESIDE)
def test_what_macos_lays_beside_the_weights_is_ignored(backend: str, tmp_path: Path) -> None:
    """``._model.safetensors`` and ``._model.gguf`` are no weights."""
    write_model(tmp_path / "model", backend)
    whole = sorted((tmp_path / "model").iterdir())
    for file in whole:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7Mac OS X")
    loaded = answers(copy_of(backend, path=str(tmp_path / "model")), tmp_path)
    weights = [file for file in whole if file.suffix in (".safetensors", ".gguf")]
    assert loaded.load_report.weights_bytes == sum(file.stat().st_size for file in weights)


@pytest.mark.parametrize(("backend", "first_is_empty"), [("llamacpp", True), ("llama.cpp", False)])
def test_a_gguf_in_parts_is_fetched_counted_and_loaded(
    backend: str, first_is_empty: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever part is named; the first may hold no tensor."""
    write_model(tmp_path / "hub", backend)
    (tmp_path / "hub/model.gguf").unlink()
    write_in_parts(CANARY / "gguf/model.gguf", tmp_path / "hub/m", first_is_empty=first_is_empty)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with hub({"parts": tmp_path / "hub"}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        deployment = copy_of(backend, repository="owner/parts", model_file="m-00002-of-00002.gguf")
        loaded = answers(deployment, tmp_path)
    fetched = [*(tmp_path / "hub").iterdir()]
    assert loaded.load_report.weights_bytes == sum(file.stat().st_size for file in fetched)
    plain = copy_of(backend, path=str(CANARY / "gguf"), model_file="model.gguf")
    assert sorted(tensors_here(deployment), key=lambda tensor: tensor.name) == sorted(
        tensors_here(plain), key=lambda tensor: tensor.name
    )
