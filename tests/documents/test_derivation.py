"""Every figure follows from the raw trials that are printed beside it."""

import ast
import re
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.metrics import METRICS
from qualification.core.protocol import LoadReport
from qualification.documents.explain.definitions import definition
from qualification.models.footprint import decode_bytes_per_token
from tests.documents.test_explain import (
    REGISTRY,
    SEVEN,
    explained,
    listed,
    of_seven,
    step,
    stored,
    unwrapped,
)
from tests.support.session_sample import DEPLOYMENT, REVISION, trials


def printed_trials(text):
    """The values of the raw trials that carry no mark, as a reader copies them."""
    lines = re.findall(r"^ +\d+  (\S+)$", text, re.MULTILINE)
    return [float(value) for value in lines]


ANY = st.floats(allow_nan=True, allow_infinity=True) | st.floats(1e-6, 1e6)
MEDIANS = sorted(name for name in METRICS if definition(name).rule == "median")


@given(st.sampled_from(MEDIANS), st.lists(ANY, min_size=1, max_size=9))
def test_the_printed_median_and_range_are_those_of_the_printed_trials(metric, values):
    """Whatever was stored: what is no measurement is marked, and the others give the figures."""
    explanation, text = explained(metric, stored(of_seven(metric, *values), bandwidth=None))
    counted = printed_trials(text)
    assert len(explanation.trials) == len(values)
    if not counted:
        assert explanation.statistics is None
        assert "printed       nothing: " in text
        return
    median = float(step(explanation, "median").split()[0].rstrip(","))
    least, most = step(explanation, "range").partition(", printed")[0].split(" to ")
    assert median == pytest.approx(statistics.median(counted), rel=1e-15)
    assert (float(least), float(most)) == (min(counted), max(counted))
    assert explanation.statistics.count == len(counted)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=9))
def test_the_printed_variation_is_that_of_the_printed_trials(values):
    """Standard deviation over mean, both of which stand there."""
    explanation, text = explained("ttft_s", stored(of_seven("ttft_s", *values)))
    counted = printed_trials(text)
    expected = statistics.stdev(counted) / statistics.mean(counted)
    assert explanation.statistics.variation == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_figure_is_the_one_of_the_documents():
    """Rounded as there, beside all digits."""
    explanation, text = explained("decode_tps", stored(of_seven("decode_tps", 21.7, 21.9, 21.83)))
    assert text.startswith(f"decode_tps of {SEVEN}: 21.8 tok/s, the median of 3\n")
    assert step(explanation, "median") == "21.83, number 2 of 3 by size"
    assert step(explanation, "printed") == "21.8 tok/s: the median of 3"
    assert "decoding speed: (N − 1) / (t_N − t_1)" in text
    assert "unit          tok/s; higher is better" in text


def test_an_even_number_of_trials_has_its_median_as_a_sum():
    """Of the two in the middle."""
    explanation, _ = explained("ttft_s", stored(of_seven("ttft_s", 1.0, 4.0, 3.0, 2.0)))
    assert step(explanation, "median") == "2.5 = (2 + 3) / 2, numbers 2 and 3 of 4 by size"


def test_what_is_no_measurement_is_marked_and_does_not_count():
    """With what would be one."""
    explanation, text = explained("load_s", stored(of_seven("load_s", 4.0, float("nan"), -1.0)))
    assert explanation.statistics.count == 1
    assert "2  nan                     no measurement: not a positive finite number" in text
    assert "3  -1                      no measurement" in text
    assert step(explanation, "n") == "1 of 3 trials"
    assert explanation.trials[1].value is None


def test_nothing_is_printed_of_trials_that_are_no_measurements():
    """The reason stands in its place, in both forms."""
    record = stored(of_seven("load_s", -1.0))
    explanation, text = explained("load_s", record)
    assert explanation.statistics is None
    assert f"load_s of {SEVEN}: no figure\n" in text
    assert "nothing: none of 1 trials counts" in text
    (reason,) = [part.reason for part in listed(record)[0].missing if "load_s" in part.metrics]
    assert "not a positive finite number" in reason


# ------------------------------------------------------------------------------------- the roofline


def evaluated(text):
    """The value of a product of sums, as it is printed."""
    tree = ast.parse(re.sub(r"[^\d.+*/()]", "", text.replace("×", "*")), mode="eval")
    return eval(compile(tree, "sum", "eval"), {"__builtins__": {}})


@pytest.mark.parametrize(
    "deployment", [d for d in REGISTRY.deployments() if d.source.weights == "hub"], ids=str
)
def test_the_bytes_of_a_token_are_the_printed_sum(deployment):
    """The layers and the LM head, times the bytes of a weight; the bound follows from them."""
    name = deployment.identifier
    record = stored(trials("decode_tps", 1e-3, deployment=name), name=name)
    explanation, _ = explained("decode_tps", record, name)
    parts, _, total = step(explanation, "a token reads").partition(" = ")
    size = decode_bytes_per_token(deployment.model.shape, deployment.source.quantisation)
    assert evaluated(parts.replace("LM head", "")) == pytest.approx(size, rel=1e-4)
    assert float(re.match(r"[\d,]+", total)[0].replace(",", "")) == pytest.approx(size, abs=1)
    bandwidth, _, bound = step(explanation, "roofline").partition(" = ")
    assert evaluated(bandwidth.replace("B/s", "")) == pytest.approx(
        float(bound.split()[0]), rel=1e-5
    )


