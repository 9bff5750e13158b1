"""Parity: where two answers diverge, and when a quantised model has lost too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.protocol import Generation
from qualification.tasks.agreement import difference, loses_too_much, precision

tokens = st.lists(st.integers(0, 3), max_size=6).map(tuple)


def answer(token_ids, text="", margins=()):
    times = tuple(0.1 * (n + 1) for n in range(len(token_ids)))
    return Generation(text, times, 1.0, 10, 0, "stop", tuple(token_ids), tuple(margins))


@given(ours=tokens, theirs=tokens)
def test_answers_diverge_where_the_first_token_differs(ours, theirs):
    """Before that token both are equal, at it they are not; the order of the two is irrelevant."""
    divergence = difference(answer(ours), answer(theirs))
    assert (divergence is None) == (ours == theirs)
    if divergence is not None:
        token = divergence.token
        assert ours[:token] == theirs[:token]
        assert ours[token : token + 1] != theirs[token : token + 1]
        assert difference(answer(theirs), answer(ours)).token == token


def test_the_sentence_names_question_token_texts_and_margins():
    """One line has everything that is needed to examine the difference."""
    ours = answer((7, 8), " blue circle", (9.5, 0.125))
    divergence = difference(ours, answer((7, 9, 4), " blue square", (9.4,)))
    assert divergence.sentence("Name both.", "a@mlx", "a@torch") == (
        "'Name both.' first differs at token 1: 'blue circle' (margin 0.125) from a@mlx, "
        "'blue square' (margin not known) from a@torch"
    )


@pytest.mark.parametrize(
    ("quantisation", "word"),
    [("f32", "f32"), ("FP16", "f16"), ("bf16", "bf16"), ("4bit", ""), ("Q8_0", ""), ("q4_0", "")],
)
def test_only_unquantised_weights_have_a_precision(quantisation, word):
    """A quantised model differs between backends, so its tokens are not compared."""
    assert precision(quantisation) == word


@pytest.mark.parametrize(
    ("lost", "gained", "too_much"),
    [
        (0, 0, False),
        (2, 0, False),
        (5, 4, False),
        (12, 0, True),
        (12, 9, False),
        (0, 12, False),
    ],
)
def test_only_a_certain_loss_counts(lost, gained, too_much):
    """A loss of two in a hundred is within the limit; twelve is not, unless nearly as many gain."""
    full = [True] * lost + [False] * gained + [True] * (100 - lost - gained)
    quantised = [False] * lost + [True] * gained + [True] * (100 - lost - gained)
    assert loses_too_much(full, quantised) is too_much


def test_answers_to_other_questions_are_refused():
    """Lists of different lengths belong to different questions."""
    with pytest.raises(ValueError, match="shorter"):
        loses_too_much([True, True], [True])
