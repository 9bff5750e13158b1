"""The plan of what is to be downloaded, against a hub on this machine; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qualification.core.declarations import Deployment, Model, Source
from qualification.models import downloads
from qualification.models.downloads import SPARE_BYTES, Download, plan, progress, without_room
from tests.support.hub_stand_in import COMMIT, HubStandIn, hub

WEIGHTS = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = "{}"
TOTAL = len(WEIGHTS) + len(CONFIG)


def deployment(name: str, repository: str, **source: object) -> Deployment:
    """A deployment of a repository of the hub."""
    declared = Source(
        **{"backend": "torch", "quantisation": "bf16"} | source, repository=repository
    )  # type: ignore[arg-type]
    return Deployment(Model(name, "toy", 1000, "MIT", ("vision",), (declared,)), declared)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubStandIn]:
    """A hub with one model of one file of weights, whatever the owner."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "README.md").write_text("not needed")
    with hub({"model": folder}) as server:
        yield server


@pytest.fixture
def environment(server: HubStandIn, tmp_path: Path) -> dict[str, str]:
    """The variables of a user with an empty cache."""
    return {"HF_ENDPOINT": server.address, "HF_HUB_CACHE": str(tmp_path / "cache")}


def fill(cache: Path, *, part: float = 1.0, listing: bool = False) -> Path:
    """Put the model into the cache, and of its weights a part; the folder of the repository."""
    place = cache / "models--owner--model"
    snapshot = place / "snapshots" / COMMIT
    for folder in (snapshot, place / "blobs", place / "refs"):
        folder.mkdir(parents=True)
    (place / "refs/main").write_text(COMMIT)
    (snapshot / "config.json").write_text(CONFIG)
    if part == 1.0:
        (place / "blobs" / SHA256).write_bytes(WEIGHTS)
        (snapshot / "model.safetensors").symlink_to(place / "blobs" / SHA256)
    else:
        half = WEIGHTS[: int(len(WEIGHTS) * part)]
        (place / "blobs" / f"{SHA256}.1234abcd.incomplete").write_bytes(half)
    if listing:
        files = {
            "config.json": {"size": len(CONFIG), "blob_id": "1"},
            "model.safetensors": {"size": len(WEIGHTS), "blob_id": "2", "lfs_sha256": SHA256},
            "README.md": {"size": 10, "blob_id": "3"},
        }
        (place / "trees").mkdir()
        (place / "trees" / f"{COMMIT}.json").write_text(json.dumps({"files": files}))
    return place


def test_an_empty_cache_lacks_what_is_fetched_and_no_more(
    environment: dict[str, str], server: HubStandIn, tmp_path: Path
) -> None:
    """Bytes, place and host; files that no backend reads are not counted."""
    (entry,) = plan([deployment("a", "owner/model")], environment)
    assert (entry.total_bytes, entry.missing_bytes) == (TOTAL, TOTAL)
    assert (entry.host, entry.cache) == ("127.0.0.1", tmp_path / "cache")
    assert (entry.deployments, entry.problem) == (("a-bf16@torch",), "")
    assert not server.sent
    assert not (tmp_path / "cache").exists()


def test_a_repository_stands_there_once_in_the_order_of_use(environment: dict[str, str]) -> None:
    """Whoever needs it; a tokenizer's repository too, of which only the configuration counts."""
    entries = plan(
        [
            deployment("b", "second/model"),
            deployment("a", "owner/model", also_needs=("tokenizer/model",)),
            deployment("c", "second/model"),
        ],
        environment,
    )
    assert [entry.repository for entry in entries] == [
        "second/model",
        "tokenizer/model",
        "owner/model",
    ]
    assert entries[0].deployments == ("b-bf16@torch", "c-bf16@torch")
    assert entries[1].total_bytes == len(CONFIG)


def test_what_is_no_download_is_in_no_plan(environment: dict[str, str], tmp_path: Path) -> None:
    """Canaries, random weights, a folder, and a server at a user's address."""
    nothing = [
        deployment("canary", "owner/model", weights="canary"),
        deployment("synthetic", "owner/model", weights="synthetic"),
        deployment("folder", "owner/model", path=str(tmp_path)),
        deployment("own", "owner/model", backend="server", server="url"),
    ]
    assert plan(nothing, environment) == ()


def test_a_whole_cache_asks_nothing(environment: dict[str, str], server: HubStandIn) -> None:
    """Its bytes are those of the files; what was left of an earlier attempt does not matter."""
    place = fill(Path(environment["HF_HUB_CACHE"]))
    (place / "blobs" / f"{SHA256}.0.incomplete").write_bytes(b"left by one that was killed")
    (entry,) = plan([deployment("a", "owner/model")], environment)
    assert entry.is_whole
    assert progress(entry) == (TOTAL, TOTAL)
    assert not server.requests


