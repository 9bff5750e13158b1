"""The official VQA 2.0 accuracy, and the "simple accuracy" that the seeds state beside it. Pure.

Ten people answered each question. The official accuracy of a model's answer is the mean, over the
ten ways to leave one person out, of min(answers of the other nine that equal it / 3, 1).

Source of the rules and of the lists of words: ``vqaEval.py`` of github.com/GT-Vision-Lab/VQA at
a013f0043c1e (Copyright (c) 2014, Aishwarya Agrawal, BSD 2-Clause licence), described at
visualqa.org/evaluation.html. The code here is our own; what the original does is kept where it is
odd, because published figures have it in them:

- Where all ten people said the same, nothing is normalised: ``Black.`` is wrong where ten said
  ``black`` (the author confirms it in GT-Vision-Lab/VQA#14). Line breaks and tabs become blanks
  and outer blanks go, always.
- A punctuation mark becomes a blank, but is taken out where it stands beside a blank somewhere in
  the text, and so is *every* mark of a text that has a comma between two digits: ``1,000 red-blue``
  becomes ``1000 redblue``.
- Full stops go unless a digit follows: ``3.5`` and ``.5`` keep theirs, and so does ``v.2``. The
  flag ``re.UNICODE`` is passed where the number of replacements belongs, so that only the first 32
  go.
- ``none`` is the digit 0, and ``one`` is 1 in ``left one`` too. An answer that is an article alone
  becomes empty. The colon and the apostrophe stay.
- ``let's`` and ``she's`` stay, ``lets`` and ``shes`` are not known; ``somebody'd`` *loses* its
  apostrophe. Contractions with a capital (``Im``) are never met, since words are in lower case.
- Normalising twice is normalising once, but for the full stops after the 32nd.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qualification.core.errors import DatasetError
from qualification.judging.stats.estimators import ShareInterval, share_interval
from qualification.tasks.questions import Question

if TYPE_CHECKING:
    from PIL import Image

PEOPLE = 10
"""Human answers to each question."""

SHORT_ANSWER = "Answer the question using a single word or phrase."
"""What a real model is told; source: the response format of Liu et al., arXiv:2310.03744."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_STOP = re.compile(r"\.(?!\d)")
_STOPS_TAKEN = int(re.UNICODE)
_COMMA_IN_NUMBER = re.compile(r"\d,\d")

# A contraction is recognised with any one of its apostrophes missing.
_WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
    might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's
    they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're
    you've
"""
CONTRACTIONS: dict[str, str] = {
    **{
        word[:place] + word[place + 1 :]: word
        for word in _WITH_APOSTROPHES.split()
        for place, character in enumerate(word)
        if character == "'"
    },
    "somebody'd": "somebodyd",
}
"""Word as written -> as it is compared."""


# --------------------------------------------------------------------------- one answer


def normalise(text: str) -> str:
    """The answer as the official code compares it where people disagree; see the module."""
    text = _one_line(text)
    number = _COMMA_IN_NUMBER.search(text) is not None
    result = text
    for mark in _PUNCTUATION:
        beside_blank = f"{mark} " in text or f" {mark}" in text
        result = result.replace(mark, "" if beside_blank or number else " ")
    result = _STOP.sub("", result, count=_STOPS_TAKEN)
    words = (_DIGITS.get(word, word) for word in result.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, people: Sequence[str]) -> float:
    """The official VQA 2.0 accuracy of one answer, 0 to 1; ``people`` are the human answers.

    Equal to the official figure up to rounding of a float: 0, .3, .6, .9 or 1 with ten people.
    ValueError where there are no human answers.
    """
    if not people:
        raise ValueError("an accuracy needs human answers to compare with")
    said, heard = _one_line(answer), [_one_line(one) for one in people]
    if len(set(heard)) > 1:
        said, heard = normalise(answer), [normalise(one) for one in people]
    matches = heard.count(said)
    left_out = matches * min(matches - 1, 3) + (len(heard) - matches) * min(matches, 3)
    return left_out / (3 * len(heard))


def is_simply_right(answer: str, people: Sequence[str]) -> bool:
    """Simple accuracy of one answer: normalised, it is the most frequent human answer.

    People's answers are normalised too, also where all are equal; where several are the most
    frequent, each of them is right. ValueError where there are no human answers.
    """
    if not people:
        raise ValueError("an accuracy needs human answers to compare with")
    counts = Counter(normalise(one) for one in people)
    return counts[normalise(answer)] == max(counts.values())


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


# --------------------------------------------------------------------------- a set of questions


@dataclass(frozen=True)
class VqaItem:
    """One question with what ten people answered.

    Its picture is a file of the official set, or is drawn from the ``generated`` question.
    """

    identifier: str
    question: str
    people: tuple[str, ...]
    picture: Path | None = None
    generated: Question | None = None

    def image(self) -> Image.Image:
        """The file's picture as RGB; DatasetError where it cannot be decoded."""
        from PIL import Image

        if self.picture is None:
            raise DatasetError(f"question {self.identifier} has no picture of its own to open")
        try:
            with Image.open(self.picture) as picture:
                rgb: Image.Image = picture.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DatasetError(
                f"{self.picture}: is not a whole picture ({error}); unpack the official one again"
            ) from error
        return rgb


@dataclass(frozen=True)
class VqaSet:
    """Questions to ask, in their order. ``note`` says in a sentence which they are."""

    source: str
    items: tuple[VqaItem, ...]
    note: str


def generated_set(questions: Sequence[Question]) -> VqaSet:
    """Generated questions as a set of the same kind: ten people who all know the answer.

    The official accuracy then asks for the answer to the letter, see the module.
    """
    items = tuple(
        VqaItem(each.identifier, each.prompt, (each.answer,) * PEOPLE, generated=each)
        for each in questions
    )
    return VqaSet("generated", items, f"{len(items)} generated questions, ten equal answers each")


@dataclass(frozen=True)
class VqaScore:
    """Accuracies of one set, shares of 1, with their intervals, and what was answered wrongly.

    ``wrong`` holds (question, answer, most frequent human answer): hostile text.
    """

    source: str
    note: str
    accuracy: ShareInterval
    simple: ShareInterval
    wrong: tuple[tuple[str, str, str], ...]

    def metrics(self) -> dict[str, float]:
        """Metric of records.METRICS -> value; the two sources are never one figure."""
        prefix = "generated_" if self.source == "generated" else ""
        return {
            f"{prefix}vqa_accuracy": self.accuracy.mean,
            f"{prefix}simple_accuracy": self.simple.mean,
        }

    def sentence(self) -> str:
        """Both figures with their intervals, the set, and the first wrong answers."""
        text = f"VQA accuracy {self.accuracy}, simple accuracy {self.simple} ({self.note})"
        return f"{text}; first wrong ones: {list(self.wrong[:3])}" if self.wrong else text


def score(questions: VqaSet, answers: Sequence[str]) -> VqaScore:
    """Hold the answers, in the order of the set, against it; ValueError where one is missing."""
    pairs = list(zip(questions.items, answers, strict=True))
    if not pairs:
        raise ValueError("an accuracy needs one question or more")
    return VqaScore(
        questions.source,
        questions.note,
        share_interval([vqa_accuracy(answer, item.people) for item, answer in pairs]),
        share_interval([float(is_simply_right(answer, item.people)) for item, answer in pairs]),
        tuple(
            (item.question, answer, _most_frequent(item.people))
            for item, answer in pairs
            if vqa_accuracy(answer, item.people) == 0
        ),
    )


def _most_frequent(people: Sequence[str]) -> str:
    return min(people, key=lambda one: (-people.count(one), one))
