"""One fresh process, timed: one number for each metric, the median over its prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.errors import WorkerError
from qualification.core.metrics import GATE_LIMITS
from qualification.core.protocol import Generation
from qualification.judging.stats.estimators import median
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed, ImageSource
from qualification.tasks.questions import generate
from qualification.upgrade.gate.records import ProcessSample
from qualification.upgrade.gate.side import deployed

METRICS = tuple(GATE_LIMITS)
"""The metrics of a process; peak_device_bytes only where the driver reports it."""

MEMORY = frozenset({"peak_memory_bytes", "peak_device_bytes"})
"""Those that other work on the machine does not change."""

PROMPTS, PHASED = 5, 2
"""Prompts of a process, and requests whose phases are timed for the prefill speed."""

HARDWARE_TOKENS, SLOW_TOKENS = 128, 32
"""Tokens of a timed request: on real hardware, and without an accelerator."""

CANARY_REQUESTS = {"mlx": (5, 64), "torch": (9, 64), "llamacpp": (32, 128), "llama.cpp": (32, 128)}
"""Engine -> timed requests of a canary, and tokens of each. A request takes tens of milliseconds,
so one pause of the scheduler distorts it: the median of many requests is robust to pauses, that of
five is not (on a shared machine llama.cpp's speed is 2,000 to 5,700 tok/s within one process)."""

CANARY_LOADS = 5
"""Times that a canary is loaded in its process, for the same reason; all but one at its end."""


def sample(
    deployment: Deployment,
    *,
    context: RunContext,
    metrics: Collection[str],
    seed: int,
) -> ProcessSample:
    """Load in a fresh process and time it; a worker's failure is the sample's, not an exception.

    ``seed`` chooses the images, equal on both sides of a pair. The first request, on another
    image of the same size, is a warm-up and not counted.
    """
    try:
        with deployed(deployment, context) as loaded:
            raw = _measured(loaded, metrics, seed)
            revision = loaded.load_report.revision
    except WorkerError as error:
        return ProcessSample(failure=f"{error.kind}: {error}")
    chosen = {name: values for name, values in raw.items() if values and name in metrics}
    medians = {name: median(values) for name, values in chosen.items()}
    return ProcessSample(medians, chosen, revision=revision)


def _measured(
    loaded: Deployed, metrics: Collection[str], seed: int
) -> dict[str, tuple[float, ...]]:
    raw: dict[str, tuple[float, ...]] = {"load_s": (loaded.load_report.load_s,)}
    if {"ttft_s", "decode_tps", "prefill_tps"} & set(metrics):
        prompts = _prompts(loaded.deployment, seed)
        requests, tokens = _requests(loaded)

        def ask(number: int, *, count: int = tokens, phases: bool = False) -> Generation:
            prompt, images = prompts[number]
            return loaded.generate(
                prompt, *images, max_tokens=count, fixed_length=True, phases=phases
            )

        ask(0)
        timed = [ask(1 + number % PROMPTS) for number in range(requests)]
        raw["ttft_s"] = _finite(timed, lambda generation: generation.ttft_s)
        raw["decode_tps"] = _finite(timed, lambda generation: generation.decode_tps)
        if "prefill_tps" in metrics:
            phased = [ask(1 + number, count=2, phases=True) for number in range(PHASED)]
            raw["prefill_tps"] = _finite(phased, lambda generation: generation.prefill_tps)
    elif MEMORY & set(metrics):
        prompt, images = _prompts(loaded.deployment, seed)[0]
        loaded.generate(prompt, *images, max_tokens=8, fixed_length=True)
    report = loaded.memory()
    raw["peak_memory_bytes"] = (float(report.peak_memory_bytes),)
    if report.peak_device_bytes:
        raw["peak_device_bytes"] = (float(report.peak_device_bytes),)
    if loaded.is_canary and "load_s" in metrics:
        reloads = (loaded.load_again().load_s for _ in range(CANARY_LOADS - 1))
        raw["load_s"] = (*raw["load_s"], *reloads)
    return raw


def _finite(generations: list[Generation], of: Callable[[Generation], float]) -> tuple[float, ...]:
    return tuple(value for value in map(of, generations) if math.isfinite(value) and value > 0)


def _requests(loaded: Deployed) -> tuple[int, int]:
    """How many requests are timed, and how many tokens each has."""
    if loaded.is_canary:
        engine = loaded.deployment.source.engine
        return CANARY_REQUESTS.get(engine, (PROMPTS, HARDWARE_TOKENS))
    slow = loaded.tier is not None and loaded.tier.accelerator == "none"
    return PROMPTS, SLOW_TOKENS if slow else HARDWARE_TOKENS


def _prompts(deployment: Deployment, seed: int) -> list[tuple[str, tuple[ImageSource, ...]]]:
    """A prompt to warm up with and those that are timed, all with images of one size."""
    has_images = "vision" in deployment.model.capabilities and not _is_text_only(deployment)
    skill = "both" if has_images else "colour"
    questions = generate(seed, 16 * (PROMPTS + 1), "heldout", [skill])
    by_size: dict[tuple[int, int], list[tuple[str, tuple[ImageSource, ...]]]] = {}
    for question in questions:
        scene = question.scenes[0]
        images: tuple[ImageSource, ...] = tuple(question.images()) if has_images else ()
        prompt = question.prompt if has_images else f"{question.prompt} {question.identifier}"
        by_size.setdefault((scene.width, scene.height), []).append((prompt, images))
    # The most frequent size has enough prompts whatever the seed.
    return max(by_size.values(), key=len)[: PROMPTS + 1]


def _is_text_only(deployment: Deployment) -> bool:
    """Whether images take too long: half an hour each in MLX's CPU build with random weights."""
    return answers_at_random(deployment) and deployment.source.backend == "mlx"
