"""Answers that several suites judge, and the types of the fixtures that give them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from qualification.core.protocol import Generation
from qualification.tasks.questions import Question

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Deployment
    from qualification.core.protocol import GivenAs
    from qualification.session.journal import Journal

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question, the deployment's answer, and whether it is correct."""

    question: Question
    generation: Generation
    is_correct: bool

    @property
    def text(self) -> str:
        """The answer without surrounding white space."""
        return self.generation.text.strip()

    def __str__(self) -> str:
        question = self.question
        return f"{question.prompt} -> {self.text!r}, expected {question.answer!r}"


@dataclass(frozen=True)
class Series:
    """Requests of one kind in a row, and the private bytes after each of the last ones."""

    answers: tuple[AnsweredQuestion, ...]
    private_bytes: tuple[int, ...]


@dataclass(frozen=True)
class TimedRequest:
    """Two prompts of one size, each the arguments of ``deployed.generate``.

    Of a model that sees both have an image of as many pixels, of one of text alone as many words.
    """

    warm_up: tuple[str, *tuple[Image.Image, ...]]
    measured: tuple[str, *tuple[Image.Image, ...]]


@dataclass
class Cache:
    """The values that were computed once for a deployment in this run, by name."""

    deployment: Deployment
    journal: Journal
    _values: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], _Value], kind: Any = None) -> _Value:
        """See :class:`Once`."""
        if self.get(name, kind) is None:
            self._values[name] = make()
            if kind is not None:
                plain = TypeAdapter(kind).dump_python(self._values[name], mode="json")
                self.journal.keep(self.deployment.identifier, name, plain)
        return cast("_Value", self._values[name])

    def get(self, name: str, kind: Any) -> Any:
        """A value that was computed, or one that a resumed run had kept; else None."""
        plain = self.journal.kept(self.deployment.identifier, name)
        if name not in self._values and kind is not None and plain is not None:
            with contextlib.suppress(ValidationError):  # of another release: it is asked again
                self._values[name] = TypeAdapter(kind).validate_python(plain)
        return self._values.get(name)

    def answers(self, skill: str) -> tuple[AnsweredQuestion, ...]:
        """Those to the questions of a skill that were asked for so far."""
        answers: list[AnsweredQuestion] = []
        while (answer := self.get(f"{skill} {len(answers)}", AnsweredQuestion)) is not None:
            answers.append(answer)
        return tuple(answers)


class Once(Protocol):
    """The type of ``once``."""

    def __call__(self, name: str, make: Callable[[], _Value], kind: Any = None) -> _Value:
        """The result of ``make()`` at the first call with this name, which is not None.

        With its type as ``kind`` it is kept in the run's journal, so that a run which is resumed
        does not ask for it again. Without, it belongs to the process: a speed, a warm-up.
        """


class AskFixture(Protocol):
    """The type of ``ask``."""

    def __call__(
        self,
        question: Question,
        *,
        file: Path | None = None,
        given_as: GivenAs = "path",
        with_images: bool = True,
        margins: bool = True,
    ) -> AnsweredQuestion:
        """The answer to a generated question."""


class GetSeries(Protocol):
    """The type of ``series``."""

    def __call__(self, policy: str, *, again: bool = False) -> Series:
        """Requests in a row under a policy of cleaning up."""


GetQuestions = Callable[..., "list[Question]"]
"""``questions(seed=, count=, skills=)``."""

GetAnswers = Callable[[str], tuple[AnsweredQuestion, ...]]
"""Skill -> answers to its questions."""

GetQuestion = Callable[[str], "Question"]
"""Skill -> a question of it."""

GetPairs = Callable[[], list[tuple[AnsweredQuestion, AnsweredQuestion]]]
"""Two answers to each of several questions."""


def share_correct(answers: Sequence[AnsweredQuestion]) -> float:
    """Accuracy over all answers."""
    return sum(answer.is_correct for answer in answers) / len(answers)


def correct_and_wrong(answers: Sequence[AnsweredQuestion]) -> str:
    """``6 of 8 correct;`` and the incorrect answers."""
    incorrect = [str(answer) for answer in answers if not answer.is_correct]
    correct = len(answers) - len(incorrect)
    return f"{correct} of {len(answers)} correct; {'; '.join(incorrect)}"
