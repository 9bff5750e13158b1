"""Which start of the machine this is: it tells a machine that went down from a process that did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_LINUX = Path("/proc/sys/kernel/random/boot_id")


def boot_identity() -> str:
    """A name that every start of the machine has anew; '' where the system gives none.

    macOS: ``sysctl -n kern.bootsessionuuid``.
    """
    try:
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "kern.bootsessionuuid"]
            output = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            return output.stdout.strip()
        return _LINUX.read_text(encoding="ascii").strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
