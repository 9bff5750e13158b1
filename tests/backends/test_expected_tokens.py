"""Tokens of a picture by the published arithmetic, on figures that were published or measured."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.backends.expected_tokens import expected, of_picture
from qualification.core.protocol import GenerateRequest, Message, Part

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
SIDES = st.integers(28, 4000)


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
    settings = QWEN_PUBLISHED | {"max_pixels": most}
    assert of_picture(QWEN, settings, width, height) == tokens


@given(SIDES, SIDES)
def test_qwen_stays_within_its_limits(width, height):
    """Whatever the picture, up to the aspect ratio that its own code refuses."""
    settings = QWEN_PUBLISHED | {"max_pixels": 1280 * 28 * 28}
    assert 4 <= of_picture(QWEN, settings, width, height) <= 1280


def test_newer_files_name_the_limits_in_another_way():
    """``size`` with the number of pixels in place of ``min_pixels`` and ``max_pixels``."""
    size = {"shortest_edge": 3136, "longest_edge": 1280 * 28 * 28}
    settings = {"patch_size": 14, "merge_size": 2, "size": size}
    assert of_picture(QWEN, settings, 4032, 3024) == 41 * 30


@pytest.mark.parametrize(
    ("width", "height", "tiles"), [(512, 512, 17), (1600, 1200, 13), (100, 2000, 5)]
)
def test_smolvlm_has_tiles_and_an_overview(width, height, tiles):
    """The longer edge becomes 2,048 pixels, whatever it was: four tiles; 64 tokens each."""
    assert of_picture(SMOLVLM, SMOLVLM_PUBLISHED, width, height) == 64 * tiles


def test_without_splitting_there_is_the_overview_alone():
    """One tile."""
    settings = SMOLVLM_PUBLISHED | {"do_image_splitting": False}
    assert of_picture(SMOLVLM, settings, 1600, 1200) == 64


def test_what_is_not_known_is_not_guessed(tmp_path):
    """Another family, no files, files in another form, a clip, a request that does not ask."""
    file = tmp_path / "p.png"
    Image.new("RGB", (84, 84)).save(file)
    part = Part("image", str(file))

    def ask(*parts, phases=True):
        return expected(tmp_path, GenerateRequest((Message("user", parts),), 1, phases=phases))

    assert of_picture({"model_type": "phi3_v"}, {}, 84, 84) == -1
    assert ask(part) == -1
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert ask(part) == -1
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(QWEN_PUBLISHED))
    assert ask(part) == 9
    assert ask(part, part) == 18
    assert ask(part, phases=False) == -1
    assert (
        expected(tmp_path, GenerateRequest((Message("user", (part,)),), 1, phases=True), (8, 4096))
        == 9
    )
    assert ask(Part("video", str(tmp_path))) == -1
    assert ask(Part("text", "no picture")) == 0
