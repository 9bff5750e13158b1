"""A session is resumed as it was begun: on its machine, under its libraries, with its tests."""

import json

import pytest

from qualification.core.paths import canaries
from qualification.pytest_plugin.resuming import with_first_arguments
from qualification.session.run_journal import Header, RunFile
from tests.pytest_plugin.test_resuming import ENDINGS, SUITE, asked, checks, journals
from tests.support.session_sample import session

KILLED = SUITE.format(ending=ENDINGS["SIGKILL"])
KILLED_AT_THE_END = """
import os, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if not session.config.option.resume:
        os.kill(os.getpid(), 9)
"""
"""A conftest: all tests have finished, and nothing is stored."""


def changed_header(project, change):
    """Another first line for the journal of the interrupted session, as another place wrote it."""
    (folder,) = journals(project)
    file = folder / "001-main.jsonl"
    line, _, entries = file.read_text().partition("\n")
    header = json.loads(line)
    change(header["session"])
    file.write_text(json.dumps(header) + "\n" + entries)
    return folder


def under_other_libraries(record):
    """A library that was there is older, and one was there that is not now."""
    record["environment"]["versions"] |= {"pillow": "1.0", "mlx-of-old": "0.29.1"}


def under_another_python(record):
    """As after an upgrade of the system."""
    record["environment"]["python"] = "3.9.1"


def in_another_environment(record):
    """As with another --environment."""
    record["environment"]["name"] = "seed"


def on_another_machine(record):
    """As where the folder was copied."""
    record["machine"] |= {"identifier": "m-1", "chip": "Apple M4", "memory_bytes": 32 * 2**30}


ELSEWHERE = {
    under_other_libraries: "with pillow 1.0 and mlx-of-old 0.29.1, and pillow * and no mlx-of-old",
    under_another_python: "with Python 3.9.1, and Python * is in use now; use that again",
    in_another_environment: "with environment seed, and environment current is in use now",
    on_another_machine: "on machine m-1 (Apple M4, 34.4 GB), and this is machine *; go on there",
}


@pytest.mark.parametrize(
    "change",
    [
        under_other_libraries,
        *(pytest.param(change, marks=pytest.mark.slow) for change in [*ELSEWHERE][1:]),
    ],
)
def test_a_session_that_was_begun_elsewhere_is_not_resumed(toy_project, change):
    """One sentence names the difference; nothing is tried, stored or removed."""
    toy_project.run(suite=KILLED)
    folder = changed_header(toy_project, change)
    before = {file.name: file.read_bytes() for file in folder.glob("*.jsonl")}
    result = toy_project.run("--resume", suite="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = ELSEWHERE[change]
    result.stderr.fnmatch_lines(
        [f"ERROR: --resume: {folder.name}: it was begun {words}*, or begin a new session"]
    )
    assert asked(toy_project) == ["one", "two"]
    after = {file.name: file.read_bytes() for file in folder.glob("*.jsonl")}
    assert after == before
    assert toy_project.query("select count(*) from sessions") == [(0,)]


@pytest.mark.slow
def test_processes_are_not_started_for_a_session_that_was_begun_elsewhere(toy_project):
    """The one that would start them refuses."""
    canary = {"weights": "canary", "path": str(canaries() / "smolvlm"), "tiers": None}
    toy_project.run(suite=KILLED, **canary)
    changed_header(toy_project, on_another_machine)
    result = toy_project.run("--resume", "-n", "2", suite="", **canary)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "it was begun on machine m-1" in result.stderr.str()
    assert asked(toy_project) == ["one", "two"]


def test_a_finished_session_is_stored_wherever_it_was_begun(toy_project):
    """Nothing is left to try; the record has its own machine and libraries."""
    (toy_project.path / "conftest.py").write_text(KILLED_AT_THE_END)
    toy_project.run(suite="def test_one(deployed): deployed.record('decode_tps', 10.0)")

    def elsewhere(record):
        on_another_machine(record)
        under_other_libraries(record)

    changed_header(toy_project, elsewhere)
    toy_project.run("--resume", suite="")
    ((record,),) = toy_project.query("select record from sessions")
    assert json.loads(record)["machine"]["identifier"] == "m-1"
    assert json.loads(record)["environment"]["versions"]["mlx-of-old"] == "0.29.1"
    assert checks(toy_project) == ["test_one passed"]
    assert journals(toy_project) == []


@pytest.mark.slow
def test_a_deployment_that_is_not_declared_any_more_is_named(toy_project):
    """Its tests stay untried, and go on once it is declared again."""
    toy_project.run(suite=KILLED)
    (folder,) = journals(toy_project)
    result = toy_project.run("--resume", suite="", quantisation="8bit")
    result.stdout.fnmatch_lines(
        [
            "4 tests of toy-bf16-synthetic@fake were left and cannot be tried: it is not declared "
            f"any more; declare it again for: pytest --resume={folder.name}"
        ]
    )
    ((record,),) = toy_project.query("select record from sessions")
    assert json.loads(record)["untried"] == {"toy-bf16-synthetic@fake": 4}
    assert journals(toy_project) == [folder]
    toy_project.run("--resume", suite="").assert_outcomes(passed=4, deselected=1)
    assert journals(toy_project) == []


@pytest.mark.slow
def test_a_session_that_is_resumed_in_part_is_not_complete(toy_project):
    """What ``-k`` leaves out is still to be tried."""
    toy_project.run(suite=KILLED)
    (folder,) = journals(toy_project)
    result = toy_project.run("--resume", "-k", "three", suite="")
    result.assert_outcomes(passed=3, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "1 tests of toy-bf16-synthetic@fake were left and cannot be tried: they are not "
            f"selected any more; select them again for: pytest --resume={folder.name}"
        ]
    )
    assert journals(toy_project) == [folder]
    toy_project.run("--resume", suite="").assert_outcomes(passed=1, deselected=4)
    assert journals(toy_project) == []


