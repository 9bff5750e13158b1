"""Parity: where two answers part, and when a quantised model has lost too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.protocol import Generation
from qualification.tasks.agreement import difference, loses_too_much, precision

tokens = st.lists(st.integers(0, 3), max_size=6).map(tuple)


def answer(token_ids, text="", margins=()):
    times = tuple(0.1 * (n + 1) for n in range(len(token_ids)))
    return Generation(text, times, 1.0, 10, 0, "stop", tuple(token_ids), tuple(margins))


@given(one=tokens, other=tokens)
def test_answers_part_where_the_first_token_differs(one, other):
    """Before it both are the same, at it they are not; the way round does not matter."""
    found = difference(answer(one), answer(other))
    assert (found is None) == (one == other)
    if found is not None:
        assert one[: found.token] == other[: found.token]
        assert one[found.token : found.token + 1] != other[found.token : found.token + 1]
        assert difference(answer(other), answer(one)).token == found.token


def test_the_sentence_names_question_token_texts_and_margins():
    """All that is needed to look into it stands in one line."""
    ours = answer((7, 8), " blue circle", (9.5, 0.125))
    found = difference(ours, answer((7, 9, 4), " blue square", (9.4,)))
    assert found.sentence("Name both.", "a@mlx", "a@torch") == (
        "'Name both.' first differs at token 1: 'blue circle' (margin 0.125) from a@mlx, "
        "'blue square' (margin not known) from a@torch"
    )


@pytest.mark.parametrize(
    ("quantisation", "word"),
    [("f32", "f32"), ("FP16", "f16"), ("bf16", "bf16"), ("4bit", ""), ("Q8_0", ""), ("q4_0", "")],
)
def test_only_unquantised_weights_have_a_precision(quantisation, word):
    """A quantised model is another one on each backend, so its tokens are not compared."""
    assert precision(quantisation) == word


@pytest.mark.parametrize(("lost", "gained", "too_much"), [
    (0, 0, False),
    (2, 0, False),
    (5, 4, False),
    (12, 0, True),
    (12, 9, False),
    (0, 12, False),
])  # fmt: skip
def test_a_loss_counts_where_it_is_sure(lost, gained, too_much):
    """Of a hundred: two lost are within the limit, twelve are not, unless nearly as many came."""
    full = [True] * lost + [False] * gained + [True] * (100 - lost - gained)
    quantised = [False] * lost + [True] * gained + [True] * (100 - lost - gained)
    assert loses_too_much(full, quantised) is too_much


def test_answers_to_other_questions_are_refused():
    """Two lists of different length are of different questions."""
    with pytest.raises(ValueError, match="shorter"):
        loses_too_much([True, True], [True])
