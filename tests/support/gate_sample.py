"""Hand-made results of a gate, for the tests of its reports; their figures mean nothing."""

from dataclasses import replace

from qualification.core.results import Condition
from qualification.judging.stats.sequential import Decision, Effect, InterimAnalysis
from qualification.upgrade.gate.records import (
    Answer,
    Behaviour,
    BehaviourFinding,
    DeploymentRef,
    EnvironmentRecord,
    GatePlan,
    GateResult,
    Growth,
    MetricFinding,
    Pair,
    Probe,
    ProcessSample,
)
from tests.support.session_sample import session

QWEN = "qwen2.5-vl-canary-f32@mlx"
SMOL = "smolvlm-canary-f32@torch"
LLAVA = "llava-next-canary-q8@llamacpp"
METRICS = ("load_s", "ttft_s", "decode_tps", "peak_memory_bytes")
CHECKS = (
    "load",
    "answers",
    "state",
    "text_only",
    "multi_image",
    "given_as[bytes]",
    "growth",
    "warnings",
)


def refs(*names, weights="canary"):
    """References to deployments."""
    return tuple(DeploymentRef(name, weights) for name in names)


def plan(**changes):
    """From one release of mlx-vlm to the next, on three canaries, two of them timed."""
    versions = {"mlx": "0.31.2", "mlx-vlm": "0.6.3", "transformers": "5.12.1", "numpy": "2.4.6"}
    moved = versions | {"mlx_vlm": "0.6.4", "numpy": "2.4.7", "outlines": "1.0"}
    del moved["mlx-vlm"]
    facts = {
        "identifier": "20260101T000000Z-abc123",
        "started": "2026-01-01T00:00:00+00:00",
        "a": EnvironmentRecord("current", "3.11.7", "1f2e", ("mlx-vlm==0.6.3",), versions),
        "b": EnvironmentRecord(
            "current + mlx-vlm==0.6.4",
            *("3.11.7", "9a8b", ("mlx-vlm==0.6.4",), moved),
            moved=("numpy 2.4.6 → 2.4.7",),
        ),
        "machine": session().machine,
        "deployments": refs(QWEN, SMOL, LLAVA),
        "timed": (SMOL, LLAVA),
        "metrics": METRICS,
        "seed": 4711,
        "weights": "canary",
        "budget_s": 900.0,
        "conditions": (
            Condition("power", "mains"),
            Condition("load", "1.9 of 2 cores", fit=False, note="another process"),
        ),
    }
    return GatePlan(**(facts | changes))


def pairs(deployment, count, decode=1.0):
    """``count`` pairs; the candidate decodes by the factor ``decode`` slower."""

    def sample(number, slower):
        wobble = 1 + 0.004 * ((number * 7) % 5 - 2)
        metrics = {
            "load_s": 0.82 * wobble,
            "ttft_s": 0.0351 * wobble,
            "decode_tps": 61.5 / slower * wobble,
            "peak_memory_bytes": 912e6 + 1e5 * number,
        }
        return ProcessSample(metrics, {name: (value,) for name, value in metrics.items()})

    leaders = "abbbaa"
    return tuple(
        Pair(deployment, number, leaders[number % 6], sample(number, 1), sample(number, decode))
        for number in range(count)
    )


def metric(deployment, name, verdict, effect, series, *, decision=None, note="", sentence=""):
    """A finding whose values are those of the pairs."""
    analyses = (InterimAnalysis(6, 0.34, 0.016),)
    chosen = decision or Decision(
        verdict, "first", len(series), 0, analyses, "less than 0.05 slower"
    )
    return MetricFinding(
        deployment,
        name,
        verdict,
        sentence or f"{name} of {deployment}: {chosen.reason}",
        chosen,
        effect,
        tuple(pair.a.metrics[name] for pair in series),
        tuple(pair.b.metrics[name] for pair in series),
        note,
    )


def answer(text, number=0):
    """An answer to a question whose expected answer is red."""
    return Answer(f"colour-{number}", "colour", "red", text, (5, 6), 210, text == "red")


def observation(deployment, side, text="red", **changes):
    """One process that was asked two questions."""
    facts = {
        "deployment": deployment,
        "side": side,
        "attempt": 0,
        "probes": (Probe("load", "ok"), Probe("answers", "ok")),
        "answers": (answer("red"), answer(text, 1)),
        "growth": Growth(120.0, -800.0, 1100.0, 16),
        "wall_s": 8.5,
    }
    return Behaviour(**(facts | changes))


def ok(deployment, *exceptions):
    """A pass of each check that is not among the exceptions, and these."""
    excepted = {finding.check for finding in exceptions}
    passes = [
        BehaviourFinding(deployment, check, "pass", f"{check} of {deployment}: as before")
        for check in CHECKS
        if check not in excepted
    ]
    return (*passes, *exceptions)


