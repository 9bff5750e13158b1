"""A run that is killed at any moment loses one test: ``--resume`` goes on where it was."""

import json
import os
import signal
import sys

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries
from qualification.session.session_lock import going_on

SUITE = """
import os, pytest
from pathlib import Path

def once(name):
    file = Path(name)
    if file.exists():
        return False
    file.touch()
    return True

def noted(name):
    with open("asked.txt", "a") as file:
        file.write(name + "\\n")

def test_one(deployed):
    deployed.record("decode_tps", 10.0, 11.0)
    noted("one")

def test_two(deployed):
    deployed.record("load_s", 1.0)
    noted("two")
    if once("two.marker"):
        {ending}

@pytest.mark.parametrize("number", range(3))
def test_three(deployed, number):
    deployed.ask(str(number))
    noted(f"three {{number}}")
"""
ENDINGS = {
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "abort": "os.abort()",
    "SIGTERM": "os.kill(os.getpid(), 15)",
    "SIGHUP": "os.kill(os.getpid(), 1)",
    "SIGQUIT": "os.kill(os.getpid(), 3)",
    "Ctrl-C": "raise KeyboardInterrupt",
    "exit": "pytest.exit('enough')",
}


def asked(project):
    """What the tests asked, in order."""
    return (project.path / "asked.txt").read_text().splitlines()


def journals(project):
    """Folders of the sessions that can be resumed."""
    return list((project.path / "reports/sessions").glob("*"))


def checks(project):
    """Test -> its outcomes, of all sessions."""
    rows = project.query("select test, outcome from checks order by number")
    return [f"{test} {outcome}" for test, outcome in rows]


WHOLE = ["test_one passed", "test_two passed", *[f"test_three[{n}] passed" for n in range(3)]]


@pytest.mark.parametrize(
    "ending",
    [e if e == "SIGKILL" else pytest.param(e, marks=pytest.mark.slow) for e in ENDINGS],
)
def test_a_run_that_ends_in_the_middle_is_resumed(toy_project, ending):
    """The same session, verdicts and figures; no finished test is asked again."""
    result = toy_project.run(suite=SUITE.format(ending=ENDINGS[ending]))
    assert result.ret != 0
    assert len(journals(toy_project)) == 1
    result = toy_project.run("--resume", suite="")
    assert result.ret == 0, "\n".join(result.outlines)
    result.assert_outcomes(passed=4, deselected=1)
    assert sorted(checks(toy_project)) == sorted(WHOLE)
    assert asked(toy_project) == ["one", "two", "two", "three 0", "three 1", "three 2"]
    ((record,),) = toy_project.query("select record from sessions")
    assert json.loads(record)["untried"] == {}
    values = toy_project.query("select metric, value from trials order by metric, value")
    assert values == [("decode_tps", 10.0), ("decode_tps", 11.0), ("load_s", 1.0)]
    assert journals(toy_project) == []


@pytest.mark.slow
def test_the_next_start_offers_what_was_interrupted(toy_project):
    """With what is left to do and the command; a new session can begin all the same."""
    toy_project.run(suite=SUITE.format(ending=ENDINGS["SIGKILL"]))
    (folder,) = journals(toy_project)
    result = toy_project.run("-k", "one", suite="")
    header = " ".join(result.stdout.str().split())
    assert f"{folder.name} was interrupted; 1 tests are finished, 4 are left: pytest" in header
    result.stdout.fnmatch_lines([f"    pytest --resume={folder.name}"])
    assert journals(toy_project) == [folder]
    result = toy_project.run(f"--resume={folder.name}", suite="")
    result.assert_outcomes(passed=4, deselected=1)


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["-x", "--maxfail=1"])
def test_a_run_that_stops_at_a_failure_says_how_to_go_on(toy_project, stop):
    """What it has is stored; the resumed session takes its place."""
    result = toy_project.run(stop, suite=SUITE.format(ending="assert False"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["3 tests were not tried; go on with: pytest --resume=*"])
    ((verdict,),) = toy_project.query("select record from verdicts")
    assert "3 of its tests were not tried" in verdict
    result = toy_project.run("--resume", suite="")
    result.assert_outcomes(passed=3, deselected=2)
    assert len(checks(toy_project)) == 5
    assert toy_project.query("select count(*) from sessions") == [(1,)]


def test_nothing_is_left_by_a_run_that_is_killed_after_it_has_stored(
    toy_project, tmp_path, monkeypatch
):
    """Nothing is left to resume, so nobody would sweep it up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed = "import os\ndef pytest_terminal_summary(): os.kill(os.getpid(), 9)\n"
    (toy_project.path / "conftest.py").write_text(killed)
    toy_project.run(suite="def test_one(deployed): pass")
    assert checks(toy_project) == ["test_one passed"]
    assert list(tmp_path.glob("*.scratch")) == []


def test_a_resumed_run_with_nothing_left_sweeps_up_too(toy_project, tmp_path, monkeypatch):
    """What another attempt has left: its own tests need no folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "qualify-worker-x.scratch").mkdir()
    toy_project.run("-k", "nothing", suite="def test_one(deployed): pass")
    assert not (tmp_path / "qualify-worker-x.scratch").exists()


