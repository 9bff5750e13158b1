"""A run as a screen, as JSON, and as a text for an issue with a script that shows it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from qualification.core.format import number
from qualification.core.protocol import LoadReport
from qualification.core.results import Machine
from qualification.core.text import disarm
from qualification.see.conclusions import false_alarms
from qualification.see.run import Sight
from qualification.see.series import Look
from qualification.tasks.questions import Question

_LONGEST = 120


def as_json(name: str, sight: Sight, report: LoadReport, machine: Machine) -> dict[str, Any]:
    """Plain JSON types; times in seconds."""
    return {
        "deployment": name,
        "verdict": sight.conclusion.name,
        "sentence": sight.conclusion.sentence,
        "requests": len(sight.looks),
        "seconds": round(sight.seconds, 2),
        "false_alarms": false_alarms(),
        "machine": machine.chip,
        "versions": {name: version for name, version in report.versions.items() if version},
        "looks": [_look(look) for look in sight.looks],
    }


def screen(name: str, sight: Sight) -> str:
    """The verdict, a line for each series, and the answers that show it."""
    lines = [f"{name} {sight.conclusion.sentence}"]
    for series in dict.fromkeys(look.series for look in sight.looks):
        part = [look for look in sight.looks if look.series == series]
        lines.append(f"  {series:<10} {sum(look.correct for look in part)} of {len(part)} correct")
    for look in sight.conclusion.evidence:
        lines.append(f"  {_prompt(look.question)} -> {_answer(look)}")
    lines.append(f"{len(sight.looks)} requests in {number(sight.seconds)} s")
    lines.append(
        f"a finding about a sound deployment: at most one in {1 / false_alarms():.0f} runs"
    )
    return "\n".join(lines)


def markdown(name: str, sight: Sight, report: LoadReport, machine: Machine) -> str:
    """A text for an issue; the script shows the first wrong answer on any OpenAI server."""
    versions = ", ".join(f"{k} {v}" for k, v in sorted(report.versions.items()) if v)
    lines = [
        f"## {name}: {sight.conclusion.sentence}",
        "",
        f"{machine.chip}, {machine.system}; {versions or 'versions are not known'}",
        "",
        "| question | expected | answer |",
        "|---|---|---|",
    ]
    looks = sight.conclusion.evidence or sight.looks[:3]
    for look in looks:
        answer = _answer(look).replace("|", "\\|")
        lines.append(f"| {_prompt(look.question)} | {look.question.answer} | {answer} |")
    question = next((look.question for look in looks if look.question.scenes), None)
    if question is not None:
        served = report.served_as or name
        lines += ["", "```python", script(question, served), "```"]
    return "\n".join(lines) + "\n"


def script(question: Question, model: str) -> str:
    """A program of the standard library alone that asks the question of a server."""
    images = [_data_url(question, place) for place in range(len(question.scenes))]
    turns = [*question.history, (question.prompt, "")]
    return f'''\
"""Expected: {question.answer}"""
import json, sys, urllib.request

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
images = {json.dumps(images, indent=1)}
turns = {json.dumps(turns)}
messages = []
for number, (prompt, answer) in enumerate(turns):
    parts = [{{"type": "image_url", "image_url": {{"url": url}}}} for url in images if not number]
    parts.append({{"type": "text", "text": prompt}})
    messages.append({{"role": "user", "content": parts}})
    if answer:
        messages.append({{"role": "assistant", "content": answer}})
body = {{"model": {json.dumps(model)}, "messages": messages, "temperature": 0, "max_tokens": 64}}
request = urllib.request.Request(
    address + "/chat/completions", json.dumps(body).encode(), {{"Content-Type": "application/json"}}
)
with urllib.request.urlopen(request) as reply:
    print(json.load(reply)["choices"][0]["message"]["content"])'''


def _look(look: Look) -> dict[str, Any]:
    return {
        "series": look.series,
        "prompt": look.question.prompt,
        "expected": look.question.answer,
        "answer": disarm(look.answer, _LONGEST),
        "correct": look.correct,
        "failure": look.failure,
    }


def _prompt(question: Question) -> str:
    scenes = ", ".join(scene.facts[-1][1] for scene in question.scenes)
    return f"{question.prompt} ({scenes})"


def _answer(look: Look) -> str:
    return look.failure or repr(disarm(look.answer, _LONGEST))


def _data_url(question: Question, place: int) -> str:
    stream = io.BytesIO()
    question.images()[place].save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
