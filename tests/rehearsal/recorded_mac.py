"""Puts a recorded Mac in the place of this computer, for a process of the rehearsal.

``REHEARSAL_MACHINE`` names a transcript of ``tests/support/recorded`` or a row of its ``macs.tsv``.
What computes is this computer's processor; what is read of a machine is the recording's. Importing
this module is enough, as a plugin of pytest or from a ``sitecustomize``.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable

import qualification
from qualification.core.paths import DECLARATIONS
from qualification.machine import host
from tests.support.recorded_host import FOLDER, RecordedHost

VARIABLE = "REHEARSAL_MACHINE"
_MODEL = "air_m4_32gb"
"""The transcript that a row of the table is written into."""


def recorded(name: str) -> RecordedHost:
    """The computer of a transcript, or of a row of the table: its chip, product and memory."""
    if (FOLDER / f"{name}.txt").is_file():
        return RecordedHost(name)
    product, chip, memory, rate = _row(name)
    machine = RecordedHost(_MODEL)
    machine.commands = {
        command: output.replace("Apple M4", f"Apple {chip}")
        .replace("MacBook Air", product)
        .replace("hw.memsize: 34359738368", f"hw.memsize: {memory * 2**30}")
        .replace('"sppci_cores" : "10"', f'"sppci_cores" : "{_gpu_cores(chip, rate)}"')
        for command, output in machine.commands.items()
    }
    return machine


def install() -> None:
    """Replace the one seam through which this computer is read, wherever it was imported."""
    if name := os.environ.get(VARIABLE):
        # Imported before pytest begins, which otherwise warns of it.
        qualification.__doc__ = f"{qualification.__doc__} PYTEST_DONT_REWRITE"
        machine: Callable[[], RecordedHost] = lambda: recorded(name)  # noqa: E731
        host.LocalHost = machine  # type: ignore[assignment,misc]
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("qualification.") and hasattr(
                module, "LocalHost"
            ):
                module.LocalHost = machine  # type: ignore[attr-defined]


def _row(name: str) -> tuple[str, str, int, float]:
    for line in (FOLDER / "macs.tsv").read_text().splitlines():
        product, chip, memory, rate, _ = (*line.split("\t"), "", "", "", "")[:5]
        if f"{product} {chip} {memory}" == name:
            return product, chip, int(memory), float(rate)
    raise ValueError(f"no recorded machine is named {name!r}")


def _gpu_cores(chip: str, rate: float) -> int:
    """By which the variants of a chip are told apart."""
    chips = tomllib.loads((DECLARATIONS / "chips.toml").read_text())["chips"]
    return next(
        int(entry["gpu_cores_max"])
        for entry in chips
        if entry["name"] == chip and float(entry["bandwidth"].split()[0]) == rate
    )


install()
