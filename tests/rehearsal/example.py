"""``python -m tests.rehearsal.example FOLDER``: the documents that the rehearsal ends in.

Runs of shipped deployments and of models of the user's own, with the tests that a recommendation is
made of; the documents are those of the last. To be run on a machine that does nothing else: a model
that does not keep its speed is not picked, so the run is repeated until both do.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.rehearsal.own_models import deployments
from tests.rehearsal.project import TIER, rehearsal

CHOSEN = ("qwen2.5-vl-7b-4bit@mlx", "smolvlm-500m-Q8_0@llamacpp", *deployments())
FIGURES = "test_loads or test_peak or test_speed"
TESTS = f"{FIGURES} or test_phases or test_answers_held or test_vqa or test_sentinel"


_MOST_RUNS = 8


def main(folder: Path) -> None:
    """Print what a user sees, and write the documents."""
    words = [word for name in CHOSEN for word in ("--deployment", name)]
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary,
        rehearsal(Path(temporary), own=True) as place,
    ):
        for tests in (FIGURES, *[TESTS] * _MOST_RUNS):
            _, output = place.run("pytest", "-m", TIER, "--download", *words, "-k", tests)
            print(output, flush=True)
            if "\nas accurate: tiny" in output:
                break
        status, output = place.run("qualification", "report")
        assert status == 0, output
        print(place.run("qualification", "report", "--show")[1])
        folder.mkdir(parents=True, exist_ok=True)
        for form in ("md", "html"):
            for file in (place.project / "reports/latest").glob(f"*.{form}"):
                shutil.copy(file, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
