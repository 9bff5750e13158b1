"""The series of requests: few, about drawn images, each answer known.

No two answers that follow each other in a series are equal, so an answer about an earlier image is
wrong, and a constant answer is correct as often as its word is drawn. Of a series that looks for
one fault, two correct answers decide at once, else three are asked, or five.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from qualification.tasks.questions import Question, generate
from qualification.tasks.renderings import captioned, special
from qualification.tasks.scenes import COLOURS, SHAPES, SIDES, WORDS

SeriesName = Literal[
    "colours",
    "shapes",
    "both",
    "colours again",
    "file name",
    "words",
    "pairs",
    "three images",
    "four images",
    "recall",
    "EXIF",
    "transparency",
    "16 bits",
    "system prompt",
    "tools",
    "JSON schema",
    "text in the image",
    "false premise",
    "without an image",
    "turns",
    "long prompt",
    "asked again",
]

_PLAN: dict[str, tuple[str, int]] = {
    "colours": ("colour", 6),
    "shapes": ("shape", 6),
    "both": ("both", 6),
    "colours again": ("colour", 12),
    "file name": ("colour", 3),
    "words": ("word", 3),
    "pairs": ("pair", 3),
    "three images": ("colour", 9),
    "four images": ("colour", 12),
    "recall": ("recall", 5),
    "EXIF": ("position", 3),
    "transparency": ("shape", 5),
    "16 bits": ("shape", 5),
    "text in the image": ("colour", 3),
    "false premise": ("colour", 3),
    "asked again": ("text", 2),
}
"""Series with questions of their own -> the skill of these, and how many."""

FORMATS: dict[SeriesName, str] = {
    "EXIF": "exif_rotated",
    "transparency": "transparent",
    "16 bits": "sixteen_bits",
}
FAULTS: tuple[SeriesName, ...] = (
    *("file name", "words", "pairs", "three images", "four images", "recall"),
    *("EXIF", "transparency", "16 bits", "system prompt", "tools", "JSON schema"),
    *("text in the image", "false premise"),
)
"""Series of three questions at most, each of which looks for one fault, in their order."""

OF_SHAPES: tuple[SeriesName, ...] = ("recall", "transparency", "16 bits")
"""Those of five at most: of three shapes, one answer to everything is correct once in three."""

_CANDIDATES = 20
"""Drawn for each question, so that every answer is among them."""

_VOCABULARY: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "both": (*COLOURS, *SHAPES),
    "word": WORDS,
    "pair": tuple(COLOURS),
    "recall": SHAPES,
    "position": SIDES,
    "text": (),
}
_SEVERAL = "Name the colour of the shape in each of the {} pictures, in their order."
_SYSTEM = "You are a careful assistant. Answer briefly."
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a place",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}},
                "required": ["place"],
            },
        },
    }
]
_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": list(COLOURS)}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}
_LISTS = ("Name the days of the week.", "Count from one to twelve in words.")


@dataclass(frozen=True)
class Request:
    """What is asked in a series. ``rival`` is the answer that shows the fault it looks for.

    ``system`` is a system prompt, ``fields`` are more of a chat completion, ``texts`` the turns of
    a conversation without images, which stands for the question. Without ``is_judged`` any answer
    will do.
    """

    series: SeriesName
    question: Question
    rival: str = ""
    system: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    has_images: bool = True
    texts: tuple[str, ...] = ()
    max_tokens: int = 0
    is_judged: bool = True


@dataclass(frozen=True)
class Look:
    """A request and its answer; ``failure`` is why there is none, '' with one.

    ``thought`` came before the answer, ``is_cut``: it ended at its limit of tokens. Numbers are −1
    where a server does not give them.
    """

    request: Request
    answer: str
    correct: bool
    failure: str = ""
    thought: str = ""
    is_cut: bool = False
    prompt_tokens: int = -1
    completion_tokens: int = -1
    reply_id: str = ""
    decode_s: float = 0.0
    e2e_s: float = 0.0

    @property
    def series(self) -> SeriesName:
        """The name of its series."""
        return self.request.series

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.request.question

    @property
    def names(self) -> tuple[str, ...]:
        """The words of its kind (colours, shapes, …) in the answer, in their order."""
        words = "".join(c if c.isalnum() else " " for c in self.answer.lower()).split()
        vocabulary = _VOCABULARY[self.question.skill]
        return tuple(word for word in words if word in vocabulary)

    @property
    def expected(self) -> tuple[str, ...]:
        """The words of the correct answer."""
        return tuple(self.question.answer.split())

    @property
    def shows_fault(self) -> bool:
        """Whether the answer is the one that the fault of its series gives."""
        return bool(self.request.rival) and set(self.names) == {self.request.rival}


@functools.lru_cache(maxsize=1024)
def requests_of(series: SeriesName, seed: int, *, is_canary: bool) -> tuple[Request, ...]:
    """The requests of a series: of a seed always the same ones."""
    if series in ("system prompt", "tools", "JSON schema", "without an image"):
        requests = [_constrained(series, q) for q in questions_of("colours", seed)[:3]]
        # A canary has never written a bracket; the tokens of its prompt still tell.
        is_judged = series != "without an image" and not (is_canary and series == "JSON schema")
        return tuple(replace(request, is_judged=is_judged) for request in requests)
    if series == "turns":
        return _texts("red", "blue", "green"), _texts("red blue green")
    if series == "long prompt":
        raise ValueError("long_prompt() makes it, of a length")
    questions = questions_of(series, seed)
    if series in ("three images", "four images"):
        return tuple(_several(series, questions))
    if series == "asked again":
        return tuple(_again(questions, is_canary=is_canary))
    return tuple(_with_rival(series, question) for question in questions)


def long_prompt(words: int, seed: int) -> Request:
    """One prompt of so many words, each at least a token, for an answer of one token."""
    rng = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    text = " ".join(rng.choices(WORDS, k=words))
    question = Question(f"long-{seed}", "text", f"{words:,} words", "")
    return Request("long prompt", question, texts=(f"Repeat: {text}",), max_tokens=1)


@functools.lru_cache(maxsize=1024)
def questions_of(series: SeriesName, seed: int) -> tuple[Question, ...]:
    """The questions of a series that has its own."""
    skill, count = _PLAN[series]
    by_answer: dict[str, list[Question]] = {}
    for question in generate(seed, _CANDIDATES * count, "heldout", [skill]):
        if skill != "pair" or len(set(question.answer.split())) > 1:
            by_answer.setdefault(question.answer, []).append(question)
    answers = sorted(by_answer)
    random.Random(f"{series}:{seed}").shuffle(answers)  # noqa: S311 (a seed, not a secret)
    return tuple(_take(by_answer, answers, number) for number in range(count))


def _take(by_answer: dict[str, list[Question]], answers: Sequence[str], number: int) -> Question:
    """Each answer in turn, so that a constant one is correct as seldom as can be."""
    turn, place = divmod(number, len(answers))
    # The next round begins with another answer than the last one ended with.
    equal = by_answer[answers[(place + turn) % len(answers)]]
    return equal[turn % len(equal)]


def _with_rival(series: SeriesName, question: Question) -> Request:
    if series in FORMATS:
        return Request(series, question, special(question.scenes[0], FORMATS[series]).ignored)
    if series == "text in the image":
        rival = _other_colour(question)
        return Request(
            series, replace(question, scenes=(captioned(question.scenes[0], rival),)), rival
        )
    if series == "false premise":
        rival = _other_colour(question)
        prompt = f"Somebody says that the shape is {rival}. {question.prompt}"
        return Request(series, replace(question, prompt=prompt), rival)
    return Request(series, question)


def _other_colour(question: Question) -> str:
    colours = tuple(COLOURS)
    return colours[(colours.index(question.answer) + 2) % len(colours)]


def _constrained(series: SeriesName, question: Question) -> Request:
    if series == "system prompt":
        return Request(series, question, system=_SYSTEM)
    if series == "without an image":
        return Request(series, question, has_images=False)
    fields = {"tools": _TOOLS} if series == "tools" else {"response_format": _SCHEMA}
    return Request(series, question, fields=fields)


def _several(series: SeriesName, questions: Sequence[Question]) -> list[Request]:
    """Questions about one image each, three or four at a time."""
    size, word = (3, "three") if series == "three images" else (4, "four")
    requests = []
    for start in range(0, 3 * size, size):
        part = questions[start : start + size]
        question = Question(
            f"{series}-{part[0].identifier}",
            "pair",
            _SEVERAL.format(word),
            " ".join(q.answer for q in part),
            tuple(scene for q in part for scene in q.scenes),
        )
        requests.append(Request(series, question))
    return requests


def _texts(*turns: str) -> Request:
    question = Question(f"turns-{len(turns)}", "text", " / ".join(turns), "")
    return Request("turns", question, texts=turns, max_tokens=1)


def _again(questions: Sequence[Question], *, is_canary: bool) -> list[Request]:
    """Two prompts, each of them twice; a real model's answers are lists of some length."""
    prompts = [question.prompt for question in questions] if is_canary else list(_LISTS)
    return [
        Request("asked again", replace(question, prompt=prompt), texts=(prompt,), max_tokens=64)
        for question, prompt in zip(questions, prompts, strict=True)
        for _ in range(2)
    ]


def conversation(request: Request) -> list[tuple[Literal["user", "assistant"], str]]:
    """The turns of a request without images, a user's first."""
    return [("assistant" if n % 2 else "user", text) for n, text in enumerate(request.texts)]
