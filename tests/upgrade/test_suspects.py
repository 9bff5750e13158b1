"""What a suspect starts: against which environment, as which command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import qualification.upgrade.suspects
from qualification.core.errors import SelectionError
from qualification.core.results import Environment, Finding, Session, Verdict
from qualification.judging.baselines.storage import accept
from qualification.judging.library_versions import difference, pins
from qualification.upgrade.suspects import Suspect, order, start, suspects
from tests.support.stored_sample import NAME, NEW, OLD, figures, session

NOW = session("now", versions=NEW)


def found_in(folder: Path, *verdicts: Verdict, now: Session = NOW) -> tuple[Suspect, ...]:
    """The suspects of a session that ran under this interpreter."""
    return suspects(verdicts, folder, now, installed=now.environment.versions)


def verdict(*metrics: str, deployment: str = NAME) -> Verdict:
    """A verdict with suspect metrics among others."""
    findings = [Finding(metric, "suspect", "Slower.") for metric in metrics]
    findings.append(Finding("load_s", "pass", "Fine."))
    return Verdict(deployment, "inconclusive", "usable", tuple(findings))


def test_a_suspect_is_held_against_the_accepted_versions(tmp_path: Path) -> None:
    """Exact pins of what its backend loads; the command line says them."""
    accept(tmp_path, session("old"), figures())
    (found,) = found_in(tmp_path, verdict("decode_tps", "accuracy"))
    assert found.environment is not None
    assert {"mlx==0.30.1", "mlx-vlm==0.3.9", "numpy==2.4.6"} <= set(found.environment.pins)
    assert (found.accepted, found.problem) == ("old", "")
    assert found.differs.startswith("mlx 0.30.1 (now 0.32.4), mlx-vlm 0.3.9 (now 0.7.10)")
    assert order(found) == [
        "qualify",
        "gate",
        "--from-pins",
        " ".join(found.environment.pins),
        "--to",
        "here",
        "--models",
        NAME,
        "--weights",
        "hub",
        "--metrics",
        "decode_tps",
    ]
    assert order(found, Path("mine"))[-2:] == ["--declarations", "mine"]


def test_a_session_of_another_interpreter_is_held_by_its_pins(tmp_path: Path) -> None:
    """What was suspect is compared, not what happens to run the command."""
    accept(tmp_path, session("old"), figures())
    (found,) = suspects([verdict("load_s")], tmp_path, NOW, installed={"mlx": "0.1"})
    words = order(found)
    place = words.index("--to")
    assert words[place : place + 3] == ["--to", "current", "--candidate"]
    assert "mlx-vlm==0.7.10" in words[place + 3].split()


@pytest.mark.parametrize(
    ("deployment", "weights"),
    [
        (NAME.replace("@", "-synthetic@"), "synthetic"),
        ("smolvlm-canary-f32@mlx", "canary"),
    ],
)
def test_the_gate_takes_the_same_weights(tmp_path: Path, deployment: str, weights: str) -> None:
    """Random ones stay random."""
    accept(tmp_path, session("old"), figures(deployment))
    (found,) = found_in(tmp_path, verdict("load_s", deployment=deployment))
    words = order(found)
    assert words[words.index("--weights") + 1] == weights


def test_what_is_no_longer_declared_cannot_be_gated(tmp_path: Path) -> None:
    """It is said."""
    accept(tmp_path, session("old"), figures("x@mlx"))
    (found,) = found_in(tmp_path, verdict("load_s", deployment="x@mlx"))
    assert (found.environment, found.problem) == (None, "it is no longer declared")


def test_a_suspect_accuracy_is_the_behaviour_checks_matter(tmp_path: Path) -> None:
    """The gate times what it times by default."""
    accept(tmp_path, session("old"), figures())
    (found,) = found_in(tmp_path, verdict("accuracy"))
    assert "--metrics" not in order(found)


def test_the_newest_accepted_session_with_other_versions_is_taken(tmp_path: Path) -> None:
    """Not an older one, and not one whose versions are these."""
    older = {**OLD, "mlx-vlm": "0.3.0"}
    accept(tmp_path, session("older", "2026-01-01T00:00:00+00:00", older), figures())
    accept(tmp_path, session("old", "2026-02-01T00:00:00+00:00"), figures())
    accept(tmp_path, session("same", "2026-03-01T00:00:00+00:00", NEW), figures())
    (found,) = found_in(tmp_path, verdict("decode_tps"))
    assert found.accepted == "old"


def test_this_machines_sessions_come_before_a_neighbours(tmp_path: Path) -> None:
    """As they do for the judge: one decides decoding speed, memory takes two."""
    accept(tmp_path, session("own", "2026-01-01T00:00:00+00:00"), figures())
    accept(tmp_path, session("other", machine="m-2"), figures())
    (speed,) = found_in(tmp_path, verdict("decode_tps"))
    (memory,) = found_in(tmp_path, verdict("peak_memory_bytes"))
    assert (speed.accepted, memory.accepted) == ("own", "other")


def test_the_same_versions_start_no_gate(tmp_path: Path) -> None:
    """Both sides would be one environment."""
    accept(tmp_path, session("same", versions=NEW), figures())
    (found,) = found_in(tmp_path, verdict("decode_tps"))
    assert "has the same library versions" in found.problem


def test_a_baseline_that_is_gone_hides_no_other_suspect(tmp_path: Path) -> None:
    """It is said, and has no command line."""
    accept(tmp_path, session("old"), figures())
    gone, found = found_in(tmp_path, verdict("load_s", deployment="x@mlx"), verdict("load_s"))
    assert "its baseline is gone" in gone.problem
    assert not found.problem
    with pytest.raises(SelectionError, match="x@mlx: its baseline is gone"):
        order(gone)


def test_a_backend_whose_versions_nobody_recorded_has_no_environment(tmp_path: Path) -> None:
    """A server's, say."""
    accept(tmp_path, session("old"), figures("x@server"))
    (found,) = found_in(tmp_path, verdict("load_s", deployment="x@server"))
    assert found.problem == "the versions of the backend 'server' are not recorded"


