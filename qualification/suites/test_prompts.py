"""Is every prompt answered: in other words, cut short, empty, very long, in any script?"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import BackendFailed
from qualification.suites.support.hypothesis_settings import FEW

pytestmark = pytest.mark.prompts

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
ENOUGH = 64
ROOMY = 4096
TOO_LONG = re.compile(r"context|n_ctx|token|length|long|position|exceed", re.IGNORECASE)
"""What a library says that refuses a prompt for its length."""


@pytest.mark.needs("vision")
@pytest.mark.parametrize("wording", WORDINGS)
def test_wording(deployed, known, wording):
    """A question in its own words is answered rightly, in others it is answered and ended."""
    question = known("colour")
    generation = deployed.generate(WORDINGS[wording], *question.images(), max_tokens=ENOUGH)
    text = generation.text.strip()
    if deployed.is_canary:  # it knows its own words only, but it knows how to end
        assert generation.finish_reason == "stop", f"still talking after {ENOUGH} tokens: {text!r}"
    else:
        assert text, f"no answer to {WORDINGS[wording]!r}"
    if wording == "as_trained":
        right = deployed.is_right(question, text)
        assert right, f"{question.prompt} -> {text!r}, expected {question.answer!r}"


@pytest.mark.needs("vision")
@pytest.mark.on_backends("mlx", "llamacpp")
def test_prefill_in_chunks(deployed, known):
    """A prompt that is computed a few tokens at a time, the picture's too, is answered alike."""
    question = known("both")
    messages = deployed.messages(question)
    whole = deployed.converse(*messages).text
    pieces = deployed.converse(*messages, prefill_chunk=CHUNK).text
    assert pieces == whole, f"{CHUNK} tokens at a time {pieces!r}, by default {whole!r}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("limit", LIMITS)
def test_length_limit(once, deployed, questions, limit):
    """Never more tokens than allowed; its reason to end is true; no word differs."""
    pictures = questions(seed=37, count=1, skills=["both"])[0].images()

    def described(most):
        return once(
            f"described in {most}",
            lambda: deployed.generate(
                "Describe the picture in detail.", *pictures, max_tokens=most
            ),
        )

    cut, whole = described(limit), described(max(LIMITS))
    if cut.text and not cut.token_ids:  # a server whose tokens cannot be told apart
        begins = whole.text.startswith(cut.text)
        assert begins, f"{cut.text!r} of at most {limit} tokens, {whole.text!r} of {max(LIMITS)}"
        return
    count = len(cut.token_ids)
    assert count <= limit, f"{count} tokens where {limit} were allowed"
    true = (cut.finish_reason == "length") == (count == limit)
    assert true, f"{count} of {limit} tokens, and ended for {cut.finish_reason!r}"
    same = cut.token_ids == whole.token_ids[:limit]
    assert same, f"{cut.text!r} of at most {limit} tokens, {whole.text!r} of {max(LIMITS)}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("text", OTHER_TEXTS)
def test_other_text(deployed, known, text):
    """No text at all, emoji, and scripts from right to left: answered, and the next is right."""
    question = known("colour")
    generation = deployed.generate(OTHER_TEXTS[text], *question.images(), max_tokens=ENOUGH)
    assert generation.prompt_tokens != 0
    _assert_next_is_right(deployed, question, f"after {OTHER_TEXTS[text]!r}")


@pytest.mark.needs("vision")
def test_long_prompt(deployed, known):
    """8,000 characters are answered, or refused for their length; the next question is right."""
    question = known("colour")
    roomy = deployed.deployment.model.context >= ROOMY
    prompt = ((QUESTION + " ") * LONG)[: LONG - len(QUESTION)] + QUESTION
    pictures = [] if "text_only" in deployed.deployment.model.capabilities else question.images()
    try:
        answer = deployed.ask(prompt, *pictures)
    except BackendFailed as error:
        if roomy or not TOO_LONG.search(str(error)):
            raise
    else:
        assert deployed.is_canary or answer, f"no answer to {LONG} characters"
    _assert_next_is_right(deployed, question, f"after {LONG} characters")


@pytest.mark.needs("vision")
def test_any_text(deployed, known):
    """Whatever is written beside a picture is answered, and the next question rightly."""
    question = known("colour")
    pictures = question.images()
    anything = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
    scripts = st.sampled_from("אבגד ابتث 漢字かな ไทย हिन्दी 🎨🔺👩🏽\u200d🚀 ﷽ e\u0301 \u202eabc")

    @FEW
    @given(st.text(scripts, min_size=4, max_size=40) | st.text(anything, max_size=40))
    def holds(text):
        generation = deployed.generate(text, *pictures, max_tokens=ENOUGH)
        count = len(generation.token_ids)
        assert count <= ENOUGH, f"{count} tokens where {ENOUGH} were allowed, to {text!r}"
        _assert_next_is_right(deployed, question, f"after {text!r}")

    holds()


def _assert_next_is_right(deployed, question, when):
    answer = deployed.answer(question)
    right = deployed.is_right(question, answer)
    assert right, f"{when}: {question.prompt} -> {answer!r}, expected {question.answer!r}"
