"""How long an environment takes to build, and the core to install; what they take on the disk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.newcomer.figures import keep
from qualification.core.paths import DECLARATIONS, PACKAGE, cache
from qualification.upgrade.environments.uv_program import uv_environment, uv_program

ROUNDS = 3
_CANDIDATE = "mlx-vlm==0.7.9"


def environment() -> None:
    """Build the environment of the pins, then a second one, in an empty cache of environments."""
    seconds, extra_mb = [], []
    for number in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
            words = [sys.executable, "-m", "qualification", "environments", "build", "current"]
            # The wheel of llama-cpp-python that was built once is part of a warm cache.
            (Path(folder) / "wheels").symlink_to(cache() / "wheels")
            variables = os.environ | {"QUALIFY_CACHE": folder}
            wall, _ = _timed(words, variables)
            _, second = _timed([*words, "--candidate", _CANDIDATE], variables)
            if number:  # the first round fills uv's cache
                seconds.append(wall)
                extra_mb.append(_own_mb(Path(second.strip()).parents[1]))
    command = "qualify environments build current"
    values, megabytes = tuple(seconds), tuple(extra_mb)
    keep("environment_build_s", statistics.median(values), "s", command, values)
    command += f' --candidate "{_CANDIDATE}"'
    keep("environment_extra_mb", statistics.median(megabytes), "MB", command, megabytes)


def core() -> None:
    """Install the package without an extra into a new venv, with an empty cache of uv."""
    seconds, megabytes = [], []
    uv, constraints = str(uv_program()), DECLARATIONS / "environments" / "constraints.txt"
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
            variables = uv_environment() | {"UV_CACHE_DIR": f"{folder}/cache"}
            venv = Path(folder) / "venv"
            venv_s, _ = _timed([uv, "venv", "--python", sys.executable, str(venv)], variables)
            words = [uv, "pip", "install", "--python", str(venv / "bin/python")]
            wall, _ = _timed([*words, "-c", str(constraints), str(PACKAGE.parent)], variables)
            seconds.append(venv_s + wall)
            megabytes.append(_all_mb(venv))
    command = "uv venv && uv pip install -c constraints.txt . (with an empty cache)"
    keep("core_install_s", statistics.median(seconds), "s", command, tuple(seconds))
    keep("core_install_mb", statistics.median(megabytes), "MB", command, tuple(megabytes))


def _timed(words: list[str], variables: Mapping[str, str]) -> tuple[float, str]:
    """Wall time in seconds and the standard output of a command that must succeed."""
    started = time.monotonic()
    done = subprocess.run(words, env=dict(variables), check=True, stdout=subprocess.PIPE, text=True)
    return time.monotonic() - started, done.stdout


def _all_mb(folder: Path) -> float:
    """Megabytes on the disk, links to uv's cache included: the cache may be removed."""
    return sum(file.lstat().st_blocks for file in folder.rglob("*")) * 512 / 1e6


def _own_mb(folder: Path) -> float:
    """Megabytes on the disk that nothing else shares: folders, and files with one link."""
    stats = [file.lstat() for file in folder.rglob("*")]
    own = (stat for stat in stats if stat.st_nlink == 1 or not stat.st_mode & 0o100000)
    return sum(stat.st_blocks for stat in own) * 512 / 1e6
