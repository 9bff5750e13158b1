"""Is every prompt answered: reworded, limited, empty, very long, in any script?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.backends import BACKENDS
from qualification.core.errors import BackendFailed
from qualification.core.protocol import Generation
from qualification.suites.support.hypothesis_settings import FEW
from qualification.tasks.questions import sees

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetQuestion, GetQuestions, Once
    from qualification.tasks.questions import Question

pytestmark = pytest.mark.suite(
    "prompts", "wordings, lengths and scripts of a prompt, limits of an answer"
)

QUESTION = "What colour is the shape?"
WORDINGS = {
    "as_trained": QUESTION,
    "lower_case": QUESTION.lower(),
    "upper_case": QUESTION.upper(),
    "trailing_blanks": QUESTION + "   ",
    "in_other_words": "Tell me which colour the shape in this picture has.",
}
OTHER_TEXTS = {
    "empty": "",
    "emoji": "Which 🎨 has the 🔺? 😀👨\u200d👩\u200d👧 👍🏽",
    "right_to_left": "ما لون الشكل؟ מה צבע הצורה?",
}
LIMITS = (1, 150, 300)
LONG = 8000
CHUNK = 16
TOKENS = 64
LARGE_CONTEXT = 4096
TOO_LONG = re.compile(r"context|n_ctx|token|length|long|position|exceed", re.IGNORECASE)
"""Words in the error of a library that refuses a prompt for its length."""


@pytest.mark.needs("vision")
@pytest.mark.parametrize("wording", WORDINGS)
def test_wording(deployed: Deployed, answerable: GetQuestion, wording: str) -> None:
    """The trained wording is answered correctly; any other wording gets an answer that ends."""
    question = answerable("colour")
    generation = deployed.generate(WORDINGS[wording], *question.images(), max_tokens=TOKENS)
    text = generation.text.strip()
    if deployed.is_canary:  # it knows only its own wordings, but it knows how to end
        assert generation.finish_reason == "stop", f"still talking after {TOKENS} tokens: {text!r}"
    else:
        assert text, f"no answer to {WORDINGS[wording]!r}"
    if wording == "as_trained":
        is_correct = deployed.is_correct(question, text)
        assert is_correct, f"{question.prompt} -> {text!r}, expected {question.answer!r}"


@pytest.mark.on_backends(*(spec.name for spec in BACKENDS.values() if spec.has_prefill_chunks))
def test_prefill_in_chunks(deployed: Deployed, answerable: GetQuestion, plain_skill: str) -> None:
    """A prompt that is computed a few tokens at a time, image included, gets the same answer."""
    messages = deployed.messages(answerable(plain_skill))
    by_default = deployed.converse(*messages).text
    chunked = deployed.converse(*messages, prefill_chunk=CHUNK).text
    assert chunked == by_default, f"{CHUNK} tokens at a time {chunked!r}, by default {by_default!r}"


@pytest.mark.parametrize("limit", LIMITS)
def test_length_limit(
    once: Once, deployed: Deployed, questions: GetQuestions, plain_skill: str, limit: int
) -> None:
    """An answer never exceeds the limit, reports truly why it ended, and is a prefix."""
    images = questions(seed=37, count=1, skills=[plain_skill])[0].images()
    prompt = "Describe the picture in detail." if images else "Describe a picture in detail."

    def description(max_tokens: int) -> Generation:
        return once(
            f"description in {max_tokens}",
            lambda: deployed.generate(prompt, *images, max_tokens=max_tokens),
            Generation,
        )

    limited, longest = description(limit), description(max(LIMITS))
    texts = f"{limited.text!r} of at most {limit} tokens, {longest.text!r} of {max(LIMITS)}"
    if limited.text and not limited.token_ids:  # a server whose tokens cannot be told apart
        is_prefix = longest.text.startswith(limited.text)
        assert is_prefix, texts
        return
    count = len(limited.token_ids)
    assert count <= limit, f"{count} tokens where {limit} were allowed"
    is_true = (limited.finish_reason == "length") == (count == limit)
    assert is_true, f"{count} of {limit} tokens, and ended for {limited.finish_reason!r}"
    is_prefix = limited.token_ids == longest.token_ids[:limit]
    assert is_prefix, texts


@pytest.mark.parametrize("text", OTHER_TEXTS)
def test_other_text(deployed: Deployed, question: Question, text: str) -> None:
    """An empty prompt, emoji and right-to-left scripts are answered; the next answer is correct."""
    generation = deployed.generate(OTHER_TEXTS[text], *question.images(), max_tokens=TOKENS)
    assert generation.prompt_tokens != 0
    _assert_next_is_correct(deployed, question, f"after {OTHER_TEXTS[text]!r}")


def test_long_prompt(deployed: Deployed, question: Question) -> None:
    """8,000 characters are answered or refused for their length; the next answer is correct."""
    model = deployed.deployment.model
    prompt = ((QUESTION + " ") * LONG)[: LONG - len(QUESTION)] + QUESTION
    images = [] if "text_only" in model.capabilities else question.images()
    try:
        answer = deployed.ask(prompt, *images)
    except BackendFailed as error:
        if model.context >= LARGE_CONTEXT or not TOO_LONG.search(str(error)):
            raise
    else:
        assert deployed.is_canary or answer, f"no answer to {LONG} characters"
    _assert_next_is_correct(deployed, question, f"after {LONG} characters")


def test_any_text(deployed: Deployed, question: Question) -> None:
    """Any text, beside an image if it sees, is answered, and the next question correctly."""
    images = question.images()
    anything = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
    scripts = st.sampled_from("אבגד ابتث 漢字かな ไทย हिन्दी 🎨🔺👩🏽\u200d🚀 ﷽ e\u0301 \u202eabc")

    @FEW
    @given(st.text(scripts, min_size=4, max_size=40) | st.text(anything, max_size=40))
    def holds(text: str) -> None:
        generation = deployed.generate(text, *images, max_tokens=TOKENS)
        count = len(generation.token_ids)
        assert count <= TOKENS, f"{count} tokens where {TOKENS} were allowed, to {text!r}"
        _assert_next_is_correct(deployed, question, f"after {text!r}")

    holds()


@pytest.fixture
def question(deployed: Deployed, answerable: GetQuestion) -> Question:
    """A question that is answered correctly, about one fact."""
    return answerable("colour" if sees(deployed.deployment.model) else "text")


def _assert_next_is_correct(deployed: Deployed, question: Question, when: str) -> None:
    answer = deployed.answer(question)
    is_correct = deployed.is_correct(question, answer)
    assert is_correct, f"{when}: {question.prompt} -> {answer!r}, expected {question.answer!r}"
