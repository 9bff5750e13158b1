"""A signal ends a run between two tests, and breaks into nothing that is stored."""

import signal
import textwrap

import pytest

from tests.pytest_plugin.test_resuming import checks, journals


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_python_swallows_ends_the_run_before_the_next_test(toy_project, number):
    """What a handler raises in a callback, or in ``__del__``, goes nowhere."""
    suite = f"""
    import os, signal

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

    class Last:
        def __del__(self):
            os.kill(os.getpid(), signal.{number})

    def test_one(deployed):
        deployed.record("decode_tps", 10.0)
        if not os.path.exists("once"):
            open("once", "w").close()
            Last()

    def test_two(deployed): pass
    """
    result = toy_project.run(suite=suite)
    assert result.ret == (2 if number == "SIGINT" else 128 + getattr(signal, number))
    assert "Traceback" not in result.stdout.str(), "Python's word on what it swallowed"
    assert checks(toy_project) == ["test_one passed"]
    assert toy_project.run("--resume", suite="").ret == 0
    assert checks(toy_project) == ["test_one passed", "test_two passed"]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_after_the_end_breaks_into_nothing(toy_project, number):
    """Everything is stored, and pytest clears up."""
    suite = f"""
    import os, signal

    signal.signal(signal.SIGINT, signal.default_int_handler)

    def test_one(deployed, pytestconfig):
        pytestconfig.add_cleanup(lambda: os.kill(os.getpid(), signal.{number}))
    """
    result = toy_project.run(suite=suite)
    assert result.ret == 0
    assert "Traceback" not in result.stderr.str()
    assert checks(toy_project) == ["test_one passed"]
    assert journals(toy_project) == []


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_run_ends_breaks_into_nothing(toy_project, number):
    """Verdicts are given and stored; half imported, a library of ours would be lost."""
    hook = f"""
    import os, signal, pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(): os.kill(os.getpid(), signal.{number})

    def pytest_sessionfinish(): os.kill(os.getpid(), signal.{number})
    """
    (toy_project.path / "conftest.py").write_text(textwrap.dedent(hook))
    suite = """
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)

    def test_one(deployed): pass
    """
    result = toy_project.run(suite=suite)
    assert result.ret == 0
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert checks(toy_project) == ["test_one passed"]
    assert journals(toy_project) == []


def test_a_run_that_hangs_after_a_signal_is_ended(toy_project):
    """What has finished is in the journal."""
    suite = """
    import os, signal, time
    from qualification.pytest_plugin import running

    signal.signal(signal.SIGINT, signal.default_int_handler)

    def test_one(deployed): pass

    def test_two(deployed):
        running.GRACE_S = 0.5
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            time.sleep(60)
    """
    result = toy_project.run(suite=suite)
    assert result.ret == 128 + signal.SIGINT
    assert "ended 0.5 s after SIGINT, which something held up" in result.stdout.str()
    assert toy_project.run("--resume", "--collect-only", "-q", suite="").ret == 0
