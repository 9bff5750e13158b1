"""A worker's download, in a process of its own, from a hub on this machine that fails as asked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qualification.core.paths import PACKAGE
from tests.support.hub_stand_in import HubStandIn, hub

WEIGHTS = bytes(range(256)) * 8000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILE = "model/model.safetensors"
SCRIPT = """
import json, sys, time
from qualification.backends import downloading, snapshots
from qualification.core.hub.files import Part
waits = []
if "--no-sleep" in sys.argv:
    time.sleep = waits.append
try:
    answer = str(snapshots._snapshot(Part(sys.argv[1], "main", ("*.json", "*.safetensors"))))
except Exception as error:
    answer = f"{type(error).__name__}: {error}"
print(json.dumps([answer, waits]))
"""


@dataclass
class Hub:
    """The stand-in, and a user's cache."""

    server: HubStandIn
    cache: Path

    def fetch(self, owner: str, *, sleeps: bool = True) -> tuple[str, list[float], str]:
        """What a download of ``owner/model`` ended with, its waits, and what it printed."""
        variables = {"HF_ENDPOINT": self.server.address, "HF_HUB_CACHE": str(self.cache)}
        words = [sys.executable, "-c", SCRIPT, f"{owner}/model", *["--no-sleep"] * (not sleeps)]
        ended = subprocess.run(
            words,
            capture_output=True,
            text=True,
            cwd=PACKAGE.parent,
            env={**os.environ, "HF_HUB_OFFLINE": "", "HF_TOKEN": ""} | variables,
        )
        assert ended.returncode == 0, ended.stderr
        answer, waits = json.loads(ended.stdout)
        return answer, waits, ended.stderr

    def blobs(self, owner: str) -> Path:
        """The folder of the files of ``owner/model`` in the cache."""
        return self.cache / f"models--{owner}--model/blobs"

    def partial(self, owner: str, content: bytes, name: str = f"{SHA256}.incomplete") -> None:
        """Leave a part of the weights, as a download that was killed does."""
        self.blobs(owner).mkdir(parents=True)
        (self.blobs(owner) / name).write_bytes(content)

    def sent(self, owner: str) -> int:
        """Bytes of weights that the hub has sent."""
        return self.server.sent[f"{owner}/{FILE}"]


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Hub]:
    """A hub of one model, and an empty cache."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    with hub({"model": folder}) as server:
        yield Hub(server, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{SHA256}.incomplete", f"{SHA256}.1234abcd.incomplete"])
def test_half_a_file_is_continued(name: str, stand_in: Hub) -> None:
    """By both names that releases of the library give it; nothing is left beside the file."""
    stand_in.partial("owner", WEIGHTS[:1_000_000], name)
    answer, _, _ = stand_in.fetch("owner")
    assert (Path(answer) / "model.safetensors").read_bytes() == WEIGHTS
    assert stand_in.sent("owner") == len(WEIGHTS) - 1_000_000
    assert not list(stand_in.blobs("owner").glob("*.incomplete"))
    assert stand_in.fetch("owner")[0] == answer
    assert stand_in.sent("owner") == len(WEIGHTS) - 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("content", [bytes(1_000_000), bytes(len(WEIGHTS)), WEIGHTS + b"more"])
def test_half_a_file_of_something_else_is_fetched_anew(content: bytes, stand_in: Hub) -> None:
    """Its hash is not the hub's, or it is too long."""
    stand_in.partial("owner", content)
    answer, _, _ = stand_in.fetch("owner")
    assert (Path(answer) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.slow
def test_a_connection_that_is_cut_at_90_percent_is_resumed_by_the_next_start(stand_in: Hub) -> None:
    """What has come stays, although the library removes what it has begun."""
    stand_in.server.faults["owner/model"] = "broken off"
    answer, _, _ = stand_in.fetch("owner", sleeps=False)
    assert answer.startswith("WeightsUnavailable: owner/model@main is not in the local hub")
    assert stand_in.sent("owner") == len(WEIGHTS) * 9 // 10
    stand_in.server.faults["owner/model"] = "whole"
    answer, _, _ = stand_in.fetch("owner")
    assert (Path(answer) / "model.safetensors").read_bytes() == WEIGHTS
    assert stand_in.sent("owner") <= len(WEIGHTS) + (1 << 18)


@pytest.mark.slow
def test_a_hub_that_limits_requests_is_waited_for(stand_in: Hub) -> None:
    """As long as it says, which the parent can read in the log."""
    answer, waits, printed = stand_in.fetch("limited", sleeps=False)
    assert (Path(answer) / "model.safetensors").read_bytes() == WEIGHTS
    assert waits[0] == 1.0
    assert "qualification: the hub asks to wait 1 s (429, too many requests)" in printed


@pytest.mark.slow
def test_a_hub_that_asks_to_wait_ten_minutes_is_not(stand_in: Hub) -> None:
    """The model is untested, and the sentence says how long."""
    stand_in.server.faults["owner/model"] = "limited for long"
    answer, waits, _ = stand_in.fetch("owner", sleeps=False)
    assert "the hub answers 429, too many requests: wait 10 min 0 s" in answer
    assert waits == []


@pytest.mark.slow
def test_other_bytes_than_the_hub_announces_are_not_kept(stand_in: Hub) -> None:
    """One sentence, and no file under the name of the hash."""
    answer, _, _ = stand_in.fetch("altered")
    assert answer.startswith(
        "WeightsUnavailable: altered/model@main: what the hub sent for model.safetensors is not "
        f"what it announces (SHA-256 {SHA256[:12]}…); a proxy may have changed it: try again"
    )
    assert not list(stand_in.blobs("altered").glob(f"{SHA256}*"))
