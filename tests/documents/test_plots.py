"""Plots: safe and small as SVG, the same bytes again, and what they show of each figure."""

import dataclasses
import math
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.paths import PACKAGE
from qualification.documents.plots import (
    IntervalEntry,
    MemoryEntry,
    PhaseEntry,
    SpeedPoint,
    StripEntry,
    accuracy_by_speed,
    first_token_phases,
    interval_plot,
    memory_bars,
    palette,
    run_strips,
)

NAMES = ("qwen2.5-vl-7b-4bit@mlx", "smolvlm-500m@torch", "gemma-3-4b-it-q4_k_m@llamacpp")
HOSTILE = (
    "<script>alert(1)</script>",
    "$x^2$",
    "$unbalanced \\frac",
    "two\nlines\r\tand a tab",
    "x" * 10_000 + "@torch",
    "\u202eright to left\u200f",
    "\x00\x1b[31m\ud800",
    "\"'&]]>--><!--",
    "Z\u0338\u0341\u0369algo" * 9,
    "\ufdfd" * 60,
    "t0",
    "",
)
UNUSABLE = (None, math.nan, math.inf, -math.inf, 0.0, -1.0, 1e300, 5e-324)


def speed(names):
    return accuracy_by_speed(
        [
            SpeedPoint(name, 5.0 * 1.1**n, 0.9 - n / 100, 0.85 - n / 100, 0.95, 2e9 + n, 9 * 1.1**n)
            for n, name in enumerate(names)
        ],
        15.0,
    )


def memory(names):
    parts = ("system", 8e9), ("weights", 5e9), ("cache", 1e9), ("vision", 1e9), ("buffers", 1e9)
    entries = [
        MemoryEntry(name, (*parts, ("applications", 6e9)), ("measured", "predicted")[n % 2])
        for n, name in enumerate(names)
    ]
    return memory_bars(entries, 20e9, 32e9)


def strips(names):
    entries = [
        StripEntry(name, tuple(20.0 + n + run / 10 for run in range(10)), 20.0 + n, 21.0 + n)
        for n, name in enumerate(names)
    ]
    return run_strips(entries, "decoding speed", "tok/s")


def phases(names):
    parts = ("preprocess", 0.1), ("vision encoder", 0.4), ("prefill", 0.8), ("rest", 0.05)
    return first_token_phases([PhaseEntry(name, parts) for name in names])


def intervals(names):
    verdicts = ("pass", "regressed", "inconclusive")
    entries = [
        IntervalEntry(name, 1.0 + n % 3 / 25, 0.99, 1.1, verdicts[n % 3])
        for n, name in enumerate(names)
    ]
    return interval_plot(entries, 0.01, 0.05)


PLOTS = (speed, memory, strips, phases, intervals)
every_plot = pytest.mark.parametrize("plot_of", PLOTS)


def elements(plot):
    return list(ElementTree.fromstring(plot.svg).iter())


def texts(plot):
    return [element.text or "" for element in elements(plot) if element.tag.endswith("text")]


def assert_is_safe(plot):
    allowed = {
        "svg": {"viewBox", "role", "aria-label", "font-family", "font-size", "style"},
        "g": {"style", "text-anchor", "font-size", "font-weight"},
        "path": {"d", "style"},
        "text": {"x", "y", "textLength", "lengthAdjust", "style", "text-anchor", "font-size"},
    }
    allowed["text"] |= {"font-weight"}
    for element in elements(plot):
        tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
        assert set(element.attrib) <= allowed[tag]
        style = element.get("style", "")
        assert "url(" not in style
        assert not re.search(r"(?<!,)#[0-9a-f]{6}", style), "a colour that is no variable"
    assert plot.svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 ')
    assert 'role="img"' in plot.svg
    assert elements(plot)[0].get("aria-label") == plot.alternative


@every_plot
@pytest.mark.parametrize("count", [1, 3, 60])
def test_a_plot_is_paths_and_texts_that_refer_to_nothing(plot_of, count):
    assert_is_safe(plot_of([NAMES[n % 3] for n in range(count)]))


@every_plot
def test_no_entries_are_no_plot(plot_of):
    assert plot_of([]) is None


@every_plot
def test_the_same_input_gives_the_same_bytes(plot_of):
    import matplotlib

    once = plot_of(NAMES)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 40, "svg.fonttype": "path"}):
        assert plot_of(NAMES) == once


@every_plot
@pytest.mark.parametrize(("count", "most"), [(12, 15_000), (60, 60_000)])
def test_a_plot_is_small(plot_of, count, most):
    names = [f"{NAMES[n % 3]}-{n}" for n in range(count)]
    assert len(plot_of(names).svg.encode("utf-8")) < most