def test_a_session_without_a_suspect_starts_nothing(tmp_path: Path) -> None:
    """Whatever else it found."""
    assert found_in(tmp_path, verdict()) == ()


def test_another_python_is_part_of_the_environment(tmp_path: Path) -> None:
    """Its series; the patch release does not matter."""
    accept(tmp_path, session("old", python="3.11.9"), figures())
    (found,) = found_in(tmp_path, verdict("load_s"))
    assert found.environment is not None
    assert found.environment.python == "3.11"
    assert found.differs.startswith("Python 3.11 (now 3.12)")


def test_another_python_alone_starts_no_gate(tmp_path: Path) -> None:
    """A gate's two sides have one Python."""
    accept(tmp_path, session("old", versions=NEW, python="3.11.9"), figures())
    (found,) = found_in(tmp_path, verdict("load_s"))
    assert "has the same library versions" in found.problem


def test_pins_are_what_an_index_knows() -> None:
    """Without local labels, without what is no version, for the platform's own MLX."""
    versions = {"mlx": "0.30.1", "torch": "2.13.0+cpu", "pillow": "1; rm -rf", "mlx-vlm": ""}
    found = Environment("current", "3.12.1", versions)
    assert pins("mlx", found, "linux") == ("mlx[cpu]==0.30.1", "torch==2.13.0")
    assert pins("mlx", found, "macos")[0] == "mlx==0.30.1"
    assert pins("torch", found, "macos") == ("torch==2.13.0",)
    assert pins("server", found, "macos") == ()


def test_a_difference_names_what_computes_and_counts_the_rest() -> None:
    """Several earlier versions of one library, and one that was not recorded."""

    def of(**versions: str) -> Environment:
        return Environment("current", "3.12.1", versions)

    earlier = [of(torch="2.8.0", numpy="1", pillow="1"), of(torch="2.9.0", numpy="1", pillow="1")]
    now = of(torch="2.13.0", numpy="2", pillow="2", transformers="5.23.0")
    found = difference("torch", earlier, now)
    assert found == "torch 2.8.0 or 2.9.0 (now 2.13.0) and 2 libraries besides"
    assert difference("llamacpp", earlier, now) == "2 other libraries"
    assert difference("torch", [now], now) == ""


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 0], 0), ([0, 3], 3), ([3, 2, 0], 2), ([2, 1, 3], 1), ([77], 2)]
)
def test_gates_are_started_one_after_the_other_and_the_gravest_end_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[int], worst: int
) -> None:
    """Also where an earlier one failed; a stand-in writes down how it was called."""
    script = tmp_path / "stand_in.py"
    script.write_text(
        "import sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "sys.exit(int(sys.argv[-1]))\n"
    )
    monkeypatch.setattr(qualification.upgrade.suspects, "QUALIFY", (sys.executable, str(script)))
    assert start([["qualify", "gate", str(code)] for code in codes]) == worst
    assert (tmp_path / "calls").read_text().splitlines() == [f"gate {code}" for code in codes]
