"""What numbers show: usage, turns, cuts, replays and thinking; and what they do not."""

import pytest

from qualification.see import accounts
from qualification.see.series import Look, long_prompt, requests_of


def looks(series, *numbers, **fields):
    """Looks of a series with these numbers of prompt tokens."""
    requests = requests_of(series, 1, is_canary=False)
    return [
        Look(request, "an answer", correct=True, prompt_tokens=number, **fields)
        for request, number in zip(requests, numbers, strict=False)
    ]


def test_a_usage_without_the_image_lies():
    """As many tokens with an image as without it."""
    pictured = looks("colours", 9, 9, 9)
    without = looks("without an image", 9, 9, 9)
    assert accounts.usage(pictured, without, []) == (
        "a prompt has 9 tokens without its image and 9 with it"
    )
    assert not accounts.usage(looks("colours", 73, 73, 73), without, [])
    assert not accounts.usage(looks("colours", -1, -1, -1), looks("without an image", -1), [])


def test_an_answer_that_is_cut_has_as_many_tokens_as_it_may():
    """One less is an end token that is not counted."""
    cut = looks("asked again", 5, 5, is_cut=True, completion_tokens=3)
    assert "3 tokens are reported of an answer cut at 64" in accounts.usage([], [], cut)
    assert not accounts.usage([], [], looks("asked again", 5, is_cut=True, completion_tokens=63))


@pytest.mark.parametrize(
    ("tokens", "is_missing"), [((3, 3), True), ((6, 3), True), ((15, 5), False), ((1, 3), False)]
)
def test_turns_that_cost_nothing_have_no_template(tokens, is_missing):
    """Line ends are no template; fewer tokens are a history that was dropped."""
    text = accounts.template(looks("turns", *tokens), looks("colours", 40, 50))
    assert bool(text) == is_missing


def test_a_count_that_never_changes_says_nothing_of_a_template():
    """It is the count that is wrong."""
    assert not accounts.template(looks("turns", 9, 9), looks("colours", 9, 9))


def test_answers_with_a_templates_markers_have_none():
    """The model goes on with the conversation by itself."""
    request = requests_of("colours", 1, is_canary=False)[0]
    leaking = [Look(request, "red<|im_end|>\n<|im_start|>user", correct=False)] * 6
    assert "6 of 6 answers contain its markers" in accounts.template([], leaking)


def test_a_prompt_is_cut_where_fewer_tokens_than_words_are_read():
    """A refusal, or a server that does not count, is no cut."""
    request = long_prompt(4000, 1)
    cut = Look(request, "", correct=False, prompt_tokens=2048)
    assert accounts.cut([cut]) == (
        "of a prompt of 4,001 words 2,048 tokens were read, and nothing says so"
    )
    for tokens, failure in ((7000, ""), (-1, ""), (2048, "it is too long")):
        look = Look(request, "", correct=False, prompt_tokens=tokens, failure=failure)
        assert not accounts.cut([look])


def again(ids, seconds, tokens=30, wait=0.001):
    """Two prompts, each asked twice; so many seconds of decoding, each after a wait."""
    requests = requests_of("asked again", 1, is_canary=False)
    return [
        Look(r, "", correct=False, reply_id=i, decode_s=s, e2e_s=wait + s, completion_tokens=tokens)
        for r, i, s in zip(requests, ids, seconds, strict=True)
    ]


def test_a_replayed_reply_has_the_id_of_the_first():
    """Once alone may be chance, where ids are numbers of three digits."""
    assert "with its id" in accounts.replayed(again("aabb", [1, 1, 1, 1]))
    assert not accounts.replayed(again("aabc", [1, 1, 1, 1]))
    assert not accounts.replayed(again(["", "", "", ""], [1, 1, 1, 1]))


def test_a_replayed_reply_comes_at_once():
    """A prompt cache saves its prompt, and never the decoding."""
    assert "the decoding alone took 1000.0 ms" in accounts.replayed(
        again("abcd", [1.0, 0.01, 1.0, 0.01])
    )
    assert not accounts.replayed(again("abcd", [1.0, 0.01, 1.0, 0.5]))
    assert not accounts.replayed(again("abcd", [1.0, 0.01, 1.0, 0.01], tokens=2))


def test_a_reader_that_is_held_up_does_not_make_a_replay():
    """What came meanwhile is read at once, later: no decoding is seen, and the whole took long."""
    assert not accounts.replayed(again("abcd", [0.0041, 0.0, 0.0041, 0.0], wait=0.002))


def test_thinking_that_leaves_no_answer_is_eaten():
    """Three of six; an answer after a thought is one."""
    requests = requests_of("colours", 1, is_canary=False)
    eaten = [Look(r, "", correct=False, thought="hmm", is_cut=True) for r in requests[:3]]
    answered = [Look(r, "red", correct=True, thought="hmm") for r in requests[3:]]
    assert accounts.thinking([*eaten, *answered]) == (
        "3 of 6 end within the thought (try --thinking off)"
    )
    assert not accounts.thinking([*eaten[:2], *answered])
