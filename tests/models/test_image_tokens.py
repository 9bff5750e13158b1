"""How many tokens a picture becomes, against what transformers' own processors count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import DeclarationError
from qualification.models.image_tokens import (
    FAMILIES,
    llava_next,
    picture_tokens,
    qwen_vl,
    smolvlm,
)
from qualification.models.loading import load_registry

SIDES = st.integers(1, 8000)


# Counted once by the processors of transformers 5.23.0 with the published settings; Phi-3.5-vision
# by the code of its repository.
@pytest.mark.parametrize(
    ("family", "width", "height", "tokens"),
    [
        ("qwen2_5_vl", 1355, 710, 1200),
        ("qwen2_vl", 28, 28, 4),
        ("qwen2_5_vl", 4000, 3000, 15_301),
        ("smolvlm", 1355, 710, 13 * 64),
        ("smolvlm", 512, 512, 17 * 64),
        ("smolvlm", 300, 1000, 9 * 64),
        ("smolvlm", 37, 500, 5 * 64),
        ("llava_next", 1355, 710, 1850),
        ("llava_next", 336, 336, 1176),
        ("phi3_v", 1355, 710, 757),
        ("phi3_v", 710, 1355, 757),
        ("moondream2", 1355, 710, 729),
    ],
)
def test_a_picture_has_the_tokens_that_its_processor_counts(family, width, height, tokens):
    """The published settings of each family."""
    assert picture_tokens(family, width, height) == tokens


@pytest.mark.slow
def test_the_formulas_are_those_of_the_installed_transformers():
    """The same sizes through the processors' own arithmetic."""
    pytest.importorskip("torch")
    from qualification.backends.shims.torchvision import install_if_needed

    install_if_needed()
    qwen = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")
    idefics = pytest.importorskip("transformers.models.idefics3.image_processing_idefics3")
    if not hasattr(idefics.Idefics3ImageProcessor, "get_number_of_image_patches"):
        pytest.skip("this release of transformers does not count patches")
    processor = idefics.Idefics3ImageProcessor(
        size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}
    )
    for width, height in [(1355, 710), (512, 512), (4000, 3000), (37, 500), (1999, 2001)]:
        rows, columns = qwen.smart_resize(
            height, width, factor=28, min_pixels=56 * 56, max_pixels=28 * 28 * 16384
        )
        assert qwen_vl(width, height) == rows * columns // 28**2
        counted = processor.get_number_of_image_patches(height, width, {})
        patches = counted[0] if isinstance(counted, tuple) else counted
        assert smolvlm(width, height) == patches * 64


@given(st.sampled_from(sorted(FAMILIES)), SIDES, SIDES)
def test_any_size_has_a_bounded_number_of_tokens(family, width, height):
    """At least one, and no more than the family's largest picture."""
    most = 17_000 if family.startswith("qwen") else 3_000
    assert 1 <= picture_tokens(family, width, height) <= most


@given(SIDES, SIDES)
def test_qwen_keeps_to_its_pixels(width, height):
    """The published largest number of pixels is a largest number of tokens."""
    assert qwen_vl(width, height, max_pixels=640 * 28 * 28) <= max(640, width // 28, height // 28)


@given(SIDES, SIDES)
def test_llava_has_the_overview_and_a_newline_for_each_row(width, height):
    """Never fewer than the overview, never more than the largest grid."""
    assert 576 <= llava_next(width, height) <= 576 + 48 * 48 + 72


def test_every_declared_family_is_known():
    """A deployment of an unknown family would have no activations in its sum."""
    assert {model.family for model in load_registry().models} <= set(FAMILIES)


@pytest.mark.parametrize(("family", "size"), [("other", (1, 1)), ("smolvlm", (0, 5))])
def test_what_cannot_be_counted_is_one_sentence(family, size):
    """The family, or the size, and what to do."""
    with pytest.raises(DeclarationError, match=r"add it to|write 1 or more"):
        picture_tokens(family, *size)
