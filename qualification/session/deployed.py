"""A loaded deployment as the suites see it."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Union

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import WorkerError
from qualification.core.metrics import METRICS
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    GivenAs,
    LoadReport,
    LoadRequest,
    MemoryReport,
    Message,
    Part,
)
from qualification.core.results import Machine, Trial
from qualification.session.journal import Journal
from qualification.session.worker import Worker

if TYPE_CHECKING:
    from PIL import Image

    from qualification.tasks.questions import Question

_FETCH_DEADLINE_S = 24 * 3600.0

_HINTS = {
    "text": " Answer with the digit.",
    "count": " Answer with the number.",
    "position": " Answer with left, right, above or below.",
    "which": " Answer with first or second.",
    "motion": " Answer with left, right, up or down.",
}

Picture = Union["Image.Image", Path]
"""A picture to be written as PNG, or a file that is given as it is."""


class Deployed:
    """A loaded deployment as the suites see it: the value of the ``deployed`` fixture."""

    def __init__(
        self,
        deployment: Deployment,
        request: LoadRequest,
        journal: Journal,
        pictures: Path,
        *,
        machine: Machine,
        tier: Tier | None,
        start_worker: Callable[[], Worker],
        load_deadline_s: float,
        deadline_s: float,
    ) -> None:
        self.deployment = deployment
        self.machine = machine
        self.tier = tier
        self.suite = ""
        self._request = request
        self._journal = journal
        self._pictures = pictures
        self._start_worker = start_worker
        self._load_deadline_s = load_deadline_s
        self._deadline_s = deadline_s
        self._worker: Worker | None = None
        self._log = ""
        self.load_report: LoadReport = self._load()

    @property
    def identifier(self) -> str:
        """For example ``qwen2.5-vl-7b-4bit@mlx``."""
        return self.deployment.identifier

    @property
    def is_canary(self) -> bool:
        """Whether the weights are a canary's, which must answer rightly."""
        return self.deployment.source.weights == "canary"

    @property
    def is_owned(self) -> bool:
        """Whether its process is ours: a server at a user's address is not."""
        return self.deployment.source.server != "url"

    def log(self) -> str:
        """What the backend's libraries have printed so far."""
        return self._worker.log() if self._worker is not None else self._log

    def ask(self, question: str, *pictures: Picture, max_tokens: int = 0) -> str:
        """The answer to a question that follows its pictures, greedy, without outer blanks."""
        return self.generate(question, *pictures, max_tokens=max_tokens).text.strip()

    def answer(self, question: Question) -> str:
        """The answer to a generated question, as long as the model's settings allow."""
        return self.converse(*self.messages(question)).text.strip()

    def messages(self, question: Question, *, with_pictures: bool = True) -> tuple[Message, ...]:
        """The turns of a generated question; its history without the pictures where asked."""
        turns = [*question.history, (question.prompt, "")]
        said: list[Message] = []
        for number, (prompt, answer) in enumerate(turns):
            parts = self._shown(question) if number == 0 and with_pictures else []
            # Published prompt styles differ on text before a picture; the canaries know it.
            if number == 0 and question.before and self.is_canary:
                parts.insert(0, Part("text", question.before))
            hint = "" if self.is_canary or answer else _HINTS.get(question.skill, "")
            said.append(Message("user", (*parts, Part("text", prompt + hint))))
            if answer:
                said.append(Message("assistant", (Part("text", answer),)))
        return tuple(said)

    def is_right(self, question: Question, answer: str) -> bool:
        """A canary must give the whole answer; a real model may say it in a sentence."""
        from qualification.tasks.questions import is_right, says_the_answer

        return (is_right if self.is_canary else says_the_answer)(question, answer)

    def generate(
        self,
        question: str,
        *pictures: Picture,
        given_as: GivenAs = "path",
        max_tokens: int = 0,
        fixed_length: bool = False,
        temperature: float = 0.0,
        seed: int = 0,
        phases: bool = False,
    ) -> Generation:
        """One user turn: the pictures, then the question. 0 tokens: the model's own setting."""
        parts = [Part("image", str(self._file(picture)), given_as) for picture in pictures]
        parts.append(Part("text", question))
        return self.converse(
            Message("user", tuple(parts)),
            max_tokens=max_tokens,
            fixed_length=fixed_length,
            temperature=temperature,
            seed=seed,
            phases=phases,
        )

    def converse(
        self,
        *messages: Message,
        max_tokens: int = 0,
        fixed_length: bool = False,
        temperature: float = 0.0,
        seed: int = 0,
        margins: bool = False,
        prefill_chunk: int = 0,
        phases: bool = False,
    ) -> Generation:
        """A conversation given in full; loads again if an earlier request ended the worker."""
        self._revive()
        assert self._worker is not None
        request = GenerateRequest(
            messages=messages,
            max_tokens=max_tokens or self.deployment.model.generation.max_tokens,
            temperature=temperature,
            seed=seed,
            fixed_length=fixed_length,
            margins=margins,
            prefill_chunk=prefill_chunk,
            phases=phases,
        )
        try:
            return self._worker.generate(request, deadline_s=self._deadline_s)
        except WorkerError as error:
            self._log = error.stderr_tail
            if not self._worker.alive:
                self._worker = None
            raise

    def reload(self, *, cold: bool = False) -> LoadReport:
        """End the process and load in a fresh one; ``cold``: files dropped from the page cache."""
        self.close()
        self.load_report = self._load(cold=cold)
        return self.load_report

    def load_again(self) -> LoadReport:
        """Give the weights back and load once more in the same process."""
        self._revive()
        assert self._worker is not None
        self._worker.unload()
        return self._worker.load(self._request, deadline_s=self._load_deadline_s)

    def clean_up(self) -> None:
        """Have the library give back what it keeps between requests; the weights stay."""
        self._revive()
        assert self._worker is not None
        self._worker.clean_up()

    def memory(self) -> MemoryReport:
        """Lifetime peak memory of the process that holds the deployment."""
        self._revive()
        assert self._worker is not None
        return self._worker.memory()

    def record(self, metric: str, *values: float) -> None:
        """Keep raw numbers of a metric of ``records.METRICS``, in that metric's unit."""
        unit, _ = METRICS[metric]
        earlier = sum(
            1
            for trial in self._journal.trials
            if trial.deployment == self.identifier and trial.metric == metric
        )
        for number, value in enumerate(values, start=earlier):
            self._journal.trials.append(
                Trial(self.identifier, metric, float(value), unit, number, self.suite)
            )

    def recorded(self, metric: str) -> tuple[float, ...]:
        """The raw numbers kept so far for a metric of this deployment."""
        return tuple(
            trial.value
            for trial in self._journal.trials
            if trial.deployment == self.identifier and trial.metric == metric
        )

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._log = self._worker.log()
            self._worker.close()
            self._worker = None

    def _revive(self) -> None:
        """Load again where an earlier request, or its interruption, ended the worker."""
        if self._worker is None or not self._worker.alive:
            self.close()
            self.load_report = self._load()

    def _load(self, *, cold: bool = False) -> LoadReport:
        self._worker = self._start_worker()
        request = dataclasses.replace(self._request, cold=cold)
        try:
            if not self._request.path and self._request.repository and self.is_owned:
                self._worker.fetch(self._request, deadline_s=_FETCH_DEADLINE_S)
            report = self._worker.load(request, deadline_s=self._load_deadline_s)
        except BaseException:
            self._log = self._worker.log()
            self._worker.close()
            self._worker = None
            raise
        self._journal.load_reports.setdefault(self.identifier, report)
        return report

    def _shown(self, question: Question) -> list[Part]:
        """The question's pictures or its clip, as files."""
        parts = [Part("image", str(self._file(picture))) for picture in question.images()]
        if frames := question.frames():
            files = [self._file(frame) for frame in frames]
            name = hashlib.sha256("".join(file.name for file in files).encode()).hexdigest()[:24]
            folder = self._pictures / name
            if not folder.exists():
                draft = Path(tempfile.mkdtemp(dir=self._pictures))
                for number, file in enumerate(files):
                    shutil.copyfile(file, draft / f"{number:03}.png")
                try:
                    draft.rename(folder)
                except OSError:  # the other side was first
                    shutil.rmtree(draft)
            parts.append(Part("video", str(folder)))
        return parts

    def _file(self, picture: Picture) -> Path:
        if isinstance(picture, Path):
            return picture
        content = picture.tobytes() + repr((picture.mode, picture.size)).encode()
        file = self._pictures / f"{hashlib.sha256(content).hexdigest()[:24]}.png"
        if not file.exists():  # whole or not at all: the gate's two sides ask at the same time
            descriptor, draft = tempfile.mkstemp(dir=self._pictures, suffix=".png")
            with open(descriptor, "wb") as opened:
                picture.save(opened, "PNG")
            Path(draft).rename(file)
        return file
