"""Baseline files: round trips, refusals, and writes that end half-way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import BaselineError
from qualification.core.metrics import METRICS
from qualification.core.results import Accelerator, Condition, Environment, Machine, Session, Trial
from qualification.judging.baselines.storage import accept, baseline_path, read_baseline

NAME = "qwen2.5-vl-7b-4bit@mlx"
MACHINE = Machine(
    system="macos",
    os_version="macOS 15.5 (24F74)",
    chip="Apple M4",
    product="MacBook Air",
    architecture="arm64",
    cpu_cores=10,
    gpu_cores=10,
    memory_bytes=34359738368,
    accelerators=(Accelerator("metal", "Apple M4", 34359738368, 10),),
    bandwidth=120e9,
    tier="air_m4",
    identifier="0123456789ab",
)
SESSION = Session(
    "20251229T120000Z-abc123",
    "2025-12-29T12:00:00+00:00",
    MACHINE,
    Environment("current", "3.12.1", {"mlx": "0.32.4", "torch": ""}),
    (Condition("load", "0.10 on 10 cores (1%)"),),
    "here",
)
TRIALS = (
    Trial(NAME, "load_s", 5.8, "s", 0, "load"),
    Trial(NAME, "decode_tps", 20.1, "tok/s", 0, "throughput"),
    Trial(NAME, "decode_tps", 20.2, "tok/s", 1, "throughput"),
)


def another(number: int) -> Session:
    """The same machine, another day."""
    return replace(SESSION, identifier=f"session-{number}")


def changed(path: Path, *keys: Any, value: Any) -> None:
    """Edit one key of a file by hand."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def test_an_accepted_session_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Machine, environment, conditions and every trial with its unit."""
    path = accept(tmp_path, SESSION, TRIALS)
    assert path == tmp_path / "air_m4" / f"{NAME}.json"
    baseline = read_baseline(path)
    assert (baseline.deployment, baseline.tier, baseline.schema_version) == (NAME, "air_m4", 1)
    (session,) = baseline.sessions
    assert session.trials == TRIALS
    assert (session.machine, session.environment) == (MACHINE, SESSION.environment)
    assert (session.identifier, session.started) == (SESSION.identifier, SESSION.started)
    assert session.conditions == SESSION.conditions


def test_a_second_session_is_added_after_the_first(tmp_path: Path) -> None:
    """Nothing of the first changes: the diff only adds."""
    path = accept(tmp_path, another(1), TRIALS)
    before = read_baseline(path).sessions
    accept(tmp_path, another(2), TRIALS[:1])
    after = read_baseline(path).sessions
    assert after[0] == before[0]
    assert [session.identifier for session in after] == ["session-1", "session-2"]


