"""The worker's clocks, against a time that the test advances itself."""

import pytest

from qualification.backends import clocks
from qualification.backends.clocks import PhaseClock, TokenClock
from qualification.core.protocol import Generation, Phases


@pytest.fixture
def wait(monkeypatch):
    """``wait(seconds)``: that much time passes, and no more."""
    now = [100.0]
    monkeypatch.setattr(clocks, "clock", lambda: now[0])

    def _wait(seconds):
        now[0] += seconds

    return _wait


def test_the_device_is_synchronised_before_each_time(wait):
    """A token's time contains the wait for the device."""
    clock = TokenClock(lambda: wait(0.25))
    clock.tick()
    clock.tick()
    assert clock.times_s == [0.25, 0.5]


def test_decoding_speed_excludes_the_first_token():
    """(N − 1) / (t_N − t_1): 1 s to the first token and 100 tok/s are 100 tok/s, not 33."""
    times = tuple(1 + n / 100 for n in range(50))
    generation = Generation("", times, 1.5, 10, 0, "length")
    assert generation.ttft_s == 1
    assert generation.decode_tps == pytest.approx(100)


def test_one_token_has_no_decoding_speed():
    """It is NaN, which cannot be mistaken for a speed."""
    assert str(Generation("", (1.0,), 1.0, 10, 0, "stop").decode_tps) == "nan"
    assert str(Generation("", (), 1.0, 10, 0, "stop").ttft_s) == "nan"


def test_queued_work_belongs_to_the_phase_that_queued_it(wait):
    """The device is idle at both ends of each phase."""
    queued = [0.25, 0.0, 0.5, 0.0, 0.0]
    clock = PhaseClock(clocks.clock(), lambda: wait(queued.pop(0)))
    clock.preprocessed()
    with clock.span("vision_encode_s"):
        wait(1.0)
    with clock.span("prefill_s"):
        wait(2.0)
    assert clock.phases() == Phases(0.25, 1.5, 2.0)
    assert not queued


def test_the_pieces_of_one_phase_are_added(wait):
    """A prompt is evaluated chunk by chunk; preprocessing ends once."""
    clock = PhaseClock(clocks.clock())
    wait(0.5)
    clock.preprocessed()
    for _ in range(3):
        with clock.span("prefill_s"):
            wait(0.25)
    clock.preprocessed()
    assert clock.phases() == Phases(0.5, None, 0.75)


def test_a_phase_may_end_at_a_moment_that_was_noted_before(wait):
    """Its end then waits for nothing: the device may already be at work on the next token."""
    clock = PhaseClock(clocks.clock(), lambda: wait(0.25))
    since = clock.begin()
    clock.add("prefill_s", since, since + 2.0)
    assert clock.phases().prefill_s == 2.0


def test_a_phase_that_was_not_timed_is_none_and_not_zero():
    """Without a hook there is no figure."""
    assert PhaseClock(clocks.clock()).phases() == Phases(None, None, None)
    generation = Generation("", (1.0,), 1.0, 10, 0, "stop", phases=Phases(0.1, None, None))
    assert str(generation.prefill_tps) == "nan"
    assert str(Generation("", (1.0,), 1.0, 10, 0, "stop").prefill_tps) == "nan"


def test_prefill_speed_counts_text_and_image_tokens():
    """300 tokens, 200 of them an image's, in half a second."""
    generation = Generation("", (1.0,), 1.0, 300, 200, "stop", phases=Phases(0.1, 0.3, 0.5))
    assert generation.prefill_tps == 600


def test_a_negative_time_is_refused():
    """As for all times."""
    with pytest.raises(ValueError, match="negative"):
        Phases(prefill_s=-1.0)
