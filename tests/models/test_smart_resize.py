"""Qwen-VL's image tokens are those of transformers' ``smart_resize``, for every size it takes."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qualification.models.image_tokens import image_tokens

UNIT, LEAST, MOST = 28, 56 * 56, 28 * 28 * 16384
FAMILIES = pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])


@pytest.fixture(scope="module")
def resized_tokens():
    """``resized_tokens(width, height)``, counted by transformers."""
    pytest.importorskip("torch")
    from qualification.backends.shims.torchvision import install_if_needed

    install_if_needed()
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")

    def count(width, height):
        rows, columns = module.smart_resize(
            height, width, factor=UNIT, min_pixels=LEAST, max_pixels=MOST
        )
        return rows * columns // UNIT**2

    return count


@pytest.mark.slow
@FAMILIES
def test_every_size_with_a_side_under_one_token_is_counted_alike(resized_tokens, family):
    """Sides under 14 px round to no token: 1 x 99 takes 20 tokens, not 4."""
    assert image_tokens(family, 1, 99) == 20
    for short in range(1, UNIT + 1):
        for long in range(short, 200 * short + 1, max(1, short // 2)):
            for width, height in ((short, long), (long, short)):
                size = (width, height)
                assert (size, image_tokens(family, *size)) == (size, resized_tokens(*size))


@pytest.mark.slow
@FAMILIES
@settings(deadline=None, max_examples=500)
@given(width=st.integers(1, 10_000), height=st.integers(1, 10_000))
def test_any_other_size_is_counted_alike(resized_tokens, family, width, height):
    """Up to more pixels than the limit; beyond 1 : 200 smart_resize refuses."""
    assume(max(width, height) <= 200 * min(width, height))
    assert image_tokens(family, width, height) == resized_tokens(width, height)
