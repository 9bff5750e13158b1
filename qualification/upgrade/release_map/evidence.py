"""Behind a cell of the map: a canary's skills and tokens, and what it said of three images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qualification.core.declarations import Deployment
from qualification.documents.model import (
    Block,
    Inline,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    Tone,
    columns,
    inline,
)
from qualification.documents.sections.answered import image_address
from qualification.upgrade.gate.records import Behaviour
from qualification.upgrade.release_map.questions import questions_of
from qualification.upgrade.release_map.records import ReleaseMap
from qualification.upgrade.release_map.states import TRAINED, Stretch, states, stretches

_OUTPUTS = 3


def evidence_sections(
    release_map: ReleaseMap, deployments: Mapping[str, Deployment]
) -> Iterator[Section]:
    """A folded section for each canary that is wrong in some release."""
    for name in release_map.deployments:
        blocks = tuple(_blocks(release_map, deployments[name]))
        if blocks:
            title = f"{release_map.package}: {name}, skill by skill"
            yield Section(
                f"skills-{release_map.package}-{name.partition('@')[0]}", title, blocks, True
            )


def _blocks(release_map: ReleaseMap, deployment: Deployment) -> Iterator[Block]:
    faults = [
        s for s in stretches(release_map, deployment.identifier) if s.state in ("wrong", "shifted")
    ]
    if not faults:
        return
    judged = states(release_map, deployment.identifier)
    by_version = {release.version: behaviour for release, behaviour, _ in judged}
    good = [(release.version, b) for release, b, state in judged if state == "good"]
    observations = [good[-1], *((fault.since, by_version[fault.since]) for fault in faults)]
    yield _skills(deployment, observations)
    for fault in faults:
        yield from _outputs(fault, by_version[fault.since], deployment)


def _skills(deployment: Deployment, observations: Sequence[tuple[str, Behaviour]]) -> Table:
    skills = dict.fromkeys(answer.skill for answer in observations[0][1].answers)
    versions = [version for version, _ in observations]
    rows: list[tuple[Inline, ...]] = [
        (inline(skill), *(_share(behaviour, skill) for _, behaviour in observations))
        for skill in skills
    ]
    tokens = tuple(inline(_tokens(behaviour)) for _, behaviour in observations)
    rows.append((inline("tokens of a prompt"), *tokens))
    return Table(
        f"Correct answers of {deployment.identifier} by skill: a good release, then the first of "
        "each fault",
        columns("skill", *versions),
        tuple(rows),
    )


def _share(behaviour: Behaviour, skill: str) -> Inline:
    answers = [answer for answer in behaviour.answers if answer.skill == skill]
    right = sum(answer.correct for answer in answers)
    tone: Tone = "" if right >= TRAINED * len(answers) else "bad"
    return inline(Span(f"{right}/{len(answers)}", "word", tone))


def _tokens(behaviour: Behaviour) -> str:
    counts = [answer.prompt_tokens for answer in behaviour.answers if answer.prompt_tokens > 0]
    return f"{min(counts)} to {max(counts)}" if counts else "–"


def _outputs(fault: Stretch, behaviour: Behaviour, deployment: Deployment) -> Iterator[Block]:
    questions = {q.identifier: q for q in questions_of(deployment, behaviour.attempt)}
    wrong = [
        (answer, question)
        for answer in behaviour.answers
        if not answer.correct
        and (question := questions.get(answer.question))
        and len(question.scenes) == 1
    ]
    if not wrong:
        return
    end = f"to before {fault.until}" if fault.until else "and later"
    yield Paragraph(inline(Span(f"{fault.since} {end}: {fault.sentence}", "strong")))
    for answer, question in wrong[:_OUTPUTS]:
        yield Picture(f"The image of the question {question.identifier}", image_address(question))
        prompt = f"{question.before} {question.prompt}".strip()
        expected = f" (expected {answer.expected})"
        yield Paragraph(inline(f"“{prompt}” → ", Span(answer.text, "quoted"), expected))
