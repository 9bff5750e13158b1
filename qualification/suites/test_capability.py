"""Does it do what its declaration says: see, tell images apart, remember, answer without one?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from qualification.core.errors import BackendFailed
from qualification.core.protocol import Generation
from qualification.suites.support.answers import correct_and_wrong, share_correct
from qualification.suites.support.hypothesis_settings import FEW
from qualification.tasks.renderings import SPECIAL_FORMATS, special

if TYPE_CHECKING:
    from pathlib import Path

    from qualification.core.protocol import GivenAs
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import (
        AnsweredQuestion,
        AskFixture,
        GetAnswers,
        GetQuestion,
        GetQuestions,
        Once,
    )
    from qualification.tasks.questions import Question
    from qualification.tasks.scenes import Scene

pytestmark = pytest.mark.suite("capability", "the capabilities that the declaration lists")

FORMATS = ("jpeg", "png", "webp", "greyscale", "rgba", *SPECIAL_FORMATS)
WIDE = 4096
CONTEXT_EXCEEDED = re.compile(r"context|n_ctx", re.IGNORECASE)
SEVERAL = (2, 3, 4, 5)
ONE_WORD_TOKENS = 64


@pytest.mark.needs("vision")
@pytest.mark.parametrize("skill", ["colour", "shape", "count", "position", "word"])
def test_says_what_it_sees(answers: GetAnswers, skill: str, skill_floor: float) -> None:
    """Questions about a generated image are answered correctly."""
    _assert_floor(answers(skill), skill_floor)


@pytest.mark.needs("multi_image")
def test_tells_two_images_apart(answers: GetAnswers, skill_floor: float) -> None:
    """Questions for the colours of two images are answered in the order of the images."""
    pairs = answers("pair")
    incorrect = [(pair.text, pair.question.answer) for pair in pairs if not pair.is_correct]
    share = share_correct(pairs)
    assert share >= skill_floor, (
        f"of {len(pairs)} questions about two images, incorrect answers: {incorrect}"
    )


@pytest.mark.needs("multi_image")
def test_says_which_of_two_images(answers: GetAnswers, skill_floor: float) -> None:
    """The question which of two images shows a word is answered correctly."""
    _assert_floor(answers("which"), skill_floor)


@pytest.mark.needs("multi_image")
@pytest.mark.parametrize("count", SEVERAL)
def test_takes_several_images(
    once: Once, deployed: Deployed, questions: GetQuestions, count: int
) -> None:
    """Several images are answered about, and each adds tokens to the prompt.

    A canary knows two images; with more its answer only has to end.
    """
    held_out = questions(seed=7, count=max(SEVERAL), skills=["colour"])
    images = [question.images()[0] for question in held_out]
    limit = ONE_WORD_TOKENS if deployed.is_canary else 0

    def about(number: int) -> Generation:
        return once(
            f"{number} images",
            lambda: deployed.generate("Name both colours.", *images[:number], max_tokens=limit),
            Generation,
        )

    fewer, more = about(count - 1), about(count)
    assert deployed.is_canary or more.text.strip(), f"no answer about {count} images"
    assert more.finish_reason == "stop", f"about {count} images, without an end: {more.text!r}"
    counted = min(more.prompt_tokens, fewer.prompt_tokens) >= 0  # a server need not report it
    assert not counted or more.prompt_tokens > fewer.prompt_tokens, (
        f"{count} images make a prompt of {more.prompt_tokens} tokens, "
        f"{count - 1} images one of {fewer.prompt_tokens}"
    )


@pytest.mark.needs("video")
def test_sees_movement(answers: GetAnswers, skill_floor: float) -> None:
    """The question which way a shape moves in eight frames is answered correctly."""
    _assert_floor(answers("motion"), skill_floor)


@pytest.mark.needs("vision", "multi_turn")
def test_answers_in_a_conversation(answers: GetAnswers, skill_floor: float) -> None:
    """A question of the third turn about the first turn's image is answered correctly."""
    _assert_floor(answers("recall"), skill_floor)


@pytest.mark.needs("text_only")
def test_text_only_question(answers: GetAnswers, skill_floor: float) -> None:
    """A question without an image is answered correctly."""
    texts = answers("text")
    share = share_correct(texts)
    assert share >= skill_floor, "; ".join(
        f"text-only question {text.question.prompt!r} -> {text.text!r}, "
        f"expected {text.question.answer!r}"
        for text in texts
        if not text.is_correct
    )


@pytest.mark.needs("vision")
def test_ends_its_answer_by_itself(deployed: Deployed, questions: GetQuestions) -> None:
    """A one-word answer ends with the end-of-turn token and not at the token limit."""
    question = questions(seed=8, count=1, skills=["colour"])[0]
    generation = deployed.generate(
        question.prompt + ("" if deployed.is_canary else " Answer with one word."),
        *question.images(),
        max_tokens=ONE_WORD_TOKENS,
    )
    assert generation.finish_reason == "stop", f"still talking after 64 tokens: {generation.text!r}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("file_format", FORMATS)
def test_format(ask: AskFixture, answerable: GetQuestion, tmp_path: Path, file_format: str) -> None:
    """An image looks the same in every format."""
    skills = {"greyscale": "shape"} | SPECIAL_FORMATS
    question = answerable(skills.get(file_format, "both"))
    answer = ask(question, file=_write(question.scenes[0], tmp_path, file_format))
    is_correct = answer.is_correct
    assert is_correct, f"the image as {file_format}: {answer} (and so it was answered as PNG)"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("given_as", ["path", "bytes", "data_url"])
