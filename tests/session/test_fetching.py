"""What is said while a worker downloads; time is told by the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from qualification.models.downloads import Download, HubFile
from qualification.session.fetching import EVERY_S, Watch

TOTAL = 4_600_000_000
MB = 1_000_000


class Scene:
    """A download of one file, the log of its worker, and what was said."""

    def __init__(self, folder: Path, *, files: tuple[HubFile, ...]) -> None:
        self.now_s = 100.0
        self.log = ""
        self.lines: list[str] = []
        entry = Download("owner/name", "main", "hub", folder, ("x@mlx",), files)
        self.blobs = folder / "models--owner--name/blobs"
        self.blobs.mkdir(parents=True)
        self.watch = Watch([entry], lambda: self.log, self.lines.append, lambda: self.now_s)

    def pass_(self, seconds: float, *, count: int = 0) -> None:
        """Time goes by, and the file has so many bytes (in a hole of the disk)."""
        if count:
            with (self.blobs / "abc.incomplete").open("ab") as file:
                file.truncate(count)
        self.now_s += seconds
        self.watch()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Nothing has come yet."""
    return Scene(tmp_path, files=(HubFile("model.safetensors", TOTAL, "abc"),))


def test_a_line_at_least_every_five_seconds(scene: Scene) -> None:
    """Bytes so far and in all, the speed, and the time that is left."""
    scene.pass_(EVERY_S - 0.1, count=100 * MB)
    assert scene.lines == []
    scene.pass_(0.1, count=175 * MB)
    scene.pass_(EVERY_S, count=350 * MB)
    scene.pass_(EVERY_S)
    assert scene.lines == [
        "downloading owner/name 175 MB of 4.60 GB, 35.0 MB/s, about 2 min left",
        "downloading owner/name 350 MB of 4.60 GB, 35.0 MB/s, about 2 min left",
        "downloading owner/name 350 MB of 4.60 GB, 23.3 MB/s, about 3 min left",
    ]


def test_the_same_unit_stands_there_once(scene: Scene) -> None:
    """And near the end there are seconds; nothing is left when all has come."""
    scene.pass_(EVERY_S, count=4_500 * MB)
    scene.pass_(EVERY_S, count=TOTAL)
    early, late = scene.lines
    assert early.startswith("downloading owner/name 4.50 of 4.60 GB, 900 MB/s, about 0 s left")
    assert late == "downloading owner/name 4.60 of 4.60 GB, 460 MB/s"


def test_where_nothing_comes_the_bytes_are_said_all_the_same(scene: Scene) -> None:
    """No speed, and no time that nobody knows."""
    scene.pass_(EVERY_S)
    assert scene.lines == ["downloading owner/name 0 B of 4.60 GB"]


def test_a_size_that_is_not_known_is_called_so(tmp_path: Path) -> None:
    """The hub would not say it."""
    scene = Scene(tmp_path, files=())
    scene.pass_(EVERY_S)
    assert scene.lines == ["downloading owner/name, size unknown"]


def test_what_the_worker_says_is_passed_on_once(scene: Scene) -> None:
    """Its other output is the libraries'."""
    scene.log = "a warning\nqualification: the hub asks to wait 30 s (429, too many requests)\n"
    scene.pass_(EVERY_S)
    scene.pass_(EVERY_S)
    passed_on = [line for line in scene.lines if not line.startswith("downloading")]
    assert passed_on == ["the hub asks to wait 30 s (429, too many requests)"]
