"""How fast is it? Timed by pytest-benchmark, so its table, JSON and compare work."""

import pytest

pytestmark = pytest.mark.throughput

ROUNDS = 5


@pytest.mark.needs("vision")
def test_speed(deployed, questions, benchmark, fixed_length):
    """Whole requests of a fixed length: time to first token and decoding speed of each."""
    benchmark.group = "one picture, fixed length"
    warm_up, question = questions(seed=19, count=2, skills=["both"])
    # Another picture of the same kind: kernels are compiled, but no answer can be reused.
    deployed.generate(warm_up.prompt, *warm_up.images(), max_tokens=fixed_length, fixed_length=True)
    pictures = question.images()
    runs = []

    def request():
        runs.append(
            deployed.generate(
                question.prompt, *pictures, max_tokens=fixed_length, fixed_length=True
            )
        )

    benchmark.pedantic(request, rounds=ROUNDS, iterations=1)
    assert all(len(run.token_times_s) == fixed_length for run in runs), [
        len(run.token_times_s) for run in runs
    ]
    deployed.record("ttft_s", *[run.ttft_s for run in runs])
    deployed.record("decode_tps", *[run.decode_tps for run in runs])
    deployed.record("e2e_s", *[run.e2e_s for run in runs])
    benchmark.extra_info.update(
        deployment=deployed.identifier,
        ttft_s=[run.ttft_s for run in runs],
        decode_tps=[run.decode_tps for run in runs],
    )
