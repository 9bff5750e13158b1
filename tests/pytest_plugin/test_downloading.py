"""A run whose weights are on a hub: said before, asked for once, never unasked."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qualification.core.results import Results
from qualification.results.store import Store
from qualification.session.download_choice import CI
from tests.support.forked_pytest import run_forked
from tests.support.hub_stand_in import WEIGHTS, HubStandIn, hub, write_repository
from tests.support.toy_project import CHIPS, TIERS

SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
SUITE = "def test_text(deployed): deployed.ask('Hello')\n"
SMALL_DISK = """
from qualification.models import downloads
downloads.free_bytes = lambda folder: downloads.SPARE_BYTES + 1_500_000
"""
HIDDEN = (
    *("QUALIFY_RESULTS", "PYTEST_ADDOPTS", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", *CI),
)


@dataclass
class Scene:
    """A project of models on a hub, with a cache of its own."""

    folder: Path
    server: HubStandIn
    models: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """Empty at first."""
        return self.folder / "cache"

    def declare(self, *owners: str) -> None:
        """A scripted model for each owner of a repository, in this order."""
        for owner in owners:
            self.models.append(
                f'[[models]]\nname = "{owner}"\nfamily = "toy"\nparameters = 1000\n'
                'licence = "MIT"\ncapabilities = ["text_only"]\n[[models.sources]]\n'
                f'backend = "fake"\nquantisation = "bf16"\nrepository = "{owner}/model"\n'
                'tiers = ["linux_cpu", "air_m4"]\n'
            )
        declared = self.folder / "declared"
        declared.mkdir(exist_ok=True)
        (declared / "models.toml").write_text("shipped = false\n" + "\n".join(self.models))
        (declared / "tiers.toml").write_text(TIERS)
        (declared / "chips.toml").write_text(CHIPS)
        (declared / "bugs.toml").write_text("shipped = false\nbugs = []\n")
        (self.folder / "test_suite.py").write_text(SUITE)

    def run(self, *words: str) -> str:
        """What a run printed."""
        options = ("--declarations", self.folder / "declared", "-p", "no:cacheprovider", "-rs")
        result = run_forked(self.folder, *options, *words, "test_suite.py")
        assert result.ret != pytest.ExitCode.INTERNAL_ERROR, result.stderr.str()
        return result.stdout.str()

    def at_terminal(self, answer: str, *words: str) -> str:
        """What a run on a pseudo-terminal printed; the answer is typed when it asks."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *words]
        command += ["--declarations", str(self.folder / "declared"), "test_suite.py"]
        process = subprocess.Popen(
            command, cwd=self.folder, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        output, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                output += os.read(ours, 4096)
            except OSError:
                break
            if answer and output.endswith(b"[y/N] "):
                os.write(ours, f"{answer}\n".encode())
                answer = ""
        process.wait(30)
        os.close(ours)
        return re.sub(r"\x1b\[[\d;]*\w|\r", "", output.decode())

    def results(self) -> Results:
        """What the newest run stored."""
        store = Store(f"sqlite:///{self.folder}/reports/results.sqlite")
        return store.results(store.latest())

    def outcomes(self) -> dict[str, str]:
        """Model -> the outcome of its test in the newest run."""
        return {c.deployment.partition("-")[0]: c.outcome for c in self.results().checks}

    def sent(self, owner: str) -> int:
        """Bytes of weights that the hub sent for an owner's repository."""
        return self.server.sent[f"{owner}/model/model.safetensors"]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A hub with one model of a megabyte, whoever owns it; nothing of the caller's environment."""
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    repository = write_repository(tmp_path / "repository")
    project = tmp_path / "project"
    project.mkdir()
    with hub({"model": repository}) as server:
        monkeypatch.setenv("QUALIFY_HOME", str(project))
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HUB_CACHE", str(project / "cache"))
        yield Scene(project, server)


def test_without_a_yes_nothing_is_downloaded(scene: Scene) -> None:
    """The bytes are said, and the command; the tests are skipped and say nothing of the model."""
    scene.declare("first", "second")
    text = scene.run()
    headline = "qualification: 2 repositories are to be downloaded: 2.05 MB from 127.0.0.1 to "
    assert headline in " ".join(text.split())
    assert max(map(len, text[: text.index("first/model")].splitlines()[-2:])) <= 80
    assert "  1.02 MB  first/model, for first-bf16@fake" in text.splitlines()
    assert "download them?" not in text
    assert (scene.sent("first"), scene.cache.exists()) == (0, False)
    assert scene.outcomes() == {"first": "skipped", "second": "skipped"}
    (check, _) = scene.results().checks
    assert check.detail.startswith(
        "first/model is not on this machine, and nobody has said yes to downloading 1.02 MB from "
        "127.0.0.1: pytest "
    )
    assert check.detail.endswith(" test_suite.py --download")
    assert {verdict.advice for verdict in scene.results().verdicts} == {"untested"}


def test_with_a_yes_it_is_downloaded_once(scene: Scene) -> None:
    """And what lies there runs without one, and without a word."""
    scene.declare("first")
    assert "1 repository is to be downloaded: 1.02 MB from" in scene.run("--download")
    assert scene.outcomes() == {"first": "passed"}
    assert scene.sent("first") == len(WEIGHTS)
    before = scene.server.requests.total()
    assert "downloaded" not in scene.run()
    assert scene.outcomes() == {"first": "passed"}
    assert scene.server.requests.total() == before


def test_what_lies_there_runs_beside_what_does_not(scene: Scene) -> None:
    """A no to one repository is none to another."""
    scene.declare("first")
    scene.run("--download")
    scene.declare("second")
    scene.run()
    assert scene.outcomes() == {"first": "passed", "second": "skipped"}


@pytest.mark.slow
@pytest.mark.parametrize("variable", CI)
def test_ci_is_never_asked(variable: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a terminal, which some runners have."""
    monkeypatch.setenv(variable, "1")
    scene.declare("first")
    text = scene.at_terminal("y")
    assert "to be downloaded: 1.02 MB" in text
    assert "download them?" not in text
    assert scene.sent("first") == 0


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys", "--capture=no"])
@pytest.mark.slow
def test_a_terminal_is_asked_once(option: str, scene: Scene) -> None:
    """Whatever pytest captures: what is typed is read, and what follows is seen."""
    scene.declare("first", "second")
    text = scene.at_terminal("y", option)
    assert text.count("download them? [y/N]") == 1
    assert "2 passed" in text
    assert scene.sent("first") == scene.sent("second") == len(WEIGHTS)


@pytest.mark.parametrize("answer", ["n", "", "\x04"])
@pytest.mark.slow
def test_anything_but_yes_at_a_terminal_is_a_no(answer: str, scene: Scene) -> None:
    """Enter and the end of input too."""
    scene.declare("first")
    text = scene.at_terminal(answer or "\n")
    assert "1 skipped" in text
    assert scene.sent("first") == 0


@pytest.mark.slow
def test_a_resumed_session_keeps_a_yes_that_was_typed(scene: Scene) -> None:
    """It stands among the arguments that the session was begun with."""
    scene.declare("first", "second")
    (scene.folder / "test_suite.py").write_text(
        "import os, pathlib\n"
        "def test_text(deployed):\n"
        "    if deployed.identifier.startswith('second') and not os.path.exists('killed'):\n"
        "        pathlib.Path('killed').touch()\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    scene.at_terminal("y")
    text = run_forked(scene.folder, "--resume").stdout.str()
    assert "nobody has said yes" not in text
    assert scene.outcomes() == {"first": "passed", "second": "passed"}


@pytest.mark.slow
def test_half_a_file_is_continued_and_not_fetched_again(scene: Scene) -> None:
    """What an interrupted run left is in no sum."""
    scene.declare("first")
    blobs = scene.cache / "models--first--model/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{SHA256}.incomplete").write_bytes(WEIGHTS[:512_000])
    text = scene.run("--download")
    assert "1 repository is to be downloaded: 512 KB from" in text
    assert "  512 KB of 1.02 MB  first/model" in text
    assert scene.sent("first") == len(WEIGHTS) - 512_000
    assert scene.outcomes() == {"first": "passed"}


@pytest.mark.slow
def test_a_repository_that_fails_stops_no_other(scene: Scene) -> None:
    """Gated, gone or altered on the way: each in one sentence, beside one that is measured."""
    scene.declare("gated", "gone", "altered", "good")
    text = scene.run("--download")
    assert "2 repositories are to be downloaded: 2.05 MB from" in text
    assert re.search(r"  size unknown  gated/model, for .*: its repository is gated: ask", text)
    assert scene.outcomes() == {
        "gated": "skipped",
        "gone": "skipped",
        "altered": "skipped",
        "good": "passed",
    }
    details = {c.deployment.partition("-")[0]: c.detail for c in scene.results().checks}
    assert "gated" in details["gated"]
    assert "is not what it announces" in details["altered"]
    advice = {v.deployment.partition("-")[0]: v.advice for v in scene.results().verdicts}
    assert advice["gated"] == advice["gone"] == advice["altered"] == "untested"


@pytest.mark.slow
def test_offline_asks_nobody_and_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole in the cache runs; the rest is skipped with what to do, also with a yes."""
    scene.declare("first")
    scene.run("--download")
    scene.declare("second")
    requests = scene.server.requests.total()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = scene.run("--download")
    assert "what is missing is not downloaded from 127.0.0.1" in text
    assert scene.outcomes() == {"first": "passed", "second": "skipped"}
    (_, check) = scene.results().checks
    assert check.detail.startswith(
        "second/model is not whole on this machine, and with HF_HUB_OFFLINE nothing is downloaded"
    )
    assert scene.server.requests.total() == requests


def test_too_little_room_refuses_what_does_not_fit(scene: Scene) -> None:
    """In the order of use; nothing of it is begun."""
    (scene.folder / "conftest.py").write_text(SMALL_DISK)
    scene.declare("first", "second")
    text = scene.run("--download")
    assert "1 repository is to be downloaded: 1.02 MB from" in text
    assert scene.outcomes() == {"first": "passed", "second": "skipped"}
    assert scene.sent("second") == 0
    (_, check) = scene.results().checks
    assert check.detail.startswith("second/model does not fit on the disk of ")


@pytest.mark.slow
def test_a_slow_download_says_how_far_it_is(scene: Scene) -> None:
    """Bytes, speed and what is left, in pytest's own output and not in the test's."""
    scene.server.bytes_per_s = 150_000
    scene.declare("first")
    text = scene.run("--download")
    assert re.search(
        r"^(qualification: )?downloading first/model \d+ KB of 1.02 MB, \d+ KB/s, about \d s left$",
        text,
        re.MULTILINE,
    )
