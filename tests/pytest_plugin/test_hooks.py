"""The face: markers, selection, known bugs, and what a run says, through pytest itself."""

import json
import math
import re
import sqlite3
import textwrap
import time

import pytest

from qualification.results.store import Store

MODELS = """
[[models]]
name = "toy"
family = "toy"
parameters = 1000
licence = "MIT"
capabilities = ["vision", "text_only"]

[[models.sources]]
backend = "fake"
quantisation = "bf16"
weights = "synthetic"
tiers = {tiers}
options = {options}
"""
TIERS = """
[[tiers]]
name = "linux_cpu"
title = "this kind of machine"
system = "{system}"
memory_min = "0 GB"
memory_max = "100000 GB"
budget = {{ system = "1 GB", server = "1 GB", applications = "1 GB" }}

[[tiers]]
name = "air_m4"
title = "MacBook Air M4, 32 GB"
system = "macos"
memory_min = "30 GiB"
memory_max = "34 GiB"
budget = {{ system = "8 GB", server = "2 GB", applications = "16 GB" }}
chips = ["M4"]
products = ["MacBook Air"]
accelerator = "metal"
"""
CHIPS = """
[[chips]]
name = "M4"
gpu_cores_min = 8
gpu_cores_max = 10
bandwidth = "120 GB/s"
"""
BUG = """
[[bugs]]
identifier = "second-picture"
title = "the second picture fails"
package = "pillow"
versions = "{versions}"
deployments = ["toy-*"]
tests = ["test_second_picture"]
failure = "axis remapping"
cause = "a parameter is overwritten"
source = "a test"
"""
SUITE = """
import pytest

@pytest.mark.state
def test_second_picture(deployed):
    from PIL import Image

    assert deployed.ask("What?", Image.new("RGB", (8, 8), "red")) == "red"
    assert deployed.ask("What?", Image.new("RGB", (8, 8), "blue")) == "red"

@pytest.mark.capability
def test_text(deployed):
    deployed.record("decode_tps", 10.0, 11.0)
    assert deployed.ask("Hello") == "red"
"""


@pytest.fixture
def house(pytester, monkeypatch):
    """A project of its own with one scripted deployment; call it to write and run."""
    import platform

    monkeypatch.setenv("QUALIFY_HOME", str(pytester.path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in ("WORKER", "WORKER_COUNT", "TESTRUNUID"):  # or it takes itself for one of several
        monkeypatch.delenv(f"PYTEST_XDIST_{name}", raising=False)
    folder = pytester.mkdir("declared")
    system = "macos" if platform.system() == "Darwin" else "linux"

    def run(
        *arguments,
        options="{}",
        tiers='["linux_cpu", "air_m4"]',
        bug="",
        suite=SUITE,
        rewrite=None,
    ):
        (folder / "models.toml").write_text(MODELS.format(options=options, tiers=tiers))
        (folder / "tiers.toml").write_text(TIERS.format(system=system))
        (folder / "chips.toml").write_text(CHIPS)
        (folder / "bugs.toml").write_text(BUG.format(versions=bug) if bug else "bugs = []\n")
        for name, text in (rewrite or {}).items():
            (folder / name).write_text(text)
        pytester.makepyfile(test_suite=textwrap.dedent(suite))
        return pytester.runpytest_subprocess(
            "-p",
            "qualification.pytest_plugin",
            "--declarations",
            str(folder),
            "-ra",
            *arguments,
        )

    run.path = pytester.path
    return run


def test_a_good_deployment_passes_and_is_kept(house):
    """Tests pass, a verdict line is printed, raw trials are in the database."""
    result = house()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*verdicts*", "toy-bf16-synthetic@fake*"])
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        trials = database.execute("select metric, value, unit from trials").fetchall()
        checks = database.execute("select test, outcome from checks").fetchall()
    assert trials == [("decode_tps", 10.0, "tok/s"), ("decode_tps", 11.0, "tok/s")]
    assert sorted(checks) == [("test_second_picture", "passed"), ("test_text", "passed")]


def test_what_is_predicted_not_to_fit_is_never_loaded(house):
    """The verdict is `does_not_fit`, and the sum is shown; no worker is asked."""
    models = MODELS.format(options="{}", tiers='["linux_cpu"]')
    huge = re.sub(r"parameters = [0-9_]+", "parameters = 1_000_000_000_000", models)
    result = house(rewrite={"models.toml": huge})
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*does not fit: predicted 2000.03 GB = weights 2000.00 GB*"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake  does_not_fit (does not fit)"])


def test_nothing_is_kept_when_asked_to(house):
    """--results none leaves no database."""
    house("--results", "none").assert_outcomes(passed=2)
    assert not (house.path / "reports").exists()


