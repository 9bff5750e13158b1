"""One fresh process, timed: one number for each metric, the median over its prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from qualification.errors import WorkerError
from qualification.gate.records import Sample
from qualification.gate.side import Place, deployed
from qualification.plan import answers_at_random
from qualification.questions import generate
from qualification.records import Deployment, Generation
from qualification.session import Deployed, Picture
from qualification.statistics import median

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
"""Timed requests of a process, and those that are taken apart for the prefill."""

HARDWARE_TOKENS, SLOW_TOKENS = 128, 32
"""Tokens of a timed request where models are used, and without an accelerator."""

CANARY_TOKENS = {"mlx": 64, "torch": 128, "llamacpp": 512}
"""Of a canary, by backend: some tenths of a second each, so that a pause of the scheduler is little
of it (llama.cpp makes thousands of its tokens a second)."""


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
        tokens = _tokens(loaded)

        def ask(number: int, *, count: int = tokens, phases: bool = False) -> Generation:
            prompt, pictures = prompts[number]
            return loaded.generate(
                prompt, *pictures, max_tokens=count, fixed_length=True, phases=phases
            )

        ask(0)
        timed = [ask(1 + number) for number in range(PROMPTS)]
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
    return raw


def _finite(generations: list[Generation], of: Callable[[Generation], float]) -> tuple[float, ...]:
    return tuple(value for value in map(of, generations) if math.isfinite(value) and value > 0)


def _tokens(loaded: Deployed) -> int:
    if loaded.is_canary:
        wanted = CANARY_TOKENS.get(loaded.deployment.source.backend, HARDWARE_TOKENS)
        return min(wanted, loaded.deployment.model.context // 2)
    slow = loaded.tier is not None and loaded.tier.accelerator == "none"
    return SLOW_TOKENS if slow else HARDWARE_TOKENS


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
