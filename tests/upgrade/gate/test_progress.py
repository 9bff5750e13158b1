"""What a gate shows while it runs, on a terminal and in a CI's log, and at its end."""

import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from qualification.upgrade.gate.progress import Progress, behaviour_word, conclusion
from tests.support.gate_sample import LLAVA, QWEN, SMOL, passed, plan, regressed, steps


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


def log(results, *, doing=(), clock=lambda: 0.0):
    """What a gate writes where there is no terminal, even if colours are asked for."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40)
    with Progress(plan(), console, clock=clock) as shown:
        for text in doing:
            shown.doing(text)
        for result in results:
            shown.observed(result)
    return out.getvalue()


def picture(result, *, doing="pair 1", width=140, height=40):
    """What stands on a terminal."""
    out = Terminal()
    console = Console(file=out, force_terminal=True, width=width, height=height)
    with Progress(plan(), console) as shown:
        shown.doing(doing)
        if result is not None:
            shown.observed(result)
        assert shown._live is not None
        with (still := Console(file=io.StringIO(), width=width)).capture() as captured:
            still.print(shown._picture())
    return captured.get()


def test_without_a_terminal_each_decision_is_one_plain_line():
    """However often it is shown again; nothing is wrapped, coloured or drawn over."""
    lines = log([*steps(), *steps()[2:]]).splitlines()
    assert len(lines) == len(set(lines))
    assert f"{SMOL}: decode_tps regressed after 12 pairs, factor 1.080" in lines
    assert f"{QWEN}: behaviour regressed, 6 of 8 checks" in lines
    assert not [line for line in lines if line.startswith(f"{SMOL}: load_s open")]
    assert all(character.isprintable() for line in lines for character in line)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80) | st.sampled_from(["\x1b[2J\r\n", "[red]x[/]", "::error::x\ny"]))
def test_what_a_model_said_does_not_act_on_a_terminal(text):
    """No control character, no markup, no line of its own; on neither kind of screen."""
    plain = log([regressed(text)], doing=[text])
    assert len(plain.splitlines()) == len(log([regressed("blue")]).splitlines())
    out = io.StringIO()
    Console(file=out, width=120).print(conclusion(regressed(text)))
    for shown in (plain, out.getvalue(), picture(regressed(text), doing=text)):
        assert all(character.isprintable() or character == "\n" for character in shown)


def test_without_a_terminal_silence_is_broken_after_a_minute():
    """A CI that ends silent jobs hears what is running, and is not told every step."""
    moments = itertools.count(0, 25)
    lines = log([], doing=[f"step {n}" for n in range(8)], clock=lambda: float(next(moments)))
    said = [line for line in lines.splitlines() if line.startswith("running")]
    assert 1 <= len(said) < 8


def test_a_terminal_shows_each_deployment_and_metric_with_its_pairs():
    """What waits, what is asked, what is open with how many pairs of how many, what is decided."""
    first, asked, _, timing, _ = steps()
    assert picture(None).count("waiting") == 3 + 2 * 4
    assert (behaviour_word(first, QWEN), behaviour_word(asked, QWEN)) == ("waiting", "asking")
    shown = picture(timing)
    (row,) = [line for line in shown.splitlines() if line.startswith(SMOL)]
    assert row.count("open 1.010 (4/6)") == 4
    shown = picture(regressed())
    assert "regressed 1.080 (12)" in shown
    assert "left)" in shown


def test_a_terminal_that_is_too_small_shows_what_is_not_yet_decided():
    """What passed makes room, and is counted."""
    names = tuple(f"model-{number}@mlx" for number in range(30))
    many = plan(deployments=(*names, SMOL))
    out = Terminal()
    with Progress(many, Console(file=out, force_terminal=True, width=140, height=12)) as shown:
        shown.observed(regressed(plan=many))
        with (still := Console(file=io.StringIO(), width=140)).capture() as captured:
            still.print(shown._picture())
    assert "and 25 more" in captured.get()
    assert len(captured.get().splitlines()) <= 12


def test_an_error_inside_ends_the_live_display():
    """The terminal is given back: the cursor is shown again, and the error goes on."""
    out = Terminal()

    def fail():
        with Progress(plan(), Console(file=out, force_terminal=True)) as shown:
            shown.doing("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert out.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in out.getvalue()


def test_the_conclusion_begins_with_the_verdict_and_ends_with_the_notes():
    """What did not pass stands between them, each with its factor where it has one."""
    out = io.StringIO()
    Console(file=out, width=200).print(conclusion(regressed()))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("regressed: current → current + mlx-vlm==0.6.4")
    words = [line.split(":")[0].strip() for line in lines if line.startswith("  ")]
    assert words == [
        "regressed", "regressed", "inconclusive", "inconclusive", "unfit",
        "new warning", "both fail", "improved", "improved",
    ]  # fmt: skip
    assert any("(factor 1.080, 1.071 to 1.089)" in line for line in lines)
    assert any(LLAVA in line for line in lines)


def test_the_conclusion_of_a_pass_is_short():
    """No list of what is well."""
    out = io.StringIO()
    Console(file=out, width=200).print(conclusion(passed()))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("pass: ")
    assert len(lines) == 3
