"""Reads the official VQA 2.0 files in a user's folder, as they are published at visualqa.org.

``v2_OpenEnded_mscoco_SPLIT_questions.json``, ``v2_mscoco_SPLIT_annotations.json`` and the images
``COCO_SPLIT_000000xxxxxx.jpg``; the images may be in a folder ``SPLIT`` in it. An error is one
sentence: the file, the place in it, and what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from qualification.core.errors import DatasetError
from qualification.core.validation import first_problem
from qualification.tasks.vqa.scoring import PEOPLE, VqaItem, VqaSet

SPLITS: tuple[str, ...] = ("val2014", "train2014", "test2015", "test-dev2015")
"""The first of these in a folder is used. Answers to the tests were never published."""

_REPLACE_FILE = "put the official file there, whole"

_Number = Annotated[int, Field(ge=0, lt=10**12)]


@dataclass(frozen=True, slots=True)
class _QuestionRow:
    question_id: _Number
    image_id: _Number
    question: str


@dataclass(frozen=True, slots=True)
class _Human:
    answer: str
    answer_id: int


@dataclass(frozen=True, slots=True)
class _AnswersRow:
    question_id: _Number
    image_id: _Number
    answers: tuple[_Human, ...]


@dataclass(frozen=True)
class _Questions:
    data_subtype: str
    questions: tuple[_QuestionRow, ...]


@dataclass(frozen=True)
class _Annotations:
    data_subtype: str
    annotations: tuple[_AnswersRow, ...]


class _Row(Protocol):
    @property
    def question_id(self) -> int: ...


_File = TypeVar("_File")
_AnyRow = TypeVar("_AnyRow", bound=_Row)


def splits_in(folder: Path) -> tuple[str, ...]:
    """The splits of which a folder has questions and answers; the first is the one to use.

    Looks only at names. DatasetError if there is none.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is no folder; name the one with the VQA 2.0 files")
    splits = tuple(
        split
        for split in SPLITS
        if _questions_path(folder, split).is_file() and _answers_path(folder, split).is_file()
    )
    if splits:
        return splits
    for split in SPLITS:
        both = _questions_path(folder, split), _answers_path(folder, split)
        for present, missing in (both, both[::-1]):
            if present.is_file():
                raise DatasetError(
                    f"{folder}: has {present.name} without {missing.name}; put that beside it"
                    + "; no answers to the tests are published, use val2014"
                    * split.startswith("test")
                )
    needed = _questions_path(folder, SPLITS[0]), _answers_path(folder, SPLITS[0])
    raise DatasetError(
        f"{folder}: has no VQA 2.0 files; unpack {needed[0].name} and {needed[1].name} there "
        "(from visualqa.org/download.html)"
    )


def official_set(folder: Path, sample: int, seed: int) -> VqaSet:
    """``sample`` questions of the folder's first split, or all if there are fewer.

    The choice depends only on the seed and the questions' numbers, not on the order in the files,
    the machine or the Python. A larger sample starts with the smaller one. DatasetError for
    anything but a whole set; images are looked for and not opened.
    """
    if sample < 1:
        raise DatasetError(f"a sample of {sample} questions was requested; request 1 or more")
    splits = splits_in(folder)
    split = splits[0]
    questions_path, answers_path = _questions_path(folder, split), _answers_path(folder, split)
    questions_file = _read(questions_path, _QUESTIONS)
    answers_file = _read(answers_path, _ANNOTATIONS)
    for path, subtype in (
        (questions_path, questions_file.data_subtype),
        (answers_path, answers_file.data_subtype),
    ):
        if subtype != split:
            raise DatasetError(
                f"{path}: data_subtype: is {subtype!r}, not {split!r}; {_REPLACE_FILE}"
            )
    questions = _by_number(questions_path, "questions", questions_file.questions)
    annotations = _by_number(answers_path, "annotations", answers_file.annotations)
    if not questions:
        raise DatasetError(f"{questions_path}: questions: is empty; {_REPLACE_FILE}")
    _check_pairs(questions_path, answers_path, questions, annotations)
    chosen = sorted(questions, key=lambda number: _rank(seed, number))[:sample]
    images = _images(folder, split, [questions[number].image_id for number in chosen])
    items = tuple(
        VqaItem(
            identifier=f"{split}-{number}",
            question=questions[number].question,
            people=tuple(human.answer for human in annotations[number].answers),
            file=images[questions[number].image_id],
        )
        for number in chosen
    )
    note = f"{len(items)} of {len(questions):,} questions of {split} in {folder}, seed {seed}"
    if len(splits) > 1:
        note += f"; {' and '.join(splits[1:])} there not used"
    return VqaSet(split, items, note)


