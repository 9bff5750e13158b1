"""Commands whose deployment is on a hub: said before, never unasked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hub_stand_in import WEIGHTS, HubStandIn, hub, write_repository
from tests.support.toy_project import CHIPS, TIERS, own_variables

NAME = "owner-bf16@fake"
MODEL = """
shipped = false
[[models]]
name = "owner"
family = "toy"
parameters = 1000
licence = "MIT"
capabilities = ["vision"]
[[models.sources]]
backend = "fake"
quantisation = "bf16"
repository = "owner/model"
tiers = ["linux_cpu", "air_m4"]
"""
COMMANDS = {
    "see": ("see", NAME),
    "watch": ("watch", NAME, "--requests", "1"),
    "gate": (
        "gate",
        "--to",
        "current",
        "--weights",
        "hub",
        "--models",
        "owner",
        "--metrics",
        "none",
    ),
    "bisect": (
        *("bisect", "--good", "here", "--bad", "here", "--check", "decode_tps"),
        *("--deployment", NAME, "--weights", "hub"),
    ),
}
Qualify = Callable[..., tuple[int, str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubStandIn]:
    """A hub with one model of a megabyte."""
    with hub({"model": write_repository(tmp_path / "repository")}) as stand_in:
        yield stand_in


@pytest.fixture
def qualify(tmp_path: Path, server: HubStandIn) -> Qualify:
    """``qualify(*words)``: exit code and output, in a project that declares the model."""
    declared = tmp_path / "project/declared"
    declared.mkdir(parents=True)
    (declared / "models.toml").write_text(MODEL)
    (declared / "tiers.toml").write_text(TIERS)
    (declared / "chips.toml").write_text(CHIPS)
    (declared / "bugs.toml").write_text("shipped = false\nbugs = []\n")
    variables = own_variables() | {
        "HF_ENDPOINT": server.address,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "",
        "QUALIFY_HOME": str(declared.parent),
    }

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "qualification", *words, "--declarations", str(declared)],
            cwd=declared.parent,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_yes_nothing_is_downloaded(
    command: str, qualify: Qualify, server: HubStandIn
) -> None:
    """The bytes are said, and the same command with a yes."""
    code, output = qualify(*COMMANDS[command])
    assert code == (3 if command == "see" else 2)
    assert "1 repository is to be downloaded: 1.02 MB from 127.0.0.1 to " in output
    text = " ".join(output.split())
    assert "owner/model is not on this machine, and nobody has said yes to downloading" in text
    assert f"qualify {command} " in text
    assert "--download" in text
    assert not server.sent
    assert "Traceback" not in output


@pytest.mark.parametrize("command", ["see", "watch"])
def test_with_a_yes_it_is_downloaded_once(
    command: str, qualify: Qualify, server: HubStandIn
) -> None:
    """Then nothing is said any more."""
    qualify(*COMMANDS[command], "--download")
    assert server.sent["owner/model/model.safetensors"] == len(WEIGHTS)
    requests = server.requests.total()
    _, output = qualify(*COMMANDS[command])
    assert "downloaded" not in output
    assert server.requests.total() == requests
