"""Interpreters, venvs and pip, called as processes; pip's failures become one sentence.

pip uses the configuration that the user gave it, in the environment and in files. None of it is
stored or shown: only the errors that pip prints are used, without the addresses in them.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from qualification.core.errors import EnvironmentFailed
from qualification.core.paths import cache as cache_folder
from qualification.core.text import disarm

_PROBE_S = 60.0
_OLDEST_PIP = "23.0"
"""The first pip whose report is not experimental and that can install for another interpreter."""

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
            env=_environment(),
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
def base_interpreter(version: str) -> Interpreter:
    """Return the interpreter of a version ('3.11') that venvs are made with; '' is this one.

    Raises EnvironmentFailed if there is none.
    """
    if version in ("", f"{sys.version_info[0]}.{sys.version_info[1]}"):
        return probe(Path(sys.executable))
    path = shutil.which(f"python{version}")
    missing = f"there is no Python {version} on the PATH: install it (python{version} must run)"
    if not path:
        raise EnvironmentFailed(missing)
    try:
        return probe(Path(path))
    except EnvironmentFailed:  # for example a shim of a Python that is not installed
        raise EnvironmentFailed(missing) from None


def make_venv(base: Interpreter, folder: Path, *, with_pip: bool, lock: int = -1) -> None:
    """Make a venv; EnvironmentFailed if Python cannot (as Debian's without python3-venv).

    ``lock`` is a descriptor that the process inherits and holds until it ends.
    """
    command = [str(base.path), "-m", "venv", *([] if with_pip else ["--without-pip"]), str(folder)]
    process = _run(command, lock=lock)
    if process.returncode:
        problem = _last_line(process.stdout + process.stderr)
        raise EnvironmentFailed(
            f"{base.path}: cannot make a venv ({problem}); "
            "on Debian and Ubuntu install python3-venv"
        )
    if with_pip:
        python = folder / "bin" / "python"
        if Version(probe(python).versions["pip"]) < Version(_OLDEST_PIP):
            upgrade = [str(python), "-m", "pip", "install", "--upgrade", f"pip>={_OLDEST_PIP}"]
            _pip(upgrade, f"Python {base.version}'s pip", "", lock)


def resolve(
    python: Path, name: str, pins: Sequence[str], *, index: str = "", dependencies: bool = True
) -> dict[str, str]:
    """Resolve ``pins`` by a dry run of pip; returns canonical name -> version.

    ``python`` is an interpreter with pip, of the Python to resolve for; ``name`` is the
    environment's, for the sentence of EnvironmentFailed.
    """
    with tempfile.TemporaryDirectory(prefix="qualify-resolve-") as folder:
        report = Path(folder) / "report.json"
        command = [str(python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report), *([] if dependencies else ["--no-deps"])]
        _pip([*command, *_wheels(), *pins], name, index)
        try:
            entries = json.loads(report.read_text(encoding="utf-8"))["install"]
            return {
                canonicalize_name(entry["metadata"]["name"]): str(entry["metadata"]["version"])
                for entry in entries
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentFailed(
                f"{name}: pip's report cannot be read ({type(error).__name__}); update pip"
            ) from error


def install(
    pip: Path, python: Path, name: str, exact: Sequence[str], *, index: str = "", lock: int = -1
) -> None:
    """Install exactly ``exact`` (all of a resolved set) into the venv of ``python``.

    ``lock`` is a descriptor that pip inherits and holds until it ends. Raises EnvironmentFailed.
    """
    command = [str(pip), "-m", "pip", "--python", str(python), "install", "--no-deps"]
    _pip([*command, *_wheels(), *exact], name, index, lock)


def _wheels() -> list[str]:
    """pip's option for the folder of wheels that CI has built, if there is one."""
    folder = cache_folder() / "wheels"
    return ["--find-links", str(folder)] if folder.is_dir() else []


def _pip(command: Sequence[str], name: str, index: str, lock: int = -1) -> None:
    # In the environment and not as an option: everybody on the machine can see a command line,
    # and the address may hold a password.
    environment = _environment() | ({"PIP_INDEX_URL": index} if index else {})
    process = _run([*command, "--no-input", "--disable-pip-version-check"], environment, lock)
    if process.returncode:
        raise EnvironmentFailed(f"{name}: pip failed: {reason(process.stdout, process.stderr)}")


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, lock: int = -1
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=dict(environment or _environment()),
        pass_fds=[lock] if lock >= 0 else [],
    )


def _environment() -> dict[str, str]:
    """Return the environment without variables that redirect pip's installs or Python's imports.

    A worker is started without PYTHONPATH too.
    """
    redirects = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_DRY_RUN")
    excluded = (*redirects, "PIP_REQUIREMENT", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
    return {key: value for key, value in os.environ.items() if key not in excluded}


def reason(stdout: str, stderr: str) -> str:
    """Return the reason for pip's failure from its output, in one line without addresses."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.partition(":")[2].strip() for line in lines if line.startswith("ERROR:")]
    causes = [line.strip() for line in _after(f"{stdout}\n{stderr}", "The conflict is caused by:")]
    for start in ("Cannot install", "No matching distribution", "Failed to build", "Failed build"):
        for line in errors:
            if line.startswith(start):
                return _clean("; ".join([line.rstrip("."), *causes]))
    return _clean(errors[-1] if errors else _last_line(stdout + stderr))


def _after(text: str, heading: str) -> list[str]:
    """Return the lines of the first indented block after a heading."""
    following = text.partition(heading)[2].splitlines()[1:]
    return list(itertools.takewhile(lambda line: line.startswith(" "), following))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _clean(lines[-1] if lines else "it printed nothing")


def _clean(text: str) -> str:
    text = re.sub(r"\w[\w+.-]*://\S+", "<address>", text)
    text = re.sub(r"host='[^']*'", "host=<address>", text)
    return disarm(" ".join(text.split()), limit=600).replace("\n", " ")