def test_the_share_is_the_median_over_the_bound():
    """By the bytes of the files' headers, where they are known."""
    load = LoadReport(4.0, 3.0, 1.0, "gpu", 10**9, REVISION, {}, decode_bytes=4_000_000_000)
    explanation, _ = explained("decode_tps", stored(of_seven("decode_tps", 21.0), load=load))
    reads = "4,000,000,000 B, by the headers of the weight files"
    assert step(explanation, "a token reads") == reads
    assert step(explanation, "roofline") == "120,000,000,000 B/s / 4,000,000,000 B = 30 tok/s"
    assert step(explanation, "share of it") == "21 / 30 = 70.0%"


def test_a_record_over_the_roofline_has_no_figure():
    """The repetition that is over it is marked, the others go with it, and the sum stands there."""
    explanation, text = explained("decode_tps", stored(of_seven("decode_tps", 21.7, 94.13)))
    assert explanation.statistics is None
    assert "1  21.7                    rejected with the record" in text
    assert "2  94.13                   over the roofline of 30.2 tok/s" in text
    assert "so the record is rejected" in unwrapped(text)
    assert step(explanation, "roofline").endswith("= 30.1732 tok/s")
    assert listed(stored(of_seven("decode_tps", 94.13)))[0].metrics == ()


@pytest.mark.parametrize(
    ("name", "machine", "reason"),
    [
        (SEVEN, {"bandwidth": None}, "the memory bandwidth of Apple M4 is not known"),
        (DEPLOYMENT, {}, "a canary is too small for the roofline to hold"),
        ("gone-4bit@mlx", {}, "the deployment is not declared (any more)"),
    ],
)
def test_a_roofline_that_is_not_claimed_has_its_reason(name, machine, reason):
    """A machine, a model, or a declaration."""
    record = stored(trials("decode_tps", 20.0, deployment=name), name=name, **machine)
    assert step(explained("decode_tps", record, name)[0], "roofline").startswith(f"none: {reason}")


# -------------------------------------------------------------------------------- answers, memory


def test_accuracy_is_a_count_with_its_interval():
    """As many correct ones as the share says, out of the questions that were asked."""
    recorded = (of_seven("accuracy", 79 / 84), of_seven("accuracy_questions", 84))
    explanation, _ = explained("accuracy", stored(*recorded))
    assert step(explanation, "correct").startswith("79 of 84 questions = ")
    assert step(explanation, "interval") == "86.8% to 97.4%: Wilson's at 95 %, of 79 of 84"
    assert "qualify see" in " ".join(explanation.commands)


@pytest.mark.parametrize("metric", ["accuracy", "context_retention", "vqa_accuracy"])
def test_a_share_of_an_unknown_number_has_no_interval(metric):
    """It says why."""
    explanation, _ = explained(metric, stored(of_seven(metric, 0.5)))
    assert step(explanation, "interval").startswith("none: of how many answers")


def test_memory_says_who_takes_the_greatest():
    """The comparison has the median, the verdict is on the greatest."""
    record = stored(of_seven("peak_memory_bytes", 6.8e9, 6.7e9))
    explanation, text = explained("peak_memory_bytes", record)
    assert step(explanation, "printed") == "6.75 GB: the median of 2"
    assert step(explanation, "greatest").startswith("6800000000, 6.80 GB: taken by ")
    assert f"qualify footprint {SEVEN}" in text


@pytest.mark.parametrize(
    ("metric", "values", "figure"),
    [
        ("failed_4_clients", (1.0, 2.0), "3: the sum of 2"),
        ("served_4_clients_tps", (10.0, 20.0), "20.0 tok/s: the last of 2"),
        ("accuracy_questions", (84.0, 12.0), "84: the first of 2"),
        ("ttft_4_clients_s", (1.0, 2.0), "–: of fewer than 5 no percentile is printed"),
        ("token_drift", (1.12,), "+12.0%: the only trial, less 1"),
    ],
)
def test_a_figure_that_is_no_median_says_what_it_is(metric, values, figure):
    """As the documents take them."""
    explanation, _ = explained(metric, stored(of_seven(metric, *values)))
    assert step(explanation, "printed") == figure


def test_waiting_times_under_load_have_their_quantile():
    """Linear between two trials, as the table of servers has it."""
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    explanation, _ = explained(
        "request_2_clients_s", stored(of_seven("request_2_clients_s", *values))
    )
    assert step(explanation, "beside it").startswith("480 ms, the 95% quantile")


def test_trials_of_several_suites_are_told_apart():
    """The document takes them together; the verdict on consistency does not."""
    mine = tuple(replace(trial, suite="mine") for trial in of_seven("decode_tps", 10.0, 12.0))
    explanation, text = explained("decode_tps", stored(of_seven("decode_tps", 20.0), mine))
    assert text.index("suite throughput") < text.index("suite mine")
    assert step(explanation, "of mine") == "11, the median of 2"
    assert step(explanation, "median").startswith("12, ")
