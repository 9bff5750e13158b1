"""The suites that judge figures, on known figures."""

import random
from types import SimpleNamespace

import pytest

from qualification.core.declarations import Deployment, Model, Source
from qualification.core.protocol import Generation
from qualification.session.journal import Journal
from qualification.suites import test_memory, test_parity, test_sustained
from qualification.suites.conftest import COUNTED
from qualification.suites.support.answers import AnsweredQuestion, Cache, Series
from qualification.tasks.questions import Question

LIMIT = 64_000


class Recorder:
    """Stands for a deployment and stores the recorded figures."""

    def __init__(self):
        self.recorded = {}

    def record(self, metric, *values):
        self.recorded.setdefault(metric, []).extend(values)


def private_bytes(leak, *, seed=1, count=50):
    """Bytes as measured on canaries: caches fill, an allocator takes a step now and then."""
    rng = random.Random(seed)
    total, values = 300_000_000, []
    for number in range(count):
        total += leak + rng.choice((0, 0, 0, 4096, 8192))
        total += rng.choice((200_000, 60_000)) if number < 8 else 0
        total += 600_000 if number == count - 9 else 0
        values.append(total)
    return tuple(values)


def in_turn(*sizes):
    """The fixture ``series``, whose calls give the counted ones of these sizes in turn."""
    measured = iter(of_all[max(2, len(of_all) - COUNTED) :] for of_all in sizes)
    return lambda policy, again=False: Series((), next(measured))


def test_an_allocators_steps_are_no_leak():
    """Early growth and a single late step pass, and the slope is recorded."""
    deployed = Recorder()
    test_memory.test_memory_does_not_grow(deployed, in_turn(private_bytes(0)), LIMIT)
    (slope,) = deployed.recorded["growth_bytes_per_request"]
    assert 0 <= slope < 10_000


@pytest.mark.parametrize("leak", [100_000, 200_000, 4_200_000])
def test_a_leak_of_an_image_is_a_failure_with_its_slope(leak):
    """A leak that is measured twice is reported with the memory that each request loses."""
    series = in_turn(private_bytes(leak), private_bytes(leak, seed=2))
    with pytest.raises(AssertionError, match=r"memory grows by [\d.]+ [KM]B .* with each request"):
        test_memory.test_memory_does_not_grow(Recorder(), series, LIMIT)


def test_growth_that_is_not_repeated_is_no_leak():
    """A series that grew is measured again."""
    series = in_turn(private_bytes(100_000), private_bytes(0))
    test_memory.test_memory_does_not_grow(Recorder(), series, LIMIT)


def test_a_leak_in_spite_of_clean_up_is_a_failure_too():
    """The slope is recorded as that of the series with clean-up."""
    deployed = Recorder()
    series = in_turn(private_bytes(150_000, count=8), private_bytes(150_000, count=8))
    with pytest.raises(AssertionError, match="and again by"):
        test_memory.test_memory_does_not_grow_when_cleaned_up(deployed, series, LIMIT)
    assert list(deployed.recorded) == ["growth_with_clean_up_bytes_per_request"]


def deployment(backend, quantisation="f32", model="toy"):
    source = Source(backend, quantisation, weights="canary", path="canaries/toy")
    return Deployment(Model(model, "toy", 1000, "MIT", ("vision",), (source,)), source)


def answers(*texts, margin=2.0):
    """Answers to as many questions; the token ids are the letters."""

    def answer(number, text):
        times = tuple(0.1 * (n + 1) for n in range(len(text)))
        tokens = tuple(map(ord, text))
        generation = Generation(text, times, 1.0, 9, 0, "stop", tokens, (margin,))
        question = Question(f"q{number}", "colour", f"Question {number}?", "red")
        return AnsweredQuestion(question, generation, text == "red")

    return tuple(answer(number, text) for number, text in enumerate(texts))


def compare(ours, theirs, test=test_parity.test_answers_as_its_other_deployments_do, limit=0.99):
    """Run a parity test on two pairs of a deployment and its answers."""
    caches = {}
    for deployment, colours in (theirs, ours):
        cache = caches[deployment.identifier] = Cache(deployment, Journal())
        for number, colour in enumerate(colours):
            cache.once(f"colour {number}", lambda colour=colour: colour)
    deployed = SimpleNamespace(identifier=ours[0].identifier, deployment=ours[0], is_canary=True)
    test(deployed, lambda _skill: ours[1], ("colour",), caches, limit)


RED = ["red"] * 60


def test_equal_answers_are_parity():
    """Two backends with the same answers."""
    compare((deployment("mlx"), answers(*RED)), (deployment("torch"), answers(*RED)))


def test_different_answers_are_named_with_their_first_token():
    """Three of sixty differ: the share, and the token where they diverge."""
    ours = answers(*RED[3:], "rod", "rod", "rod")
    with pytest.raises(AssertionError) as failure:
        compare((deployment("mlx"), ours), (deployment("torch"), answers(*RED)))
    text = str(failure.value)
    assert "95.0%" in text
    assert "of the answers equal those of toy-f32@torch" in text
    assert (
        "'Question 57?' first differs at token 1: 'rod' (margin not known) from toy-f32@mlx" in text
    )


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_quantised_model_need_only_be_as_accurate(wrong):
    """Its words may differ from those at full precision."""
    ours = answers(*["rood"] * wrong, *RED[wrong:])
    compare((deployment("mlx", "4bit"), ours), (deployment("mlx"), answers(*RED)))


def test_a_quantised_model_that_loses_too_much_is_named():
    """A fifth of the correct answers is lost."""
    ours = answers(*["rod"] * 12, *RED[12:])
    with pytest.raises(AssertionError, match="48 of 60 correct, 60 from toy-f32@mlx"):
        compare((deployment("mlx", "4bit"), ours), (deployment("mlx"), answers(*RED)))


def test_other_models_and_unasked_questions_are_ignored():
    """Another model's answers, or none, are no basis for a comparison."""
    ours = (deployment("mlx"), answers(*["rod"] * 60))
    compare(ours, (deployment("torch", model="other"), answers(*RED)))
    compare(ours, (deployment("torch"), ()))


def test_equal_answers_with_other_margins_are_named():
    """Margins that are 10 % larger exceed a limit of 3 %, unless the precision differs too."""
    ours, theirs = answers(*RED, margin=2.2), answers(*RED)
    test = test_parity.test_is_as_sure_as_its_other_deployments
    reference = (deployment("torch"), theirs)
    with pytest.raises(AssertionError, match=r"margins of 60 equal answers are 9\.5% from"):
        compare((deployment("mlx"), ours), reference, test, limit=0.03)
    compare((deployment("mlx", "bf16"), ours), reference, test, limit=0.03)
    compare((deployment("mlx"), answers(*RED, margin=2.02)), reference, test, limit=0.03)


@pytest.mark.parametrize(
    ("duration", "start", "count"), [(1.0, 240, 60), (50.0, 250, 1), (400.0, 0, 1)]
)
def test_a_sustained_speed_is_that_of_the_last_minute(duration, start, count):
    """Earlier requests only warm up; a request longer than the whole load counts too."""
    now = [0.0]

    def ask():
        now[0] += duration
        return now[0] - duration

    runs = test_sustained.last_minute(ask, 300.0, clock=lambda: now[0])
    assert (runs[0], len(runs)) == (start, count)
