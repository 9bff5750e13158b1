"""What chips, products and machines are called."""

from __future__ import annotations

import re

from qualification.core.format import installed_memory_text
from qualification.core.results import Machine


def describe(machine: Machine) -> str:
    """The machine in one line, for sentences: product, chip, GPU cores, memory."""
    cuda = [device.name for device in machine.accelerators if device.kind == "cuda"]
    cores = f" with {machine.gpu_cores} GPU cores" if machine.gpu_cores and not cuda else ""
    names = [machine.product, f"{machine.chip}{cores}", *cuda]
    if machine.memory_bytes:
        names.append(installed_memory_text(machine.memory_bytes))
    return ", ".join(name for name in names if name) or f"unknown {machine.system} computer"


def plain_name(name: str) -> str:
    """A chip's or product's name for comparison: "Apple M4 Max" and "m4 max" are the same."""
    words = re.sub(r"\((?:R|TM)\)", "", name, flags=re.IGNORECASE).casefold().split()
    return " ".join(word for word in words if word not in {"apple", "nvidia"})
