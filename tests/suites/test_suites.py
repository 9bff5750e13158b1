"""The suites that judge figures, on figures that are known."""

import random
from types import SimpleNamespace

import pytest

from qualification.core.declarations import Deployment, Model, Source
from qualification.core.protocol import Generation
from qualification.suites import conftest, test_memory, test_parity, test_sustained
from qualification.tasks.questions import Question

LIMIT = 64_000


class Recorder:
    """Stands for a deployment that only keeps what is recorded."""

    def __init__(self):
        self.kept = {}

    def record(self, metric, *values):
        self.kept.setdefault(metric, []).extend(values)


def held(leak, *, seed=1, count=50):
    """Bytes as measured on canaries: caches fill, an allocator takes a step now and then."""
    rng = random.Random(seed)
    total, values = 300_000_000, []
    for number in range(count):
        total += leak + rng.choice((0, 0, 0, 4096, 8192))
        total += rng.choice((200_000, 60_000)) if number < 8 else 0
        total += 600_000 if number == count - 9 else 0
        values.append(total)
    return tuple(values)


def rows(*measured):
    left = list(measured)
    return lambda policy, again=False: conftest.Row((), left.pop(0))


def test_an_allocators_steps_are_no_leak():
    """Early growth and a single late step pass, and the slope is recorded."""
    deployed = Recorder()
    test_memory.test_memory_does_not_grow(deployed, rows(held(0)), LIMIT)
    (slope,) = deployed.kept["growth_bytes_per_request"]
    assert 0 <= slope < 10_000


@pytest.mark.parametrize("leak", [100_000, 200_000, 4_200_000])
def test_a_leak_of_a_picture_is_a_failure_with_its_slope(leak):
    """Seen twice, it is said how much is lost with each request."""
    with pytest.raises(AssertionError, match=r"memory grows by \d+ KB with each request"):
        test_memory.test_memory_does_not_grow(
            Recorder(), rows(held(leak), held(leak, seed=2)), LIMIT
        )


def test_growth_that_does_not_come_again_is_no_leak():
    """One row that grew is measured again."""
    test_memory.test_memory_does_not_grow(Recorder(), rows(held(100_000), held(0)), LIMIT)


def test_a_leak_that_cleaning_up_does_not_mend_is_a_failure_too():
    """With the slope of the cleaned-up row recorded as such."""
    deployed = Recorder()
    with pytest.raises(AssertionError, match="and again by"):
        test_memory.test_memory_does_not_grow_when_cleaned_up(
            deployed, rows(held(150_000, count=8), held(150_000, count=8)), LIMIT
        )
    assert list(deployed.kept) == ["growth_with_clean_up_bytes_per_request"]


def deployment(backend, quantisation="f32", model="toy"):
    source = Source(backend, quantisation, weights="canary", path="canaries/toy")
    return Deployment(Model(model, "toy", 1000, "MIT", ("vision",), (source,)), source)


def answers(*texts):
    """Answers of as many questions; the token ids are the letters."""
    made = []
    for number, text in enumerate(texts):
        times = tuple(0.1 * (n + 1) for n in range(len(text)))
        generation = Generation(text, times, 1.0, 9, 0, "stop", tuple(map(ord, text)), (2.0,))
        question = Question(f"q{number}", "colour", f"Question {number}?", "red")
        made.append(conftest.Answered(question, generation, text == "red"))
    return tuple(made)


def hold(ours, theirs):
    """Run the parity test: two pairs of a deployment and what it answered."""
    kept = {
        of.identifier: conftest.Kept(of, {"colour": things} if things else {})
        for of, things in (theirs, ours)
    }
    deployed = SimpleNamespace(identifier=ours[0].identifier, deployment=ours[0], is_canary=True)
    test_parity.test_answers_as_its_other_deployments_do(
        deployed, lambda _skill: ours[1], ("colour",), kept, 0.99
    )


RED = ["red"] * 60


def test_equal_answers_are_parity():
    """Two backends that say the same."""
    hold((deployment("mlx"), answers(*RED)), (deployment("torch"), answers(*RED)))


def test_different_answers_are_named_with_their_first_token():
    """Three of sixty: the share, and where they part."""
    ours = answers(*RED[3:], "rod", "rod", "rod")
    with pytest.raises(AssertionError) as failure:
        hold((deployment("mlx"), ours), (deployment("torch"), answers(*RED)))
    text = str(failure.value)
    assert "95.0%" in text
    assert "of the answers equal those of toy-f32@torch" in text
    assert (
        "'Question 57?' first differs at token 1: 'rod' (margin not known) from toy-f32@mlx" in text
    )


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_quantised_model_need_only_be_right_as_often(wrong):
    """Its words may differ from those at full precision."""
    ours = answers(*["rood"] * wrong, *RED[wrong:])
    hold((deployment("mlx", "4bit"), ours), (deployment("mlx"), answers(*RED)))


def test_a_quantised_model_that_loses_too_much_is_named():
    """A fifth of the right answers gone."""
    ours = answers(*["rod"] * 12, *RED[12:])
    with pytest.raises(AssertionError, match="48 of 60 right, 60 from toy-f32@mlx"):
        hold((deployment("mlx", "4bit"), ours), (deployment("mlx"), answers(*RED)))


def test_other_models_and_what_was_not_asked_are_left_alone():
    """Another model's answers, or none, are nothing to compare with."""
    ours = (deployment("mlx"), answers(*["rod"] * 60))
    hold(ours, (deployment("torch", model="other"), answers(*RED)))
    hold(ours, (deployment("torch"), ()))


@pytest.mark.parametrize(
    ("each", "first", "count"), [(1.0, 240, 60), (50.0, 250, 1), (400.0, 0, 1)]
)
def test_a_sustained_speed_is_that_of_the_last_minute(each, first, count):
    """What ran before it is the way there; a request longer than all of it counts too."""
    now = [0.0]

    def ask():
        now[0] += each
        return now[0] - each

    kept = test_sustained.last_of(ask, 300.0, clock=lambda: now[0])
    assert (kept[0], len(kept)) == (first, count)
