"""The gate's questions, its choice of deployments and metrics, and its reading of warnings."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import GateError, WeightsError
from qualification.models.loading import load_registry
from qualification.upgrade.gate.observe import held_out, warnings_in
from qualification.upgrade.gate.plan import (
    GateRequest,
    choose_deployments,
    choose_metrics,
    choose_timed,
)
from qualification.upgrade.gate.reference import NAME, has_reference, references_of
from qualification.upgrade.gate.timed import METRICS
from tests.support.session_sample import session

REGISTRY = load_registry()
EVERYTHING = dict.fromkeys(
    ("mlx", "mlx-vlm", "torch", "torchvision", "transformers", "llama-cpp-python", "xllamacpp"), "1"
)


def choose(*, versions=(EVERYTHING, EVERYTHING), **options):
    """Canaries for two environments that have everything, unless changed."""
    return choose_deployments(REGISTRY, GateRequest(**options), session().machine, None, versions)


def test_a_canary_gate_is_about_every_canary_that_both_environments_can_run():
    """A backend that one of them lacks is left out."""
    engines = {"mlx", "torch", "llamacpp", "llama.cpp"}
    assert {canary.source.place for canary in choose()} == engines
    without = {name: v for name, v in EVERYTHING.items() if not name.startswith("mlx")}
    remaining = choose(versions=(EVERYTHING, without))
    assert {canary.source.place for canary in remaining} == engines - {"mlx"}
    without.pop("xllamacpp")
    remaining = choose(versions=(without, EVERYTHING))
    assert {canary.source.place for canary in remaining} == {"torch", "llamacpp"}
    only = choose(versions=({"xllamacpp": "2"}, {"xllamacpp": "1"}))
    assert {canary.source.place for canary in only} == {"llama.cpp"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"models": ("no-such-*",)}, "no declared deployment matches"),
        ({"versions": (EVERYTHING, {})}, "candidate has no"),
        ({"models": ("*@llama-server",)}, "a server is gated by its library"),
    ],
)
def test_nothing_to_compare_is_said_with_its_reason(changes, why):
    """Not an empty gate that passes."""
    with pytest.raises(GateError, match=why):
        choose(**changes)


def test_one_unnamed_canary_of_each_engine_is_timed():
    """It has full precision; named ones are all timed."""
    canaries = choose()
    timed = choose_timed(canaries, named=False)
    engines = ["llama.cpp", "llamacpp", "mlx", "torch"]
    assert sorted(canary.source.engine for canary in timed) == engines
    assert all(map(has_reference, timed))
    assert choose_timed(canaries, named=True) == canaries


def test_no_question_is_in_two_attempts():
    """A suspicion is confirmed by other questions than those that raised it."""
    for deployment in choose():
        suspicion, confirmation = (
            {question.identifier for question in held_out(deployment, attempt)}
            for attempt in (0, 1)
        )
        assert suspicion
        assert len(confirmation) > len(suspicion)
        assert not suspicion & confirmation


def test_every_question_of_a_full_precision_canary_has_a_reference():
    """Or the margins check would say nothing where it matters."""
    for deployment in filter(has_reference, choose()):
        references = set().union(*references_of(deployment))
        questions = [q.identifier for n in (0, 1) for q in held_out(deployment, n)]
        covered = sum(name in references for name in questions)
        assert covered >= 0.95 * len(questions), deployment.identifier


def test_a_damaged_reference_is_named(tmp_path):
    """In one sentence."""
    (tmp_path / NAME).write_text(json.dumps({"current": {"margins": {"x": 3}}}))
    deployment = next(filter(has_reference, choose()))
    path = str(tmp_path / "smolvlm")
    with pytest.raises(WeightsError, match=r"margins\.json: cannot be read as margins"):
        references_of(replace(deployment, source=replace(deployment.source, path=path)))


def test_warnings_of_two_environments_compare():
    """Paths and numbers differ between two equal runs."""
    a = "/a/b/lib.py:31: FutureWarning: x is deprecated since 5.1\nloading\n"
    b = "/c/lib.py:77: FutureWarning: x is deprecated since 5.2\n"
    assert warnings_in(a) == warnings_in(b) != ()
    assert warnings_in("all is well\n") == ()


@given(st.text())
def test_any_log_has_warnings_or_none(log):
    """Hostile text neither breaks it nor comes through with control characters."""
    for line in warnings_in(log):
        assert line.isprintable() or all(ord(c) >= 32 for c in line)


def test_metrics_are_named_or_all():
    """GPU memory only where there is a GPU; the speed of canaries only where it is asked for."""
    machine = session().machine
    assert "peak_device_bytes" not in choose_metrics("all", machine, "canary")
    assert choose_metrics("none", machine, "hub") == ()
    assert choose_metrics("", machine, "hub") == choose_metrics("all", machine, "canary")
    assert choose_metrics("", machine, "canary") == ("peak_memory_bytes",)
    assert choose_metrics("load_s, ttft_s,load_s", machine, "canary") == ("load_s", "ttft_s")
    assert set(choose_metrics("all", machine, "hub")) < set(METRICS)
    for wrong in ("latency", " ", "load_s,tps"):
        with pytest.raises(GateError, match="--metrics"):
            choose_metrics(wrong, machine, "hub")
