"""Reads the official VQA 2.0 files in a user's folder, as they are published at visualqa.org.

``v2_OpenEnded_mscoco_SPLIT_questions.json``, ``v2_mscoco_SPLIT_annotations.json`` and the pictures
``COCO_SPLIT_000000xxxxxx.jpg``, these in the folder itself or in a folder ``SPLIT`` in it. What is
wrong is said in one sentence: the file, the place in it, and what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from qualification.core.errors import DatasetError
from qualification.tasks.vqa.scoring import PEOPLE, VqaItem, VqaSet

SPLITS: tuple[str, ...] = ("val2014", "train2014", "test2015", "test-dev2015")
"""The first of these that a folder has is taken. Answers to the tests were never published."""

_AGAIN = "put the official file there, whole"

_Number = Annotated[int, Field(ge=0, lt=10**12)]


@dataclass(frozen=True, slots=True)
class _Asked:
    question_id: _Number
    image_id: _Number
    question: str


@dataclass(frozen=True, slots=True)
class _Human:
    answer: str
    answer_id: int


@dataclass(frozen=True, slots=True)
class _Answered:
    question_id: _Number
    image_id: _Number
    answers: tuple[_Human, ...]


@dataclass(frozen=True)
class _Questions:
    data_subtype: str
    questions: tuple[_Asked, ...]


@dataclass(frozen=True)
class _Annotations:
    data_subtype: str
    annotations: tuple[_Answered, ...]


class _Row(Protocol):
    @property
    def question_id(self) -> int: ...


_File = TypeVar("_File")
_AnyRow = TypeVar("_AnyRow", bound=_Row)


def splits_in(folder: Path) -> tuple[str, ...]:
    """The splits of which a folder has questions and answers, the one that is taken first.

    Looks at names only. DatasetError where there is none.
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
        for there, missing in (both, both[::-1]):
            if there.is_file():
                raise DatasetError(
                    f"{folder}: has {there.name} without {missing.name}; put that beside it"
                    + "; of the tests no answers are published, use val2014"
                    * split.startswith("test")
                )
    wanted = _questions_path(folder, SPLITS[0]), _answers_path(folder, SPLITS[0])
    raise DatasetError(
        f"{folder}: has no VQA 2.0 files; unpack {wanted[0].name} and {wanted[1].name} there "
        "(from visualqa.org/download.html)"
    )


def official_set(folder: Path, sample: int, seed: int) -> VqaSet:
    """``sample`` questions of the folder's first split, or all where there are fewer.

    Which ones depends on the seed and on the question's number only: not on the order in the
    files, on the machine or on the Python. A larger sample begins with the smaller one.
    DatasetError for anything but a whole set; pictures are looked for, not opened.
    """
    if sample < 1:
        raise DatasetError(f"a sample of {sample} questions is asked for; ask for 1 or more")
    splits = splits_in(folder)
    split = splits[0]
    questions_path, answers_path = _questions_path(folder, split), _answers_path(folder, split)
    asked_file = _read(questions_path, _QUESTIONS)
    answered_file = _read(answers_path, _ANNOTATIONS)
    for path, subtype in (
        (questions_path, asked_file.data_subtype),
        (answers_path, answered_file.data_subtype),
    ):
        if subtype != split:
            raise DatasetError(f"{path}: data_subtype: is {subtype!r}, not {split!r}; {_AGAIN}")
    asked = _by_number(questions_path, "questions", asked_file.questions)
    answered = _by_number(answers_path, "annotations", answered_file.annotations)
    if not asked:
        raise DatasetError(f"{questions_path}: questions: is empty; {_AGAIN}")
    _check_pairs(questions_path, answers_path, asked, answered)
    chosen = sorted(asked, key=lambda number: _rank(seed, number))[:sample]
    pictures = _pictures(folder, split, [asked[number].image_id for number in chosen])
    items = tuple(
        VqaItem(
            identifier=f"{split}-{number}",
            question=asked[number].question,
            people=tuple(human.answer for human in answered[number].answers),
            picture=pictures[asked[number].image_id],
        )
        for number in chosen
    )
    note = f"{len(items)} of {len(asked):,} questions of {split} in {folder}, seed {seed}"
    if len(splits) > 1:
        note += f"; {' and '.join(splits[1:])} there not taken"
    return VqaSet(split, items, note)


_QUESTIONS = TypeAdapter(_Questions)
_ANNOTATIONS = TypeAdapter(_Annotations)


def _questions_path(folder: Path, split: str) -> Path:
    return folder / f"v2_OpenEnded_mscoco_{split}_questions.json"


def _answers_path(folder: Path, split: str) -> Path:
    return folder / f"v2_mscoco_{split}_annotations.json"


def _read(path: Path, adapter: TypeAdapter[_File]) -> _File:
    """The file as its type; keys that are not used are not looked at."""
    try:
        return adapter.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror or error}); make it readable"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            reason = f"is not JSON: {first['ctx']['error']}"
        else:
            reason = f"{_key(first['loc'])}: {first['msg']}"
        raise DatasetError(f"{path}: {reason}; {_AGAIN}") from error


def _by_number(path: Path, key: str, rows: Sequence[_AnyRow]) -> dict[int, _AnyRow]:
    found: dict[int, _AnyRow] = {}
    for place, row in enumerate(rows):
        if found.setdefault(row.question_id, row) is not row:
            number = row.question_id
            raise DatasetError(f"{path}: {key}[{place}]: {number} is there twice; {_AGAIN}")
    return found


def _check_pairs(
    questions_path: Path,
    answers_path: Path,
    asked: dict[int, _Asked],
    answered: dict[int, _Answered],
) -> None:
    """Each question has its answers, ten, about the same picture."""
    pair = f"put {questions_path.name} and {answers_path.name} of one release there"
    for path, missing in (
        (answers_path, asked.keys() - answered.keys()),
        (questions_path, answered.keys() - asked.keys()),
    ):
        if missing:
            raise DatasetError(
                f"{path}: has nothing on {len(missing)} questions of the other file, "
                f"the first is question_id {min(missing)}; {pair}"
            )
    for number, row in answered.items():
        where = f"{answers_path}: question_id {number}"
        if row.image_id != asked[number].image_id:
            raise DatasetError(
                f"{where}: is about image_id {row.image_id}, but about {asked[number].image_id} "
                f"in {questions_path.name}; {pair}"
            )
        # The official code leaves out all records that are equal: with one number twice, two.
        people = len({human.answer_id for human in row.answers})
        if not people == len(row.answers) == PEOPLE:
            raise DatasetError(
                f"{where}: has {len(row.answers)} answers with {people} numbers, "
                f"not {PEOPLE} of each; {_AGAIN}"
            )


def _pictures(folder: Path, split: str, numbers: Iterable[int]) -> dict[int, Path]:
    """image_id -> file; the pictures of test-dev2015 are among those of test2015."""
    group = "test2015" if split.startswith("test") else split
    found: dict[int, Path] = {}
    missing: list[str] = []
    for number in sorted(set(numbers)):
        name = f"COCO_{group}_{number:012d}.jpg"
        places = (folder / name, folder / group / name)
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            missing.append(name)
        else:
            found[number] = there
    if missing:
        raise DatasetError(
            f"{folder}: {len(missing)} of {len(missing) + len(found)} pictures of the sample are "
            f"missing, the first is {missing[0]}; unpack {group}.zip (from cocodataset.org) there"
        )
    return found


def _rank(seed: int, number: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}:{number}".encode()).digest(), number


def _key(location: Sequence[int | str]) -> str:
    """``("questions", 0, "image_id")`` as ``questions[0].image_id``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "content"
