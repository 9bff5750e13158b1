"""One deployment observed in one fresh process: every check of the gate, made once.

Nothing is judged here: ``compare`` judges the observations of both sides. A failure of the worker
ends the check it happened in, never the observation.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from qualification.core.backends import BACKENDS
from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.errors import BackendFailed, WorkerError
from qualification.core.protocol import Generation, GivenAs
from qualification.core.text import disarm
from qualification.judging.memory_growth import private_bytes
from qualification.judging.stats.estimators import theil_sen
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.tasks.questions import SKILLS_SHOWING, Question, generate, skills_of
from qualification.upgrade.gate.records import Answer, Behaviour, Growth, Probe, Side
from qualification.upgrade.gate.reference import references_of
from qualification.upgrade.gate.side import deployed

QUESTIONS, MORE_QUESTIONS = 6, 24
"""Questions of each skill: in attempt 0, and in the attempt that confirms a difference."""

REQUESTS, SETTLED = 30, 14
"""Requests of the growth check, and those at its beginning that fill caches."""

FORMS: tuple[GivenAs, ...] = ("bytes", "data_url")
"""Forms in which an image is given besides its path."""

MOST_FAILURES = 12
"""Failed questions after which no more are asked."""

CHUNK = 16
"""Tokens that are computed at a time in the check ``prefill_in_chunks``."""

LONG_PROMPT = 8000
"""Characters of the long prompt."""

LARGE_CONTEXT = 4096
"""Tokens of a context from which on the long prompt must be answered."""

_TOO_LONG = re.compile(r"context|n_ctx|token|length|long|position|exceed", re.IGNORECASE)
_WARNING = re.compile(r"\w*Warning\b|\bdeprecat|will be removed|is not supported", re.IGNORECASE)
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)*")
_PLACE = re.compile(r"(/[\w.@+-]+)+")


def observe(
    deployment: Deployment,
    side: Side,
    attempt: int,
    *,
    context: RunContext,
    checks: Collection[str] | None = None,
) -> Behaviour:
    """Load in a fresh process and make the ``checks`` (all by default) that apply.

    ``attempt`` 0 asks a few questions of each skill; attempt 1 asks more, and other ones.
    """
    started = time.monotonic()
    asker = _Asker(deployment, attempt, checks, references_of(deployment))
    try:
        with deployed(deployment, context) as loaded:
            asker.probes.append(Probe("load", "ok"))
            asker.revision = loaded.load_report.revision
            asker.all(loaded, context.scratch)
            asker.log += loaded.log()
    except WorkerError as error:
        asker.probes.append(Probe("load", "error", str(error), error.kind))
    return Behaviour(
        deployment.identifier,
        side,
        attempt,
        tuple(asker.probes),
        tuple(asker.answers),
        warnings_in(asker.log),
        asker.growth,
        time.monotonic() - started,
        asker.revision,
    )


def warnings_in(log: str) -> tuple[str, ...]:
    """The warnings of a log, once each, without parts that differ between two equal runs.

    Paths and numbers are left out: two environments lie in two folders.
    """
    warnings: dict[str, None] = {}
    for line in log.splitlines():
        if _WARNING.search(line):
            text = _NUMBERS.sub("#", _PLACE.sub("…", disarm(line))).strip()[:300]
            warnings[text] = None
    return tuple(warnings)


def held_out(deployment: Deployment, attempt: int) -> list[Question]:
    """The questions of an attempt, for every skill; no question is in two attempts."""
    count = MORE_QUESTIONS if attempt else QUESTIONS
    return [
        question
        for skill in skills_of(deployment.model)
        for question in generate(100 + attempt, count, "heldout", [skill])
    ]


def _first_margin(generation: Generation) -> float:
    margin = generation.margins[0] if generation.margins else 0.0
    return margin if math.isfinite(margin) and margin > 0 else 0.0


class _Asker:
    """Makes the checks one after the other and keeps their outcomes."""

    def __init__(
        self,
        deployment: Deployment,
        attempt: int,
        checks: Collection[str] | None,
        references: Sequence[Mapping[str, float]],
    ) -> None:
        self.deployment = deployment
        self.probes: list[Probe] = []
        self.answers: list[Answer] = []
        self.growth: Growth | None = None
        self.log = ""
        self.revision = ""
        self._unended = ""
        self._attempt = attempt
        self._references = references
        self._checks = checks
        self._capabilities = set(deployment.model.capabilities)

    def all(self, loaded: Deployed, scratch: Path) -> None:
        """Make every check that applies, the most informative ones before the others."""
        if answers_at_random(self.deployment):
            self._make("growth", partial(self._growth, loaded))
            return
        needs_answers = {
            "answers",
            "margins",
            "latency",
            "prompt_tokens",
            "natural_stop",
            *SKILLS_SHOWING,
        }
        if self._checks is None or needs_answers & set(self._checks):
            self._make("answers", partial(self._answers, loaded), always=True)
            self._capable()
            self._make("natural_stop", self._natural_stop)
        if "vision" not in self._capabilities:
            return
        self._make("state", partial(self._state, loaded, scratch))
        for given_as in FORMS:
            self._make(f"given_as[{given_as}]", partial(self._given_as, loaded, given_as))
        if BACKENDS[self.deployment.source.backend].has_prefill_chunks:
            self._make("prefill_in_chunks", partial(self._in_chunks, loaded))
        self._make("long_prompt", partial(self._long_prompt, loaded))
        self._make("growth", partial(self._growth, loaded))

    def _make(self, check: str, ask: Callable[[], str], *, always: bool = False) -> None:
        """Make one check; ``ask`` returns its fault, '' for none."""
        names = {check, check.partition("[")[0]}
        if self._checks is not None and not always and not names & set(self._checks):
            return
        try:
            fault = ask()
        except WorkerError as error:
            self.probes.append(Probe(check, "error", str(error), error.kind))
        else:
            self.probes.append(Probe(check, "wrong" if fault else "ok", disarm(fault)))

    def _answers(self, loaded: Deployed) -> str:
        """Greedy answers to held-out questions; a failed one is an answer that nobody expects."""
        failures: list[WorkerError] = []
        for question in held_out(self.deployment, self._attempt):
            try:
                self.answers.append(self._answer(loaded, question))
            except WorkerError as error:
                failures.append(error)
                self.answers.append(self._failed_answer(question, error))
            if len(failures) >= MOST_FAILURES:
                break
        if failures:
            raise failures[0]
        return ""

    def _answer(self, loaded: Deployed, question: Question) -> Answer:
        generation = loaded.converse(*loaded.messages(question), margins=True)
        text = generation.text.strip()
        if generation.finish_reason != "stop":
            self._unended = question.identifier
        return Answer(
            question.identifier,
            question.skill,
            question.answer,
            disarm(text),
            generation.token_ids,
            generation.prompt_tokens,
            loaded.is_correct(question, text),
            _first_margin(generation),
            self._references_of(question),
            generation.e2e_s,
        )

    def _failed_answer(self, question: Question, error: WorkerError) -> Answer:
        return Answer(
            question.identifier,
            question.skill,
            question.answer,
            disarm(f"({error.kind})"),
            (),
            0,
            correct=False,
            references=self._references_of(question),
        )

    def _references_of(self, question: Question) -> tuple[float, ...]:
        return tuple(margins.get(question.identifier, 0.0) for margins in self._references)

    def _natural_stop(self) -> str:
        """Asked of a canary, which was trained to stop; a real model may answer at any length."""
        if self.deployment.source.weights == "canary" and self._unended:
            return f"still talking at its limit of tokens about {self._unended}"
        return ""

    def _capable(self) -> None:
        """A capability is there if at least half of the questions that show it are correct."""
        for name in self.deployment.model.capabilities:
            answers = [answer for answer in self.answers if answer.skill in SKILLS_SHOWING[name]]
            if not answers or (self._checks is not None and name not in self._checks):
                continue
            correct = sum(answer.correct for answer in answers)
            detail = f"{correct} of {len(answers)} correct"
            outcome: Literal["ok", "wrong"] = "ok" if 2 * correct >= len(answers) else "wrong"
            self.probes.append(Probe(name, outcome, detail))

    def _state(self, loaded: Deployed, scratch: Path) -> str:
        """The same image again after others, of other sizes, after a refusal and in any order."""
        questions = generate(200 + self._attempt, 60, "heldout", ["both"])
        by_size: dict[tuple[int, int], Question] = {}
        for question in questions:
            by_size.setdefault((question.scenes[0].width, question.scenes[0].height), question)
        reference, *of_other_sizes = list(by_size.values())[:4]
        before = self._reply(loaded, reference)
        for question in (questions[-1], *of_other_sizes):
            reply = self._reply(loaded, question)
            if (again := self._reply(loaded, reference)) != before:
                return f"{before[0]!r}, then {again[0]!r} after another image"
            if (again := self._reply(loaded, question)) != reply:
                return f"{reply[0]!r}, then {again[0]!r} for the same image again"
        no_image = scratch / "no-image.png"
        no_image.write_text("this is no image")
        try:
            loaded.generate(reference.prompt, no_image, max_tokens=4)
        except BackendFailed:
            pass
        else:
            return "a file that is no image was answered about"
        if (again := self._reply(loaded, reference)) != before:
            return f"{before[0]!r}, then {again[0]!r} after a request that failed"
        return ""

    def _reply(self, loaded: Deployed, question: Question) -> tuple[str, int]:
        generation = loaded.converse(*loaded.messages(question))
        return generation.text.strip(), generation.prompt_tokens

    def _with_image(self) -> Question:
        return generate(300, 1, "heldout", ["colour"])[0]

    def _given_as(self, loaded: Deployed, form: GivenAs) -> str:
        question = self._with_image()
        image = question.images()[0]
        as_path = loaded.generate(question.prompt, image).text.strip()
        as_form = loaded.generate(question.prompt, image, given_as=form).text.strip()
        return "" if as_path == as_form else f"{as_form!r} as {form}, {as_path!r} as a path"

    def _in_chunks(self, loaded: Deployed) -> str:
        messages = loaded.messages(self._with_image())
        by_default = loaded.converse(*messages).text
        in_chunks = loaded.converse(*messages, prefill_chunk=CHUNK).text
        if in_chunks == by_default:
            return ""
        return f"{CHUNK} at a time {in_chunks!r}, by default {by_default!r}"

    def _long_prompt(self, loaded: Deployed) -> str:
        question = self._with_image()
        before = self._reply(loaded, question)
        prompt = ((question.prompt + " ") * LONG_PROMPT)[:LONG_PROMPT] + question.prompt
        images = [] if "text_only" in self._capabilities else question.images()
        try:
            loaded.generate(prompt, *images, max_tokens=4)
        except BackendFailed as error:
            is_large = self.deployment.model.context >= LARGE_CONTEXT
            if is_large or not _TOO_LONG.search(str(error)):
                raise
        after = self._reply(loaded, question)
        return "" if after == before else f"{before[0]!r} before, {after[0]!r} after a long prompt"

    def _growth(self, loaded: Deployed) -> str:
        """Requests of two sizes in turn; the process's private memory after each."""
        ask = self._asks(loaded)
        sizes = []
        for number in range(REQUESTS):
            ask(number)
            sizes.append(private_bytes(loaded.memory()))
        slope = theil_sen(sizes[SETTLED:])
        self.growth = Growth(slope.value, slope.lower, slope.upper, REQUESTS - SETTLED)
        return ""

    def _asks(self, loaded: Deployed) -> Callable[[int], Generation]:
        if answers_at_random(self.deployment):
            return lambda number: loaded.generate(
                f"{number % 10} is a digit.", max_tokens=4, fixed_length=True
            )
        questions: Sequence[Question] = generate(400, 2, "heldout", ["both"])
        return lambda number: loaded.converse(*loaded.messages(questions[number % 2]))
