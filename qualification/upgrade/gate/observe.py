"""What one deployment does in one fresh process: every check of the gate, asked once.

Nothing is judged here: an observation says what came, ``decide`` holds two sides against each
other. A failure of the worker ends the check it happened in, never the observation.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.errors import BackendFailed, WorkerError
from qualification.core.protocol import Generation, GivenAs
from qualification.core.text import disarm
from qualification.judging.memory_growth import held_bytes
from qualification.judging.stats.estimators import theil_sen
from qualification.session.deployed import Deployed
from qualification.tasks.questions import SKILLS_SHOWING, Question, generate, skills_of
from qualification.upgrade.gate.records import Asked, Behaviour, Growth, Probe, Side
from qualification.upgrade.gate.reference import references_of
from qualification.upgrade.gate.side import Place, deployed

FIRST, MORE = 6, 24
"""Questions of each skill: at first, and where the answers differed and it is asked again."""

REQUESTS, SETTLED = 30, 14
"""Of the growth check, and those at its beginning that fill caches."""

CHUNK = 16
LONG = 8000
ROOMY = 4096
ENOUGH = 64
_TOO_LONG = re.compile(r"context|n_ctx|token|length|long|position|exceed", re.IGNORECASE)
_WARNING = re.compile(r"\w*Warning\b|\bdeprecat|will be removed|is not supported", re.IGNORECASE)
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)*")
_PLACE = re.compile(r"(/[\w.@+-]+)+")


def observe(
    deployment: Deployment,
    side: Side,
    attempt: int,
    *,
    python: str,
    place: Place,
    checks: Collection[str] | None = None,
) -> Behaviour:
    """Load in a fresh process and make the ``checks`` (all by default) that apply.

    ``attempt`` 0 asks a few questions of each skill; a later one asks others, and more of them.
    """
    started = time.monotonic()
    asker = _Asker(deployment, attempt, checks, references_of(deployment, place.fixtures))
    try:
        with deployed(deployment, python, place) as loaded:
            asker.probes.append(Probe("load", "ok"))
            asker.all(loaded, place.scratch)
            asker.log += loaded.log()
    except WorkerError as error:
        asker.probes.append(Probe("load", "error", str(error), error.kind))
    return Behaviour(
        deployment.identifier,
        side,
        attempt,
        tuple(asker.probes),
        tuple(asker.asked),
        warnings_in(asker.log),
        asker.growth,
        time.monotonic() - started,
    )


def warnings_in(log: str) -> tuple[str, ...]:
    """Return the warnings of a log, once each, without what differs between two equal runs.

    Paths and numbers are left out: two environments lie in two folders.
    """
    found: dict[str, None] = {}
    for line in log.splitlines():
        if _WARNING.search(line):
            text = _NUMBERS.sub("#", _PLACE.sub("…", disarm(line))).strip()[:300]
            found[text] = None
    return tuple(found)


def held_out(deployment: Deployment, attempt: int) -> list[Question]:
    """Return the questions of an attempt: of every skill, none of them in two attempts."""
    count = MORE if attempt else FIRST
    return [
        question
        for skill in skills_of(deployment.model)
        for question in generate(100 + attempt, count, "heldout", [skill])
    ]


def _first_margin(generation: Generation) -> float:
    margin = generation.margins[0] if generation.margins else 0.0
    return margin if math.isfinite(margin) and margin > 0 else 0.0


class _Asker:
    """Makes the checks one after the other and keeps what came."""

    def __init__(
        self,
        deployment: Deployment,
        attempt: int,
        checks: Collection[str] | None,
        references: Sequence[Mapping[str, float]],
    ) -> None:
        self.deployment = deployment
        self.probes: list[Probe] = []
        self.asked: list[Asked] = []
        self.growth: Growth | None = None
        self.log = ""
        self._unended = ""
        self._attempt = attempt
        self._references = references
        self._checks = checks
        self._capabilities = set(deployment.model.capabilities)

    def all(self, loaded: Deployed, scratch: Path) -> None:
        """Every check that applies, most telling ones first."""
        if answers_at_random(self.deployment):
            self._one("growth", lambda: self._growth(loaded))
            return
        needs_answers = {
            "answers",
            "margins",
            "pace",
            "prompt_tokens",
            "natural_stop",
            *SKILLS_SHOWING,
        }
        if self._checks is None or needs_answers & set(self._checks):
            self._one("answers", lambda: self._answers(loaded), always=True)
            self._capable()
            self._one("natural_stop", self._natural_stop)
        if "vision" not in self._capabilities:
            return
        self._one("state", lambda: self._state(loaded, scratch))
        for way in ("bytes", "data_url"):
            self._one(f"given_as[{way}]", lambda way=way: self._given_as(loaded, way))  # type: ignore[misc]
        if self.deployment.source.backend in ("mlx", "llamacpp"):
            self._one("prefill_in_chunks", lambda: self._in_chunks(loaded))
        self._one("long_prompt", lambda: self._long_prompt(loaded))
        self._one("growth", lambda: self._growth(loaded))

    def _one(self, check: str, ask: Callable[[], str], *, always: bool = False) -> None:
        """``ask`` returns what is wrong, '' where nothing is."""
        names = {check, check.partition("[")[0]}
        if self._checks is not None and not always and not names & set(self._checks):
            return
        try:
            wrong = ask()
        except WorkerError as error:
            self.probes.append(Probe(check, "error", str(error), error.kind))
        else:
            self.probes.append(Probe(check, "wrong" if wrong else "ok", disarm(wrong)))

    def _answers(self, loaded: Deployed) -> str:
        """Greedy answers to held-out questions; a failed one is an answer that nobody expects."""
        failure: WorkerError | None = None
        for question in held_out(self.deployment, self._attempt):
            try:
                generation = loaded.converse(*loaded.messages(question), margins=True)
            except WorkerError as error:
                failure = failure or error
                ids: tuple[int, ...] = ()
                text, tokens, right, margin, took = f"({error.kind})", 0, False, 0.0, 0.0
            else:
                text, ids = generation.text.strip(), generation.token_ids
                tokens, right = generation.prompt_tokens, loaded.is_right(question, text)
                margin, took = _first_margin(generation), generation.e2e_s
                if generation.finish_reason != "stop":
                    self._unended = question.identifier
            self.asked.append(
                Asked(
                    question.identifier, question.skill, question.answer, disarm(text), ids, tokens,
                    right, margin,
                    tuple(one.get(question.identifier, 0.0) for one in self._references),
                    took,
                )
            )  # fmt: skip
            if failure is not None and sum(one.text.startswith("(") for one in self.asked) >= 12:
                break  # a deployment that fails at everything has said enough
        if failure is not None:
            raise failure
        return ""

    def _natural_stop(self) -> str:
        """Of a canary, which was trained to; a real model's answer may be as long as is allowed."""
        if self.deployment.source.weights == "canary" and self._unended:
            return f"still talking at its limit of tokens about {self._unended}"
        return ""

    def _capable(self) -> None:
        """A capability is there where at least half of the questions that show it are right."""
        for name in self.deployment.model.capabilities:
            asked = [one for one in self.asked if one.skill in SKILLS_SHOWING[name]]
            if not asked or (self._checks is not None and name not in self._checks):
                continue
            right = sum(one.right for one in asked)
            detail = f"{right} of {len(asked)} right"
            self.probes.append(Probe(name, "ok" if 2 * right >= len(asked) else "wrong", detail))

    def _state(self, loaded: Deployed, scratch: Path) -> str:
        """The same picture again after others, other sizes, a refusal and in any order."""
        some = generate(200 + self._attempt, 60, "heldout", ["both"])
        by_size: dict[tuple[int, int], Question] = {}
        for question in some:
            by_size.setdefault((question.scenes[0].width, question.scenes[0].height), question)
        small, *others = list(by_size.values())[:4]
        first = self._said(loaded, small)
        for other in (some[-1], *others):
            before = self._said(loaded, other)
            if (again := self._said(loaded, small)) != first:
                return f"{first[0]!r}, then {again[0]!r} after another picture"
            if (again := self._said(loaded, other)) != before:
                return f"{before[0]!r}, then {again[0]!r} for the same picture again"
        bad = scratch / "no-picture.png"
        bad.write_text("this is no picture")
        try:
            loaded.generate(small.prompt, bad, max_tokens=4)
        except BackendFailed:
            pass
        else:
            return "a file that is no picture was answered about"
        if (again := self._said(loaded, small)) != first:
            return f"{first[0]!r}, then {again[0]!r} after a request that failed"
        return ""

    def _said(self, loaded: Deployed, question: Question) -> tuple[str, int]:
        generation = loaded.converse(*loaded.messages(question))
        return generation.text.strip(), generation.prompt_tokens

    def _pictured(self) -> Question:
        return generate(300, 1, "heldout", ["colour"])[0]

    def _given_as(self, loaded: Deployed, way: GivenAs) -> str:
        question = self._pictured()
        picture = question.images()[0]
        plain = loaded.generate(question.prompt, picture).text.strip()
        other = loaded.generate(question.prompt, picture, given_as=way).text.strip()
        return "" if plain == other else f"{other!r} as {way}, {plain!r} as a path"

    def _in_chunks(self, loaded: Deployed) -> str:
        messages = loaded.messages(self._pictured())
        whole = loaded.converse(*messages).text
        pieces = loaded.converse(*messages, prefill_chunk=CHUNK).text
        return "" if pieces == whole else f"{CHUNK} at a time {pieces!r}, by default {whole!r}"

    def _long_prompt(self, loaded: Deployed) -> str:
        question = self._pictured()
        before = self._said(loaded, question)
        prompt = ((question.prompt + " ") * LONG)[:LONG] + question.prompt
        pictures = [] if "text_only" in self._capabilities else question.images()
        try:
            loaded.generate(prompt, *pictures, max_tokens=4)
        except BackendFailed as error:
            if self.deployment.model.context >= ROOMY or not _TOO_LONG.search(str(error)):
                raise
        after = self._said(loaded, question)
        return "" if after == before else f"{before[0]!r} before, {after[0]!r} after a long prompt"

    def _growth(self, loaded: Deployed) -> str:
        """Requests of two sizes in turn; what the process holds of its own after each."""
        ask = self._asks(loaded)
        held = []
        for number in range(REQUESTS):
            ask(number)
            held.append(held_bytes(loaded.memory()))
        slope = theil_sen(held[SETTLED:])
        self.growth = Growth(slope.value, slope.lower, slope.upper, len(held) - SETTLED)
        return ""

    def _asks(self, loaded: Deployed) -> Callable[[int], Generation]:
        if answers_at_random(self.deployment):
            return lambda number: loaded.generate(
                f"{number % 10} is a digit.", max_tokens=4, fixed_length=True
            )
        some: Sequence[Question] = generate(400, 2, "heldout", ["both"])
        return lambda number: loaded.converse(*loaded.messages(some[number % 2]))