def regressed(text="blue", **changes):
    """Wrong answers (the candidate says ``text``), a slower decode, and one of each other kind."""
    smol, llava = pairs(SMOL, 12, decode=1.08), pairs(LLAVA, 9)
    facts = {
        "plan": plan(),
        "verdict": "regressed",
        "behaviour": _behaviour(text),
        "metrics": _metrics(smol, llava),
        "pairs": (*smol, *llava),
        "observations": (
            observation(QWEN, "a"),
            observation(QWEN, "b", text),
            observation(SMOL, "a"),
            observation(SMOL, "b", warnings=(text,)),
        ),
        "sentence": "No, not from current to current + mlx-vlm==0.6.4: 2 of 24 are regressed.",
        "wall_s": 754.2,
    }
    return GateResult(**(facts | changes))


def _behaviour(text):
    answers = f"answers of {QWEN}: 1 of 2 differ (colour-1: 'red' and {text!r})"
    warnings = f"warnings of {SMOL}: new in the candidate: {text}"
    return (
        *ok(
            QWEN,
            BehaviourFinding(QWEN, "answers", "regressed", answers),
            BehaviourFinding(QWEN, "state", "inconclusive", f"state of {QWEN}: not repeated"),
        ),
        *ok(
            SMOL,
            BehaviourFinding(SMOL, "warnings", "pass", warnings, "new warning"),
            BehaviourFinding(
                SMOL, "multi_image", "pass", f"multi_image of {SMOL}: both fail", "both fail"
            ),
        ),
        BehaviourFinding(LLAVA, "load", "pass", f"load of {LLAVA}: as before"),
        BehaviourFinding(LLAVA, "answers", "pass", f"answers of {LLAVA}: improved", "improved"),
    )


def _metrics(smol, llava):
    slower = Decision(
        "regressed",
        "confirmation",
        12,
        0,
        (InterimAnalysis(6, 1 / 64, 1.0), InterimAnalysis(6, 1 / 64, 1.0, "confirmation")),
        "slower after 6 pairs, and again in 6 fresh ones",
    )
    analyses = (InterimAnalysis(6, 0.3, 0.2), InterimAnalysis(9, 0.2, 0.2))
    noisy = Decision("unfit", "first", 9, 0, analyses, "too noisy")
    undecided = Decision("open", "first", 5, 6, (), "not decided")
    load = Effect(1.002, 0.991, 1.013, 12, 0.041)
    faster = Effect(0.93, 0.9, 0.96, 12, 0.03)
    decode = Effect(1.08, 1.071, 1.089, 12, 0.02)
    peak = Effect(1.0, 0.999, 1.001, 12, 0.006)
    wide = Effect(1.1, 0.7, 1.9, 9, 0.44)
    unbounded = Effect(1.03, 0.0, float("inf"), 5, 0.07)
    return (
        metric(SMOL, "load_s", "pass", load, smol),
        metric(SMOL, "ttft_s", "pass", faster, smol, note="improved"),
        metric(SMOL, "decode_tps", "regressed", decode, smol, decision=slower),
        metric(SMOL, "peak_memory_bytes", "pass", peak, smol),
        metric(LLAVA, "load_s", "unfit", wide, llava, decision=noisy),
        metric(
            LLAVA,
            "decode_tps",
            "inconclusive",
            unbounded,
            llava,
            decision=undecided,
            note="budget",
        ),
    )


def passed(**changes):
    """Nothing but passes."""
    series = pairs(SMOL, 6)
    facts = {
        "plan": plan(deployments=refs(SMOL), timed=(SMOL,), conditions=()),
        "verdict": "pass",
        "behaviour": ok(SMOL),
        "metrics": tuple(
            metric(SMOL, name, "pass", Effect(1.0, 0.99, 1.01, 6, 0.02), series) for name in METRICS
        ),
        "pairs": series,
        "observations": (observation(SMOL, "a"), observation(SMOL, "b")),
        "sentence": "Yes, from current to current + mlx-vlm==0.6.4: all 12 comparisons pass.",
    }
    return GateResult(**(facts | changes))


def steps():
    """A running gate's results, one after the other; none of them is finished."""
    finished = regressed()
    empty = replace(
        finished,
        verdict="inconclusive",
        behaviour=(),
        metrics=(),
        pairs=(),
        observations=(),
        finished=False,
    )
    asking = replace(empty, observations=finished.observations[:1])
    behaved = replace(empty, behaviour=finished.behaviour, observations=finished.observations)
    undecided = Decision("open", "first", 4, 6, (), "not decided")
    unbounded = Effect(1.01, 0.0, float("inf"), 4, 0.05)
    four = pairs(SMOL, 4)
    opened = tuple(
        metric(SMOL, name, "inconclusive", unbounded, four, decision=undecided) for name in METRICS
    )
    timing = replace(behaved, metrics=opened, pairs=four, wall_s=60.0)
    return (empty, asking, behaved, timing, replace(finished, finished=False))
