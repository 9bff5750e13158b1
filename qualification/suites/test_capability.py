"""Can it do what its declaration says: see, tell pictures apart, remember, answer without one?"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from qualification.core.errors import BackendFailed
from qualification.suites.support.hypothesis_settings import FEW

pytestmark = pytest.mark.capability

FORMATS = ("jpeg", "png", "webp", "greyscale", "rgba", "exif_rotated")
ORIENTATION, TURN_RIGHT = 0x0112, 6  # of EXIF: the picture is meant to be seen turned clockwise
WIDE = 4096
CONTEXT_EXCEEDED = re.compile(r"context|n_ctx", re.IGNORECASE)
SEVERAL = (2, 3, 4, 5)
ONE_WORD_TOKENS = 64


@pytest.mark.needs("vision")
@pytest.mark.parametrize("skill", ["colour", "shape", "count", "position", "word"])
def test_says_what_it_sees(answered, skill, skill_floor):
    """Questions about a generated picture are answered rightly."""
    asked = answered(skill)
    share = _share(asked)
    assert share >= skill_floor, _wrong(asked)


@pytest.mark.needs("multi_image")
def test_tells_two_pictures_apart(answered, skill_floor):
    """Questions for the colours of two pictures are answered in the pictures' order."""
    asked = answered("pair")
    wrong = [
        (each.generation.text.strip(), each.question.answer) for each in asked if not each.right
    ]
    share = _share(asked)
    assert share >= skill_floor, (
        f"of {len(asked)} questions about two pictures, wrong ones: {wrong}"
    )


@pytest.mark.needs("multi_image")
def test_says_which_of_two_pictures(answered, skill_floor):
    """Which of two pictures has a colour is answered rightly."""
    asked = answered("which")
    share = _share(asked)
    assert share >= skill_floor, _wrong(asked)


@pytest.mark.needs("multi_image")
@pytest.mark.parametrize("count", SEVERAL)
def test_takes_several_pictures(once, deployed, questions, count):
    """More pictures are answered about, and more tokens of the prompt stand for them.

    A canary knows two pictures; of more it must come to an end only.
    """
    shown = [each.images()[0] for each in questions(seed=7, count=max(SEVERAL), skills=["colour"])]

    most = ONE_WORD_TOKENS if deployed.is_canary else 0

    def about(number):
        return once(
            f"{number} pictures",
            lambda: deployed.generate("Name both colours.", *shown[:number], max_tokens=most),
        )

    fewer, more = about(count - 1), about(count)
    assert deployed.is_canary or more.text.strip(), f"no answer about {count} pictures"
    assert more.finish_reason == "stop", f"of {count} pictures still talking: {more.text!r}"
    counted = min(more.prompt_tokens, fewer.prompt_tokens) >= 0  # a server need not say it
    assert not counted or more.prompt_tokens > fewer.prompt_tokens, (
        f"{count} pictures make a prompt of {more.prompt_tokens} tokens, "
        f"{count - 1} pictures one of {fewer.prompt_tokens}"
    )


@pytest.mark.needs("video")
def test_sees_movement(answered, skill_floor):
    """Which way a shape moves in eight frames is answered rightly."""
    asked = answered("motion")
    share = _share(asked)
    assert share >= skill_floor, _wrong(asked)


@pytest.mark.needs("multi_turn")
def test_answers_in_a_conversation(answered, skill_floor):
    """What the first turn's picture showed is answered rightly in the third turn."""
    asked = answered("recall")
    share = _share(asked)
    assert share >= skill_floor, _wrong(asked)


@pytest.mark.needs("text_only")
def test_text_only_question(answered, skill_floor):
    """A question without a picture is answered rightly."""
    asked = answered("text")
    wrong = [each for each in asked if not each.right]
    share = _share(asked)
    assert share >= skill_floor, "; ".join(
        f"text-only question {each.question.prompt!r} -> {each.generation.text.strip()!r}, "
        f"expected {each.question.answer!r}"
        for each in wrong
    )


@pytest.mark.needs("vision")
def test_ends_its_answer_by_itself(deployed, questions):
    """A one-word answer ends with the end-of-turn token and not at the token limit."""
    question = questions(seed=8, count=1, skills=["colour"])[0]
    generation = deployed.generate(
        question.prompt + ("" if deployed.is_canary else " Answer with one word."),
        *question.images(),
        max_tokens=ONE_WORD_TOKENS,
    )
    assert generation.finish_reason == "stop", f"still talking after 64 tokens: {generation.text!r}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("format", FORMATS)
def test_format(ask, known, tmp_path, format):
    """A picture is seen as it is meant to be, whatever kind of file it is in."""
    question = known({"greyscale": "shape", "exif_rotated": "position"}.get(format, "both"))
    answer = ask(question, file=_file(question.images()[0], tmp_path, format))
    right = answer.right
    assert right, f"the picture as {format}: {answer} (and so it was answered as PNG)"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("given_as", ["path", "bytes", "data_url"])
