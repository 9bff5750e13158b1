"""A computer replayed from a transcript under recorded/; see the README there for the form."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path
from typing import Any

from qualification.machine.conditions import THERMAL_HELPER
from qualification.machine.host import CpuTimes

FOLDER = Path(__file__).parent / "recorded"


class RecordedHost:
    """Answers what the transcript has and nothing else; facts can be given over."""

    def __init__(self, name: str, **facts: str) -> None:
        self.facts: dict[str, str] = {}
        self.commands: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.asked: list[str] = []
        self.library: Any = None
        here: dict[str, str] | None = None
        key = ""
        for line in (FOLDER / f"{name}.txt").read_text().splitlines():
            mark, _, rest = line.partition(" ")
            if mark == "=":
                fact, _, value = rest.partition(" ")
                self.facts[fact] = value
            elif mark in {"$", "<"}:
                here, key = (self.commands if mark == "$" else self.files), rest
                here[key] = ""
            elif here is not None:
                here[key] += f"{line}\n"
        self.facts.update(facts)
        self._cpu_times = self.facts.get("cpu_times", "").split()

    @property
    def system(self) -> str:
        """The fact."""
        return self.facts["system"]

    @property
    def architecture(self) -> str:
        """The fact."""
        return self.facts["architecture"]

    @property
    def cpu_cores(self) -> int:
        """The fact."""
        return int(self.facts["cpu_cores"])

    @property
    def online_cores(self) -> int:
        """The fact; as many as may be used, where there is none."""
        return int(self.facts.get("online_cores", self.cpu_cores))

    @property
    def load_average(self) -> float | None:
        """The fact; "" is unknown."""
        self.asked.append("load")
        text = self.facts["load_average"]
        return float(text) if text else None

    def run(self, *command: str) -> str | None:
        """The transcript's output of that command."""
        names = {sys.executable: "python", THERMAL_HELPER: "THERMAL_HELPER"}
        line = " ".join(names.get(word, word) for word in command)
        self.asked.append(f"$ {line}")
        return self.commands.get(line)

    def read(self, path: str) -> str | None:
        """The transcript's text of that file."""
        self.asked.append(f"< {path}")
        return self.files.get(path)

    def find(self, pattern: str) -> tuple[str, ...]:
        """Matching files of the transcript, and the folders that they are in."""
        folders = {path.rsplit("/", 1)[0] for path in self.files}
        depth = pattern.count("/")
        return tuple(
            sorted(
                path
                for path in {*self.files, *folders}
                if path.count("/") == depth and fnmatch.fnmatch(path, pattern)
            )
        )

    def cpu_times(self) -> CpuTimes | None:
        """The next of the transcript's readings."""
        if not self._cpu_times:
            return None
        return CpuTimes(*map(float, self._cpu_times.pop(0).split(",")))

    def pause(self, seconds: float) -> None:
        """Time does not pass in a transcript."""

    def nvml(self) -> Any | None:
        """What a test put into ``library``."""
        return self.library
