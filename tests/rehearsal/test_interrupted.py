"""Killed in a download, and in a test: ``--resume`` fetches and asks nothing again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rehearsal.project import TIER, Rehearsal, declared, rehearsal

FIRST, SECOND = "qwen2-vl-2b-4bit@mlx", "smolvlm2-500m-video-bf16@mlx"
TESTS = "test_loads or test_load_within_limit or test_image_tokens"
SLOW_BYTES_PER_S = 400_000


def finished(place: Rehearsal) -> list[str]:
    """The tests in the journals, in the order in which they ended."""
    tests = []
    for file in sorted((place.project / "reports/sessions").glob("*/*.jsonl")):
        for line in file.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that is being written
            tests += [entry["test"]] if "test" in entry else []
    return tests


def weights(deployment: str) -> str:
    """The path on the hub."""
    (source,) = (case.source for case in declared() if case.identifier == deployment)
    return f"{source.repository}/model.safetensors"


@pytest.mark.slow
def test_killed_in_a_download_and_in_a_test(tmp_path: Path) -> None:
    """With SIGKILL, twice: the third start ends the session that the first began."""
    with rehearsal(tmp_path) as place:
        size = (tmp_path / "hub" / weights(SECOND)).stat().st_size
        words = ["--deployment", FIRST, "--deployment", SECOND, "-k", TESTS]

        def is_in_the_second_download() -> bool:
            if finished(place):
                place.hub.bytes_per_s = SLOW_BYTES_PER_S
            return place.hub.sent[weights(SECOND)] > size // 2

        place.killed_when(
            is_in_the_second_download, "pytest", "-m", TIER, "--download", "-v", *words
        )
        place.hub.bytes_per_s = 0
        before = finished(place)
        assert before
        sent = place.hub.sent.copy()
        assert sent[weights(SECOND)] < size
        place.killed_when(lambda: len(finished(place)) > len(before), "pytest", "--resume")
        later = finished(place)
        again = place.hub.sent - sent
        assert again
        assert not [path for path in again if "Qwen2-VL" in path]
        # huggingface_hub writes in pieces of 10 MiB: of a canary nothing is kept, of a model it is.
        assert again[weights(SECOND)] <= size
        sent = place.hub.sent.copy()
        exit_code, output = place.run("pytest", "--resume", "-v")
        assert exit_code == pytest.ExitCode.OK, output
        assert place.hub.sent == sent
        assert not [test for test in later if f"{test} " in output]
        rows = place.query("select deployment, test, outcome from checks")
        assert len(rows) == len(set(rows)) > len(later)
        assert {outcome for _, _, outcome in rows} == {"passed"}
        ((record,),) = place.query("select record from sessions")
        assert json.loads(record)["untried"] == {}
        assert not list((place.project / "reports/sessions").iterdir())
        assert not list(place.cache.rglob("*.incomplete"))
        assert not place.trap.requests
