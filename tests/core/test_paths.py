"""Where caches and results are, by the environment's variables."""

import ast
import itertools
import json
import re
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
        ({"HF_HOME": "", "XDG_CACHE_HOME": "/big/cache"}, "hub"),
    ],
)
def test_the_hub_cache_follows_huggingface_hubs_rules(environment, folder):
    """The most specific variable decides; an empty one is the working folder, as there."""
    assert hub_cache(environment) == Path(folder).expanduser()


VARIABLES = ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
VALUES = (None, "/big/cache", "~/cache", "$USER_DISK/cache", "relative/cache", "")

_CONSTANTS = """
import importlib, json, os, sys
from huggingface_hub import constants
kept = {"HOME": "/home/user", "USER_DISK": "/disk"}
for environment in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(kept | environment)
    print(importlib.reload(constants).HF_HUB_CACHE)
"""


def test_the_hub_cache_is_that_of_huggingface_hub_itself(monkeypatch):
    """Downloaded weights are found where the library keeps them, whatever variables are set."""
    pytest.importorskip("huggingface_hub")
    environments = [
        {name: value for name, value in zip(VARIABLES, values, strict=True) if value is not None}
        for values in itertools.product(VALUES, repeat=len(VARIABLES))
    ]
    done = subprocess.run(
        [sys.executable, "-c", _CONSTANTS],
        input=json.dumps(environments),
        capture_output=True,
        text=True,
        check=True,
    )
    folders = done.stdout.split("\n")
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("USER_DISK", "/disk")
    for environment, folder in zip(environments, folders[:-1], strict=True):
        assert (environment, hub_cache(environment)) == (environment, Path(folder))


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


@pytest.mark.parametrize("is_checkout", [True, False])
def test_advice_is_true_where_it_is_given(monkeypatch, is_checkout, tmp_path):
    """An installed package has no repository, no Makefile and no ``fixtures``."""
    monkeypatch.setattr(paths, "is_checkout", lambda: is_checkout)
    assert paths.advice("make it", "install it") == ("make it" if is_checkout else "install it")
    remedy = paths.how_to_restore(paths.canaries() / "smolvlm/config.json")
    assert ("git checkout" in remedy) == is_checkout
    assert ("pip install" in remedy) != is_checkout
    assert (
        paths.how_to_restore(tmp_path)
        == "correct the path that its declaration names, or put it there"
    )


_OF_A_CHECKOUT = re.compile(r"-m fixtures|\.venv/|`make |git checkout|pip install -e")


def _advising(tree):
    """Every string in code that tells of something which only a checkout has, with its function."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        docstring = ast.get_docstring(function, clean=False)
        for node in ast.walk(function):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and text != docstring and _OF_A_CHECKOUT.search(text):
                yield function, text


def test_no_sentence_gives_advice_that_an_installed_package_cannot_follow():
    """Such a sentence is chosen by whether this is a checkout."""
    wrong = []
    for file in paths.PACKAGE.rglob("*.py"):
        for function, text in _advising(ast.parse(file.read_text())):
            called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            if not called & {"advice", "is_checkout"}:
                wrong.append(f"{file.name}, {function.name}: {text}")
    # Only a checkout that was never installed has no metadata.
    assert [line for line in wrong if not line.startswith("spec.py, _of_extras")] == []
