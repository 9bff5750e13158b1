"""Commands that measure are refused while another session measures; the others go on beside it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.errors import SelectionError
from qualification.session.device_lock import measuring
from qualification.upgrade.bisect import driver

REFUSED = "qualify: pytest (process "
BISECT = ("bisect", "--good", "here", "--bad", "here", "--deployment", "smolvlm-canary-f32@mlx")


@pytest.fixture(autouse=True)
def busy(tmp_path, monkeypatch):
    """Another session measures on this machine."""
    monkeypatch.setenv("QUALIFY_LOCKS", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)
    with measuring("pytest", Path("/a project")):
        yield


@pytest.mark.parametrize(
    "words",
    [
        ("gate", "--from", "here", "--to", "here"),
        ("replay",),
        ("watch", "smolvlm-canary-f32@llamacpp"),
        (*BISECT, "--check", "decode_tps"),
        (*BISECT, "--check", "latency"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_measures_is_refused(words):
    """In one sentence, with exit code 2, before it builds or loads anything."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(REFUSED)
    assert "in /a project since" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "--url", "http://127.0.0.1:1/v1"),
        ("see", "http://127.0.0.1:1/v1"),
        (*BISECT, "--check", "answers"),
        ("replay", "--list"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_times_nothing_of_ours_goes_on(words, monkeypatch):
    """A server at an address, and what is judged by its answers alone."""

    def answer(*_words, **_options):
        raise SelectionError("asked")

    monkeypatch.setattr(driver, "answer", answer)
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    assert REFUSED not in done.stderr
