"""Resolving and installing by pip, where a user chose it over uv (``QUALIFY_INSTALLER=pip``).

pip uses the configuration that the user gave it, in the environment and in files. None of it is
stored or shown: only the errors that pip prints are used, without the addresses in them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from qualification.core.errors import EnvironmentFailed
from qualification.core.paths import cache as cache_folder
from qualification.session.scratch import scratch
from qualification.upgrade.environments.interpreters import (
    Interpreter,
    own_environment,
    probe,
    run,
)
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.environments.wording import last_line, without_addresses

_OLDEST_PIP = "23.0"
"""The first pip whose report is not experimental and that can install for another interpreter."""


@dataclass(frozen=True)
class Pip:
    """pip of ``python``, an interpreter of the Python to resolve for, made by ``make_pip``."""

    python: Path

    def resolve(self, spec: EnvironmentSpec, preferred: Mapping[str, str]) -> dict[str, str]:
        """Resolve a spec's pins by a dry run; returns canonical name -> version.

        pip has no preferences: all pins are kept. Raises EnvironmentFailed.
        """
        if spec.as_of:
            raise EnvironmentFailed(
                f"{spec.name}: pip cannot take packages as of a day: "
                "leave out --as-of, or let uv install (unset QUALIFY_INSTALLER)"
            )
        resolved = self._resolved(spec, spec.pins)
        if spec.no_dependencies:
            resolved |= self._resolved(spec, spec.no_dependencies, "--no-deps")
        return resolved

    def make_venv(self, base: Interpreter, folder: Path, lock: int) -> None:
        """Make an empty venv of ``base``. Raises EnvironmentFailed."""
        make_venv(base, folder, lock, "--without-pip")

    def install(
        self, spec: EnvironmentSpec, python: Path, exact: Sequence[str], lock: int = -1
    ) -> None:
        """Install exactly ``exact`` (all of a resolved set) into the venv of ``python``.

        ``lock`` is a descriptor that pip inherits and holds until it ends. Raises
        EnvironmentFailed.
        """
        command = [str(self.python), "-m", "pip", "--python", str(python), "install", "--no-deps"]
        _pip([*command, *_wheels(), *exact], spec.name, spec.index, lock)

    def _resolved(
        self, spec: EnvironmentSpec, pins: Sequence[str], *options: str
    ) -> dict[str, str]:
        with scratch("resolve") as folder:
            report = folder / "report.json"
            command = [str(self.python), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
            command += ["--report", str(report), *options]
            _pip([*command, *_wheels(), *pins], spec.name, spec.index)
            try:
                entries = json.loads(report.read_text(encoding="utf-8"))["install"]
                return {
                    canonicalize_name(entry["metadata"]["name"]): str(entry["metadata"]["version"])
                    for entry in entries
                }
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise EnvironmentFailed(
                    f"{spec.name}: pip's report cannot be read ({type(error).__name__}); update pip"
                ) from error


def make_pip(base: Interpreter, folder: Path, lock: int) -> None:
    """Make a venv with a pip that is new enough. Raises EnvironmentFailed."""
    make_venv(base, folder, lock)
    python = folder / "bin" / "python"
    if Version(probe(python).versions["pip"]) < Version(_OLDEST_PIP):
        upgrade = [str(python), "-m", "pip", "install", "--upgrade", f"pip>={_OLDEST_PIP}"]
        _pip(upgrade, f"Python {base.version}'s pip", "", lock)


def make_venv(base: Interpreter, folder: Path, lock: int, *options: str) -> None:
    """Make a venv; EnvironmentFailed if Python cannot (as Debian's without python3-venv).

    ``lock`` is a descriptor that the process inherits and holds until it ends.
    """
    process = run([str(base.path), "-m", "venv", *options, str(folder)], lock=lock)
    if process.returncode:
        problem = last_line(process.stdout + process.stderr)
        raise EnvironmentFailed(
            f"{base.path}: cannot make a venv ({problem}); "
            "on Debian and Ubuntu install python3-venv"
        )


def _wheels() -> list[str]:
    """pip's option for the folder of wheels that CI has built, if there is one."""
    folder = cache_folder() / "wheels"
    return ["--find-links", str(folder)] if folder.is_dir() else []


def _pip(command: Sequence[str], name: str, index: str, lock: int = -1) -> None:
    # In the environment and not as an option: everybody on the machine can see a command line,
    # and the address may hold a password.
    environment = own_environment() | ({"PIP_INDEX_URL": index} if index else {})
    quiet = [*command, "--no-input", "--disable-pip-version-check"]
    process = run(quiet, environment, lock=lock)
    if process.returncode:
        raise EnvironmentFailed(f"{name}: pip failed: {reason(process.stdout, process.stderr)}")


def reason(stdout: str, stderr: str) -> str:
    """Return the reason for pip's failure from its output, in one line without addresses."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.partition(":")[2].strip() for line in lines if line.startswith("ERROR:")]
    causes = [line.strip() for line in _after(f"{stdout}\n{stderr}", "The conflict is caused by:")]
    for start in ("Cannot install", "No matching distribution", "Failed to build", "Failed build"):
        for line in errors:
            if line.startswith(start):
                return without_addresses("; ".join([line.rstrip("."), *causes]))
    return without_addresses(errors[-1]) if errors else last_line(stdout + stderr)


def _after(text: str, heading: str) -> list[str]:
    """Return the lines of the first indented block after a heading."""
    following = text.partition(heading)[2].splitlines()[1:]
    return list(itertools.takewhile(lambda line: line.startswith(" "), following))
