"""An empty project on a recorded Mac with an empty cache, beside a hub that serves canaries."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.paths import PACKAGE, canaries
from qualification.models.loading import load_registry
from tests.rehearsal.own_models import declare
from tests.rehearsal.recorded_mac import VARIABLE
from tests.support.hub_stand_in import HubStandIn, hub

TIER = "air_m4"
AIR = "air_m4_32gb"
_LONGEST_S = 5400.0
_CONFIGURATION = shutil.ignore_patterns("gguf", "*.safetensors")
_CANARY_SUFFIX = {"4bit": "-4bit", "8bit": "-8bit"}
_HIDDEN = (
    *("QUALIFY_RESULTS", "QUALIFY_HOME", "PYTEST_ADDOPTS", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HOME"),
    *("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "PYTEST_XDIST_WORKER"),
    *("PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTHONDONTWRITEBYTECODE"),
)


def declared() -> tuple[Deployment, ...]:
    """The deployments that ship and name the tier of the rehearsal."""
    return tuple(d for d in load_registry().deployments() if TIER in d.source.tiers)


def write_repositories(folder: Path) -> dict[str, Path]:
    """Repository -> a folder with the files of a canary of its family, named as declared."""
    repositories: dict[str, Path] = {}
    for deployment in declared():
        source = deployment.source
        place = folder / source.repository
        repositories[source.repository] = place
        canary = canaries() / deployment.model.family
        if source.model_file:
            place.mkdir(parents=True)
            gguf = {"Q8_0": "model-q8_0.gguf", "Q4_K_M": "model-q4_0.gguf"}[source.quantisation]
            shutil.copy(canary / "gguf" / gguf, place / source.model_file)
            shutil.copy(canary / "gguf/mmproj.gguf", place / source.mmproj_file)
        else:
            suffix = _CANARY_SUFFIX.get(source.quantisation, "")
            files = canary.with_name(f"{canary.name}{suffix}")
            shutil.copytree(files, place, ignore=shutil.ignore_patterns("gguf"))
        for repository in source.also_needs:
            repositories[repository] = folder / repository
            shutil.copytree(canary, folder / repository, ignore=_CONFIGURATION)
    return repositories


@dataclass
class Rehearsal:
    """Runs commands as a user of the recorded machine does; everything lies below ``folder``."""

    folder: Path
    hub: HubStandIn
    trap: HubStandIn
    machine: str = AIR
    more: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The working folder, empty at first."""
        return self.folder / "project"

    @property
    def cache(self) -> Path:
        """The hub's cache, empty at first."""
        return self.folder / "home/.cache/huggingface/hub"

    def environment(self) -> dict[str, str]:
        """Of the user: their own home, the hub on loopback; any other host leads to the trap."""
        variables = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
        variables |= {
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "home/.cache"),
            "HF_ENDPOINT": self.hub.address,
            "PYTHONPATH": f"{self.folder / 'seat'}{os.pathsep}{PACKAGE.parent}",
            "QUALIFY_LOCKS": str(self.folder / "locks"),
            "COLUMNS": "80",
            VARIABLE: self.machine,
        }
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            variables[proxy] = self.trap.address
        for proxy in ("no_proxy", "NO_PROXY"):
            variables[proxy] = "127.0.0.1,localhost"
        return variables | self.more

    def start(self, *words: str) -> subprocess.Popen[str]:
        """``python -m WORDS``, in a group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.project,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """``python -m WORDS``: exit code, and what it printed."""
        process = self.start(*words)
        try:
            output, _ = process.communicate(timeout=_LONGEST_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, output

    def killed_when(self, ready: Callable[[], bool], *words: str) -> None:
        """Start, and end with SIGKILL as soon as something is so."""
        process = self.start(*words)
        began = time.monotonic()
        while not ready():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() - began < 120.0, "nothing came to the moment to kill at"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()

    def query(self, sql: str) -> list[tuple]:
        """The rows of a query of the results database."""
        with sqlite3.connect(self.project / "reports/results.sqlite") as database:
            return database.execute(sql).fetchall()


@contextmanager
def rehearsal(folder: Path, machine: str = AIR, *, own: bool = False) -> Iterator[Rehearsal]:
    """Everything set up, until the block ends; with ``own``, models of the user's own too."""
    (folder / "project").mkdir(parents=True)
    (folder / "seat").mkdir()
    seat = folder / "seat/sitecustomize.py"
    seat.write_text("import tests.rehearsal.recorded_mac\n")
    repositories = write_repositories(folder / "hub")
    if own:
        repositories |= declare(folder / "project", folder / "hub", TIER)
    with hub(repositories) as server, hub({}) as trap:
        yield Rehearsal(folder, server, trap, machine)
