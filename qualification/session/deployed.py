"""A loaded deployment as the suites see it."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

from qualification.core.declarations import Deployment
from qualification.core.disk import room_in
from qualification.core.errors import WeightsUnavailable, WorkerError
from qualification.core.files import write_whole
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
from qualification.core.results import Trial
from qualification.core.thoughts import divided
from qualification.models.weights import check_fetched, decode_bytes_here
from qualification.models.weights_revision import files_revision
from qualification.session.context import RunContext
from qualification.session.fetching import fetch
from qualification.session.journal import Journal
from qualification.session.loading import start_worker
from qualification.session.worker import Worker

if TYPE_CHECKING:
    from PIL import Image

    from qualification.tasks.questions import Question

_HINTS = {
    "text": " Answer with the digit.",
    "count": " Answer with the number.",
    "position": " Answer with left, right, above or below.",
    "which": " Answer with first or second.",
    "motion": " Answer with left, right, up or down.",
}

ImageSource = Union["Image.Image", Path]
"""An image to be written as PNG, or a file that is passed on unchanged."""


class Deployed:
    """A loaded deployment as the suites see it: the value of the ``deployed`` fixture."""

    def __init__(
        self,
        deployment: Deployment,
        request: LoadRequest,
        context: RunContext,
        journal: Journal,
    ) -> None:
        self.deployment = deployment
        self.machine = context.machine
        self.tier = context.tier
        self.suite = ""
        self._request = request
        self._context = context
        self._journal = journal
        with room_in(context.scratch):
            context.images.mkdir(parents=True, exist_ok=True)
        self._worker: Worker | None = None
        self._log = ""
        self.load_report: LoadReport = self._load()

    @property
    def identifier(self) -> str:
        """For example ``qwen2.5-vl-7b-4bit@mlx``."""
        return self.deployment.identifier

    @property
    def is_canary(self) -> bool:
        """Whether the weights are a canary's, whose answers must be correct."""
        return self.deployment.source.weights == "canary"

    @property
    def is_managed(self) -> bool:
        """Whether we start and end its process: a server at a user's address is not managed."""
        return self.deployment.source.server != "url"

    @property
    def worker_pid(self) -> int | None:
        """The process that holds the deployment; None where it has ended."""
        return self._worker.pid if self._worker is not None and self._worker.alive else None

    def log(self) -> str:
        """The text that the backend's libraries have printed so far."""
        return self._worker.log() if self._worker is not None else self._log

    def ask(self, question: str, *images: ImageSource, max_tokens: int = 0) -> str:
        """The answer, decoded greedily and stripped, to a question that follows its images."""
        return self.generate(question, *images, max_tokens=max_tokens).text.strip()

    def answer(self, question: Question, *, reuse: bool = False) -> str:
        """The answer to a generated question, as long as the model's settings allow.

        ``reuse``: where this deployment has answered the same conversation in this run, greedily
        and without limits of a test, that answer stands and nothing is asked. A test of anything
        but the answers themselves (repetition, state, time, memory) must ask.
        """
        messages = self.messages(question)
        text = self._journal.kept(self.identifier, self._name(messages)) if reuse else None
        return str(self.converse(*messages).text if text is None else text).strip()

    def messages(
        self, question: Question, *, images: Sequence[ImageSource] | None = None
    ) -> tuple[Message, ...]:
        """The turns of a generated question, its history first.

        ``images`` stand for its own: as many others, or () for text alone.
        """
        turns = [*question.history, (question.prompt, "")]
        messages: list[Message] = []
        for number, (prompt, answer) in enumerate(turns):
            parts = []
            if number == 0 and images is None:
                parts = self._media_parts(question)
            elif number == 0:
                parts = [Part("image", str(self._file(image))) for image in images or ()]
            # Published prompt styles differ on text before an image; the canaries know it.
            if number == 0 and question.before and self.is_canary:
                parts.insert(0, Part("text", question.before))
            hint = "" if self.is_canary or answer else _HINTS.get(question.skill, "")
            messages.append(Message("user", (*parts, Part("text", prompt + hint))))
            if answer:
                messages.append(Message("assistant", (Part("text", answer),)))
        return tuple(messages)

    def is_correct(self, question: Question, answer: str) -> bool:
        """A canary must answer exactly; a real model may put the answer into a sentence."""
        from qualification.tasks.questions import is_correct, says_the_answer

        return (is_correct if self.is_canary else says_the_answer)(question, answer)

    def generate(
        self,
        question: str,
        *images: ImageSource,
        given_as: GivenAs = "path",
        max_tokens: int = 0,
        fixed_length: bool = False,
        temperature: float = 0.0,
        seed: int = 0,
        phases: bool = False,
    ) -> Generation:
        """One user turn: the images, then the question. 0 tokens: the model's own setting."""
        parts = [Part("image", str(self._file(image)), given_as) for image in images]
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
        """A conversation in full; see :meth:`send`."""
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
        generation = self.send(request)
        if not (max_tokens or temperature or fixed_length or prefill_chunk or phases):
            self._journal.keep(self.identifier, self._name(messages), generation.text)
        return generation

    def _name(self, messages: tuple[Message, ...]) -> str:
        """Of the answer to a conversation; its images have another folder when a run is resumed."""
        text = repr(messages).replace(str(self._context.images), "")
        return f"conversation {hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def send(self, request: GenerateRequest) -> Generation:
        """The answer to a request; loads again if an earlier one ended the worker.

        What the model thinks before its answer is no part of the text.
        """
        worker = self._live_worker()
        request = dataclasses.replace(request, thinking=self._context.thinking)
        try:
            generation = worker.generate(request, deadline_s=self._context.deadline_s)
        except WorkerError as error:
            self._log = error.stderr_tail
            if not worker.alive:
                self._worker = None
            raise
        thought, answer = divided(generation.text)
        if answer != generation.text:
            thought = "\n".join(filter(None, (generation.thinking, thought)))
            generation = dataclasses.replace(generation, text=answer, thinking=thought)
        return generation

    def reload(self, *, cold: bool = False) -> LoadReport:
        """End the process and load in a fresh one; ``cold``: files dropped from the page cache."""
        self.close()
        self.load_report = self._load(cold=cold)
        return self.load_report

    def load_again(self) -> LoadReport:
        """Unload the weights and load once more in the same process."""
        worker = self._live_worker()
        worker.unload()
        return worker.load(self._request, deadline_s=self._context.load_deadline_s(self.deployment))

    def clean_up(self) -> None:
        """Have the library release what it caches between requests; the weights stay."""
        self._live_worker().clean_up()

    def memory(self) -> MemoryReport:
        """Lifetime peak memory of the process that holds the deployment."""
        return self._live_worker().memory()

    def record(self, metric: str, *values: float) -> None:
        """Add raw values of one of :data:`~qualification.core.metrics.METRICS`, in its unit."""
        if metric not in METRICS:
            (nearest,) = difflib.get_close_matches(metric, METRICS, n=1, cutoff=0.0)
            raise ValueError(
                f"no metric is named {metric!r}; the nearest is {nearest!r}. A package registers a "
                'metric of its own (docs/extending.md, "A metric")'
            )
        unit = METRICS[metric].unit
        recorded = len(self.recorded(metric))
        self._journal.add(
            *(
                Trial(self.identifier, metric, float(value), unit, number, self.suite)
                for number, value in enumerate(values, start=recorded)
            )
        )

    def recorded(self, metric: str) -> tuple[float, ...]:
        """The raw values of a metric recorded so far for this deployment."""
        return self._journal.values(self.identifier, metric)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._log = self._worker.log()
            self._worker.close()
            self._worker = None

    def _live_worker(self) -> Worker:
        """The worker; loaded again where an earlier request, or its interruption, ended it."""
        if self._worker is None or not self._worker.alive:
            self.close()
            self.load_report = self._load()
        assert self._worker is not None
        return self._worker

    def _load(self, *, cold: bool = False) -> LoadReport:
        self._worker = start_worker(self.deployment, self._context)
        request = dataclasses.replace(self._request, cold=cold)
        try:
            if not request.path and request.repository and self.is_managed:
                fetch(self._worker, self._request, self._context, self.deployment)
                check_fetched(self._request, self.deployment.source)
            deadline_s = self._context.load_deadline_s(self.deployment)
            report = self._worker.load(request, deadline_s=deadline_s)
            if self._worker.is_forked:
                notes = (*report.notes, "the libraries were imported before this process began")
                report = dataclasses.replace(report, notes=notes)
            revision = report.revision or files_revision(self._request)
            report = dataclasses.replace(report, revision=revision)
            self._require_same(revision)
        except BaseException:
            self.close()
            raise
        if self.identifier not in self._journal.load_reports:
            read = decode_bytes_here(self.deployment, request)
            self._journal.load_reports[self.identifier] = dataclasses.replace(
                report, decode_bytes=read
            )
        return report

    def _require_same(self, revision: str) -> None:
        """WeightsUnavailable where the run began with other weights."""
        at_first = self._journal.load_reports.get(self.identifier)
        if (
            at_first is not None
            and "" not in (revision, at_first.revision)
            and revision != at_first.revision
        ):
            raise WeightsUnavailable(
                f"{self.identifier}: its weights were changed while the run went on (revision "
                f"{at_first.revision}, now {revision}): run it again"
            )

    def _media_parts(self, question: Question) -> list[Part]:
        """The question's images, or its clip, as files."""
        parts = [Part("image", str(self._file(image))) for image in question.images()]
        if frames := question.frames():
            files = [self._file(frame) for frame in frames]
            name = hashlib.sha256("".join(file.name for file in files).encode()).hexdigest()[:24]
            folder = self._context.images / name
            if not folder.exists():
                with room_in(self._context.images):
                    draft = Path(tempfile.mkdtemp(dir=self._context.images))
                    for number, file in enumerate(files):
                        shutil.copyfile(file, draft / f"{number:03}.png")
                try:
                    draft.rename(folder)
                except OSError:  # another thread of a gate has made the same clip meanwhile
                    shutil.rmtree(draft)
            parts.append(Part("video", str(folder)))
        return parts

    def _file(self, image: ImageSource) -> Path:
        if isinstance(image, Path):
            return image
        content = image.tobytes() + repr((image.mode, image.size)).encode()
        file = self._context.images / f"{hashlib.sha256(content).hexdigest()[:24]}.png"
        if not file.exists():
            # The threads of a gate share the folder and must never read half a file.
            stream = io.BytesIO()
            image.save(stream, "PNG")
            with room_in(self._context.images):
                write_whole(file, stream.getvalue())
        return file
