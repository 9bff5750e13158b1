"""A run as one screen and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from qualification.core.format import number
from qualification.core.protocol import LoadReport
from qualification.core.results import Machine
from qualification.core.text import disarm, one_line
from qualification.models.known_bugs import how_to_end, remedy
from qualification.see.conclusions import false_alarms
from qualification.see.findings import Finding
from qualification.see.run import Sight
from qualification.see.series import Look, SeriesName

_LONGEST = 120
_WIDTH = 79


def as_json(name: str, sight: Sight, report: LoadReport, machine: Machine) -> dict[str, Any]:
    """Plain JSON types; times in seconds."""
    conclusion = sight.conclusion
    return {
        "deployment": name,
        "verdict": conclusion.name,
        "sentence": conclusion.sentence,
        "also": [_finding(finding) for finding in conclusion.also],
        "known": [_finding(finding) for finding in conclusion.known_findings],
        "no_longer_shown": [bug.identifier for bug in conclusion.gone],
        "requests": len(sight.looks),
        "seconds": round(sight.seconds, 2),
        "false_alarms": false_alarms(),
        "machine": machine.chip,
        "versions": {name: version for name, version in report.versions.items() if version},
        "revision": report.revision,
        "program": report.program,
        "context": report.context,
        "looks": [_look(look) for look in sight.looks],
    }


def screen(name: str, sight: Sight, report: LoadReport, wrong_releases: Sequence[str] = ()) -> str:
    """The verdict with the answers that show it, what else was found, and how often.

    ``wrong_releases`` is what the maps of releases know of the libraries that answered.
    """
    conclusion = sight.conclusion
    lines = [_wrapped(f"{name} {conclusion.sentence}")]
    lines += [answer_line(look) for look in conclusion.verdict.evidence]
    for finding in conclusion.also:
        lines += [_wrapped(f"also {finding.sentence}"), *map(answer_line, finding.evidence)]
    for finding in conclusion.known_findings:
        assert finding.bug is not None
        sentence = f"known: {finding.sentence} ({finding.bug.identifier}; {remedy(finding.bug)})"
        lines.append(_wrapped(sentence))
    lines += map(_wrapped, wrong_releases)
    lines += [
        _wrapped(f"no longer shown: {bug.identifier}; {how_to_end()}") for bug in conclusion.gone
    ]
    lines += [_wrapped(f"not tried: {text}") for text in _refusals(sight)]
    series = dict.fromkeys(look.series for look in sight.looks)
    lines.append(
        _wrapped("correct: " + ", ".join(filter(None, (_count(sight, s) for s in series))))
    )
    if report.context:
        lines.append(f"room for {report.context:,} tokens is in force")
    lines.append(f"{len(sight.looks)} requests in {number(sight.seconds)} s")
    lines.append(
        f"a finding about a sound deployment: at most one in {1 / false_alarms():.0f} runs"
    )
    return "\n".join(lines)


def changes(before: Sight, now: Sight) -> list[str]:
    """What two runs of the same seed differ in: the verdict, then each answer."""
    lines = []
    if before.conclusion.sentence != now.conclusion.sentence:
        lines.append(_wrapped(f"before: {before.conclusion.sentence}"))
    earlier = {_key(look): look for look in before.looks}
    for look in now.looks:
        match = earlier.get(_key(look))
        if match is not None and match.answer != look.answer:
            was = f"before {_answer(match)}" + ("" if match.correct else ", wrong")
            lines.append(f"{answer_line(look)}, {was}")
    return lines or ["before: the same verdict and the same answers"]


def answer_line(look: Look) -> str:
    """A question, what its images show, and the answer."""
    return f"  {described(look)} -> {_answer(look)}"


def described(look: Look) -> str:
    """A question with what its images show."""
    question = look.question
    if look.request.texts:
        return f"{question.prompt} ({look.prompt_tokens} tokens)"
    facts_of = [dict(scene.facts) for scene in question.scenes]
    scenes = ", ".join(facts.get("both") or str([*facts.values()][-1]) for facts in facts_of)
    return f"{question.prompt} ({scenes if look.request.has_images else 'no image'})"


def _count(sight: Sight, series: SeriesName) -> str:
    part = [look for look in sight.looks if look.series == series and not look.failure]
    if not part or part[0].request.texts or not part[0].request.is_judged:
        return ""
    return f"{series} {sum(look.correct for look in part)}/{len(part)}"


def _refusals(sight: Sight) -> list[str]:
    """Requests that a server need not take."""
    failed = [look for look in sight.looks if look.failure]
    if sight.conclusion.name == "cannot tell":
        return []
    return [f"{look.series}: {one_line(look.failure, _LONGEST)}" for look in failed]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": finding.name,
        "sentence": finding.sentence,
        "series": finding.series,
        "bug": finding.bug.identifier if finding.bug else "",
    }


def _look(look: Look) -> dict[str, Any]:
    return {
        "series": look.series,
        "prompt": look.question.prompt,
        "expected": look.question.answer,
        "answer": disarm(look.answer, _LONGEST),
        "correct": look.correct,
        "failure": look.failure,
        "thought": disarm(look.thought, _LONGEST),
        "prompt_tokens": look.prompt_tokens,
        "completion_tokens": look.completion_tokens,
    }


def _key(look: Look) -> tuple[str, str, bool]:
    return look.series, look.question.identifier, look.request.has_images


def _answer(look: Look) -> str:
    return one_line(look.failure, _LONGEST) or repr(disarm(look.answer, _LONGEST))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
