"""What a run does with a worker that crashes, hangs or lies, and what is recorded of a test."""

import json
import time

from qualification.results.store import Store


def test_all_tests_of_a_deployment_share_one_load(toy_project):
    """The process id is the same in both tests."""
    suite = """
    import os

    def pid(deployed): return deployed.worker_pid
    def test_first(deployed): open("pid", "w").write(str(pid(deployed)))
    def test_second(deployed): assert open("pid").read() == str(pid(deployed))
    """
    toy_project.run(suite=suite).assert_outcomes(passed=2)


def test_a_crash_fails_one_test_and_the_next_gets_a_fresh_worker(toy_project):
    """A dead worker is named in the failing test; the others go on."""
    suite = """
    def test_before(deployed): assert deployed.ask("one") == "red"
    def test_crash(deployed): deployed.ask("two")
    def test_after(deployed): assert deployed.ask("three") == "red"
    """
    options = {"on_generate": "segfault", "after": 1, "prints": "operators registered twice"}
    result = toy_project.run(options=options, suite=suite)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*WorkerCrashed: the worker died of SIGSEGV*",
            "*last output of the worker*",
            "*operators registered twice*",
        ]
    )


def test_a_deployment_that_does_not_load_fails_once(toy_project):
    """The first test carries the failure, the others are skipped with it."""
    result = toy_project.run(options={"on_load": "raise"})
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*not loaded: BackendFailed, see its first test*"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*failed*"])


def test_weights_that_are_not_at_their_path_say_nothing_about_the_model(toy_project):
    """The tests are skipped with the path; the verdict is no failure."""
    result = toy_project.run(weights="hub", path="nowhere")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines([f"SKIPPED*{toy_project.declarations}/nowhere: no such folder*"])
    result.stdout.fnmatch_lines(["toy-bf16@fake *not tried*"])


def test_terminal_escapes_and_surrogates_in_a_failure_are_disarmed(toy_project):
    """What a library says is shown and kept, but acts on nothing."""
    suite = r"""
    from qualification.core.errors import BackendFailed

    def test_one(deployed): raise BackendFailed("\x1b[31mRED\x1b]0;owned\x07 \u202e \udcff end")
    """
    result = toy_project.run(suite=suite)
    assert "\x1b[31mRED" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*BackendFailed: *RED*end*"])
    ((detail,),) = toy_project.query("select detail from checks")
    assert "\\udcff end" in detail
    assert "\x1b" not in detail


def test_a_request_that_a_time_out_interrupts_does_not_answer_the_next(toy_project):
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
    toy_project.run(options={"token_s": 0.3}, suite=suite).assert_outcomes(passed=2)


def test_a_hanging_deployment_ends_at_its_deadline(toy_project):
    """--deadline bounds each request."""
    started = time.monotonic()
    result = toy_project.run("--deadline", "1", options={"on_generate": "hang"})
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*deadline of 1 s*"])
    assert time.monotonic() - started < 40


def test_hostile_answers_stay_text(toy_project):
    """What a model says reaches the database as it was said."""
    suite = """
    def test_text(deployed): assert deployed.ask("Hello") == "red"
    """
    toy_project.run(options={"default_answer": "<script>alert('x')</script>"}, suite=suite)
    ((detail,),) = toy_project.query("select detail from checks")
    assert "<script>" in detail


def test_benchmark_json_carries_the_deployment(toy_project):
    """pytest-benchmark's own JSON works, with the deployment in its extra info."""
    suite = """
    def test_speed(deployed, benchmark):
        benchmark.pedantic(deployed.ask, args=("Hello",), rounds=2, iterations=1)
        benchmark.extra_info["deployment"] = deployed.identifier
    """
    toy_project.run("--benchmark-json", "bench.json", suite=suite).assert_outcomes(passed=1)
    (entry,) = json.loads((toy_project.path / "bench.json").read_text())["benchmarks"]
    assert entry["extra_info"]["deployment"] == "toy-bf16-synthetic@fake"
    assert entry["stats"]["rounds"] == 2


def test_the_machine_is_looked_at_during_and_after_a_run(toy_project):
    """The session's record has what other programs did in it."""
    toy_project.run()
    store = Store(f"sqlite:///{toy_project.path}/reports/results.sqlite")
    session = store.results(store.latest()).session
    names = {condition.name for condition in session.conditions}
    assert {"load_in_the_run", "swap_growth", "memory_pressure_after"} <= names