@every_plot
def test_hostile_names_are_text_and_change_no_layout(plot_of):
    plot, plain = plot_of(HOSTILE), plot_of(["plain"] * len(HOSTILE))
    assert_is_safe(plot)
    assert elements(plot)[0].get("viewBox") == elements(plain)[0].get("viewBox")
    assert "$x^2$" in texts(plot)
    assert all(text.isprintable() for text in texts(plot))
    assert max(len(text) for text in texts(plot)) < 60


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(), min_size=9, max_size=10))
def test_no_name_breaks_a_plot(names):
    for plot_of in PLOTS:
        assert_is_safe(plot_of(names))


numbers = st.floats(allow_subnormal=True) | st.sampled_from(UNUSABLE[1:])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=4))
def test_no_figure_breaks_a_plot(rows):
    plots = [
        accuracy_by_speed([SpeedPoint("a", x, 0.5, y, z, w, y) for x, y, z, w in rows], rows[0][3]),
        memory_bars(
            [MemoryEntry("a", tuple(zip("abcd", row, strict=True))) for row in rows], *rows[0][:2]
        ),
        run_strips([StripEntry("a", row, row[0], row[1]) for row in rows], "time", "s"),
        first_token_phases([PhaseEntry("a", tuple(zip("abcd", row, strict=True))) for row in rows]),
        interval_plot([IntervalEntry("a", x, y, z, "pass") for x, y, z, _ in rows], 0.01, 0.05),
    ]
    for plot in plots:
        if plot is not None:
            assert_is_safe(plot)
            assert not re.search("nan|inf(?!er)", re.sub("<text.*?</text>", "", plot.svg[300:]))


@pytest.mark.parametrize("value", UNUSABLE)
def test_unusable_figures_alone_are_no_plot(value):
    value = -1.0 if value is None else value
    assert accuracy_by_speed([SpeedPoint("a", value, 0.5)]) is None
    assert memory_bars([MemoryEntry("a", (("weights", value),))]) is None
    assert first_token_phases([PhaseEntry("a", (("prefill", value),))]) is None


def test_an_entry_without_a_figure_has_a_dash():
    plot = memory_bars([MemoryEntry("a", (("weights", 1e9),)), MemoryEntry("b", ())])
    assert "–" in texts(plot)
    plot = interval_plot([IntervalEntry("a", None, 0.0, math.inf, "inconclusive")], 0.01, 0.05)
    assert "– inconclusive" in texts(plot)


# --------------------------------------------------------------------------- what each shows


def test_few_points_have_their_names_beside_them_and_many_have_numbers():
    plot = accuracy_by_speed([SpeedPoint("a@mlx", 10, 0.5), SpeedPoint("b@mlx", 90, 0.9)])
    assert {"a@mlx", "b@mlx"} <= set(texts(plot))
    assert "1" not in texts(plot)
    plot = speed([f"model-{n}@mlx" for n in range(9)])
    assert {"1", "9", "model-0@mlx", "model-8@mlx"} <= set(texts(plot))


def test_points_in_one_place_have_numbers():
    plot = accuracy_by_speed([SpeedPoint("x" * 26, 10, 0.5, peak_bytes=1e9)] * 6)
    assert {"1", "6"} <= set(texts(plot))


def test_points_without_a_speed_or_an_accuracy_are_counted():
    plot = accuracy_by_speed(
        [SpeedPoint("a@mlx", 21.8, 0.94), SpeedPoint("b", None, 0.9), SpeedPoint("c", 9.0, None)]
    )
    assert "of 1 deployment." in plot.alternative
    assert "a@mlx: 94% at 21.8 tok/s" in plot.alternative
    assert "2 deployments without" in plot.alternative


def test_a_floor_is_named():
    assert "floor 15.0 tok/s" in texts(speed(NAMES))
    assert not any("floor" in text for text in texts(accuracy_by_speed([SpeedPoint("a", 9, 0.5)])))


def test_speeds_far_apart_stand_on_a_logarithmic_scale():
    points = [SpeedPoint("a", 1.0, 0.5), SpeedPoint("b", 100.0, 0.9)]
    assert {"1", "10", "100"} <= set(texts(accuracy_by_speed(points)))


def test_a_speed_over_its_roofline_is_red():
    red = palette.variable(palette.BAD)
    over, under = (SpeedPoint("a", 50.0, 0.5, roofline_tps=bound) for bound in (30.0, 90.0))
    assert red in accuracy_by_speed([over]).svg
    assert red not in accuracy_by_speed([under]).svg


@pytest.mark.parametrize(
    ("origin", "word"),
    [("measured", "measured"), ("synthetic", "random weights"), ("projected", "projected")],
)
def test_a_point_looks_as_it_was_come_by(origin, word):
    svgs = {
        kind: accuracy_by_speed([SpeedPoint("a", 50.0, 0.5, origin=kind)])
        for kind in (origin, "canary")
    }
    assert word in texts(svgs[origin])
    assert svgs[origin].svg != svgs["canary"].svg


