"""Where caches and results are, by the environment's variables."""

import subprocess
import sys
from pathlib import Path

import pytest

from qualification.core import paths
from qualification.core.paths import hub_cache


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "~/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/big/cache"}, "/big/cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/big/cache", "HF_HOME": "/hf"}, "/hf/hub"),
        ({"HF_HOME": "/hf", "HF_HUB_CACHE": "/models"}, "/models"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/models"}, "/models"),
        ({"HF_HOME": "~/hf"}, "~/hf/hub"),
        ({"HF_HUB_CACHE": "~/models"}, "~/models"),
        ({"HF_HOME": "", "XDG_CACHE_HOME": ""}, "~/.cache/huggingface/hub"),
    ],
)
def test_the_hub_cache_follows_huggingface_hubs_rules(environment, folder):
    """The most specific variable decides; an empty one counts as not set."""
    assert hub_cache(environment) == Path(folder).expanduser()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"])
def test_the_hub_cache_is_that_of_huggingface_hub_itself(variable):
    """Downloaded weights are found where the library keeps them."""
    pytest.importorskip("huggingface_hub")
    environment = {"HOME": "/home/user", "USER_DISK": "/disk", variable: "$USER_DISK/cache"}
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USER_DISK", "/disk")
        assert hub_cache(environment) == Path(done.stdout.strip())


def test_variables_in_a_path_are_expanded(monkeypatch):
    """As huggingface_hub does."""
    monkeypatch.setenv("DISK", "/disk")
    assert hub_cache({"HF_HOME": "$DISK/hf"}) == Path("/disk/hf/hub")


def test_one_variable_moves_everything_that_can_be_made_again(monkeypatch, tmp_path):
    """llama.cpp's tools too: a user who moves the cache has one."""
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path))
    assert paths.cache() == tmp_path
    assert paths.llama_tools_folder("0.3.36").is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("darwin", "~/Library/Caches/qualification"), ("linux", "/xdg/qualification")],
)
def test_the_cache_is_in_the_users_cache_folder(monkeypatch, platform, folder):
    """macOS has its own, Linux follows XDG."""
    monkeypatch.delenv("QUALIFY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setattr(paths.sys, "platform", platform)
    assert paths.cache() == Path(folder).expanduser()


def test_results_are_in_the_project_unless_a_database_is_named(monkeypatch, tmp_path):
    """QUALIFY_RESULTS wins over QUALIFY_HOME."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    assert paths.results_url() == f"sqlite:///{tmp_path}/reports/results.sqlite"
    monkeypatch.setenv("QUALIFY_RESULTS", "postgresql://host/results")
    assert paths.results_url() == "postgresql://host/results"
