"""Every fault of a download in one run: the sentence is right, and the next start goes on.

A fault by itself, and on every backend, is in tests/session/test_attribution.py.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.rehearsal.project import TIER, Rehearsal, declared, rehearsal

LOADS = ("pytest", "-m", TIER, "-k", "test_loads")
FAULTS = {
    "qwen2.5-vl-3b-4bit@mlx": ("gated", "its repository is gated: ask for access at "),
    "qwen2.5-vl-7b-4bit@mlx": ("altered", "is not what it announces (SHA-256 "),
    "qwen2-vl-2b-4bit@mlx": ("broken off", "it could not be downloaded (the hub answers 503)"),
    "smolvlm-500m-Q8_0@llamacpp": ("cut", "Consistency check failed: file should be of size"),
    "smolvlm2-500m-video-bf16@mlx": ("gone", "the hub has no such revision (any more): declare"),
    "phi-3.5-vision-4bit@mlx": ("limited for long", "429, too many requests: wait 10 min 0 s"),
}
"""Deployment -> how its repository answers, and the sentence."""

HEALED = {"qwen2.5-vl-3b-Q4_K_M@llamacpp": "limited"}
"""Answered with 429 and ``Retry-After: 1``: the run waits, and has its weights."""

ABSENT = "llava-1.6-mistral-7b-4bit@mlx"
"""Never downloaded before the run that is offline."""

CHOSEN = [*FAULTS, *HEALED]


def by_deployment(place: Rehearsal) -> dict[str, tuple[str, str]]:
    """Deployment -> outcome and detail of its test, of the newest session."""
    rows = place.query(
        "select deployment, outcome, detail from checks where session = "
        "(select identifier from sessions order by number desc limit 1)"
    )
    return {deployment: (outcome, detail) for deployment, outcome, detail in rows}


@pytest.mark.slow
def test_every_fault_of_a_download_in_one_run(tmp_path: Path) -> None:
    """The model is untested with the cause, no other suffers, and the next start goes on."""
    repositories = {case.identifier: case.source.repository for case in declared()}
    words = [word for name in CHOSEN for word in ("--deployment", name)]
    with rehearsal(tmp_path) as place:
        for name, fault in {**{name: FAULTS[name][0] for name in FAULTS}, **HEALED}.items():
            place.hub.faults[repositories[name]] = fault
        _, output = place.run(*LOADS, "--download", *words)
        assert "Traceback" not in output
        answers = by_deployment(place)
        for name, (_, sentence) in FAULTS.items():
            outcome, detail = answers[name]
            assert outcome == "skipped"
            assert sentence in detail
            assert "\n" not in detail
        assert {answers[name][0] for name in HEALED} == {"passed"}
        sent = place.hub.sent.copy()
        place.hub.faults.clear()
        place.hub.sent.clear()
        assert_the_next_start_goes_on(place, sent, words)
        assert_offline_asks_nothing(place)
        assert not place.trap.requests


def assert_the_next_start_goes_on(place: Rehearsal, sent: Counter[str], words: list[str]) -> None:
    """All are tried; what was there is not fetched again, and a file goes on in its middle."""
    _, output = place.run(*LOADS, "--download", *words)
    assert "Traceback" not in output
    outcomes = {name: outcome for name, (outcome, _) in by_deployment(place).items()}
    assert outcomes == dict.fromkeys(CHOSEN, "passed")
    again = place.hub.sent
    assert not [path for path in again if "Qwen2.5-VL-3B-Instruct-GGUF" in path]
    (broken,) = (path for path in sent if "Qwen2-VL-2B" in path)
    assert broken.endswith("model.safetensors")
    assert 0 < again[broken] < 0.5 * sent[broken]


def assert_offline_asks_nothing(place: Rehearsal) -> None:
    """What is whole is tried, of the rest the sentence says why not."""
    whole = next(iter(HEALED))
    place.hub.requests.clear()
    place.more["HF_HUB_OFFLINE"] = "1"
    place.run(*LOADS, "--download", "--deployment", whole, "--deployment", ABSENT)
    answers = by_deployment(place)
    assert not place.hub.requests
    assert answers[whole][0] == "passed"
    outcome, detail = answers[ABSENT]
    assert outcome == "skipped"
    assert "HF_HUB_OFFLINE" in detail


@pytest.mark.slow
def test_a_full_disk_is_named_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    """The cache is a disk of 512 kB; another disk takes the next start."""
    name = "qwen2-vl-2b-4bit@mlx"
    with rehearsal(tmp_path) as place:
        place.cache.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place.cache)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            mounted = False
        if not mounted:
            pytest.skip("nothing can be mounted here")
        try:
            place.run(*LOADS, "--download", "--deployment", name)
            outcome, detail = by_deployment(place)[name]
        finally:
            subprocess.run(["umount", "-l", str(place.cache)], check=True)
        assert outcome == "skipped"
        assert f"does not fit on the disk of {place.cache}" in detail
        assert "HF_HUB_CACHE" in detail
        place.more["HF_HUB_CACHE"] = str(tmp_path / "other")
        place.run(*LOADS, "--download", "--deployment", name)
        assert by_deployment(place)[name][0] == "passed"
