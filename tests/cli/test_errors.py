"""How a command ends that neither succeeds nor has a verdict."""

import click
import pytest
from click.testing import CliRunner

from qualification.cli import main


def leaves(group, *path):
    """The path of words and the command, of each command below a group."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = [pytest.param(*leaf, id=" ".join(leaf[0])) for leaf in leaves(main)]


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_an_unexpected_exception_is_no_verdict(monkeypatch, words, command):
    """1 is a gate's `regressed`: a defect of ours ends with 2, and says where to report it."""

    def broken(**_options):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(command, "params", [])
    monkeypatch.setattr(command, "callback", broken)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    *traceback, sentence = done.stderr.strip().splitlines()
    assert "ZeroDivisionError: a defect" in traceback
    assert "not a verdict; report the lines above to its issue tracker" in sentence


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_no_verdict(monkeypatch, interruption):
    """A shell's code of a process that Ctrl-C ended."""

    def interrupted(**_options):
        raise interruption

    monkeypatch.setattr(main.commands["replay"], "callback", interrupted)
    done = CliRunner().invoke(main, ["replay"])
    assert (done.exit_code, done.stderr.strip()) == (130, "Aborted!")


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["gate", "--nonsense"], 2), (["nonsense"], 2)]
)
def test_a_usage_error_has_clicks_own_words(words, code):
    """No traceback and no request to report it."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code
    assert "defect" not in done.output