@pytest.mark.slow
def test_a_session_beside_another_database_is_resumed_as_it_says(toy_project):
    """The command that is printed names the database too."""
    suite = SUITE.format(ending="raise KeyboardInterrupt")
    result = toy_project.run("--results", "else where/r.sqlite", suite=suite)
    (line,) = [line for line in result.outlines if "go on with: pytest --resume=" in line]
    assert line.endswith(" --results='else where/r.sqlite'")
    name = line.partition("--resume=")[2].partition(" ")[0]
    result = toy_project.run(f"--resume={name}", "--results=else where/r.sqlite", suite="")
    result.assert_outcomes(passed=4, deselected=1)
    assert not any((toy_project.path / "else where/sessions").iterdir())


@pytest.mark.slow
def test_the_arguments_of_a_session_come_behind_those_of_the_projects_settings(toy_project):
    """As on the command line with which it was begun."""
    (toy_project.path / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    toy_project.run("-k", "one or two or three", suite=KILLED)
    result = toy_project.run("--resume", suite="")
    result.assert_outcomes(passed=4, deselected=1)


def test_what_is_given_with_resume_comes_last(tmp_path, monkeypatch):
    """A password, say, which was not kept; what was given with the session is not given twice."""
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    monkeypatch.delenv("QUALIFY_HOME", raising=False)
    arguments = ("-m", "canary", "--results", "postgresql://host/name")
    header = Header(1, "run", 1, 1, "main", session("a"), arguments, "")
    RunFile(tmp_path / "reports/sessions/a", header)
    url = "postgresql://me:hush@host/name"
    own = ["--resume", "--results", url]
    assert with_first_arguments(tmp_path, ["-rf", *own], own) == [
        *("-rf", *arguments),
        *("--results", url, "--resume=a"),
    ]
    again = ["-m", "canary", "--resume=a"]
    assert with_first_arguments(tmp_path, again, again) == [*arguments, "--resume=a"]


def test_a_session_that_kept_nothing_is_not_resumed(toy_project):
    """One sentence; nothing is left of a run that stores nothing."""
    result = toy_project.run("--resume", "--results", "none")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--resume: with the results 'none' no session is kept" in result.stderr.str()