@pytest.mark.slow
def test_a_session_is_resumed_again_and_again(toy_project):
    """Killed at each of its tests in turn."""
    suite = """
    import os, pytest
    from pathlib import Path

    @pytest.mark.parametrize("number", range(6))
    def test_it(deployed, number):
        deployed.record("decode_tps", 10.0 + number / 100)
        with open("asked.txt", "a") as file: file.write(f"{number}\\n")
        if not Path(f"{number}.marker").exists():
            Path(f"{number}.marker").touch()
            os.kill(os.getpid(), 9)
    """
    assert toy_project.run(suite=suite).ret == -signal.SIGKILL
    for _ in range(5):
        assert toy_project.run("--resume", suite="").ret == -signal.SIGKILL
    result = toy_project.run("--resume", suite="")
    assert result.ret == 0, result.stdout.str()
    assert asked(toy_project) == [str(n) for number in range(6) for n in (number, number)]
    values = toy_project.query("select value, repetition from trials order by number")
    assert values == [(10.0 + number / 100, number) for number in range(6)]


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["os.getpid()", "os.getppid()"])
def test_a_run_in_several_processes_is_resumed(toy_project, whom):
    """A process of pytest-xdist that dies, or the one that started them."""
    suite = SUITE.format(ending=f"os.kill({whom}, 9)")
    canary = {"weights": "canary", "path": str(canaries() / "smolvlm"), "tiers": None}
    toy_project.run("-n", "2", suite=suite, **canary)
    if journals(toy_project):
        result = toy_project.run("--resume", suite="", **canary)
        assert result.ret == 0, "\n".join(result.outlines)
    assert set(checks(toy_project)) == set(WHOLE)
    assert len(checks(toy_project)) == 5
    assert journals(toy_project) == []


@pytest.mark.parametrize("code", ["import sys", "import sys; sys.stdin.buffer.read(1)"])
def test_a_process_that_ends_while_it_is_started_is_one_sentence(toy_project, code):
    """As a signal does that comes before pytest-xdist has set its process up."""
    program = toy_project.path / "ends"
    program.write_text(f"#!{sys.executable}\n{code}; sys.exit(1)\n")
    program.chmod(0o755)
    canary = {"weights": "canary", "path": str(canaries() / "smolvlm"), "tiers": None}
    words = ("-d", "--tx", f"popen//python={program}")
    result = toy_project.run(*words, suite="def test_it(deployed): pass", **canary)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    output = result.stdout.str() + result.stderr.str()
    assert "a process of pytest-xdist ended while it was started, and nothing was run" in output
    assert "INTERNALERROR" not in output
    assert journals(toy_project) == []


def test_results_that_could_not_be_stored_are_stored_by_resuming(toy_project):
    """Nothing is asked again; the message names the place."""
    suite = """
    import shutil
    from pathlib import Path

    def test_one(deployed):
        deployed.record("decode_tps", 10.0)
        if not Path("once").exists():
            Path("once").touch()
            Path("reports/results.sqlite").write_text("no database")
    """
    result = toy_project.run(suite=suite)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        ["THE RESULTS WERE NOT STORED: *", "They are in *: pytest --resume=*"]
    )
    (toy_project.path / "reports/results.sqlite").unlink()
    assert toy_project.run("--resume", suite="").ret == 0
    assert checks(toy_project) == ["test_one passed"]
    assert journals(toy_project) == []