def test_all_tests_of_a_deployment_share_one_load(house):
    """The process id is the same in both tests."""
    suite = """
    import os

    def pid(deployed): return deployed._worker.pid
    def test_first(deployed): open("pid", "w").write(str(pid(deployed)))
    def test_second(deployed): assert open("pid").read() == str(pid(deployed))
    """
    house(suite=suite).assert_outcomes(passed=2)


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
def test_markers_select_what_they_say(house, expression, chosen):
    """Tiers, suites, sources and `here` are markers."""
    result = house("--collect-only", "-q", "-m", expression)
    assert sum("test_suite.py::" in line for line in result.outlines) == chosen


def test_markers_are_registered(house):
    """--strict-markers accepts every tier and suite, and --markers explains them."""
    result = house("--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.throughput:*", "@pytest.mark.here:*", "@pytest.mark.air_m4: *MacBook Air*"]
    )
    house("--strict-markers", "-m", "linux_cpu").assert_outcomes(passed=2)


def test_another_machines_tier_is_refused_in_one_sentence(house):
    """-m air_m4 on this machine runs nothing and says what this machine is."""
    result = house("-m", "air_m4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: air_m4 is not this machine: this is ")
    assert "--any-machine" in lines[0]


def test_another_machines_tier_runs_when_told_and_is_filed_here(house):
    """--any-machine runs it; the session names this machine's tier."""
    house("-m", "air_m4", "--any-machine").assert_outcomes(passed=2)
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        ((record,),) = database.execute("select record from sessions").fetchall()
    assert json.loads(record)["machine"]["tier"] == "linux_cpu"


def test_collecting_another_machines_tier_is_allowed(house):
    """--collect-only never refuses."""
    assert house("--collect-only", "-m", "air_m4").ret == 0


def test_a_known_bug_is_an_expected_failure_with_its_cause(house):
    """In range, and failing as it must: xfailed, and the run is green."""
    result = house(options='{ second_picture = "axis remapping" }', bug=">=1")
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["XFAIL*second-picture: *a parameter is overwritten*"])


def test_a_known_bug_that_no_longer_fails_makes_the_run_say_so(house):
    """In range, but passing: the run fails and says which entry to end."""
    result = house(bug=">=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*known bugs that no longer fail*",
            "second-picture no longer fails on toy-bf16-synthetic@fake*",
        ]
    )


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        ("{}", {"passed": 2}),
        ('{ second_picture = "axis remapping" }', {"passed": 1, "xfailed": 1}),
        ('{ second_picture = "out of cheese" }', {"passed": 1, "failed": 1}),
    ],
)
def test_a_test_that_may_fail_with_a_known_bug_passes_or_fails_in_its_way(house, options, outcomes):
    """Its success ends no range, its failure is the bug's, another failure counts."""
    bug = BUG.format(versions=">=1").replace(
        'tests = ["test_second_picture"]',
        'tests = ["test_elsewhere"]\nmay_fail = ["test_second_picture"]',
    )
    result = house(options=options, rewrite={"bugs.toml": bug})
    result.assert_outcomes(**outcomes)
    result.stdout.no_fnmatch_line("*no longer fail*")


def test_a_known_bug_that_fails_in_another_way_stays_a_failure(house):
    """An expected failure excuses that failure only."""
    result = house(options='{ second_picture = "out of cheese" }', bug=">=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*another failure*", "*out of cheese*"])
    result.stdout.fnmatch_lines(["*fail:*in another way than second-picture*"])


def test_a_known_bug_out_of_range_is_no_excuse(house):
    """Another version: the failure counts."""
    result = house(options='{ second_picture = "axis remapping" }', bug="<1")
    result.assert_outcomes(passed=1, failed=1)


def test_a_crash_fails_one_test_and_the_next_gets_a_fresh_worker(house):
    """A dead worker is named in the failing test; the others go on."""
    suite = """
    def test_before(deployed): assert deployed.ask("one") == "red"
    def test_crash(deployed): deployed.ask("two")
    def test_after(deployed): assert deployed.ask("three") == "red"
    """
    result = house(options='{ on_generate = "segfault", after = 1 }', suite=suite)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*WorkerCrashed: the worker died of SIGSEGV*"])


def test_a_deployment_that_does_not_load_fails_once(house):
    """The first test carries the failure, the others are skipped with it."""
    result = house(options='{ on_load = "raise" }')
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*not loaded: BackendFailed, see its first test*"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*failed*"])


