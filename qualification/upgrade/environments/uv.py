"""Resolving and installing by uv; a candidate moves those of its base's pins that it must.

uv is started with the configuration that the user gave pip or uv. None of it is stored or shown:
only what uv prints about a failure is used, without the addresses in it.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from qualification.core.errors import EnvironmentFailed
from qualification.session.scratch import scratch
from qualification.upgrade.environments.interpreters import Interpreter, probe, run
from qualification.upgrade.environments.spec import FOLLOWS, EnvironmentSpec, relaxed
from qualification.upgrade.environments.uv_program import uv_environment, uv_program
from qualification.upgrade.environments.wording import without_addresses

_NO_SOLUTION = "No solution found when resolving dependencies"
_CONCLUSION = re.compile(r",? we can conclude that your requirements are unsatisfiable\.?")


@dataclass(frozen=True)
class Uv:
    """uv, resolving for the Python of ``base``."""

    program: Path
    base: Interpreter

    def resolve(self, spec: EnvironmentSpec, preferred: Mapping[str, str]) -> dict[str, str]:
        """Resolve a spec's pins; returns canonical name -> version. Raises EnvironmentFailed.

        A candidate's own pins are kept. All else stays at ``preferred``, the resolved set of its
        base: first the base's pins without exception; if they contradict the candidate's, as far as
        they do not. As of a day nothing is preferred. Pins without their dependencies are resolved
        with them here, so that torchvision moves with torch.
        """
        if spec.base is None:
            resolved = self._resolved(spec, spec.pins)
            if spec.no_dependencies:
                resolved |= self._resolved(spec, spec.no_dependencies, options=["--no-deps"])
            return resolved
        options: list[str] = []
        if spec.as_of:
            preferred = {}  # where one is too new, uv takes an old release, and not that day's
            options += ["--exclude-newer", spec.as_of]
            for name in spec.requested:
                options += ["--exclude-newer-package", f"{name}=false"]
        pins = (*spec.pins, *spec.no_dependencies)
        answer = self._compiled(spec, pins, preferred, options)
        if not isinstance(answer, str):
            return answer
        pins = relaxed(spec)
        resolved = self._resolved(spec, pins, preferred, options)
        for name, follower in FOLLOWS.items():
            parts = {resolved.get(name), resolved.get(follower, resolved.get(name))}
            if len(parts) > 1 and follower not in spec.requested:
                together = (f"{name}=={resolved[name]}", f"{follower}=={resolved[name]}")
                resolved = self._resolved(spec, (*pins, *together), preferred, options)
        return resolved

    def make_venv(self, base: Interpreter, folder: Path, lock: int) -> None:
        """Make an empty venv of ``base``. Raises EnvironmentFailed."""
        process = self._run("venv", "--python", str(base.path), str(folder), lock=lock)
        if process.returncode:
            raise EnvironmentFailed(f"{base.path}: uv makes no venv: {reason(process.stderr)}")

    def install(
        self, spec: EnvironmentSpec, python: Path, exact: Sequence[str], lock: int = -1
    ) -> None:
        """Install exactly ``exact`` (all of a resolved set) into the venv of ``python``.

        The files are links to those in uv's cache where the file system allows it. ``lock`` is a
        descriptor that uv inherits and holds until it ends. Raises EnvironmentFailed.
        """
        words = ("pip", "install", "--no-deps", "--python", str(python), *exact)
        process = self._run(*words, index=spec.index, lock=lock)
        if process.returncode:
            raise EnvironmentFailed(f"{spec.name}: uv failed: {reason(process.stderr)}")

    def _resolved(
        self,
        spec: EnvironmentSpec,
        pins: Sequence[str],
        preferred: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> dict[str, str]:
        answer = self._compiled(spec, pins, preferred or {}, options)
        if isinstance(answer, str):
            raise EnvironmentFailed(f"{spec.name}: no releases fit together: {answer}")
        return answer

    def _compiled(
        self,
        spec: EnvironmentSpec,
        pins: Sequence[str],
        preferred: Mapping[str, str],
        options: Sequence[str],
    ) -> dict[str, str] | str:
        """The resolved set, or the sentence on what contradicts what. Other failures are raised."""
        with scratch("resolve") as folder:
            (folder / "pins.in").write_text("\n".join(pins), encoding="utf-8")
            # What an output file holds already, uv prefers.
            lines = [f"{package}=={version}\n" for package, version in preferred.items()]
            (folder / "resolved.txt").write_text("".join(lines), encoding="utf-8")
            words = ["pip", "compile", "pins.in", "--output-file", "resolved.txt", "--no-header"]
            words += ["--no-annotate", "--python", str(self.base.path), *options]
            process = self._run(*words, index=spec.index, folder=folder)
            if process.returncode:
                if _NO_SOLUTION in process.stderr:
                    return reason(process.stderr)
                raise EnvironmentFailed(f"{spec.name}: uv failed: {reason(process.stderr)}")
            pairs = re.findall(
                r"^([\w.-]+)==(\S+)", (folder / "resolved.txt").read_text(), re.MULTILINE
            )
            return {canonicalize_name(package): version for package, version in pairs}

    def _run(
        self, *words: str, index: str = "", lock: int = -1, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        # In a folder of no project: the configuration of one is for its own environment.
        folder = folder or Path(tempfile.gettempdir())
        command = [str(self.program), *words, "--quiet"]
        return run(command, uv_environment(index), lock=lock, folder=folder)


def fetched_interpreter(version: str, say: Callable[[str], None]) -> Interpreter:
    """Return uv's own Python of a version ('3.12'), fetched if it is missing.

    Raises EnvironmentFailed if uv cannot fetch it.
    """
    program = str(uv_program(say))
    variables = uv_environment() | {"UV_PYTHON_PREFERENCE": "only-managed"}
    search = run([program, "python", "find", "--no-project", version], variables)
    if search.returncode:
        say(f"fetching Python {version}")
        fetched = run([program, "python", "install", "--quiet", version], variables)
        search = run([program, "python", "find", "--no-project", version], variables)
        if search.returncode:
            raise EnvironmentFailed(
                f"there is no Python {version} on the PATH, and uv cannot fetch it "
                f"({reason(fetched.stderr)}): install it (python{version} must run)"
            )
    return probe(Path(search.stdout.strip()))


def reason(stderr: str) -> str:
    """Return the reason for uv's failure from its output, in one line without addresses."""
    text, *blocks = re.split(r"^\s*\[std(?:out|err)\]$", stderr, flags=re.MULTILINE)
    parts: list[str] = []
    text = re.sub(r"[├╰]─▶", "cause:", text.replace("×", "error:"))  # as older releases print it
    for line in (line.strip(" │") for line in text.splitlines()):
        heading = re.match(r"(error|cause|hint|warning): *", line)
        if heading and heading.group(1) in ("hint", "warning"):
            break
        if heading or not parts:
            parts.append(line[heading.end() :] if heading else line)
        elif line:
            parts[-1] += f" {line}"
    causes = [part for part in parts if part and part.rstrip(":") != _NO_SOLUTION]
    if blocks and (lines := blocks[-1].partition("\nhint:")[0].split("\n")):
        causes += [line.strip() for line in lines if line.strip()][-1:]
    return without_addresses(_CONCLUSION.sub("", ": ".join(causes))) or "it printed nothing"