def test_what_lies_there_half_is_not_counted_again(environment: dict[str, str]) -> None:
    """And progress follows the file."""
    place = fill(Path(environment["HF_HUB_CACHE"]), part=0.5)
    (entry,) = plan([deployment("a", "owner/model")], environment)
    assert entry.total_bytes == TOTAL
    assert entry.missing_bytes == len(WEIGHTS) // 2
    (place / "blobs" / f"{SHA256}.incomplete").write_bytes(WEIGHTS[:-1])
    assert progress(entry) == (TOTAL - 1, TOTAL)


@pytest.mark.parametrize(
    ("owner", "sentence"),
    [
        ("gated", "its repository is gated: ask for access at"),
        ("gone", "the hub has no such revision"),
        ("nowhere", "the hub has no such repository for you"),
        ("closed", "the hub answers 403"),
    ],
)
def test_a_repository_that_is_refused_stops_no_other(
    owner: str, sentence: str, environment: dict[str, str]
) -> None:
    """It stands in the plan with the sentence why."""
    cases = [deployment("a", f"{owner}/model"), deployment("b", "owner/model")]
    refused, good = plan(cases, environment)
    assert sentence in refused.problem
    assert not refused.may_come
    assert (good.problem, good.missing_bytes) == ("", TOTAL)


def test_a_hub_that_cannot_be_reached_is_asked_once(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence for each repository."""
    requests = []

    def refuse(*_words: object) -> None:
        requests.append(1)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(downloads, "_listing", refuse)
    cases = [deployment("a", "owner/model"), deployment("b", "second/model")]
    entry, behind = plan(cases, environment)
    assert "hf download owner/model" in entry.problem
    assert "hf download second/model" in behind.problem
    assert len(requests) == 1


def test_a_hub_that_limits_requests_is_waited_for(
    environment: dict[str, str], server: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it says; not for ten minutes, and then the size is unknown and no refusal."""
    waited: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", waited.append)
    cases = [deployment("a", "limited/model"), deployment("b", "late/model")]
    server.faults["late/model"] = "limited for long"
    soon, late = plan(cases[:1], environment)[0], plan(cases[1:], environment)[0]
    assert waited[0] == 1.0
    assert soon.missing_bytes == TOTAL
    assert "the hub answers 429" in late.problem
    assert late.may_come


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("listing", [False, True])
def test_offline_nothing_is_asked_of_the_network(
    variable: str,
    listing: bool,
    environment: dict[str, str],
    server: HubStandIn,
) -> None:
    """A cache that is not whole: bytes by the listing in it, if there is one; and what to do."""
    fill(Path(environment["HF_HUB_CACHE"]), part=0.25, listing=listing)
    (entry,) = plan([deployment("a", "owner/model")], environment | {variable: "1"})
    assert entry.missing_bytes == (len(WEIGHTS) * 3 // 4 if listing else 0)
    assert entry.problem.startswith("with HF_HUB_OFFLINE nothing is downloaded: unset it, or run")
    assert (entry.is_offline, entry.may_come) == (True, False)
    assert not server.requests


def test_offline_a_whole_cache_is_enough(environment: dict[str, str], server: HubStandIn) -> None:
    """The library's own rule: an empty HF_HUB_OFFLINE says nothing."""
    fill(Path(environment["HF_HUB_CACHE"]))
    (entry,) = plan([deployment("a", "owner/model")], environment | {"HF_HUB_OFFLINE": "ON"})
    assert (entry.is_whole, entry.problem) == (True, "")
    assert not server.requests


def test_what_fits_goes_on_where_something_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the order of use: a small one behind a large one still fits."""
    monkeypatch.setattr(downloads, "free_bytes", lambda _folder: SPARE_BYTES + 100)
    sizes = {"o/first": 60, "o/large": 50, "o/small": 40, "o/unknown": 0}
    entries = [
        Download(name, "main", "hub", tmp_path, (name,), (downloads.HubFile("x", size, "b"),))
        for name, size in sizes.items()
    ]
    ((entry, sentence),) = without_room(entries).items()
    assert entry.repository == "o/large"
    assert sentence == (
        f"o/large does not fit on the disk of {tmp_path}: 50 B are to be downloaded, and 40 B are "
        "left for it (1.00 GB stay free); free some, or name a folder on another disk: HF_HUB_CACHE"
    )


def test_free_room_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    """A cache that does not exist yet is made there."""
    assert downloads.free_bytes(tmp_path / "not/yet") > 0
