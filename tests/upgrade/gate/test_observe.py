"""What the gate asks, which deployments it is about, and what it takes for a warning."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import GateError, WeightsError
from qualification.core.paths import home
from qualification.models.loading import load_registry
from qualification.upgrade.gate.observe import held_out, warnings_in
from qualification.upgrade.gate.plan import chosen, chosen_metrics, timed
from qualification.upgrade.gate.reference import NAME, has_reference, references_of
from qualification.upgrade.gate.timed import METRICS
from tests.support.session_sample import session

REGISTRY = load_registry()
EVERYTHING = dict.fromkeys(
    ("mlx", "mlx-vlm", "torch", "torchvision", "transformers", "llama-cpp-python"), "1"
)


def choose(**changes):
    """Canaries for two environments that have everything, unless changed."""
    facts = {
        "weights": "canary",
        "models": (),
        "backends": (),
        "machine": session().machine,
        "tier": None,
        "versions": (EVERYTHING, EVERYTHING),
    }
    return chosen(REGISTRY, **(facts | changes))


def test_a_canary_gate_is_about_every_canary_that_both_environments_can_run():
    """A backend that one of them lacks is left out."""
    every = choose()
    assert {one.source.backend for one in every} == {"mlx", "torch", "llamacpp"}
    without = {name: v for name, v in EVERYTHING.items() if not name.startswith("mlx")}
    assert {one.source.backend for one in choose(versions=(EVERYTHING, without))} == {
        "torch",
        "llamacpp",
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"models": ("no-such-*",)}, "no declared deployment matches"),
        ({"versions": (EVERYTHING, {})}, "environment B has no"),
    ],
)
def test_nothing_to_compare_is_said_with_its_reason(changes, why):
    """Not an empty gate that passes."""
    with pytest.raises(GateError, match=why):
        choose(**changes)


def test_of_unnamed_canaries_one_of_each_backend_is_timed():
    """Of full precision; those that are named are all timed."""
    every = choose()
    some = timed(every, named=False)
    assert sorted(one.source.backend for one in some) == ["llamacpp", "mlx", "torch"]
    assert all(has_reference(one) for one in some)
    assert timed(every, named=True) == every


def test_no_question_is_in_two_attempts():
    """What confirms a failure is not what raised the suspicion."""
    for deployment in choose():
        first, second = ({q.identifier for q in held_out(deployment, n)} for n in (0, 1))
        assert first
        assert len(second) > len(first)
        assert not first & second


def test_every_question_of_a_full_precision_canary_has_a_reference():
    """Or the margins check would say nothing where it matters."""
    for deployment in filter(has_reference, choose()):
        known = set().union(*references_of(deployment, home() / "fixtures"))
        asked = [q.identifier for n in (0, 1) for q in held_out(deployment, n)]
        assert sum(name in known for name in asked) >= 0.95 * len(asked), deployment.identifier


def test_a_damaged_reference_is_named(tmp_path):
    """With the command that makes it again."""
    (tmp_path / "canaries").mkdir()
    (tmp_path / NAME).write_text(json.dumps({"current": {"margins": {"x": 3}}}))
    deployment = next(filter(has_reference, choose()))
    with pytest.raises(WeightsError, match="make_margins"):
        references_of(deployment, tmp_path)


def test_warnings_of_two_environments_compare():
    """Where a file lies and what a number is differs between two equal runs."""
    one = "/a/b/lib.py:31: FutureWarning: x is deprecated since 5.1\nloading\n"
    other = "/c/lib.py:77: FutureWarning: x is deprecated since 5.2\n"
    assert warnings_in(one) == warnings_in(other) != ()
    assert warnings_in("all is well\n") == ()


@given(st.text())
def test_any_log_has_warnings_or_none(log):
    """Hostile text neither breaks it nor comes through with control characters."""
    for line in warnings_in(log):
        assert line.isprintable() or all(ord(c) >= 32 for c in line)


def test_metrics_are_named_or_all():
    """Of a GPU's memory only where there is one; of canaries the speed only where asked for."""
    machine = session().machine
    assert "peak_device_bytes" not in chosen_metrics("all", machine, "canary")
    assert chosen_metrics("none", machine, "hub") == ()
    assert chosen_metrics("", machine, "hub") == chosen_metrics("all", machine, "canary")
    assert chosen_metrics("", machine, "canary") == ("peak_memory_bytes",)
    assert chosen_metrics("load_s, ttft_s,load_s", machine, "canary") == ("load_s", "ttft_s")
    assert set(chosen_metrics("all", machine, "hub")) < set(METRICS)
    for wrong in ("latency", " ", "load_s,tps"):
        with pytest.raises(GateError, match="--metrics"):
            chosen_metrics(wrong, machine, "hub")
