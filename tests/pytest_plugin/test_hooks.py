"""Selection: markers, tiers, options, and what is refused or left out before anything runs."""

import json
import re

import pytest

from qualification.models.loading import load_registry
from qualification.pytest_plugin.cases import FIRST
from tests.support.forked_pytest import run_forked
from tests.support.toy_project import TIERS


def test_what_is_predicted_not_to_fit_is_never_loaded(toy_project):
    """The verdict is `does_not_fit`, and the sum is shown; no worker is asked."""
    result = toy_project.run(parameters=10**12)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*does not fit: predicted 2,000 GB = weights 2,000 GB*"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake  does not fit *"])


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("linux_cpu", 2),
        ("here", 2),
        ("synthetic and state", 1),
        ("linux_cpu and capability", 1),
        ("canary", 0),
        ("not state", 1),
    ],
)
def test_markers_select_what_they_say(toy_project, expression, chosen):
    """Tiers, suites, sources and `here` are markers."""
    result = toy_project.run("--collect-only", "-q", "-m", expression)
    assert sum("test_suite.py::" in line for line in result.outlines) == chosen


def test_the_first_verdict_is_one_canary_of_each_model_on_each_engine(pytester):
    """Whether it loads and sees; its quantised twins and the other servers come later."""
    words = ["-q", "--collect-only", "--pyargs", "qualification.suites", "-m", "first_verdict"]
    result = pytester.runpytest_subprocess(*words)
    cases = [line for line in result.outlines if "::" in line]
    assert {case.partition("::")[2].partition("[")[0] for case in cases} == {*FIRST}
    chosen = {case.partition("[")[2].partition("]")[0] for case in cases}
    chosen = {re.match(r"[^@]+@(llama\.cpp|\w+)", case).group() for case in chosen}
    by_engine = {}
    for deployment in load_registry().deployments():
        source = deployment.source
        if source.weights == "canary" and source.is_its_own_engine:
            key = (deployment.model.name, source.engine)
            by_engine.setdefault(key, deployment.identifier)
    assert chosen == {*by_engine.values()}
    assert all("-f32@" in identifier for identifier in chosen)


def test_markers_are_registered(toy_project):
    """--strict-markers accepts every tier and suite, and --markers explains them."""
    result = toy_project.run("--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.throughput:*", "@pytest.mark.here:*", "@pytest.mark.air_m4: *MacBook Air*"]
    )
    toy_project.run("--strict-markers", "-m", "linux_cpu").assert_outcomes(passed=2)


def test_another_machines_tier_is_refused_in_one_sentence(toy_project):
    """-m air_m4 on this machine runs nothing and says what this machine is."""
    result = toy_project.run("-m", "air_m4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: air_m4 is not this machine: this is ")
    assert "--any-machine" in lines[0]


def test_another_machines_tier_runs_when_told_and_is_filed_here(toy_project):
    """--any-machine runs it; the session names this machine's tier."""
    toy_project.run("-m", "air_m4", "--any-machine").assert_outcomes(passed=2)
    ((record,),) = toy_project.query("select record from sessions")
    assert json.loads(record)["machine"]["tier"] == "linux_cpu"


def test_collecting_another_machines_tier_is_allowed(toy_project):
    """--collect-only never refuses."""
    assert toy_project.run("--collect-only", "-m", "air_m4").ret == 0


def test_what_could_not_be_tried_fails_the_run_where_all_is_required(toy_project):
    """--require-all: for CI, where a missing backend must not be green."""
    suite = """
    import pytest

    def test_one(deployed): assert deployed.ask("one") == "red"
    def test_two(deployed): pytest.skip("cannot be tried")
    """
    assert toy_project.run(suite=suite).ret == pytest.ExitCode.OK
    assert toy_project.run("--require-all", suite=suite).ret == pytest.ExitCode.TESTS_FAILED


def test_other_tiers_models_are_left_out_unless_asked_for(toy_project):
    """A plain pytest never starts models that are for another machine."""
    result = toy_project.run(tiers=["air_m4"])
    result.assert_outcomes(deselected=2)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    toy_project.run("--any-machine", tiers=["air_m4"]).assert_outcomes(passed=2)


