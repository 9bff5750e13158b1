"""How long a newcomer waits for the first verdict, and an upgrade for the gate's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.newcomer.figures import keep
from qualification.core.paths import PACKAGE, cache

_SECOND_PART = "2 of 2:"
"""``make qualify`` prints it after the first verdict."""

_CANDIDATE = "transformers==5.24.0"


def first_verdict() -> None:
    """``git clone && make qualify`` with empty caches, by uv and by pip, to the first verdict."""
    for identifier, installer in (("first_verdict_s", "uv"), ("first_verdict_pip_s", "pip")):
        with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
            variables = os.environ | {
                "QUALIFY_CACHE": f"{folder}/cache",
                "UV_CACHE_DIR": f"{folder}/uv",
                "PIP_CACHE_DIR": f"{folder}/pip",
            }
            started = time.monotonic()
            clone = Path(folder) / "clone"
            subprocess.run(["git", "clone", "-q", str(PACKAGE.parent), str(clone)], check=True)
            words = ["make", "qualify", f"INSTALLER={installer}"]
            with subprocess.Popen(
                words,
                cwd=clone,
                env=variables,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    print(line, end="", file=sys.stderr)
                    if line.startswith(_SECOND_PART):
                        break
                else:
                    raise SystemExit("make qualify ended before its first verdict")
                wall_s = time.monotonic() - started
                os.killpg(process.pid, signal.SIGTERM)
        keep(identifier, wall_s, "s", f"git clone && {' '.join(words)} (empty caches)")


def gate() -> None:
    """One candidate over all canaries; both environments are built from uv's warm cache."""
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        if (wheels := cache() / "wheels").is_dir():
            (Path(folder) / "wheels").symlink_to(wheels)
        words = ["gate", "--from", "current", "--candidate", _CANDIDATE]
        command = [sys.executable, "-m", "qualification", *words, "--output", f"{folder}/gate"]
        started = time.monotonic()
        done = subprocess.run(command, env=os.environ | {"QUALIFY_CACHE": folder}, check=False)
        wall_s = time.monotonic() - started
    if done.returncode not in (0, 1):
        raise SystemExit(f"the gate did not decide: exit code {done.returncode}")
    keep("gate_canary_s", wall_s, "s", f"qualify {' '.join(words)}")
