"""From a declaration to a checked request, and to a worker with its interpreter and limits."""

import shutil
import sys
from dataclasses import replace

import pytest

from qualification.core.errors import WeightsError
from qualification.core.paths import canaries
from qualification.models.loading import load_registry
from qualification.models.synthetic import cache
from qualification.session import loading
from qualification.session.context import RunContext
from tests.support.session_sample import session

REGISTRY = load_registry()
CANARY = "smolvlm-canary-f32@mlx"


@pytest.fixture
def context(tmp_path):
    """A machine of no tier with 24 GB; the environment to qualify has another interpreter."""
    return RunContext(session().machine, None, tmp_path, python="/environment/bin/python")


@pytest.fixture
def started(monkeypatch):
    """What workers would be started with, in place of starting them."""
    monkeypatch.setattr(loading, "Worker", lambda **settings: settings)
    return loading.start_worker


def test_the_request_of_a_canary_has_its_absolute_folder(context):
    """Its files are those of the manifest."""
    request = loading.prepared_request(REGISTRY.deployment(CANARY), context)
    assert request.path == str(canaries() / "smolvlm")


def test_a_canary_that_differs_from_its_manifest_is_refused(context, tmp_path):
    """Before any library reads it."""
    shutil.copy(canaries() / "manifest.json", tmp_path)
    folder = tmp_path / "smolvlm"
    shutil.copytree(canaries() / "smolvlm", folder)
    (folder / "config.json").write_text("{}")
    deployment = REGISTRY.deployment(CANARY)
    changed = replace(deployment, source=replace(deployment.source, path=str(folder)))
    with pytest.raises(WeightsError, match=r"config\.json: differs from the manifest"):
        loading.prepared_request(changed, context)


def test_synthetic_weights_are_made_within_the_memory_limit(context, monkeypatch, tmp_path):
    """The request has the folder that was made."""
    limits = []

    def ready(deployment, *, memory_limit):
        limits.append(memory_limit)
        return tmp_path

    monkeypatch.setattr(cache, "ready", ready)
    monkeypatch.setattr(loading, "check_files", lambda request: None)
    random = REGISTRY.with_weights("synthetic").deployment("qwen2.5-vl-3b-4bit-synthetic@mlx")
    assert loading.prepared_request(random, context).path == str(tmp_path)
    assert limits == [context.memory_limit_bytes]


def test_a_server_program_runs_under_the_environment_and_its_client_under_ours(context, started):
    """The program is qualified, not the client that asks it."""
    deployment = next(
        deployment
        for deployment in REGISTRY.deployments()
        if deployment.source.server == "llama_cpp.server" and deployment.source.weights == "canary"
    )
    assert loading.prepared_request(deployment, context).python == context.python
    assert started(deployment, context)["python"] == sys.executable


def test_a_worker_of_the_environment_is_ended_at_the_memory_limit(context, started):
    """Only canaries share compiled kernels, in the scratch folder."""
    settings = started(REGISTRY.deployment(CANARY), context)
    assert settings["python"] == context.python
    assert settings["memory_limit"] == context.memory_limit_bytes
    assert settings["kernels"].is_relative_to(context.scratch / "kernels")
    real = next(d for d in REGISTRY.deployments() if d.source.weights == "hub")
    assert started(real, context)["kernels"] is None