def test_a_run_that_could_try_nothing_is_not_green(house):
    """Weights that cannot be had are skipped with the reason, and the exit code is not 0."""
    result = house(options='{ on_load = "no_weights" }')
    result.assert_outcomes(skipped=2)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*1 × toy/toy@main is not in the local hub cache"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*untested*"])


def test_what_could_not_be_tried_fails_the_run_where_all_is_required(house):
    """--require-all: for CI, where a missing backend must not be green."""
    suite = """
    import pytest

    def test_one(deployed): assert deployed.ask("one") == "red"
    def test_two(deployed): pytest.skip("cannot be tried")
    """
    assert house(suite=suite).ret == pytest.ExitCode.OK
    assert house("--require-all", suite=suite).ret == pytest.ExitCode.TESTS_FAILED


def test_a_failed_verdict_fails_a_run_whose_tests_are_green(house):
    """A budget or an impossible figure fails by itself, without a test of its own."""
    suite = """
    def test_one(deployed): deployed.record("load_s", -5.0)
    """
    result = house(suite=suite)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*failed*", "*fail:*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_figure_that_is_no_number_loses_nothing_else(house):
    """One NaN among the trials: the rest is kept, and it comes back as NaN."""
    suite = """
    def test_one(deployed): deployed.record("decode_tps", float("nan"), 10.0)
    """
    house(suite=suite)
    store = Store(f"sqlite:///{house.path / 'reports/results.sqlite'}")
    values = [trial.value for trial in store.results(store.latest()).trials]
    assert math.isnan(values[0])
    assert values[1] == 10.0


def test_terminal_escapes_and_surrogates_in_a_failure_are_disarmed(house):
    """What a library says is shown and kept, but acts on nothing."""
    suite = r"""
    from qualification.core.errors import BackendFailed

    def test_one(deployed): raise BackendFailed("\x1b[31mRED\x1b]0;owned\x07 \u202e \udcff end")
    """
    result = house(suite=suite)
    assert "\x1b[31mRED" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*BackendFailed: *RED*end*"])
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        ((detail,),) = database.execute("select detail from checks").fetchall()
    assert "\\udcff end" in detail
    assert "\x1b" not in detail


def test_words_of_a_bug_in_an_old_log_excuse_nothing(house):
    """Only the failure itself is held against the known bug."""
    suite = """
    import pytest
    from PIL import Image

    def test_before(deployed):
        deployed.ask("one", Image.new("RGB", (8, 8), "red"))
        with pytest.raises(Exception): deployed.ask("two", Image.new("RGB", (8, 8), "blue"))

    def test_second_picture(deployed): raise RuntimeError("another thing")
    """
    result = house(options='{ second_picture = "axis remapping" }', bug=">=1", suite=suite)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*another failure*"])


def test_a_request_that_a_time_out_interrupts_does_not_answer_the_next(house):
    """The late answer is nobody's: the worker is ended, and the next request gets a fresh one."""
    suite = """
    import signal, pytest

    def test_interrupted(deployed):
        def stop(*_): raise TimeoutError("the test's own")
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError): deployed.ask("slow", max_tokens=4)

    def test_next(deployed): assert deployed.ask("next") == "red"
    """
    house(options="{ token_s = 0.3 }", suite=suite).assert_outcomes(passed=2)


def test_other_tiers_models_are_left_out_unless_asked_for(house):
    """A plain pytest never starts models that are for another machine."""
    result = house(tiers='["air_m4"]')
    result.assert_outcomes(deselected=2)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    house("--any-machine", tiers='["air_m4"]').assert_outcomes(passed=2)


def test_parameters_of_a_test_are_kept_with_its_name(house):
    """Two cases of one test are two checks."""
    suite = """
    import pytest

    @pytest.mark.parametrize("colour", ["red", "blue"])
    def test_sees(deployed, colour): assert deployed.ask("What?") == colour
    """
    house(suite=suite)
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        checks = database.execute("select test, outcome from checks order by number").fetchall()
    assert checks == [("test_sees[red]", "passed"), ("test_sees[blue]", "failed")]


def test_an_interrupted_run_is_kept_as_such(house):
    """Ctrl-C: what was found is kept, and the session says that it is a part."""
    suite = """
    def test_one(deployed): deployed.ask("one")
    def test_two(deployed): raise KeyboardInterrupt
    """
    result = house(suite=suite)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        ((record,),) = database.execute("select record from sessions").fetchall()
    conditions = {c["name"]: c["value"] for c in json.loads(record)["conditions"]}
    assert conditions["run"] == "interrupted"


