"""A gate compares libraries on the same weights: their revision is recorded, shown and checked."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qualification.core.files import write_documents
from qualification.upgrade.gate.decide import decide
from qualification.upgrade.gate.records import Pair, ProcessSample
from qualification.upgrade.gate.report import read_result, render, to_text
from tests.support.gate_sample import QWEN, SMOL, observation, passed, plan, refs, regressed

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def slower(a="", b=""):
    """Twelve pairs in which the candidate has half the speed, by the revisions of both sides."""
    samples = [
        ProcessSample({"decode_tps": speed}, revision=revision)
        for speed, revision in ((100.0, a), (50.0, b))
    ]
    return [Pair(SMOL, number, "a", *samples) for number in range(12)]


def decided(pairs, **changes):
    """The result of a gate on one deployment."""
    chosen = plan(deployments=refs(SMOL), timed=(SMOL,), metrics=("decode_tps",))
    return decide(chosen, [observation(SMOL, side, **changes) for side in "ab"], pairs)


def test_a_gate_whose_weights_changed_decides_nothing():
    """A file replaced, or a gate resumed after it: no library is judged by it."""
    result = decided(slower(OLD, NEW))
    assert result.verdict == "inconclusive"
    assert {finding.verdict for finding in (*result.behaviour, *result.metrics)} == {"inconclusive"}
    assert result.metrics[0].sentence == (
        f"decode_tps of {SMOL}: other weights were measured (revisions 0123456789ab and "
        "fedcba987654), so nothing follows for the libraries"
    )
    assert decided(slower(OLD, OLD), revision=NEW).verdict == "inconclusive"


def test_the_same_weights_and_unknown_ones_are_judged():
    """What is not known may be the same."""
    assert decided(slower(OLD, OLD), revision=OLD).verdict == "regressed"
    assert decided(slower("", OLD)).verdict == "regressed"
    assert decided(slower()).verdict == "regressed"


def test_the_revision_of_the_weights_stands_beside_each_deployment():
    """Of the processes that were asked and of those that were timed."""
    result = regressed()
    observed = replace(result.observations[0], revision=OLD)
    timed = replace(result.pairs[0], a=replace(result.pairs[0].a, revision=NEW))
    result = replace(result, observations=(observed,), pairs=(timed,))
    documents = render(result)
    assert f"| `{QWEN}` | 0123456789ab | " in documents["gate.md"]
    assert f"| `{SMOL}` | fedcba987654 | " in documents["gate.md"]
    page = documents["gate.html"]
    assert f"<code>{QWEN}</code><td>0123456789ab<td>" in page
    assert '"revision": "0123456789abcdef"' in documents["gate.json"]


@given(st.text(), st.text())
def test_any_revision_round_trips(observed, timed):
    """Of an observation and of a process of a pair."""
    result = passed()
    pair = replace(result.pairs[0], a=replace(result.pairs[0].a, revision=timed))
    observation = replace(result.observations[0], revision=observed)
    result = replace(result, observations=(observation,), pairs=(pair,))
    with tempfile.TemporaryDirectory() as folder:
        (file,) = write_documents({"gate.json": to_text(result)}, Path(folder))
        assert read_result(file) == result
