"""Files that look like another scene to a decoder that ignores what is special about them."""

import io

import pytest
from PIL import Image, ImageOps

from benchmarks.see.sighted import answer, decoded
from qualification.tasks.questions import generate
from qualification.tasks.renderings import SPECIAL_FORMATS, captioned, natural, scaled, special


def ignored(content):
    """The image as a decoder takes it that knows of colours alone."""
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("file_format", SPECIAL_FORMATS)
def test_a_special_file_shows_two_scenes(file_format, scale):
    """One as it is meant, another where its format is ignored."""
    for question in generate(5, 24, "heldout", [SPECIAL_FORMATS[file_format]]):
        special_file = special(question.scenes[0], file_format, scale)
        assert special_file.answer == question.answer != special_file.ignored
        assert special_file.answer in answer(question.prompt, [decoded(special_file.content)])
        assert special_file.ignored in answer(question.prompt, [ignored(special_file.content)])


def test_a_turned_photo_has_the_same_size_once_it_is_turned():
    """Its EXIF says how."""
    (question,) = generate(5, 1, "heldout", ["position"])
    image = Image.open(io.BytesIO(special(question.scenes[0], "exif_rotated").content))
    assert image.size[::-1] == ImageOps.exif_transpose(image).size


def test_a_natural_scene_is_large_and_shows_the_same():
    """Colours, shapes and words; letters stay small where that is asked."""
    for question in generate(6, 20, "heldout", ["colour", "shape", "word"]):
        image = natural(question.scenes[0], 672)
        assert 400 < max(image.size) <= 672
        assert question.answer.lower() in answer(question.prompt, [image]).lower()
    (word,) = generate(6, 1, "heldout", ["word"])
    assert answer(word.prompt, [natural(word.scenes[0], 672, letters=2)]).lower() == word.answer


def test_a_caption_leaves_the_shape_as_it_is():
    """A word of another colour beside it."""
    (question,) = generate(6, 1, "heldout", ["both"])
    scene = captioned(question.scenes[0], "green")
    assert question.answer in answer(question.prompt, [scene.draw()])
    assert scaled(scene, 3).draw().size == (3 * scene.width, 3 * scene.height)