def test_a_machine_of_no_declared_tier_has_a_derived_one(toy_project):
    """-m here and -m NAME run what is meant for it by size; the sum is printed with each model."""
    tiers = TIERS.replace("100000 GB", "0.1 GB")
    result = toy_project.run("-m", "here", tiers_toml=tiers)
    result.assert_outcomes(passed=2)
    ((record,),) = toy_project.query("select record from sessions")
    name = json.loads(record)["machine"]["tier"]
    assert re.fullmatch(r"\w+_[0-9]+gb", name)
    result.stdout.fnmatch_lines(
        [f"tier {name} (*): 1 of 1 models are meant for it", "*@fake: predicted * of headroom*"]
    )
    toy_project.run("-m", f"{name} and state", tiers_toml=tiers).assert_outcomes(
        passed=1, deselected=1
    )
    toy_project.run(tiers_toml=tiers).assert_outcomes(passed=2)


def test_what_is_not_meant_for_this_machine_is_left_out_with_its_sum(toy_project):
    """-m here, by size and by the policy of the tier."""
    result = toy_project.run("-m", "here", parameters=10**12)
    result.assert_outcomes(deselected=2)
    result.stdout.fnmatch_lines(["*@fake: not meant, predicted * too much*"])
    blind = TIERS.replace('name = "linux_cpu"', 'name = "linux_cpu"\nvision = false', 1)
    result = toy_project.run("-m", "here", tiers_toml=blind, tiers=[])
    result.stdout.fnmatch_lines(["linux_cpu is text-only by its policy: *"])


def test_the_derived_tier_of_another_machine_is_refused(toy_project):
    """As a declared one is; never an empty run."""
    result = toy_project.run("-m", "macbook_air_m2_24gb")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert line.startswith("ERROR: macbook_air_m2_24gb is not this machine: this is ")


def test_a_wrong_declaration_is_one_usage_error(toy_project):
    """A declaration error names file and key and no test runs."""
    result = toy_project.run(tiers=["moon"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1
    assert "models.toml" in lines[0]
    assert "'moon'" in lines[0]


def test_the_declared_models_of_a_tier_are_listed_fast_and_without_model_libraries(pytester):
    """Collecting the real suites for air_m4 imports no ML library and needs no network."""
    import subprocess
    import sys

    from qualification.core.paths import PACKAGE

    script = (
        "import sys, pytest, socket\n"
        "def refuse(*a, **k): raise OSError('no network in this test')\n"
        "socket.socket.connect = refuse\n"
        "code = pytest.main(['--collect-only', '-q', '-m', 'air_m4', '-p', 'no:cacheprovider'])\n"
        "heavy = {'torch', 'mlx', 'mlx_vlm', 'llama_cpp', 'transformers', 'torchvision'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("qwen2.5-vl-7b-4bit@mlx", "smolvlm-500m", "phi-3.5-vision", "moondream2"):
        assert name in done.stdout
    assert "canary" not in done.stdout


def test_a_foreign_tier_beside_this_machines_is_refused_too(toy_project):
    """-m "linux_cpu or air_m4" would run the other tier's deployments here."""
    toy_project.run("-m", "linux_cpu or air_m4", tiers=["linux_cpu"]).assert_outcomes(passed=2)
    result = toy_project.run("-m", "linux_cpu or air_m4", tiers=["air_m4"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_less_than_five_minutes_is_not_called_sustained(toy_project):
    """One sentence, and no test runs."""
    result = toy_project.run("--sustained", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert "5 minutes or more" in line


def test_what_takes_minutes_or_empties_a_cache_is_asked_for(toy_project):
    """Left out without its option, so that --require-all does not miss it; with it, it runs."""
    suite = """
    def test_short(deployed): pass
    def test_long(sustained_minutes, deployed): assert sustained_minutes == 7
    def test_cold(cold_load, deployed): assert deployed.reload(cold=True).page_cache == "unknown"
    """
    result = toy_project.run("--require-all", suite=suite)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    toy_project.run("--sustained", "7", "--cold-load", suite=suite).assert_outcomes(passed=3)


def test_the_header_fits_the_terminal(toy_project, monkeypatch):
    """That of other plugins too, where a run qualifies something, and nowhere else."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = toy_project.run().outlines
    header = lines[: next(n for n, line in enumerate(lines) if line.startswith("collected"))]
    assert any(line.startswith("benchmark: ") for line in header)
    assert max(map(len, header)) <= 80
    (toy_project.path / "test_own.py").write_text("def test_own(): pass")
    lines = run_forked(toy_project.path, "test_own.py").outlines
    assert any(line.startswith("benchmark: ") and len(line) > 80 for line in lines)