def test_given_as(ask, known, tmp_path, given_as):
    """A picture's path, its bytes and a data URL of them get the same answer."""
    question = known("both")
    file = _file(question.images()[0], tmp_path, "png")
    answer = ask(question, file=file, given_as=given_as)
    right = answer.right
    assert right, f"the picture as {given_as}: {answer} (and so it was answered as path)"


@pytest.mark.needs("vision")
def test_picture_of_one_pixel(deployed, known, ask):
    """One pixel is answered about somehow, and the next picture rightly."""
    generation = deployed.generate("What colour is the shape?", Image.new("RGB", (1, 1), "red"))
    if not deployed.is_canary:
        assert generation.text.strip(), "no answer about a picture of 1 x 1 pixel"
    after = ask(known("colour"))
    right = after.right
    assert right, f"after a picture of 1 x 1 pixel: {after}"


@pytest.mark.needs("vision")
def test_picture_of_4096_pixels(ask, answered, deployed, tmp_path):
    """A picture scaled up to 4096 pixels is answered about rightly.

    A canary is let off where the picture takes more tokens than it was trained on: then it must
    answer as at a quarter of the size if that takes as many, or else in some way, or its prompt
    be refused for its length.
    """
    right = [each for each in answered("colour") if each.right]
    assert right, f"none of {len(answered('colour'))} colour questions is answered rightly"
    flattest = min(right, key=lambda each: _height_to_width(each.question))
    question = flattest.question

    def scaled(width):
        picture = question.images()[0]
        size = (width, round(picture.height * width / picture.width))
        file = tmp_path / f"{width}.png"
        picture.resize(size, Image.Resampling.NEAREST).save(file, compress_level=1)
        return ask(question, file=file)

    try:
        large = scaled(WIDE)
    except BackendFailed as error:
        if deployed.is_canary and CONTEXT_EXCEEDED.search(str(error)):
            return
        raise
    said = f"scaled up to {WIDE} pixels: {large}"
    if (
        large.generation.prompt_tokens == flattest.generation.prompt_tokens
        or not deployed.is_canary
    ):
        right = large.right
        assert right, said
    elif not large.right:
        quarter = scaled(WIDE // 4)
        more = large.generation.prompt_tokens != quarter.generation.prompt_tokens
        same = large.generation.text == quarter.generation.text
        assert more or same, f"{said}; to {WIDE // 4}: {quarter}"


@pytest.mark.needs("vision")
def test_a_files_kind_changes_nothing(deployed, tmp_path):
    """Of any size: the same pixels as RGB, with an opaque alpha, or of a palette, answer alike."""
    sides = st.integers(1, 150)
    colours = st.sampled_from(["red", "green", "blue", "yellow", "purple", "black"])

    @FEW
    @given(width=sides, height=sides, colour=colours, kind=st.sampled_from(["RGBA", "P"]))
    def holds(width, height, colour, kind):
        picture = Image.new("RGB", (width, height), "white")
        ImageDraw.Draw(picture).rectangle(
            (width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill=colour
        )
        answers = []
        for mode in ("RGB", kind):
            file = tmp_path / f"{width}x{height}-{colour}-{mode}.png"
            # The palette is the picture's own: the default one has no purple, and dithers it.
            shown = picture.convert(mode, palette=Image.Palette.ADAPTIVE)
            assert shown.convert("RGB").tobytes() == picture.tobytes()
            shown.save(file)
            answers.append(deployed.generate("What colour is the shape?", file))
        plain, other = answers
        same = (plain.text, plain.prompt_tokens) == (other.text, other.prompt_tokens)
        assert same, (
            f"{width} x {height} pixels, {colour} on white: {plain.text!r} as RGB, "
            f"{other.text!r} as {kind}"
        )

    holds()


def _height_to_width(question):
    return question.scenes[0].height / question.scenes[0].width


def _share(asked):
    return sum(each.right for each in asked) / len(asked)


def _wrong(asked):
    wrong = [str(each) for each in asked if not each.right]
    return f"{len(asked) - len(wrong)} of {len(asked)} right; {'; '.join(wrong)}"


def _file(picture, folder, format):
    """A file that shows ``picture``; lossless but for JPEG."""
    suffix = {"jpeg": "jpg", "exif_rotated": "jpg", "webp": "webp"}.get(format, "png")
    file = folder / f"picture.{suffix}"
    more = {}
    if suffix == "jpg":
        more.update(quality=95, subsampling=0)
    if format == "webp":
        more.update(lossless=True)
    if format == "exif_rotated":
        picture = picture.transpose(Image.Transpose.ROTATE_90)  # to the left
        exif = Image.Exif()
        exif[ORIENTATION] = TURN_RIGHT
        more.update(exif=exif)
    picture.convert({"greyscale": "L", "rgba": "RGBA"}.get(format, "RGB")).save(file, **more)
    return file
