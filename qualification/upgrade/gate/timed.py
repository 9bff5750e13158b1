"""One fresh process, timed: one number for each metric, the median over its prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.errors import WorkerError
from qualification.core.protocol import Generation
from qualification.judging.stats.estimators import median
from qualification.session.deployed import Deployed, Picture
from qualification.tasks.questions import generate
from qualification.upgrade.gate.records import Sample
from qualification.upgrade.gate.side import Place, deployed

METRICS = (
    "load_s",
    "ttft_s",
    "prefill_tps",
    "decode_tps",
    "peak_memory_bytes",
    "peak_device_bytes",
)
"""What a process is timed for; the last one only where the driver tells it."""

PROMPTS, PHASED = 5, 2
"""Prompts of a process, and requests that are taken apart for the prefill."""

HARDWARE_TOKENS, SLOW_TOKENS = 128, 32
"""Tokens of a timed request where models are used, and without an accelerator."""

CANARY_REQUESTS = {"mlx": (5, 64), "torch": (9, 64), "llamacpp": (32, 128)}
"""Timed requests of a canary, and tokens of each, by backend. They take tens of milliseconds, of
which one pause of the scheduler is much: the median of many bears it, that of five long ones does
not (on a shared machine llama.cpp's speed is 2,000 to 5,700 tok/s within one process)."""

CANARY_LOADS = 5
"""Times that a canary is loaded in its process, for the same reason; the later ones at its end."""


def sample(
    deployment: Deployment,
    *,
    python: str,
    place: Place,
    metrics: Collection[str],
    seed: int,
) -> Sample:
    """Load in a fresh process and time it; a worker's failure is the sample's, not an exception.

    ``seed`` chooses the pictures, equal on both sides of a pair. The first request, on another
    picture of the same size, is a warm-up and not counted.
    """
    try:
        with deployed(deployment, python, place) as loaded:
            raw = _measured(loaded, metrics, seed)
    except WorkerError as error:
        return Sample(failure=f"{error.kind}: {error}")
    kept = {name: values for name, values in raw.items() if values and name in metrics}
    return Sample({name: median(values) for name, values in kept.items()}, kept)


def _measured(
    loaded: Deployed, metrics: Collection[str], seed: int
) -> dict[str, tuple[float, ...]]:
    raw: dict[str, tuple[float, ...]] = {"load_s": (loaded.load_report.load_s,)}
    if {"ttft_s", "decode_tps", "prefill_tps"} & set(metrics):
        prompts = _prompts(loaded.deployment, seed)
        requests, tokens = _requests(loaded)

        def ask(number: int, *, count: int = tokens, phases: bool = False) -> Generation:
            prompt, pictures = prompts[number]
            return loaded.generate(
                prompt, *pictures, max_tokens=count, fixed_length=True, phases=phases
            )

        ask(0)
        timed = [ask(1 + number % PROMPTS) for number in range(requests)]
        raw["ttft_s"] = _finite(timed, lambda one: one.ttft_s)
        raw["decode_tps"] = _finite(timed, lambda one: one.decode_tps)
        if "prefill_tps" in metrics:
            apart = [ask(1 + number, count=2, phases=True) for number in range(PHASED)]
            raw["prefill_tps"] = _finite(apart, lambda one: one.prefill_tps)
    elif {"peak_memory_bytes", "peak_device_bytes"} & set(metrics):
        prompt, pictures = _prompts(loaded.deployment, seed)[0]
        loaded.generate(prompt, *pictures, max_tokens=8, fixed_length=True)
    report = loaded.memory()
    raw["peak_memory_bytes"] = (float(report.peak_memory_bytes),)
    if report.peak_device_bytes:
        raw["peak_device_bytes"] = (float(report.peak_device_bytes),)
    if loaded.is_canary and "load_s" in metrics:
        again = (loaded.load_again().load_s for _ in range(CANARY_LOADS - 1))
        raw["load_s"] = (*raw["load_s"], *again)
    return raw


def _finite(generations: list[Generation], of: Callable[[Generation], float]) -> tuple[float, ...]:
    return tuple(value for value in map(of, generations) if math.isfinite(value) and value > 0)


def _requests(loaded: Deployed) -> tuple[int, int]:
    """How many requests are timed, and how many tokens each has."""
    if loaded.is_canary:
        backend = loaded.deployment.source.backend
        return CANARY_REQUESTS.get(backend, (PROMPTS, HARDWARE_TOKENS))
    slow = loaded.tier is not None and loaded.tier.accelerator == "none"
    return PROMPTS, SLOW_TOKENS if slow else HARDWARE_TOKENS


def _prompts(deployment: Deployment, seed: int) -> list[tuple[str, tuple[Picture, ...]]]:
    """A prompt to warm up with and those that are timed, all with pictures of one size."""
    capable = "vision" in deployment.model.capabilities and not _text_only(deployment)
    some = generate(seed, 16 * (PROMPTS + 1), "heldout", ["both" if capable else "colour"])
    by_size: dict[tuple[int, int], list[tuple[str, tuple[Picture, ...]]]] = {}
    for question in some:
        scene = question.scenes[0]
        pictures: tuple[Picture, ...] = tuple(question.images()) if capable else ()
        prompt = question.prompt if capable else f"{question.prompt} {question.identifier}"
        by_size.setdefault((scene.width, scene.height), []).append((prompt, pictures))
    # The most frequent size, so that enough are there whatever the seed.
    return max(by_size.values(), key=len)[: PROMPTS + 1]


def _text_only(deployment: Deployment) -> bool:
    """Random weights without an accelerator: MLX's CPU build takes half an hour for a picture."""
    return answers_at_random(deployment) and deployment.source.backend == "mlx"
