"""uv as a program: found, or fetched once, and started with pip's configuration.

``python -m qualification.upgrade.environments.uv_program ARGUMENTS`` is uv with ``ARGUMENTS``: for
``make`` and tox, so it needs the standard library only. Every 15 seconds it says that it runs.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qualification.core.child_variables import child_variables
from qualification.core.errors import EnvironmentFailed
from qualification.core.paths import DECLARATIONS
from qualification.core.paths import cache as cache_folder
from qualification.upgrade.environments.interpreters import own_environment, run
from qualification.upgrade.environments.pip_settings import uv_variables

_OLDEST = (0, 7)
"""The first uv with all options that are used here."""
_QUIET_S = 15.0
_INSTEAD = "put uv on the PATH, or set QUALIFY_INSTALLER=pip (make INSTALLER=pip)"


def _print(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def uv_program(say: Callable[[str], None] = _print) -> Path:
    """Return uv: of the PATH, beside this Python, or of the cache, fetched by pip if it is missing.

    Raises EnvironmentFailed if it cannot be fetched.
    """
    program = find_uv()
    if program is None:
        program = _fetch(say)
        find_uv.cache_clear()
    return program


@functools.lru_cache
def find_uv() -> Path | None:
    """Return the uv that is on this machine already, or None."""
    beside = os.path.join(sysconfig.get_path("scripts"), "uv")
    for program in (shutil.which("uv"), beside, str(_of_cache())):
        if program and os.path.exists(program) and _is_recent(program):
            return Path(program)
    return None


def uv_environment(index: str = "") -> dict[str, str]:
    """Return the variables that uv is started with: pip's settings, and none that redirect it.

    ``index`` is the address of an index that comes in place of the configured one.
    """
    # In the environment and not as an option: everybody on the machine can see a command line,
    # and the address may hold a password.
    environment = own_environment() | ({"UV_DEFAULT_INDEX": index} if index else {})
    return environment | uv_variables(environment, cache_folder() / "wheels")


def _of_cache() -> Path:
    return cache_folder() / f"uv-{_pinned()}" / "uv"


def _pinned() -> str:
    constraints = DECLARATIONS / "environments" / "constraints.txt"
    pin = re.search(r"^uv==(\S+)", constraints.read_text(encoding="utf-8"), re.MULTILINE)
    return pin.group(1) if pin else ""


def _is_recent(program: str) -> bool:
    try:
        output = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            env=child_variables(),
        ).stdout
    except OSError:
        return False
    version = re.match(r"uv (\d+)\.(\d+)", output)
    return version is not None and tuple(map(int, version.groups())) >= _OLDEST


def _fetch(say: Callable[[str], None]) -> Path:
    """Have pip install uv into a venv of a few seconds, and keep the program: it is one file."""
    program = _of_cache()
    say(f"fetching uv {_pinned()}")
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            python = os.path.join(folder, "bin", "python")
            _step([sys.executable, "-m", "venv", folder], "on Debian install python3-venv")
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _step([python, *install, f"uv=={_pinned()}"], "pip does not find it")
            os.replace(os.path.join(folder, "bin", "uv"), program)
    except OSError as error:
        raise EnvironmentFailed(f"uv cannot be fetched ({error.strerror}): {_INSTEAD}") from None
    return program


def _step(command: Sequence[str], problem: str) -> None:
    if run(command).returncode:
        raise EnvironmentFailed(f"uv cannot be fetched ({problem}): {_INSTEAD}")


def run_aloud(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command, and say every 15 seconds that it runs; returns its exit status."""
    name = " ".join([Path(command[0]).name, *command[1:3]])
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    try:
        while True:
            try:
                return process.wait(_QUIET_S)
            except subprocess.TimeoutExpired:
                _print(f"… {name}: {time.monotonic() - started:.0f} s so far")
    except KeyboardInterrupt:
        process.wait()
        return 130


def main(words: Sequence[str]) -> int:
    """``ARGUMENTS`` for uv, or ``aloud COMMAND …``: another installer in the same way."""
    if words[:1] == ["aloud"]:
        return run_aloud(words[1:], own_environment())
    try:
        program = uv_program()
    except EnvironmentFailed as error:
        _print(str(error))
        return 2
    return run_aloud([str(program), *words], uv_environment())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