def test_given_as(
    ask: AskFixture, answerable: GetQuestion, tmp_path: Path, given_as: GivenAs
) -> None:
    """An image's path, its bytes and a data URL of them get the same answer."""
    question = answerable("both")
    answer = ask(question, file=_write(question.scenes[0], tmp_path, "png"), given_as=given_as)
    is_correct = answer.is_correct
    assert is_correct, f"the image as {given_as}: {answer} (and so it was answered as path)"


@pytest.mark.needs("vision")
def test_image_of_one_pixel(deployed: Deployed, answerable: GetQuestion, ask: AskFixture) -> None:
    """A single pixel gets any answer, and the next image a correct one."""
    generation = deployed.generate("What colour is the shape?", Image.new("RGB", (1, 1), "red"))
    if not deployed.is_canary:
        assert generation.text.strip(), "no answer about an image of 1 x 1 pixel"
    answer = ask(answerable("colour"))
    is_correct = answer.is_correct
    assert is_correct, f"after an image of 1 x 1 pixel: {answer}"


@pytest.mark.needs("vision")
def test_image_of_4096_pixels(
    ask: AskFixture, answers: GetAnswers, deployed: Deployed, tmp_path: Path
) -> None:
    """A question about an image scaled up to 4096 pixels is answered correctly.

    A canary is excused if the image takes more tokens than the canary was trained on. Then its
    prompt may be refused for its length. Otherwise it must answer as at a quarter of the size if
    that takes as many tokens, and else in any way.
    """
    correct = [answer for answer in answers("colour") if answer.is_correct]
    assert correct, f"none of {len(answers('colour'))} colour questions is answered correctly"
    flattest = min(correct, key=lambda answer: _height_to_width(answer.question))
    question = flattest.question

    def scaled(width: int) -> AnsweredQuestion:
        image = question.images()[0]
        size = (width, round(image.height * width / image.width))
        file = tmp_path / f"{width}.png"
        image.resize(size, Image.Resampling.NEAREST).save(file, compress_level=1)
        return ask(question, file=file)

    try:
        large = scaled(WIDE)
    except BackendFailed as error:
        if deployed.is_canary and CONTEXT_EXCEEDED.search(str(error)):
            return
        raise
    tokens = large.generation.prompt_tokens
    if tokens == flattest.generation.prompt_tokens or not deployed.is_canary:
        is_correct = large.is_correct
        assert is_correct, f"scaled up to {WIDE} pixels: {large}"
    elif not large.is_correct:
        quarter = scaled(WIDE // 4)
        longer = tokens != quarter.generation.prompt_tokens
        equal = large.generation.text == quarter.generation.text
        assert longer or equal, f"scaled up to {WIDE} pixels: {large}; to {WIDE // 4}: {quarter}"


@pytest.mark.needs("vision")
def test_a_files_kind_changes_nothing(deployed: Deployed, tmp_path: Path) -> None:
    """The same pixels as RGB, with an opaque alpha or of a palette get the same answer."""
    sides = st.integers(1, 150)
    colours = st.sampled_from(["red", "green", "blue", "yellow", "purple", "black"])

    @FEW
    @given(width=sides, height=sides, colour=colours, mode=st.sampled_from(["RGBA", "P"]))
    def holds(width: int, height: int, colour: str, mode: str) -> None:
        image = Image.new("RGB", (width, height), "white")
        ImageDraw.Draw(image).rectangle(
            (width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill=colour
        )
        generations = []
        for file_mode in ("RGB", mode):
            file = tmp_path / f"{width}x{height}-{colour}-{file_mode}.png"
            # The palette is the image's own: the default palette has no purple and dithers it.
            converted = image.convert(file_mode, palette=Image.Palette.ADAPTIVE)
            assert converted.convert("RGB").tobytes() == image.tobytes()
            converted.save(file)
            generations.append(deployed.generate("What colour is the shape?", file))
        plain, changed = generations
        equal = (plain.text, plain.prompt_tokens) == (changed.text, changed.prompt_tokens)
        assert equal, (
            f"{width} x {height} pixels, {colour} on white: {plain.text!r} as RGB, "
            f"{changed.text!r} as {mode}"
        )

    holds()


def _height_to_width(question: Question) -> float:
    return question.scenes[0].height / question.scenes[0].width


def _assert_floor(answers: tuple[AnsweredQuestion, ...], floor: float) -> None:
    share = share_correct(answers)
    assert share >= floor, correct_and_wrong(answers)


def _write(scene: Scene, folder: Path, file_format: str) -> Path:
    """A file that shows a scene; only JPEG has losses."""
    if file_format in SPECIAL_FORMATS:
        special_file = special(scene, file_format)
        file = folder / f"image.{special_file.suffix}"
        file.write_bytes(special_file.content)
        return file
    suffix = {"jpeg": "jpg", "webp": "webp"}.get(file_format, "png")
    file = folder / f"image.{suffix}"
    options: dict[str, Any] = {}
    if suffix == "jpg":
        options.update(quality=95, subsampling=0)
    if file_format == "webp":
        options.update(lossless=True)
    mode = {"greyscale": "L", "rgba": "RGBA"}.get(file_format, "RGB")
    scene.draw().convert(mode).save(file, **options)
    return file
