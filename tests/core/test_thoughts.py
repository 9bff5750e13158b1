"""Thinking is told from the answer by its tags, of several families."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.thoughts import divided


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("red", "", "red"),
        ("<think>It looks red.</think>\n\nred", "It looks red.", "red"),
        ("It looks red.</think>red", "It looks red.", "red"),  # the template has begun it
        ("<think>It looks", "It looks", ""),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("<|channel>thought\na<channel|>b", "a", "b"),
        ("<think>a</think><answer>b</answer>", "a", "b"),
        ("The tag <think> begins a thought", "", "The tag <think> begins a thought"),
    ],
)
def test_a_thought_is_told_from_the_answer(text, thought, answer):
    """Qwen and GLM, Mistral, Gemma 4; an unfinished thought takes the rest."""
    assert divided(text) == (thought, answer)


@given(st.text(alphabet="ab </think>", max_size=30))
def test_any_text_is_divided(text):
    """Hostile text too; what is no thought stays as it is."""
    thought, answer = divided(text)
    assert len(thought) + len(answer) <= len(text)
    if not thought and "think>" not in text:
        assert answer == text
