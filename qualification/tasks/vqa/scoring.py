"""The official VQA 2.0 accuracy, and the "simple accuracy" beside it (docs/measuring.md). Pure.

Ten people answered each question. The official accuracy of a model's answer is the mean, over the
ten ways to leave out one person, of min(number of equal answers of the other nine / 3, 1).

Source of the rules and of the lists of words: ``vqaEval.py`` of github.com/GT-Vision-Lab/VQA at
a013f0043c1e (Copyright (c) 2014, Aishwarya Agrawal, BSD 2-Clause licence), described at
visualqa.org/evaluation.html. The code here is our own. It keeps the oddities of the original,
because the published figures contain them:

- If all ten people gave the same answer, nothing is normalised: ``Black.`` is incorrect where ten
  people answered ``black`` (the author confirms it in GT-Vision-Lab/VQA#14). Line breaks and tabs
  always become blanks, and outer blanks are always removed.
- A punctuation mark becomes a blank. It is removed instead if it stands beside a blank anywhere in
  the text, and *every* mark is removed if the text has a comma between two digits: ``1,000
  red-blue`` becomes ``1000 redblue``.
- Full stops are removed unless a digit follows: ``3.5``, ``.5`` and ``v.2`` keep theirs. The flag
  ``re.UNICODE`` is passed in place of the number of replacements, so only the first 32 are removed.
- ``none`` is the digit 0, and ``one`` is 1 even in ``left one``. An answer that is only an article
  becomes empty. Colons and apostrophes stay.
- ``let's`` and ``she's`` stay, ``lets`` and ``shes`` are unknown; ``somebody'd`` *loses* its
  apostrophe. Contractions with a capital (``Im``) never match, because words are in lower case.
- Normalising twice equals normalising once, except for full stops after the 32nd.
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
"""The instruction for real models; source: the response format of Liu et al., arXiv:2310.03744."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_STOP = re.compile(r"\.(?!\d)")
_STOPS_TAKEN = int(re.UNICODE)
_COMMA_IN_NUMBER = re.compile(r"\d,\d")

# A contraction is recognised if any single one of its apostrophes is missing.
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
"""Word as written -> word as compared."""


# --------------------------------------------------------------------------- one answer


def normalise(text: str) -> str:
    """The answer as the official code compares it if people disagree; see the module."""
    text = _without_breaks(text)
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

    Equal to the official figure up to float rounding: 0, .3, .6, .9 or 1 with ten people.
    ValueError if there are no human answers.
    """
    if not people:
        raise ValueError("an accuracy needs human answers to compare with")
    clean = _without_breaks
    if len({clean(human) for human in people}) > 1:
        clean = normalise
    matches = [clean(human) for human in people].count(clean(answer))
    # Leaving out a person with the same answer leaves one match fewer.
    total = matches * min(matches - 1, 3) + (len(people) - matches) * min(matches, 3)
    return total / (3 * len(people))


def is_simply_correct(answer: str, people: Sequence[str]) -> bool:
    """Simple accuracy of one answer: normalised, it is the most frequent human answer.

    Human answers are normalised too, even if all are equal. If several are equally frequent, each
    of them is correct. ValueError if there are no human answers.
    """
    if not people:
        raise ValueError("an accuracy needs human answers to compare with")
    counts = Counter(normalise(human) for human in people)
    return counts[normalise(answer)] == max(counts.values())


def _without_breaks(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


# --------------------------------------------------------------------------- a set of questions


@dataclass(frozen=True)
class VqaItem:
    """A question with the answers of ten people.

    Its image is a file of the official set or is drawn from the ``generated`` question.
    """

    identifier: str
    question: str
    people: tuple[str, ...]
    file: Path | None = None
    generated: Question | None = None

    def image(self) -> Image.Image:
        """The file's image as RGB; DatasetError if it cannot be decoded."""
        from PIL import Image

        if self.file is None:
            raise DatasetError(f"question {self.identifier} has no image of its own to open")
        try:
            with Image.open(self.file) as opened:
                rgb: Image.Image = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DatasetError(
                f"{self.file}: is not a whole image ({error}); unpack the official one again"
            ) from error
        return rgb


@dataclass(frozen=True)
class VqaSet:
    """Questions to ask, in order. ``note`` describes them in a sentence."""

    source: str
    items: tuple[VqaItem, ...]
    note: str


def generated_set(questions: Sequence[Question]) -> VqaSet:
    """Generated questions as a set of the same kind, with ten people who all know the answer.

    The official accuracy then requires the exact answer, see the module.
    """
    items = tuple(
        VqaItem(question.identifier, question.prompt, (question.answer,) * PEOPLE, None, question)
        for question in questions
    )
    return VqaSet("generated", items, f"{len(items)} generated questions, ten equal answers each")


@dataclass(frozen=True)
class VqaScore:
    """Accuracies of one set, shares of 1, with their intervals, and the incorrect answers.

    ``incorrect`` holds (question, answer, most frequent human answer): hostile text.
    """

    source: str
    note: str
    accuracy: ShareInterval
    simple: ShareInterval
    incorrect: tuple[tuple[str, str, str], ...]

    def metrics(self) -> dict[str, float]:
        """Metric of ``core.metrics.METRICS`` -> value; the two sources are never pooled."""
        prefix = "generated_" if self.source == "generated" else ""
        return {
            f"{prefix}vqa_accuracy": self.accuracy.mean,
            f"{prefix}simple_accuracy": self.simple.mean,
        }

    def sentence(self) -> str:
        """Both figures with their intervals, the set, and the first incorrect answers."""
        text = f"VQA accuracy {self.accuracy}, simple accuracy {self.simple} ({self.note})"
        if not self.incorrect:
            return text
        return f"{text}; first incorrect answers: {list(self.incorrect[:3])}"


def score(questions: VqaSet, answers: Sequence[str]) -> VqaScore:
    """Score the answers, which are in the order of the set; ValueError if one is missing."""
    pairs = list(zip(questions.items, answers, strict=True))
    if not pairs:
        raise ValueError("an accuracy needs one question or more")
    return VqaScore(
        questions.source,
        questions.note,
        share_interval([vqa_accuracy(answer, item.people) for item, answer in pairs]),
        share_interval([float(is_simply_correct(answer, item.people)) for item, answer in pairs]),
        tuple(
            (item.question, answer, _most_frequent(item.people))
            for item, answer in pairs
            if vqa_accuracy(answer, item.people) == 0
        ),
    )


def _most_frequent(people: Sequence[str]) -> str:
    return min(people, key=lambda answer: (-people.count(answer), answer))
