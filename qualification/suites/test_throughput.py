"""How fast is it? Timed by pytest-benchmark, so its table, JSON and compare work."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from qualification.judging.stats.estimators import drift

if TYPE_CHECKING:
    from collections.abc import Callable

    from qualification.core.protocol import Generation
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import Once, TimedRequest

pytestmark = pytest.mark.suite(
    "throughput", "time to first token and decoding speed, through pytest-benchmark"
)

ROUNDS, PHASED = 5, 3
LARGE = (1600, 1200)
"""Pixels of an image that every limit on pixels must reduce."""


def test_speed(
    once: Once,
    deployed: Deployed,
    timed_request: TimedRequest,
    sentinel: Callable[[], tuple[float, ...]],
    benchmark: Any,
    fixed_length: int,
) -> None:
    """Whole requests of fixed length: time to first token and decoding speed of each."""
    kind = "one image" if len(timed_request.measured) > 1 else "text alone"
    benchmark.group = f"{kind}, fixed length"
    once("sentinel", sentinel)  # warms up with another prompt of the same size
    runs: list[Generation] = []

    def request() -> None:
        generation = deployed.generate(
            *timed_request.measured, max_tokens=fixed_length, fixed_length=True
        )
        runs.append(generation)

    benchmark.pedantic(request, rounds=ROUNDS, iterations=1)
    assert all(len(run.token_times_s) == fixed_length for run in runs), [
        len(run.token_times_s) for run in runs
    ]
    timed = [run for run in runs if run.has_speed]
    deployed.record("ttft_s", *[run.ttft_s for run in runs if not run.is_cached])
    deployed.record("decode_tps", *[run.decode_tps for run in timed])
    deployed.record("e2e_s", *[run.e2e_s for run in runs])
    if timed:
        deployed.record("token_drift", drift([step for run in timed for step in _intervals(run)]))
    untimed = {
        "burst_answers": sum(run.is_burst for run in runs),
        "replayed_answers": sum(run.is_replayed for run in runs),
        "cached_answers": sum(run.is_cached for run in runs),
    }
    for metric, count in untimed.items():
        if count:
            deployed.record(metric, count)
    benchmark.extra_info.update(
        deployment=deployed.identifier,
        ttft_s=[run.ttft_s for run in runs],
        decode_tps=[run.decode_tps for run in timed],
    )


def test_phases(deployed: Deployed, timed_request: TimedRequest) -> None:
    """The phases of the time to first token, as far as the backend can be hooked.

    They need requests of their own, because separating the phases takes time.
    """
    runs = [
        deployed.generate(*request, max_tokens=2, fixed_length=True, phases=True)
        for request in (timed_request.warm_up, *[timed_request.measured] * PHASED)
    ][1:]
    for run in runs:
        phases = run.phases
        assert phases is not None, "the backend has no phases"
        observed = {
            metric: value
            for metric, value in (
                ("preprocess_s", phases.preprocess_s),
                ("vision_encode_s", phases.vision_encode_s),
                ("prefill_s", phases.prefill_s),
            )
            if value is not None
        }
        for metric, value in observed.items():
            deployed.record(metric, value)
        total = sum(observed.values())
        assert total <= run.ttft_s, f"phases of {total} s in {run.ttft_s} s to the first token"
        if phases.prefill_s is not None:
            deployed.record("prefill_tps", run.prefill_tps)
    if runs[0].prompt_tokens > 0:
        deployed.record("prompt_tokens", runs[0].prompt_tokens)
    if runs[0].image_tokens > 0:
        deployed.record("image_tokens", runs[0].image_tokens)


@pytest.mark.needs("vision")
@pytest.mark.parametrize("size", ["as_timed", "large"])
def test_image_tokens(deployed: Deployed, timed_request: TimedRequest, size: str) -> None:
    """An image takes as many tokens as the settings in the model's files imply.

    An ignored setting would silently make a large image many times as expensive.
    """
    prompt, (image,) = timed_request.measured[0], timed_request.measured[1:]
    if size == "large":
        image = image.resize(LARGE, Image.Resampling.NEAREST)
    run = deployed.generate(prompt, image, max_tokens=1, phases=True)
    count, expected = run.image_tokens, run.image_tokens_expected
    assert count != 0, "an image was given, and no token of the prompt stands for it"
    assert run.prompt_tokens < 0 or count < run.prompt_tokens, (
        f"{count} of {run.prompt_tokens} tokens are the image's"
    )
    if expected >= 0 and count >= 0:
        pixels = "{} x {}".format(*image.size)
        assert count == expected, (
            f"{count} image tokens of {pixels} pixels, the files say {expected}"
        )


def _intervals(run: Generation) -> list[float]:
    return [after - before for before, after in pairwise(run.token_times_s)]
