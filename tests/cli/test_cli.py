"""The command line: one sentence for a user's mistake, files for a correct command."""

import json

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries
from qualification.results.store import Store
from tests.support.session_sample import DEPLOYMENT, REVISION, results, session, trials


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project root with one stored session."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}").keep(
        results(verdicts=(results().verdicts[0].__class__(DEPLOYMENT, "no_baseline", "usable"),))
    )
    return tmp_path


def qualify(*arguments):
    """Run the command."""
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("words", "typed", "name"),
    [
        (["see"], "smolvlm-canary-f32@ll", "smolvlm-canary-f32@llamacpp"),
        (["watch"], "smolvlm-canary-f", "smolvlm-canary-f32@mlx"),
        (["footprint"], "qwen2.5", "qwen2.5-vl-7b"),
        (["synthetic", "make"], "smolvlm-500m", "smolvlm-500m-Q8_0-synthetic@llamacpp"),
        (["sessions"], "--js", "--json"),
    ],
)
def test_a_shell_completes_declared_names(project, words, typed, name):
    """As the script of ``_QUALIFY_COMPLETE=bash_source qualify`` asks for them."""
    completion = ShellComplete(main, {}, "qualify", "_QUALIFY_COMPLETE")
    assert name in {item.value for item in completion.get_completions(words, typed)}


def test_a_wrong_declaration_completes_nothing(project, monkeypatch):
    """The command itself says what is wrong."""
    (project / "declared").mkdir()
    (project / "declared/models.toml").write_text("[[models")
    (project / "pyproject.toml").write_text('[tool.qualification]\ndeclarations = "declared"\n')
    completion = ShellComplete(main, {}, "qualify", "_QUALIFY_COMPLETE")
    assert completion.get_completions(["see"], "") == []


def test_report_writes_both_documents(project):
    """The files are named on standard output."""
    done = qualify("report", "--any-machine")
    assert done.exit_code == 0, done.output
    assert (project / "reports/latest/recommendations.md").exists()
    assert (project / "reports/latest/recommendations.html").exists()


