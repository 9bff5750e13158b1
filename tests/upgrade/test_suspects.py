"""The gate that a suspect starts: with which baseline environment, by which command line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

import qualification.upgrade.suspects
from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.core.libraries import LIBRARIES
from qualification.core.protocol import LoadReport
from qualification.core.results import Finding, Session, Verdict
from qualification.judging.baselines.storage import accept
from qualification.judging.library_versions import principal_libraries
from qualification.models.loading import load_registry
from qualification.servers.programs import PROGRAMS
from qualification.upgrade.gate.plan import GateRequest, choose_deployments
from qualification.upgrade.suspects import Suspect, gate_command, run_gates, suspects
from tests.support.stored_sample import MACHINE, NAME, NEW, OLD, figures, session

SERVERS = [
    deployment
    for deployment in load_registry().deployments()
    if deployment.source.backend == "server" and deployment.model.name == "smolvlm-canary"
]
"""A deployment of each server program that ships."""

NOW = session("now", versions=NEW)


def found_in(folder: Path, *verdicts: Verdict, now: Session = NOW) -> tuple[Suspect, ...]:
    """The suspects of a session that ran under this interpreter."""
    return suspects(verdicts, folder, now, installed=now.environment.versions)


def verdict(*metrics: str, deployment: str = NAME) -> Verdict:
    """A verdict with suspect metrics among others."""
    findings = [Finding(metric, "suspect", "Slower.") for metric in metrics]
    findings.append(Finding("load_s", "pass", "Fine."))
    return Verdict(deployment, "inconclusive", "usable", tuple(findings))


def test_a_suspect_is_compared_with_the_accepted_versions(tmp_path: Path) -> None:
    """The command line has exact pins of the libraries that its engine loads."""
    accept(tmp_path, session("old"), figures())
    (suspect,) = found_in(tmp_path, verdict("decode_tps", "accuracy"))
    assert suspect.environment is not None
    assert {"mlx==0.30.1", "mlx-vlm==0.3.9", "numpy==2.4.6"} <= set(suspect.environment.pins)
    assert (suspect.accepted, suspect.problem) == ("old", "")
    assert suspect.differs.startswith("mlx 0.30.1 (now 0.32.4), mlx-vlm 0.3.9 (now 0.7.10)")
    assert gate_command(suspect) == [
        "qualify",
        "gate",
        "--from-pins",
        " ".join(suspect.environment.pins),
        "--to",
        "here",
        "--models",
        NAME,
        "--weights",
        "hub",
        "--metrics",
        "decode_tps",
    ]
    assert gate_command(suspect, Path("mine"))[-2:] == ["--declarations", "mine"]


def test_a_session_of_another_interpreter_is_compared_by_its_pins(tmp_path: Path) -> None:
    """The suspect session's libraries are compared, not those that run the command."""
    accept(tmp_path, session("old"), figures())
    (suspect,) = suspects([verdict("load_s")], tmp_path, NOW, installed={"mlx": "0.1"})
    words = gate_command(suspect)
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
    (suspect,) = found_in(tmp_path, verdict("load_s", deployment=deployment))
    words = gate_command(suspect)
    assert words[words.index("--weights") + 1] == weights


def test_a_deployment_that_is_no_longer_declared_has_no_gate(tmp_path: Path) -> None:
    """The reason is its problem."""
    accept(tmp_path, session("old"), figures("x@mlx"))
    (suspect,) = found_in(tmp_path, verdict("load_s", deployment="x@mlx"))
    assert (suspect.environment, suspect.problem) == (None, "it is no longer declared")


def test_a_suspect_accuracy_is_left_to_the_behaviour_checks(tmp_path: Path) -> None:
    """The gate times what it times by default."""
    accept(tmp_path, session("old"), figures())
    (suspect,) = found_in(tmp_path, verdict("accuracy"))
    assert "--metrics" not in gate_command(suspect)


def test_the_newest_accepted_session_with_other_versions_is_taken(tmp_path: Path) -> None:
    """Not an older one, and not one whose versions are these."""
    older = {**OLD, "mlx-vlm": "0.3.0"}
    accept(tmp_path, session("older", "2026-01-01T00:00:00+00:00", older), figures())
    accept(tmp_path, session("old", "2026-02-01T00:00:00+00:00"), figures())
    accept(tmp_path, session("same", "2026-03-01T00:00:00+00:00", NEW), figures())
    (suspect,) = found_in(tmp_path, verdict("decode_tps"))
    assert suspect.accepted == "old"


def test_an_accepted_session_of_other_weights_is_not_taken(tmp_path: Path) -> None:
    """The judge did not compare it either."""
    times = ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    accept(tmp_path, session("these", times[0]), figures(), "0123")
    accept(tmp_path, session("others", times[1]), figures(), "4567")
    reports = {NAME: LoadReport(1.0, 1.0, 0.5, "gpu", 0, "0123", {})}
    (suspect,) = suspects([verdict("decode_tps")], tmp_path, NOW, load_reports=reports)
    assert suspect.accepted == "these"


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
    (suspect,) = found_in(tmp_path, verdict("decode_tps"))
    assert "has the same library versions" in suspect.problem


