"""pytest in a process of its own, which need not import again what every run imports.

The process is forked from one that has imported pytest, the plugin's rooms and their libraries, and
has done nothing else: more than a second of the processor less for each run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from qualification.core.paths import PACKAGE
from qualification.machine import conditions

_PROCESSES = multiprocessing.get_context("forkserver")
_LONGEST_S = 900.0
_PROCESSES.set_forkserver_preload(["tests.support.forked_pytest_imports"])


def run_forked(folder: Path, *arguments: str | os.PathLike[str]) -> pytest.RunResult:
    """Run pytest in ``folder`` as ``python -m pytest`` would, with this process's environment."""
    started = time.monotonic()
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as scratch:
        outputs = (Path(scratch, "stdout"), Path(scratch, "stderr"))
        with contextlib.chdir(PACKAGE.parent):  # where the module to preload is found
            forkserver.ensure_running()
        process = _PROCESSES.Process(target=_run, args=(folder, dict(os.environ), words, outputs))
        process.start()
        process.join(_LONGEST_S)
        if process.is_alive():
            process.kill()
            pytest.fail(f"pytest {' '.join(words)} did not end within {_LONGEST_S:.0f} s")
        lines = [file.read_text("utf-8", errors="replace").splitlines() for file in outputs]
    assert process.exitcode is not None
    return pytest.RunResult(process.exitcode, *lines, time.monotonic() - started)


def _run(
    folder: Path, environment: dict[str, str], words: list[str], outputs: tuple[Path, Path]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    for number, file in enumerate(outputs, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    conditions.SAMPLE_SECONDS = 0.1  # nobody reads the load of the machine under a toy
    # The modules were imported before pytest could rewrite their asserts, and pytest says so.
    sys.exit(pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *words]))