def test_a_file_from_before_revisions_were_recorded_is_read(tmp_path: Path) -> None:
    """The revision of its sessions is not known."""
    path = accept(tmp_path, another(1), TRIALS, "0123456789ab")
    content = json.loads(path.read_text())
    del content["sessions"][0]["revision"], content["content_sha256"]
    path.write_text(json.dumps(content))
    accept(tmp_path, another(2), TRIALS, "fedcba987654")
    assert [s.revision for s in read_baseline(path).sessions] == ["", "fedcba987654"]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20),
    st.lists(st.tuples(st.sampled_from(sorted(METRICS)), FINITE, TEXT), min_size=1, max_size=5),
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.one_of(st.none(), FINITE),
    TEXT,
)
def test_any_identifier_and_any_finite_number_round_trip(
    name: str,
    figures: list[tuple[str, float, str]],
    versions: dict[str, str],
    bandwidth: float | None,
    revision: str,
) -> None:
    """To the last bit, and in a file inside of the tier's folder."""
    trials = tuple(
        Trial(name, metric, value, METRICS[metric].unit, number, suite)
        for number, (metric, value, suite) in enumerate(figures)
    )
    session = replace(
        SESSION,
        machine=replace(MACHINE, bandwidth=bandwidth),
        environment=Environment("current", "3.12.1", versions),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = accept(Path(folder), session, trials, revision)
        assert path.parent == Path(folder) / "air_m4"
        (stored,) = read_baseline(path).sessions
        assert stored.revision == revision
        assert stored.trials == trials
        assert stored.environment == session.environment
        assert stored.machine == session.machine


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), max_size=8))
def test_no_two_identifiers_share_a_file(names: list[str]) -> None:
    """And no name leaves the folder."""
    paths = {name: baseline_path(Path("b"), "t", name) for name in names}
    assert len(set(paths.values())) == len(set(names))
    assert all(path.parent == Path("b/t") for path in paths.values())
    assert baseline_path(Path("b"), "..", "../../x").parts[:2] == ("b", "%2E%2E")


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("sessions", 0, "trials", 1, "value"), "fast", "sessions[0].trials[1].value"),
        (("sessions", 0, "trials", 1, "value"), "20.1", "sessions[0].trials[1].value"),
        (("sessions", 0, "trials", 1, "value"), float("nan"), "sessions[0].trials[1].value"),
        (("sessions", 0, "trials", 1, "unit"), "tok/min", "sessions[0].trials[1].unit: decode_tps"),
        (("sessions", 0, "trials", 1, "metric"), "tps", "sessions[0].trials[1].metric: 'tps'"),
        (("sessions", 0, "trials", 2, "deployment"), "x@mlx", "sessions[0].trials[2].deployment"),
        (("sessions", 0, "machine", "serial"), "x", "sessions[0].machine.serial"),
        (("sessions", 0, "machine", "cpu_cores"), None, "sessions[0].machine.cpu_cores"),
        (("sessions",), {}, "sessions: "),
        (("comment",), "hello", "comment: "),
        (("deployment",), "other@mlx", "deployment: 'other@mlx'"),
        (("tier",), "studio", "tier: 'studio'"),
        (("schema_version",), 2, "schema_version: this release reads version 1, not 2"),
        (("schema_version",), "1", "schema_version: this release reads version 1, not '1'"),
        (("schema_version",), True, "schema_version"),
    ],
)
def test_a_wrong_key_is_one_clear_error_with_file_and_key(
    tmp_path: Path, keys: tuple[Any, ...], value: Any, words: str
) -> None:
    """Also when accepting: the file is left as it is."""
    path = accept(tmp_path, another(1), TRIALS)
    changed(path, *keys, value=value)
    before = path.read_bytes()
    with pytest.raises(BaselineError) as error:
        read_baseline(path)
    assert str(error.value).startswith(f"{path}: {words}")
    assert "\n" not in str(error.value)
    with pytest.raises(BaselineError):
        accept(tmp_path, another(2), TRIALS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_an_error_and_is_not_written_over(tmp_path: Path, share: float) -> None:
    """However much of it remains."""
    path = accept(tmp_path, another(1), TRIALS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    before = path.read_bytes()
    for action in (lambda: read_baseline(path), lambda: accept(tmp_path, another(2), TRIALS)):
        with pytest.raises(BaselineError, match="is not JSON"):
            action()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[]", b"null", b"3", b"[" * 100_000, b'{"schema_version": 1}', b"1" * 9999],
)
def test_a_file_that_is_something_else_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Never another exception."""
    path = baseline_path(tmp_path, "air_m4", NAME)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=r"\.json: "):
        read_baseline(path)


def test_a_flipped_bit_is_an_error_and_is_not_written_over(tmp_path: Path) -> None:
    """Wherever it is, unless it is white space or makes the same number."""
    path = accept(tmp_path, another(1), TRIALS, "0123456789ab")
    content = path.read_bytes()
    sessions = read_baseline(path).sessions
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 7
        path.write_bytes(flipped)
        try:
            read = read_baseline(path).sessions
        except BaselineError:
            continue
        assert read == sessions
    path.write_bytes(content.replace(b"20.1", b"28.1"))
    for action in (lambda: read_baseline(path), lambda: accept(tmp_path, another(2), TRIALS)):
        with pytest.raises(BaselineError, match="content_sha256: is not that of its content"):
            action()
    assert b"28.1" in path.read_bytes()


def test_a_file_from_before_there_was_a_hash_is_read_and_has_one_from_then_on(
    tmp_path: Path,
) -> None:
    """So has one that was edited by hand, whose hash was removed."""
    path = accept(tmp_path, another(1), TRIALS)
    content = json.loads(path.read_text())
    del content["content_sha256"]
    path.write_text(json.dumps(content))
    assert read_baseline(path).content_sha256 == ""
    accept(tmp_path, another(2), TRIALS)
    assert read_baseline(path).content_sha256


def test_a_file_of_another_layout_and_order_has_the_same_hash(tmp_path: Path) -> None:
    """A formatter does not damage it."""
    path = accept(tmp_path, another(1), TRIALS)
    before = read_baseline(path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_baseline(path) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"schema_version": 1, "schema_version": 1}', "'schema_version' is there twice"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b" " * 100_000_000, "has 100 MB, and no baseline has over 50.0 MB"),
    ],
)
def test_a_file_that_no_release_wrote_is_an_error(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """One sentence that names the file, before much of it is read."""
    path = baseline_path(tmp_path, "air_m4", NAME)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=words) as error:
        read_baseline(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A caller that can do without one checks for it."""
    with pytest.raises(BaselineError, match="cannot be read"):
        read_baseline(tmp_path / "air_m4" / "x.json")


def test_a_session_twice_in_a_file_is_an_error(tmp_path: Path) -> None:
    """A merge went wrong."""
    path = accept(tmp_path, SESSION, TRIALS)
    session = json.loads(path.read_text())["sessions"][0]
    changed(path, "sessions", value=[session, session])
    with pytest.raises(BaselineError, match=r"sessions\[1\]\.identifier: .* is there twice"):
        read_baseline(path)


@pytest.mark.parametrize(
    ("session", "trials", "words"),
    [
        (SESSION, (), "of: none"),
        (SESSION, (*TRIALS, replace(TRIALS[0], deployment="a@mlx")), f"of: a@mlx, {NAME}"),
        (replace(SESSION, machine=replace(MACHINE, tier="")), TRIALS, "machine of no tier"),
        (SESSION, (replace(TRIALS[0], value=float("nan")),), "not a finite number"),
        (SESSION, (replace(TRIALS[0], unit="ms"),), "load_s is in s, not 'ms'"),
        (SESSION, (replace(TRIALS[0], metric="tps"),), "'tps' is unknown"),
    ],
)
def test_a_session_that_makes_no_baseline_is_refused_and_nothing_is_written(
    tmp_path: Path, session: Session, trials: tuple[Trial, ...], words: str
) -> None:
    """One sentence; the folder stays as it was."""
    with pytest.raises(BaselineError) as error:
        accept(tmp_path, session, trials)
    assert words in str(error.value)
    assert list(tmp_path.rglob("*.json")) == []


def test_a_session_is_accepted_once(tmp_path: Path) -> None:
    """The same session twice would count as two days."""
    path = accept(tmp_path, SESSION, TRIALS)
    before = path.read_bytes()
    with pytest.raises(BaselineError, match="already"):
        accept(tmp_path, SESSION, TRIALS)
    assert path.read_bytes() == before


# ------------------------------------------------------------------- half-way


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk, say."""
    path = accept(tmp_path, another(1), TRIALS)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(BaselineError, match="cannot be changed"):
            accept(tmp_path, another(2), TRIALS)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_process_that_dies_before_the_rename_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """And its draft and its lock do not disturb the next one."""
    path = accept(tmp_path, another(1), TRIALS)
    before = path.read_bytes()
    code = (
        "import os, sys; from dataclasses import replace; from pathlib import Path;"
        "from qualification.judging.baselines.storage import accept, read_baseline;"
        "os.replace = lambda *_: os._exit(9);"
        "old = read_baseline(Path(sys.argv[1])).sessions[0];"
        "from qualification.core.results import Session;"
        "new = Session('crash', old.started, old.machine, old.environment);"
        "accept(Path(sys.argv[1]).parent.parent, new, old.trials)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 9
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 3  # with its draft and its lock
    accept(tmp_path, another(2), TRIALS)
    assert len(read_baseline(path).sessions) == 2


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "air_m4").write_text("")
    with pytest.raises(BaselineError, match="cannot be"):
        accept(tmp_path, SESSION, TRIALS)
