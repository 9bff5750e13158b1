"""``python -m tests.rehearsal [WORD]...``: the rehearsal in this terminal, to look at or to record.

The words are those of pytest behind ``-m air_m4 --download``; without any, two deployments with the
tests that have figures. Everything is in a folder that is removed at the end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.rehearsal.project import TIER, rehearsal

WORDS = (
    *("--deployment", "qwen2.5-vl-7b-4bit@mlx", "--deployment", "smolvlm-500m-Q8_0@llamacpp"),
    *("-k", "test_loads or test_peak or test_says"),
)


def main(words: list[str]) -> int:
    """Both commands of a user; the exit code is pytest's."""
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal-") as folder,
        rehearsal(Path(folder)) as place,
    ):
        variables = place.environment()
        del variables["COLUMNS"]  # of the terminal
        commands = (["pytest", "-m", TIER, "--download", *(words or WORDS)], ["qualify", "report"])
        codes = []
        for program, *arguments in commands:
            typed = textwrap.wrap(subprocess.list2cmdline([program, *arguments]), 70)
            print("$", " \\\n    ".join(typed), flush=True)
            module = "qualification" if program == "qualify" else program
            command = [sys.executable, "-m", module, *arguments]
            done = subprocess.run(command, cwd=place.project, env=variables, check=False)
            codes.append(done.returncode)
    return codes[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
