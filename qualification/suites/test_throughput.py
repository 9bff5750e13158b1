"""How fast is it? Timed by pytest-benchmark, so its table, JSON and compare work."""

from itertools import pairwise

import pytest
from PIL import Image

from qualification.judging.stats.estimators import drift

pytestmark = pytest.mark.throughput

ROUNDS, PHASED = 5, 3
LARGE = (1600, 1200)
"""Pixels of a picture that every limit on pixels must make smaller."""


@pytest.mark.needs("vision")
def test_speed(once, deployed, pair, sentinel, benchmark, fixed_length):
    """Whole requests of a fixed length: time to first token and decoding speed of each."""
    benchmark.group = "one picture, fixed length"
    once("sentinel", sentinel)  # warms up with another picture of the same size
    runs = []

    def request():
        runs.append(
            deployed.generate(pair.prompt, pair.picture, max_tokens=fixed_length, fixed_length=True)
        )

    benchmark.pedantic(request, rounds=ROUNDS, iterations=1)
    assert all(len(run.token_times_s) == fixed_length for run in runs), [
        len(run.token_times_s) for run in runs
    ]
    deployed.record("ttft_s", *[run.ttft_s for run in runs])
    deployed.record("decode_tps", *[run.decode_tps for run in runs])
    deployed.record("e2e_s", *[run.e2e_s for run in runs])
    deployed.record("token_drift", drift([step for run in runs for step in _intervals(run)]))
    benchmark.extra_info.update(
        deployment=deployed.identifier,
        ttft_s=[run.ttft_s for run in runs],
        decode_tps=[run.decode_tps for run in runs],
    )


@pytest.mark.needs("vision")
def test_phases(deployed, pair):
    """What the time to first token is made of, as far as the backend can be hooked.

    In requests of their own, because telling the parts apart takes time.
    """
    runs = [
        deployed.generate(pair.prompt, picture, max_tokens=2, fixed_length=True, phases=True)
        for picture in (pair.warm_up, *[pair.picture] * PHASED)
    ][1:]
    for run in runs:
        parts = run.phases
        assert parts is not None, "the backend has no phases"
        seen = {
            "preprocess_s": parts.preprocess_s,
            "vision_encode_s": parts.vision_encode_s,
            "prefill_s": parts.prefill_s,
        }
        for metric, value in seen.items():
            if value is not None:
                deployed.record(metric, value)
        whole = sum(value for value in seen.values() if value is not None)
        assert whole <= run.ttft_s, f"parts of {whole} s in {run.ttft_s} s to the first token"
        if parts.prefill_s is not None:
            deployed.record("prefill_tps", run.prefill_tps)
    if runs[0].prompt_tokens > 0:
        deployed.record("prompt_tokens", runs[0].prompt_tokens)
    if runs[0].image_tokens > 0:
        deployed.record("image_tokens", runs[0].image_tokens)


@pytest.mark.needs("vision")
@pytest.mark.parametrize("size", ["as_timed", "large"])
def test_image_tokens(deployed, pair, size):
    """As many tokens of a picture as the settings in the model's files make of it.

    A setting that is ignored makes a large picture many times as expensive, silently.
    """
    picture = pair.picture if size == "as_timed" else pair.picture.resize(LARGE, Image.NEAREST)
    run = deployed.generate(pair.prompt, picture, max_tokens=1, phases=True)
    count, wanted = run.image_tokens, run.image_tokens_expected
    assert count != 0, "a picture was given, and no token of the prompt stands for it"
    assert run.prompt_tokens < 0 or count < run.prompt_tokens, (
        f"{count} of {run.prompt_tokens} tokens are the picture's"
    )
    if wanted >= 0 and count >= 0:
        pixels = "{} x {}".format(*picture.size)
        assert count == wanted, f"{count} image tokens of {pixels} pixels, the files say {wanted}"


def _intervals(run):
    times = run.token_times_s
    return [after - before for before, after in pairwise(times)]