def test_memory_over_the_limit_is_said():
    plot = memory(NAMES)
    assert texts(plot).count("≈ 22.0 GB, 2.00 GB too much") == 1
    assert {"limit 20.0 GB", "memory 32.0 GB"} <= set(texts(plot))
    assert "Over the limit of 20.0 GB of 32.0 GB: 3 of 3." in plot.alternative


def test_predictions_are_hatched():
    entry = MemoryEntry("a", (("weights", 5e9),))
    predicted = dataclasses.replace(entry, origin="predicted")
    assert "predicted, not measured" in texts(memory_bars([entry, predicted]))
    assert "predicted, not measured" not in texts(memory_bars([entry]))


def test_more_parts_than_colours_are_put_together():
    parts = tuple((f"part {n}", 1e9 * (n + 1)) for n in range(7))
    words = set(texts(memory_bars([MemoryEntry("a", (("system", 1e9), *parts))])))
    assert {"system", "part 4", "part 5", "part 6", "other parts"} <= words
    assert "part 3" not in words


def test_a_huge_bar_leaves_something_of_the_others():
    entries = [MemoryEntry("a", (("weights", size),)) for size in (5e9, 6e9, 9e14)]
    assert "20" in texts(memory_bars(entries, 24e9, 32e9))


def test_runs_of_like_deployments_share_an_axis():
    assert "decoding speed, tok/s" in texts(strips(NAMES))


def test_runs_of_unlike_deployments_are_distances_from_their_medians():
    entries = [StripEntry("a", (10.0, 11.0, 12.0)), StripEntry("b", (100.0, 110.0, 120.0))]
    words = texts(run_strips(entries, "decoding speed", "tok/s"))
    assert "decoding speed, % from its own median" in words
    assert {"11.0 tok/s", "110 tok/s"} <= set(words)


def test_a_long_series_is_thinned_out_and_says_so():
    entry = StripEntry("a", tuple(float(run % 7 + 1) for run in range(50_000)))
    plot = run_strips([entry], "load time", "s")
    assert len(plot.svg) < 30_000
    assert "Of every 42 runs one is drawn." in plot.alternative


def test_the_longest_phase_is_named():
    assert "there mostly prefill, 800 ms." in phases(NAMES).alternative


def test_a_verdict_has_its_colour_and_its_word():
    plot = intervals(NAMES)
    words = {"1.000 pass": "good", "1.040 regressed": "bad", "1.080 inconclusive": "open"}
    for text, name in words.items():
        assert text in texts(plot)
        assert f"var(--{name}," in plot.svg
    assert "1 pass, 1 regressed, 1 inconclusive" in plot.alternative


def test_an_open_interval_ends_in_arrows():
    closed = IntervalEntry("a", 1.0, 0.99, 1.01, "pass")
    beyond = dataclasses.replace(closed, lower=0.0, upper=math.inf)
    plot = interval_plot([beyond], 0.01, 0.05)
    assert "(0.000 to ∞)" in plot.alternative
    assert plot.svg != interval_plot([closed], 0.01, 0.05).svg


def test_a_metric_may_have_limits_of_its_own():
    entry = IntervalEntry("a", 1.0, 0.99, 1.01, "pass", 0.03, 0.15)
    assert "the margin is 1.150" in interval_plot([entry], 0.01, 0.05).alternative


def in_a_fresh_process(code, folder, **variables):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent), **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )


DRAW = """
import sys
from qualification.documents.plots import PhaseEntry, first_token_phases
assert "matplotlib" not in sys.modules and "numpy" not in sys.modules
print(first_token_phases([PhaseEntry("a@mlx", (("prefill", 0.5),))]).svg)
assert "matplotlib.pyplot" not in sys.modules
import logging, os
assert logging.getLogger("matplotlib").level == logging.NOTSET
assert "MPLCONFIGDIR" not in os.environ
"""


def test_matplotlib_is_imported_by_the_first_plot_and_leaves_home_alone(tmp_path):
    cache = tmp_path / "cache"
    process = in_a_fresh_process(DRAW, tmp_path, HOME=str(tmp_path), QUALIFY_CACHE=str(cache))
    assert (process.returncode, process.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert [path.name for path in cache.iterdir()] == ["matplotlib"]


def test_a_home_that_is_read_only_is_no_trouble(tmp_path):
    """A file stands where the folders would be made, which stops an administrator too."""
    (tmp_path / "home").write_text("")
    (tmp_path / "temporary").mkdir()
    process = in_a_fresh_process(
        DRAW, tmp_path, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "temporary")
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert not list((tmp_path / "temporary").iterdir())


def test_settings_of_the_working_folder_change_nothing(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsvg.fonttype: path\nnonsense: 1\n")
    process = in_a_fresh_process(DRAW, tmp_path, HOME=str(tmp_path), TMPDIR=str(tmp_path))
    assert (process.returncode, process.stderr) == (0, "")
    here = first_token_phases([PhaseEntry("a@mlx", (("prefill", 0.5),))])
    assert process.stdout.strip() == here.svg