_QUESTIONS = TypeAdapter(_Questions)
_ANNOTATIONS = TypeAdapter(_Annotations)


def _questions_path(folder: Path, split: str) -> Path:
    return folder / f"v2_OpenEnded_mscoco_{split}_questions.json"


def _answers_path(folder: Path, split: str) -> Path:
    return folder / f"v2_mscoco_{split}_annotations.json"


def _read(path: Path, adapter: TypeAdapter[_File]) -> _File:
    """The file as its type; unused keys are ignored."""
    try:
        return adapter.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror or error}); make it readable"
        ) from error
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_problem(error)}; {_REPLACE_FILE}") from error


def _by_number(path: Path, key: str, rows: Sequence[_AnyRow]) -> dict[int, _AnyRow]:
    by_number: dict[int, _AnyRow] = {}
    for place, row in enumerate(rows):
        if by_number.setdefault(row.question_id, row) is not row:
            number = row.question_id
            raise DatasetError(f"{path}: {key}[{place}]: {number} is there twice; {_REPLACE_FILE}")
    return by_number


def _check_pairs(
    questions_path: Path,
    answers_path: Path,
    questions: dict[int, _QuestionRow],
    annotations: dict[int, _AnswersRow],
) -> None:
    """Each question has ten answers about the same image."""
    pair = f"put {questions_path.name} and {answers_path.name} of one release there"
    for path, missing in (
        (answers_path, questions.keys() - annotations.keys()),
        (questions_path, annotations.keys() - questions.keys()),
    ):
        if missing:
            raise DatasetError(
                f"{path}: has nothing on {len(missing)} questions of the other file, "
                f"the first is question_id {min(missing)}; {pair}"
            )
    for number, row in annotations.items():
        where = f"{answers_path}: question_id {number}"
        image_id = questions[number].image_id
        if row.image_id != image_id:
            raise DatasetError(
                f"{where}: is about image_id {row.image_id}, but about {image_id} "
                f"in {questions_path.name}; {pair}"
            )
        # The official code leaves out every record equal to the one left out. Two answers with
        # the same number would both go.
        people = len({human.answer_id for human in row.answers})
        if not people == len(row.answers) == PEOPLE:
            raise DatasetError(
                f"{where}: has {len(row.answers)} answers with {people} numbers, "
                f"not {PEOPLE} of each; {_REPLACE_FILE}"
            )


def _images(folder: Path, split: str, numbers: Iterable[int]) -> dict[int, Path]:
    """image_id -> file; the images of test-dev2015 are among those of test2015."""
    group = "test2015" if split.startswith("test") else split
    images: dict[int, Path] = {}
    missing: list[str] = []
    for number in sorted(set(numbers)):
        name = f"COCO_{group}_{number:012d}.jpg"
        places = (folder / name, folder / group / name)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            missing.append(name)
        else:
            images[number] = file
    if missing:
        raise DatasetError(
            f"{folder}: {len(missing)} of {len(missing) + len(images)} images of the sample are "
            f"missing, the first is {missing[0]}; unpack {group}.zip (from cocodataset.org) there"
        )
    return images


def _rank(seed: int, number: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}:{number}".encode()).digest(), number
