"""Interpreters, venvs and pip, called as processes; what pip says is made one sentence.

pip keeps the configuration that the user gave it, by environment and files. None of it is kept or
shown: of what pip prints only its errors are used, without the addresses in them.
"""

from __future__ import annotations

import functools
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
"""The first whose report is not called experimental, and that installs for another interpreter."""

# The first distribution of a name is the one that is imported. The folder that the command was
# started in is none of the interpreter's.
_PROBE = """
import sys
sys.path[:] = [one for one in sys.path if one]
import importlib.metadata, json, platform, re, sysconfig
found = {}
for one in importlib.metadata.distributions():
    name = one.metadata["Name"]
    if name:
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one.version)
print(json.dumps([platform.python_version(), sysconfig.get_platform(), found]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python: its path, its version ('3.11.7'), its platform, what is installed in it."""

    path: Path
    version: str
    platform: str
    versions: dict[str, str]


def probe(python: Path) -> Interpreter:
    """Ask an interpreter what it is and has; EnvironmentFailed where it does not answer."""
    try:
        done = subprocess.run(
            [str(python), "-c", _PROBE],
            capture_output=True, timeout=_PROBE_S, cwd="/", env=_environment(), check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
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
    """Return the interpreter that venvs are made with: '' for the one that runs this, or '3.11'.

    Raises EnvironmentFailed where there is none.
    """
    if version in ("", f"{sys.version_info[0]}.{sys.version_info[1]}"):
        return probe(Path(sys.executable))
    found = shutil.which(f"python{version}")
    missing = f"there is no Python {version} on the PATH: install it (python{version} must run)"
    if not found:
        raise EnvironmentFailed(missing)
    try:
        return probe(Path(found))
    except EnvironmentFailed:  # as the shim of a Python that is not installed
        raise EnvironmentFailed(missing) from None


def make_venv(base: Interpreter, folder: Path, *, with_pip: bool, held: int = -1) -> None:
    """Make a venv; EnvironmentFailed where Python cannot (as Debian's without python3-venv).

    ``held`` is a descriptor that what is started holds as long as it lives.
    """
    command = [str(base.path), "-m", "venv", *([] if with_pip else ["--without-pip"]), str(folder)]
    done = _run(command, held=held)
    if done.returncode:
        raise EnvironmentFailed(
            f"{base.path}: cannot make a venv ({_last(done.stdout + done.stderr)}); on Debian and "
            "Ubuntu install python3-venv"
        )
    if with_pip:
        python = folder / "bin" / "python"
        if Version(probe(python).versions["pip"]) < Version(_OLDEST_PIP):
            upgrade = [str(python), "-m", "pip", "install", "--upgrade", f"pip>={_OLDEST_PIP}"]
            _pip(upgrade, f"Python {base.version}'s pip", "", held)


def resolve(
    python: Path, name: str, pins: Sequence[str], *, index: str = "", dependencies: bool = True
) -> dict[str, str]:
    """Return what ``pins`` come to, canonical name to version, by a dry run of pip.

    ``python`` is an interpreter with pip, of the Python to resolve for; ``name`` is for the
    sentence of EnvironmentFailed.
    """
    with tempfile.TemporaryDirectory(prefix="qualify-resolve-") as place:
        report = Path(place) / "report.json"
        command = [str(python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report), *([] if dependencies else ["--no-deps"])]
        _pip([*command, *_wheels(), *pins], name, index)
        try:
            found = json.loads(report.read_text(encoding="utf-8"))["install"]
            kept = [one["metadata"] for one in found]
            return {canonicalize_name(one["name"]): str(one["version"]) for one in kept}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentFailed(
                f"{name}: pip's report cannot be read ({type(error).__name__}); update pip"
            ) from error


def install(
    pip: Path, python: Path, name: str, exact: Sequence[str], *, index: str = "", held: int = -1
) -> None:
    """Install exactly ``exact`` (all of a resolved set) into the venv of ``python``.

    ``held`` is a descriptor that pip holds as long as it lives. Raises EnvironmentFailed.
    """
    command = [str(pip), "-m", "pip", "--python", str(python), "install", "--no-deps"]
    _pip([*command, *_wheels(), *exact], name, index, held)


def _wheels() -> list[str]:
    """Name the folder of the wheels that CI has built, where there is one."""
    folder = cache_folder() / "wheels"
    return ["--find-links", str(folder)] if folder.is_dir() else []


def _pip(command: Sequence[str], name: str, index: str, held: int = -1) -> None:
    # By environment and not by option: what is on a command line, everybody on the machine sees.
    environment = _environment() | ({"PIP_INDEX_URL": index} if index else {})
    done = _run([*command, "--no-input", "--disable-pip-version-check"], environment, held)
    if done.returncode:
        raise EnvironmentFailed(f"{name}: pip failed: {reason(done.stdout, done.stderr)}")


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, held: int = -1
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        env=dict(environment or _environment()), pass_fds=[held] if held >= 0 else [],
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Return the environment, less what would make pip install somewhere else, or Python import it.

    A worker is started without PYTHONPATH as well.
    """
    elsewhere = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_DRY_RUN")
    left_out = (*elsewhere, "PIP_REQUIREMENT", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
    return {key: value for key, value in os.environ.items() if key not in left_out}


def reason(stdout: str, stderr: str) -> str:
    """Return what of pip's output says why it failed, in one line without addresses."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.partition(":")[2].strip() for line in lines if line.startswith("ERROR:")]
    causes = [line.strip() for line in _after(f"{stdout}\n{stderr}", "The conflict is caused by:")]
    for start in ("Cannot install", "No matching distribution", "Failed to build", "Failed build"):
        for line in errors:
            if line.startswith(start):
                return _clean("; ".join([line.rstrip("."), *causes]))
    return _clean(errors[-1] if errors else _last(stdout + stderr))


def _after(text: str, heading: str) -> list[str]:
    """Return the lines of the first indented block after a heading."""
    found: list[str] = []
    for line in text.partition(heading)[2].splitlines()[1:]:
        if not line.startswith(" "):
            break
        found.append(line)
    return found


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _clean(lines[-1] if lines else "it said nothing")


def _clean(text: str) -> str:
    text = re.sub(r"\w[\w+.-]*://\S+", "<address>", text)
    text = re.sub(r"host='[^']*'", "host=<address>", text)
    return disarm(" ".join(text.split()), limit=600).replace("\n", " ")
