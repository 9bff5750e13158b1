"""A run as a text for an issue, with a script that shows it without us."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification.core.protocol import LoadReport
from qualification.core.results import Machine
from qualification.core.text import disarm, one_line
from qualification.see.report import described
from qualification.see.run import Sight, messages_of
from qualification.see.series import Look
from qualification.servers.chat import as_request, data_url
from qualification.session.deployed import Deployed

_LONGEST = 120
_MOST_INLINE = 20_000
"""Characters of an image in the text itself; a larger one is in the script alone."""


@dataclass(frozen=True)
class Case:
    """A look with the chat completion that asks it, its images inline."""

    look: Look
    body: dict[str, Any]

    @property
    def images(self) -> list[str]:
        """Data URLs of its images, in their order."""
        parts = [p for m in self.body["messages"] if isinstance(m["content"], list)
                 for p in m["content"]]  # fmt: skip
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def cases_of(loaded: Deployed, looks: Sequence[Look], scratch: Path) -> list[Case]:
    """The requests of looks, to be asked again."""
    model = loaded.load_report.served_as or loaded.deployment.model.name
    cases = []
    for look in looks:
        turns = messages_of(loaded, look.request, scratch)
        messages = [as_request(turn, lambda part: data_url(Path(part.value))) for turn in turns]
        limit = look.request.max_tokens or loaded.deployment.model.generation.max_tokens
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": limit}
        cases.append(Case(look, body | dict(look.request.fields)))
    return cases


def markdown(
    name: str, sight: Sight, report: LoadReport, machine: Machine, cases: list[Case], engine: str
) -> str:
    """The text; ``engine`` is the library of a deployment in a process, '' for a server."""
    versions = {key: version for key, version in sorted(report.versions.items()) if version}
    listed = ", ".join(f"{key} {version}" for key, version in versions.items())
    where = [report.program, f"revision {report.revision[:12]}" if report.revision else ""]
    conclusion = sight.conclusion
    lines = [
        f"## {name}: {conclusion.sentence}",
        "",
        "; ".join(
            filter(None, (machine.chip, machine.system, listed or "versions unknown", *where))
        ),
        "",
        "| question | expected | answer |",
        "|---|---|---|",
    ]
    for case in cases:
        cells = (described(case.look), case.look.question.answer, answer_cell(case.look))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    wrong = sum(not case.look.correct for case in cases)
    lines += ["", f"{wrong} of these {len(cases)} answers are wrong, decoded greedily."]
    lines += ["", *[f"Also {finding.sentence}." for finding in conclusion.also]]
    if cases and (fields := _without_images(cases[0])):
        lines += ["The first request, without its images:", "", "```json", fields, "```", ""]
    images = [url for case in cases for url in case.images if len(url) <= _MOST_INLINE]
    lines += [f"![image {number}]({url})" for number, url in enumerate(images[:1], 1)]
    if cases:
        lines += ["", "```python", script(cases, engine), "```"]
    return "\n".join(lines) + "\n"


def script(cases: list[Case], engine: str) -> str:
    """A program that asks the cases: of a server, or with an engine's own library."""
    questions = [[case.body, case.look.question.answer] for case in cases]
    return _SCRIPTS[engine].replace("CASES", json.dumps(questions, ensure_ascii=True))


def _without_images(case: Case) -> str:
    text = json.dumps(case.body, indent=1)
    for url in case.images:
        text = text.replace(url, f"{url[:40]}…")
    return text


def answer_cell(look: Look) -> str:
    """An answer as code in one line, whatever the model has written."""
    answer = one_line(disarm(look.answer, _LONGEST)).replace("`", "'")
    return one_line(look.failure, _LONGEST) or f"`{answer}`"


_SERVER = '''\
import json, sys, urllib.request

# python shows_it.py http://127.0.0.1:8080/v1
address = sys.argv[1]
cases = json.loads(r"""CASES""")
for body, expected in cases:
    request = urllib.request.Request(
        address + "/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        content = json.load(reply)
    got = content["choices"][0]["message"]["content"]
    print(f"expected {expected!r}, got {got!r}, usage {content.get('usage')}")'''

_IMAGES = '''\
import base64, json, sys

cases = json.loads(r"""CASES""")


def divided(body):
    """The messages as a chat template takes them, and the files of the images."""
    files = []
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        for number, part in enumerate(parts):
            if part["type"] == "image_url":
                content = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                files.append(f"image-{len(files)}")
                open(files[-1], "wb").write(content)
                parts[number] = {"type": "image"}
    return body["messages"], files

'''

_TORCH = (
    _IMAGES
    + """
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

# python shows_it.py FOLDER-OR-HUB-ID
processor = AutoProcessor.from_pretrained(sys.argv[1])
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
for body, expected in cases:
    chat, files = divided(body)
    prompt = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    images = [Image.open(file) for file in files] or None
    inputs = processor(text=[prompt], images=images, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=body["max_tokens"], do_sample=False)
    got = processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    print(f"expected {expected!r}, got {got!r}")"""
)

_MLX = (
    _IMAGES
    + """
from mlx_vlm import generate, load
from mlx_vlm.prompt_utils import get_chat_template

# python shows_it.py FOLDER-OR-HUB-ID
model, processor = load(sys.argv[1])
for body, expected in cases:
    chat, files = divided(body)
    prompt = get_chat_template(processor, chat, add_generation_prompt=True)
    got = generate(
        model, processor, prompt, image=files or None, max_tokens=body["max_tokens"], temperature=0
    )
    print(f"expected {expected!r}, got {getattr(got, 'text', got)!r}")"""
)

_LLAMACPP = '''\
import json, sys
from llama_cpp import Llama
from llama_cpp.llama_chat_format import MTMDChatHandler

# python shows_it.py MODEL.gguf MMPROJ.gguf
handler = MTMDChatHandler(clip_model_path=sys.argv[2], verbose=False)
llama = Llama(sys.argv[1], chat_handler=handler, n_ctx=4096, verbose=False)
cases = json.loads(r"""CASES""")
for body, expected in cases:
    body.pop("model")
    reply = llama.create_chat_completion(**body, top_k=0, top_p=1.0, min_p=0.0)
    got = reply["choices"][0]["message"]["content"]
    print(f"expected {expected!r}, got {got!r}")'''

_SCRIPTS = {"": _SERVER, "torch": _TORCH, "mlx": _MLX, "llamacpp": _LLAMACPP}
"""Engine -> its script; '' for a server. Thirty lines, the images among them."""