@pytest.mark.slow
def test_a_deployment_with_which_the_machine_went_down_twice_is_left_alone(toy_project):
    """Its other tests are skipped with the reason; the rest goes on."""
    toy_project.run(suite=SUITE.format(ending=ENDINGS["SIGKILL"]))
    (folder,) = journals(toy_project)
    toy_project.run("--resume", "-k", "nothing", suite="")
    file = folder / "001-main.jsonl"
    content = file.read_text().replace('"boot": "', '"boot": "another-')
    file.write_text(content)
    header, *lines = content.splitlines(keepends=True)
    begin = next(line for line in lines if '"begin"' in line)
    (folder / "002-main.jsonl").write_text(header.replace('"attempt": 1', '"attempt": 2') + begin)
    result = toy_project.run("--resume", suite="")
    assert result.parseoutcomes()["skipped"] == 4
    assert "quarantined: the machine went down 2 times while it was loaded" in result.stdout.str()


@pytest.mark.parametrize("name", ["--resume", "--resume=20260101T000000Z-nothing"])
def test_what_cannot_be_resumed_is_one_sentence(toy_project, name):
    """No session, or none of that name."""
    result = toy_project.run(name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--resume: no such session in " in result.stderr.str()
    assert "/reports/sessions; interrupted there: none" in result.stderr.str()


@pytest.mark.slow
def test_a_damaged_journal_is_one_sentence(toy_project):
    """With its file and line."""
    toy_project.run(suite=SUITE.format(ending=ENDINGS["SIGKILL"]))
    (folder,) = journals(toy_project)
    file = folder / "001-main.jsonl"
    file.write_text(file.read_text().replace('{"begin"', '{{"begin"'))
    result = toy_project.run("--resume", suite="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "001-main.jsonl:3: is not JSON" in result.stderr.str()
    result = toy_project.run("-k", "one", suite="")
    assert "a session cannot be resumed: " in " ".join(result.stdout.str().split())


def test_a_run_whose_journal_has_no_place_left_ends(toy_project):
    """In one sentence, before the next test; what it had is resumed."""
    suite = """
    import errno, os
    from qualification.session.run_journal import RunFile

    def test_one(deployed):
        deployed.ask("Hello")

    def test_two(deployed):
        def full(self, entry):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if not os.path.exists("once"):
            open("once", "w").close()
            RunFile._add = full

    def test_three(deployed):
        deployed.ask("Hello")
    """
    result = toy_project.run(suite=suite)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "can be written neither to " in text
    assert "(No space left on device); free some space there, then go on" in text
    assert "Traceback" not in text
    result = toy_project.run("--resume", suite="")
    result.assert_outcomes(passed=2, deselected=1)
    assert sorted(checks(toy_project)) == [
        f"test_{name} passed" for name in ("one", "three", "two")
    ]


@pytest.mark.slow
def test_a_session_is_gone_on_with_by_one_process(toy_project, monkeypatch):
    """A second one is refused by name, and is not offered it; the list says that it runs."""
    toy_project.run(suite=SUITE.format(ending=ENDINGS["SIGKILL"]))
    (folder,) = journals(toy_project)
    with going_on(folder):
        result = toy_project.run(f"--resume={folder.name}", suite="")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert f"{folder.name}: process {os.getpid()} goes on with it: wait" in result.stderr.str()
        result = toy_project.run("--resume", suite="")
        assert "interrupted there: none" in result.stderr.str()
        assert "was interrupted" not in toy_project.run("-k", "one", suite="").stdout.str()
        listed = CliRunner().invoke(main, ["sessions"])
        assert f"{folder.name}  running (process {os.getpid()}): 1 tests" in listed.output
    result = toy_project.run(f"--resume={folder.name}", suite="")
    result.assert_outcomes(passed=4, deselected=1)
    assert journals(toy_project) == []
