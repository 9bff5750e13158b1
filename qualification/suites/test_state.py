"""Does a request leave anything behind that changes the next one?"""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import BackendFailed
from qualification.judging.stats.estimators import is_beyond_chance
from qualification.suites.support.hypothesis_settings import FEW

pytestmark = pytest.mark.state

SHAPES = 3


@pytest.mark.needs("vision")
def test_another_picture_between_changes_nothing(deployed, questions):
    """Picture A, picture B, picture A again: the third answer equals the first."""
    first, second = questions(seed=13, count=2, skills=["both"])
    before = deployed.answer(first)
    between = deployed.answer(second)
    after = deployed.answer(first)
    assert after == before, f"{before!r}, then {after!r} after another picture ({between!r})"


@pytest.mark.needs("vision")
def test_sizes_in_turn_change_nothing(ask, questions):
    """Small, wide, small, tall, small: each picture's answer and prompt stay the same."""
    by_size = {}
    for question in questions(seed=13, count=60, skills=["both"]):
        by_size.setdefault((question.scenes[0].width, question.scenes[0].height), question)
    small, wide, tall = by_size[84, 84], by_size[168, 84], by_size[84, 140]
    first = ask(small)
    for other in (wide, tall):
        ask(other)
        _assert_same(first, ask(small), "after a picture of another size")


@pytest.mark.needs("vision")
def test_fifty_requests_in_a_row(row):
    """Five questions ten times over: every round is answered as the first one."""
    asked = row("never").answered
    first = {}
    for number, each in enumerate(asked, start=1):
        before = first.setdefault(each.question.identifier, each)
        _assert_same(before, each, f"as request {number} of {len(asked)}")


@pytest.mark.owned
@pytest.mark.needs("vision")
def test_a_fresh_process_answers_alike(two_processes):
    """What a process that has answered for a while says is what a fresh one says."""
    for worn, fresh in two_processes():
        _assert_same(fresh, worn, "in a process that had answered for a while")


@pytest.mark.needs("vision")
def test_a_failed_request_harms_nothing(deployed, ask, known, tmp_path):
    """A file that is no picture is refused, and the next picture is answered as before."""
    file = tmp_path / "no-picture.png"
    file.write_text("this is no picture")
    question = known("both")
    before = ask(question)
    try:
        generation = deployed.generate(question.prompt, file)
    except BackendFailed:
        pass
    else:
        pytest.fail(f"a file that is no picture was answered about: {generation.text!r}")
    _assert_same(before, ask(question), "after a request that failed")


@pytest.mark.needs("vision", "multi_turn")
def test_an_earlier_requests_picture_is_forgotten(recalled):
    """Asked again with the picture left out, it knows no more than a guess."""
    without = [answer for _, answer in recalled()]
    right = sum(each.right for each in without)
    assert not is_beyond_chance(right, len(without), 1 / SHAPES), (
        f"{right} of {len(without)} right about a picture that only an earlier request had"
    )


@pytest.mark.needs("vision")
def test_any_order_of_requests_is_answered_alike(deployed, ask, questions, tmp_path):
    """Pictures, texts, failures and clean-ups in any order: an answer depends on its question."""
    pictured = questions(seed=31, count=3, skills=["both"])
    asked = {f"picture {number}": each for number, each in enumerate(pictured)}
    if "text_only" in deployed.deployment.model.capabilities:
        asked["text"] = questions(seed=31, count=1, skills=["text"])[0]
    bad = tmp_path / "no-picture.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    first = {}

    def act(step):
        if step == "clean up":
            deployed.clean_up()
        elif step == "failure":
            with pytest.raises(BackendFailed):
                deployed.generate("What colour is the shape?", bad)
        else:
            answer = ask(asked[step])
            _assert_same(first.setdefault(step, answer), answer, "after other requests")

    @FEW
    @given(st.lists(st.sampled_from([*asked, "failure", *asked]), min_size=3, max_size=6))
    def holds(steps):
        for step in steps:
            act(step)

    holds()
    act("clean up")
    for step in asked:
        act(step)


@pytest.mark.needs("vision")
@pytest.mark.needs_workaround("reload_per_picture")
def test_reloading_for_each_picture(deployed, questions):
    """The workaround of loading again for each picture: it answers, and what it costs is kept."""
    for question in questions(seed=29, count=3, skills=["colour"]):
        start = time.perf_counter()
        deployed.reload()
        deployed.record("reload_s", time.perf_counter() - start)
        answer = deployed.answer(question)
        assert deployed.is_right(question, answer), (
            f"in a fresh process: {question.prompt} -> {answer!r}, expected {question.answer!r}"
        )


def _assert_same(before, after, when):
    ours, theirs = after.generation, before.generation
    same = (ours.text, ours.token_ids, ours.prompt_tokens) == (
        theirs.text,
        theirs.token_ids,
        theirs.prompt_tokens,
    )
    assert same, (
        f"{after.question.prompt!r} of {after.question.identifier} -> {ours.text!r} {when}, "
        f"{theirs.text!r} before; prompts of {ours.prompt_tokens} and {theirs.prompt_tokens} tokens"
    )
