"""How many tokens an image becomes, compared with what transformers' own processors count."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qualification.core.errors import DeclarationError
from qualification.models.families.llava_next.images import image_tokens as llava_next
from qualification.models.families.qwen_vl import image_tokens as qwen_vl
from qualification.models.families.smolvlm.images import image_tokens as smolvlm
from qualification.models.families.table import FAMILIES
from qualification.models.image_tokens import image_tokens, image_tokens_by_files
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
def test_an_image_has_the_tokens_that_its_processor_counts(family, width, height, tokens):
    """The published settings of each family."""
    assert image_tokens(family, width, height) == tokens


@pytest.fixture(scope="module")
def processors():
    """The modules of transformers with Qwen-VL's and SmolVLM's arithmetic."""
    pytest.importorskip("torch")
    from qualification.backends.shims.torchvision import install_if_needed

    install_if_needed()
    qwen = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")
    idefics = pytest.importorskip("transformers.models.idefics3.image_processing_idefics3")
    return qwen, idefics


@pytest.mark.slow
@pytest.mark.parametrize("most", [1280 * 28 * 28, 16384 * 28 * 28])
@settings(deadline=None, max_examples=1000)
@given(width=SIDES, height=SIDES)
@example(width=1, height=99)
@example(width=13, height=2600)
@example(width=1355, height=710)
def test_qwen_is_resized_as_transformers_resizes_it(processors, most, width, height):
    """Any size that ``smart_resize`` takes, those with a side of less than half a token too."""
    assume(max(width, height) <= 200 * min(width, height))
    rows, columns = processors[0].smart_resize(
        height, width, factor=28, min_pixels=56 * 56, max_pixels=most
    )
    assert qwen_vl(width, height, max_pixels=most) == rows * columns // 28**2


@pytest.mark.slow
@settings(deadline=None)
@given(width=SIDES, height=SIDES)
@example(width=1355, height=710)
@example(width=512, height=512)
@example(width=37, height=500)
def test_smolvlm_is_split_as_transformers_splits_it(processors, width, height):
    """Tiles and overview, counted by the processor itself."""
    kind = processors[1].Idefics3ImageProcessor
    if not hasattr(kind, "get_number_of_image_patches"):
        pytest.skip("this release of transformers does not count patches")
    processor = kind(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    counted = processor.get_number_of_image_patches(height, width, {})
    patches = counted[0] if isinstance(counted, tuple) else counted
    assert smolvlm(width, height) == patches * 64


# --------------------------------------------------------------------------- by a model's files

QWEN = {"model_type": "qwen2_5_vl"}
QWEN_PUBLISHED = {
    "patch_size": 14,
    "merge_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12_845_056,
}
SMOLVLM = {
    "model_type": "smolvlm",
    "scale_factor": 4,
    "vision_config": {"patch_size": 16},
}
SMOLVLM_PUBLISHED = {
    "do_image_splitting": True,
    "max_image_size": {"longest_edge": 512},
    "size": {"longest_edge": 2048},
}


@pytest.mark.parametrize(
    ("width", "height", "most", "tokens"),
    [
        (28, 28, 12_845_056, 4),  # never fewer than 56 x 56 pixels
        (1000, 1000, 12_845_056, 36 * 36),
        (4032, 3024, 12_845_056, 144 * 108),
        (4032, 3024, 1280 * 28 * 28, 41 * 30),
    ],
)
def test_qwen_has_a_token_for_each_square_of_28_pixels(width, height, most, tokens):
    """A photo of 12 megapixels is dear unless it is capped."""
    capped = QWEN_PUBLISHED | {"max_pixels": most}
    assert image_tokens_by_files(QWEN, capped, width, height) == tokens


@given(st.integers(28, 4000), st.integers(28, 4000))
def test_qwen_stays_within_its_limits(width, height):
    """Whatever the image, up to the aspect ratio that its own code refuses."""
    capped = QWEN_PUBLISHED | {"max_pixels": 1280 * 28 * 28}
    assert 4 <= image_tokens_by_files(QWEN, capped, width, height) <= 1280


def test_newer_files_name_the_limits_in_another_way():
    """``size`` with the number of pixels in place of ``min_pixels`` and ``max_pixels``."""
    size = {"shortest_edge": 3136, "longest_edge": 1280 * 28 * 28}
    newer = {"patch_size": 14, "merge_size": 2, "size": size}
    assert image_tokens_by_files(QWEN, newer, 4032, 3024) == 41 * 30


@pytest.mark.parametrize(
    ("width", "height", "tiles"), [(512, 512, 17), (1600, 1200, 13), (100, 2000, 5)]
)
def test_smolvlm_has_tiles_and_an_overview(width, height, tiles):
    """The longer edge becomes 2,048 pixels, whatever it was: four tiles; 64 tokens each."""
    assert image_tokens_by_files(SMOLVLM, SMOLVLM_PUBLISHED, width, height) == 64 * tiles


def test_without_splitting_there_is_the_overview_alone():
    """One tile."""
    unsplit = SMOLVLM_PUBLISHED | {"do_image_splitting": False}
    assert image_tokens_by_files(SMOLVLM, unsplit, 1600, 1200) == 64


@given(SIDES, SIDES)
def test_the_published_files_give_the_count_of_the_family(width, height):
    """Formula and reading of the files agree where the settings are the published ones."""
    count = image_tokens_by_files(QWEN, QWEN_PUBLISHED, width, height)
    assert count == image_tokens("qwen2_5_vl", width, height)
    count = image_tokens_by_files(SMOLVLM, SMOLVLM_PUBLISHED, width, height)
    assert count == image_tokens("smolvlm", width, height)


def test_llama_cpp_has_limits_of_its_own():
    """Eight to 4,096 tokens, whatever the published files say."""
    counted = [
        image_tokens_by_files(QWEN, QWEN_PUBLISHED, *size, in_llama_cpp=True)
        for size in ((28, 28), (8000, 8000))
    ]
    assert counted == [9, 4096]


@pytest.mark.parametrize("model_type", ["phi3_v", "other"])
def test_a_family_whose_files_are_not_read_has_no_count(model_type):
    """Nothing is guessed."""
    assert image_tokens_by_files({"model_type": model_type}, {}, 84, 84) is None


# --------------------------------------------------------------------------- bounds


@given(st.sampled_from(sorted(FAMILIES)), SIDES, SIDES)
def test_any_size_has_a_bounded_number_of_tokens(family, width, height):
    """At least one, and no more than the family's largest image."""
    most = 17_000 if family.startswith("qwen") else 3_000
    assert 1 <= image_tokens(family, width, height) <= most


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
    with pytest.raises(DeclarationError, match=r"register the family|write 1 or more"):
        image_tokens(family, *size)
