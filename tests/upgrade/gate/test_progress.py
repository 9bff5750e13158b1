"""A running gate on a terminal and in a CI's log, and its conclusion."""

import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from qualification.upgrade.gate.progress import Progress, behaviour_word, conclusion
from tests.support.gate_sample import LLAVA, QWEN, SMOL, passed, plan, refs, regressed, steps


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


def log(results, *, doing=(), clock=lambda: 0.0):
    """The output of a gate without a terminal, even if colours are asked for."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40)
    with Progress(plan(), console, clock=clock) as progress:
        for text in doing:
            progress.doing(text)
        for result in results:
            progress.observed(result)
    return out.getvalue()


def image(result, *, doing="pair 1", width=140, height=40):
    """The content of a terminal."""
    out = Terminal()
    console = Console(file=out, force_terminal=True, width=width, height=height)
    with Progress(plan(), console) as progress:
        progress.doing(doing)
        if result is not None:
            progress.observed(result)
        assert progress.is_drawn
        with (still := Console(file=io.StringIO(), width=width)).capture() as captured:
            still.print(progress.frame())
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
def test_text_of_a_model_does_not_act_on_a_terminal(text):
    """No control character, no markup, no line of its own; on neither kind of screen."""
    plain = log([regressed(text)], doing=[text])
    assert len(plain.splitlines()) == len(log([regressed("blue")]).splitlines())
    out = io.StringIO()
    Console(file=out, width=120).print(conclusion(regressed(text)))
    for output in (plain, out.getvalue(), image(regressed(text), doing=text)):
        assert all(character.isprintable() or character == "\n" for character in output)


def test_without_a_terminal_silence_is_broken_after_a_minute():
    """A CI that ends silent jobs sees the current step, but not every step."""
    moments = itertools.count(0, 25)
    lines = log([], doing=[f"step {n}" for n in range(8)], clock=lambda: float(next(moments)))
    running = [line for line in lines.splitlines() if line.startswith("running")]
    assert 1 <= len(running) < 8


def test_a_terminal_shows_each_deployment_and_metric_with_its_pairs():
    """Waiting, asking, open with the pairs so far and their total, decided."""
    empty, asking, _, timing, _ = steps()
    assert image(None).count("waiting") == 3 + 2 * 4
    assert (behaviour_word(empty, QWEN), behaviour_word(asking, QWEN)) == ("waiting", "asking")
    (row,) = [line for line in image(timing).splitlines() if line.startswith(SMOL)]
    assert row.count("open 1.010 (4/6)") == 4
    drawn = image(regressed())
    assert "regressed 1.080 (12)" in drawn
    assert "left)" in drawn


def test_a_terminal_that_is_too_small_shows_what_is_not_yet_decided():
    """Rows that passed are hidden and counted."""
    names = tuple(f"model-{number}@mlx" for number in range(30))
    large = plan(deployments=refs(*names, SMOL))
    out = Terminal()
    with Progress(large, Console(file=out, force_terminal=True, width=140, height=12)) as progress:
        progress.observed(regressed(plan=large))
        with (still := Console(file=io.StringIO(), width=140)).capture() as captured:
            still.print(progress.frame())
    assert "and 25 more" in captured.get()
    assert len(captured.get().splitlines()) <= 12


def test_an_error_inside_ends_the_live_display():
    """The terminal is given back: the cursor is shown again, and the error goes on."""
    out = Terminal()

    def fail():
        with Progress(plan(), Console(file=out, force_terminal=True)) as progress:
            progress.doing("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert out.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in out.getvalue()


def test_the_conclusion_begins_with_the_verdict_and_ends_with_the_notes():
    """The problems stand between them, each with its factor where it has one."""
    out = io.StringIO()
    Console(file=out, width=200).print(conclusion(regressed()))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("regressed: current → current + mlx-vlm==0.6.4")
    words = [line.split(":")[0].strip() for line in lines if line.startswith("  ")]
    problems = ["regressed", "regressed", "inconclusive", "inconclusive", "unfit"]
    assert words == [*problems, "new warning", "both fail", "improved", "improved"]
    assert any("(factor 1.080, 1.071 to 1.089)" in line for line in lines)
    assert any(LLAVA in line for line in lines)


def test_the_conclusion_of_a_pass_is_short():
    """It lists no check that passed."""
    out = io.StringIO()
    Console(file=out, width=200).print(conclusion(passed()))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("pass: ")
    assert len(lines) == 3