def test_a_machine_of_no_tier_is_told_so(house):
    """-m here without a matching tier is one sentence, not an empty run."""
    folder = house.path / "declared"
    house("--collect-only")
    tiers = (folder / "tiers.toml").read_text().replace("100000 GB", "0.1 GB")
    result = house("-m", "here", rewrite={"tiers.toml": tiers})
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no tier matches this machine" in "".join(result.errlines)


def test_a_hanging_deployment_ends_at_its_deadline(house):
    """--deadline bounds each request."""
    started = time.monotonic()
    result = house("--deadline", "1", options='{ on_generate = "hang" }')
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*deadline of 1 s*"])
    assert time.monotonic() - started < 40


def test_a_wrong_declaration_is_one_usage_error(house):
    """A declaration error names file and key and no test runs."""
    result = house(tiers='["moon"]')
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1
    assert "models.toml" in lines[0]
    assert "'moon'" in lines[0]


def test_hostile_answers_stay_text(house):
    """What a model says reaches the database as it was said."""
    suite = """
    def test_text(deployed): assert deployed.ask("Hello") == "red"
    """
    house(options="{ default_answer = \"<script>alert('x')</script>\" }", suite=suite)
    with sqlite3.connect(house.path / "reports/results.sqlite") as database:
        ((detail,),) = database.execute("select detail from checks").fetchall()
    assert "<script>" in detail


def test_benchmark_json_carries_the_deployment(house):
    """pytest-benchmark's own JSON works, with the deployment in its extra info."""
    suite = """
    def test_speed(deployed, benchmark):
        benchmark.pedantic(deployed.ask, args=("Hello",), rounds=2, iterations=1)
        benchmark.extra_info["deployment"] = deployed.identifier
    """
    house("--benchmark-json", "bench.json", suite=suite).assert_outcomes(passed=1)
    (entry,) = json.loads((house.path / "bench.json").read_text())["benchmarks"]
    assert entry["extra_info"]["deployment"] == "toy-bf16-synthetic@fake"
    assert entry["stats"]["rounds"] == 2


def test_the_declared_models_of_a_tier_are_listed_fast_and_without_model_libraries(pytester):
    """Collecting the real suites for air_m4 imports no ML library and needs no network."""
    import subprocess
    import sys

    from qualification.core.paths import home

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
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=home(), timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("qwen2.5-vl-7b-4bit@mlx", "smolvlm-500m", "phi-3.5-vision", "moondream2"):
        assert name in done.stdout
    assert "canary" not in done.stdout


def test_a_damaged_baseline_is_said_and_loses_no_results(house):
    """The file is named in the verdict, and what was measured is kept."""
    folder = house.path / "baselines/linux_cpu"
    folder.mkdir(parents=True)
    file = folder / "toy-bf16-synthetic@fake.json"
    file.write_text('{"schema_version": 1, "sess')
    result = house()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*toy-bf16-synthetic@fake*failed*", "*baseline cannot be read*"])
    assert file.read_text() == '{"schema_version": 1, "sess'
    assert (house.path / "reports/results.sqlite").exists()


def test_results_that_cannot_be_kept_are_said_and_the_run_is_not_green(house):
    """A database that cannot be written is no detail."""
    result = house("--results", "sqlite:////proc/nowhere/results.sqlite")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["THE RESULTS WERE NOT KEPT: */proc/nowhere/*"])


def test_a_foreign_tier_beside_this_machines_is_refused_too(house):
    """-m "linux_cpu or air_m4" would run the other tier's deployments here."""
    house("-m", "linux_cpu or air_m4", tiers='["linux_cpu"]').assert_outcomes(passed=2)
    result = house("-m", "linux_cpu or air_m4", tiers='["air_m4"]')
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_less_than_five_minutes_is_not_called_sustained(house):
    """One sentence, and no test runs."""
    result = house("--sustained", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert "5 minutes or more" in line


def test_what_takes_minutes_or_empties_a_cache_is_asked_for(house):
    """Left out without its option, so that --require-all does not miss it; with it, it runs."""
    suite = """
    def test_short(deployed): pass
    def test_long(sustained_minutes, deployed): assert sustained_minutes == 7
    def test_cold(cold_load, deployed): assert deployed.reload(cold=True).page_cache == "unknown"
    """
    result = house("--require-all", suite=suite)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    house("--sustained", "7", "--cold-load", suite=suite).assert_outcomes(passed=3)


def test_the_machine_is_looked_at_during_and_after_a_run(house):
    """The session's record has what other programs did in it."""
    house()
    store = Store(f"sqlite:///{house.path}/reports/results.sqlite")
    names = {one.name for one in store.results(store.latest()).session.conditions}
    assert {"load_in_the_run", "swap_growth", "memory_pressure_after"} <= names