def test_report_without_results_says_what_to_do(tmp_path, monkeypatch):
    """No session yet: exit 2 and one sentence."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    done = qualify("report", "--any-machine")
    assert done.exit_code == 2
    assert "run pytest -m canary first" in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_report_never_shows_another_machines_session_unasked(project):
    """The stored session is of a machine that this is not."""
    done = qualify("report")
    assert done.exit_code == 2
    assert "no session of this machine yet" in done.output


def test_a_folder_that_cannot_be_written_is_one_sentence(project):
    """Not a traceback."""
    done = qualify("report", "--any-machine", "--output", "/proc/nowhere")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


def test_accept_writes_a_baseline_with_the_raw_trials(project):
    """One file per tier and deployment."""
    done = qualify("accept", "--any-machine")
    assert done.exit_code == 0, done.output
    (file,) = (project / "baselines/linux_cpu").glob("*.json")
    stored = json.loads(file.read_text())
    values = [t["value"] for t in stored["sessions"][0]["trials"] if t["metric"] == "decode_tps"]
    assert values == [94.58, 95.37, 96.26]
    assert stored["sessions"][0]["revision"] == REVISION


def test_accepting_a_deployment_that_did_not_run_is_refused(project):
    """The sentence lists those that did."""
    done = qualify("accept", "--any-machine", "moondream2-bf16@mlx")
    assert done.exit_code == 2
    assert DEPLOYMENT in done.output
    assert not (project / "baselines").exists()


def test_a_failed_deployment_is_never_accepted(project):
    """A baseline of wrong answers would hide them."""
    Store(f"sqlite:///{project / 'reports/results.sqlite'}").keep(
        results(session=session("later", "2026-02-02T00:00:00+00:00"))
    )
    done = qualify("accept", "--any-machine")
    assert f"left out: {DEPLOYMENT} (failed)" in done.output
    assert not (project / "baselines").exists()


SEVEN = "qwen2.5-vl-7b-4bit@mlx"


def test_a_speed_over_the_roofline_is_never_accepted(project):
    """Even if the stored verdict is a good one."""
    Store(f"sqlite:///{project / 'reports/results.sqlite'}").keep(
        results(
            session=session(
                "later", "2026-02-02T00:00:00+00:00", bandwidth=120e9, tier="air_m4", chip="M4"
            ),
            verdicts=(results().verdicts[0].__class__(SEVEN, "no_baseline", "usable"),),
            trials=trials("decode_tps", 94.13, deployment=SEVEN),
            load_reports={},
        )
    )
    done = qualify("accept", "--any-machine")
    assert f"left out: {SEVEN} (A repetition at 94.1 tok/s is over 30.2 tok/s" in done.output
    assert not (project / "baselines").exists()
    refused = qualify("project", "--any-machine", "--to", "studio")
    assert refused.exit_code == 2
    assert "so the record is rejected" in refused.output


def test_project_carries_a_measured_speed(project):
    """One sentence for each deployment and tier."""
    Store(f"sqlite:///{project / 'reports/results.sqlite'}").keep(
        results(
            session=session(
                "later", "2026-02-02T00:00:00+00:00", bandwidth=546e9, chip="Apple M4 Max"
            ),
            verdicts=(results().verdicts[0].__class__(SEVEN, "no_baseline", "usable"),),
            trials=trials("decode_tps", 95.4, deployment=SEVEN),
            load_reports={},
        )
    )
    done = qualify("project", "--any-machine", "--to", "air_m4", "--to", "pro_m4")
    assert done.exit_code == 0, done.output
    lines = done.output.strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("Projection, not measured: ") for line in lines)


def test_footprint_speaks_json():
    """Parts that add up, and an answer for each machine."""
    done = qualify("footprint", SEVEN, "--tier", "air_m4", "--context", "1000", "--json")
    assert done.exit_code == 0, done.output
    (seven,) = json.loads(done.output)["footprints"]
    parts = [part["bytes"] for part in seven["parts"]]
    assert seven["total_bytes"] == pytest.approx(sum(parts), abs=4)
    assert seven["machines"]["air_m4 32 GiB"]["answer"] == "fits"


def test_footprint_sums_what_runs_together():
    """By names, or by a declared combination."""
    named = qualify("footprint", SEVEN, SEVEN, "--together", "--tier", "studio", "--json")
    declared = qualify("footprint", "7B twice", "--tier", "studio", "--json")
    assert named.output == declared.output
    document = json.loads(named.output)
    assert document["together"]["total_bytes"] == pytest.approx(
        2 * document["footprints"][0]["total_bytes"], abs=2
    )


def test_footprint_shows_a_person_what_fits():
    """All real deployments in a table, one as a sum, a refit beside what is declared."""
    assert "Headroom after loading" in qualify("footprint").output
    alone = qualify("footprint", SEVEN, "--tier", "air_m4").output
    assert "key/value" in alone
    assert "of headroom" in alone
    assert "Refitted constants" in qualify("footprint", "--fit").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("--tier", "nope"),
        ("--image", "3"),
        ("--image", "0x5"),
        ("--fit", "/nowhere.toml"),
    ],
)
def test_a_wrong_question_to_footprint_is_one_sentence(arguments):
    """Exit code 2."""
    done = qualify("footprint", *arguments)
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


def test_doctor_speaks_json():
    """Machine, tier and backends, for a program."""
    done = qualify("doctor", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["machine"]["cpu_cores"] >= 1
    names = {backend["name"] for backend in report["backends"]}
    assert names == {"mlx", "torch", "llamacpp"}


def test_doctor_speaks_to_a_person():
    """The tier and every backend are named."""
    done = qualify("doctor")
    assert done.exit_code == 0, done.output
    for word in ("mlx", "torch", "llamacpp", "memory"):
        assert word in done.output


def test_the_project_root_holds_the_fixtures():
    """An editable install finds the repository."""
    assert (canaries()).is_dir()