def test_a_baseline_that_is_gone_hides_no_other_suspect(tmp_path: Path) -> None:
    """It has a problem, and no command line."""
    accept(tmp_path, session("old"), figures())
    gone, suspect = found_in(tmp_path, verdict("load_s", deployment="x@mlx"), verdict("load_s"))
    assert "its baseline is gone" in gone.problem
    assert not suspect.problem
    with pytest.raises(SelectionError, match="x@mlx: its baseline is gone"):
        gate_command(gone)


def test_every_server_program_that_ships_has_a_canary_on_it() -> None:
    """So the tests of suspects leave none out."""
    assert {server.source.place for server in SERVERS} == set(PROGRAMS)


def test_a_backend_whose_versions_nobody_recorded_has_no_environment(tmp_path: Path) -> None:
    """A server's, say."""
    accept(tmp_path, session("old"), figures("x@server"))
    (suspect,) = found_in(tmp_path, verdict("load_s", deployment="x@server"))
    assert suspect.problem == "the versions of the engine 'server' are not recorded"


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.identifier)
def test_a_servers_suspect_starts_a_gate_that_compares_its_engine(
    tmp_path: Path, server: Deployment
) -> None:
    """The same model in process, or the server itself where it is its own engine."""
    engine, name = server.source.engine, server.identifier
    old = dict.fromkeys(LIBRARIES, "1.0") | {"num2words": "1.0"}
    new = old | dict.fromkeys(principal_libraries(engine), "2.0")
    accept(tmp_path, session("old", versions=old), figures(name))
    now = session("now", versions=new)
    (suspect,) = found_in(tmp_path, verdict("load_s", deployment=name), now=now)
    assert suspect.problem == ""
    moved = [f"{library} 1.0 (now 2.0)" for library in principal_libraries(engine)]
    assert suspect.differs.replace(" and ", ", ") == ", ".join(moved)
    assert suspect.environment is not None
    pinned = {pin.partition("==")[0] for pin in suspect.environment.pins}
    assert set(principal_libraries(engine)) <= pinned
    words = gate_command(suspect)
    request = GateRequest(models=(words[words.index("--models") + 1],), weights="canary")
    (gated,) = choose_deployments(load_registry(), request, MACHINE, None, [old, new])
    assert (gated.model, gated.source.place) == (server.model, engine)
    assert gated.source.quantisation == server.source.quantisation


def test_a_server_whose_model_is_not_declared_on_its_engine_has_no_gate(tmp_path: Path) -> None:
    """The problem names the deployment that a gate would need."""
    server = next(server for server in SERVERS if not server.source.is_its_own_engine)
    alone = replace(server.model, sources=(server.source,))
    registry = replace(load_registry(), models=(alone,))
    accept(tmp_path, session("old"), figures(server.identifier))
    judged = verdict("load_s", deployment=server.identifier)
    now = session("now", versions={**NEW, "llama-cpp-python": "0.3.16"})
    accept(
        tmp_path,
        session("older", versions={**OLD, "llama-cpp-python": "0.3.15"}),
        figures(server.identifier),
    )
    (suspect,) = suspects([judged], tmp_path, now, registry, now.environment.versions)
    assert suspect.environment is None
    assert suspect.problem == (
        f"a server is gated by its engine, and {server.on_engine} is not declared"
    )


def test_a_session_without_a_suspect_starts_nothing(tmp_path: Path) -> None:
    """Whatever else it suspect."""
    assert found_in(tmp_path, verdict()) == ()


def test_another_python_is_part_of_the_environment(tmp_path: Path) -> None:
    """Its series; the patch release does not matter."""
    accept(tmp_path, session("old", python="3.11.9"), figures())
    (suspect,) = found_in(tmp_path, verdict("load_s"))
    assert suspect.environment is not None
    assert suspect.environment.python == "3.11"
    assert suspect.differs.startswith("Python 3.11 (now 3.12)")


def test_another_python_alone_starts_no_gate(tmp_path: Path) -> None:
    """A gate's two sides have one Python."""
    accept(tmp_path, session("old", versions=NEW, python="3.11.9"), figures())
    (suspect,) = found_in(tmp_path, verdict("load_s"))
    assert "has the same library versions" in suspect.problem


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 0], 0), ([0, 3], 3), ([3, 2, 0], 2), ([2, 1, 3], 1), ([77], 2)]
)
def test_gates_are_started_one_after_the_other_and_the_gravest_end_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[int], worst: int
) -> None:
    """Even if an earlier one failed; a stand-in writes down how it was called.

    A gate gets no key that it has no use for.
    """
    script = tmp_path / "stand_in.py"
    script.write_text(
        "import os, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "variables = os.environ.get('QUALIFY_HOME'), os.environ.get('AWS_SECRET_ACCESS_KEY')\n"
        "sys.exit(int(sys.argv[-1]) if variables == ('/project', None) else 'wrong variables')\n"
    )
    monkeypatch.setenv("QUALIFY_HOME", "/project")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(qualification.upgrade.suspects, "QUALIFY", (sys.executable, str(script)))
    assert run_gates([["qualify", "gate", str(code)] for code in codes]) == worst
    assert (tmp_path / "calls").read_text().splitlines() == [f"gate {code}" for code in codes]
