"""Interpreters: what one has installed, and where the Python of a version is.

The standard library only, like ``uv_program``, which ``make`` starts before anything is installed.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qualification.core.child_variables import child_variables
from qualification.core.errors import EnvironmentFailed

_PROBE_S = 60.0

# Remove the current directory from sys.path: it is not part of the environment. Of several
# distributions with one name, the first on the path is the one that Python imports.
_PROBE = """
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import importlib.metadata, json, platform, re, sysconfig
versions = {}
for distribution in importlib.metadata.distributions():
    name = distribution.metadata["Name"]
    if name:
        versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
print(json.dumps([platform.python_version(), sysconfig.get_platform(), versions]))
"""

_REDIRECTS = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_DRY_RUN"),
    *("PIP_REQUIREMENT", "UV_PYTHON", "UV_SYSTEM_PYTHON"),
)


@dataclass(frozen=True)
class Interpreter:
    """A Python: its path, its version ('3.11.7'), its platform, its distributions' versions."""

    path: Path
    version: str
    platform: str
    versions: dict[str, str]


def probe(python: Path) -> Interpreter:
    """Ask an interpreter for its version and packages; EnvironmentFailed if it does not answer."""
    try:
        done = subprocess.run(
            [str(python), "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
            cwd="/",
            env=child_variables(),
        )
        version, platform, versions = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(f"{python}: did not answer within {_PROBE_S:g} s") from None
    except OSError as error:
        raise EnvironmentFailed(
            f"{python}: cannot be started ({error.strerror}); name a Python interpreter"
        ) from error
    except ValueError:
        raise EnvironmentFailed(
            f"{python}: is no Python that runs; name a Python interpreter"
        ) from None
    return Interpreter(python, version, platform, versions)


@functools.lru_cache
def interpreter_of(version: str) -> Interpreter | None:
    """Return the interpreter of a version ('3.11') on the PATH, or None; '' is this one."""
    if version in ("", f"{sys.version_info[0]}.{sys.version_info[1]}"):
        return probe(Path(sys.executable))
    path = shutil.which(f"python{version}")
    if not path:
        return None
    try:
        return probe(Path(path))
    except EnvironmentFailed:  # for example a shim of a Python that is not installed
        return None


def own_environment() -> dict[str, str]:
    """Return the variables of an installer without those that redirect an install."""
    variables = child_variables("installer")
    return {name: value for name, value in variables.items() if name not in _REDIRECTS}


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    lock: int = -1,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in ``folder``; ``lock`` is a descriptor that it inherits."""
    return subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=folder,
        env=dict(environment or own_environment()),
        pass_fds=[lock] if lock >= 0 else [],
    )
