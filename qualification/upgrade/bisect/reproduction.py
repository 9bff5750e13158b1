"""A search's result as files: JSON, Markdown, and a script that shows the fault without us.

The script is bash and Python. It makes two venvs with the complete pins of the last good and the
first bad release, loads the canary with the library's own calls and asks the question that the two
answered differently, three times with another picture in between.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.text import disarm
from qualification.tasks.questions import Question
from qualification.upgrade.bisect.search import Bisection
from qualification.upgrade.gate.observe import held_out
from qualification.upgrade.gate.records import Asked, Behaviour

SCHEMA_VERSION = 1
"""Of bisect.json."""

BACKENDS = ("mlx", "torch", "llamacpp", "fake")
_PATCHED = ("phi3_v", "moondream2")
"""Families whose canaries mlx-vlm loads only with our changes to its class attributes."""


@dataclass(frozen=True)
class Turn:
    """One request: ``parts`` are (kind, value), a picture as the base64 of its PNG."""

    parts: tuple[tuple[str, str], ...]
    expected: str
    good: str = ""
    bad: str = ""


def documents(
    deployment: Deployment, result: Bisection, observations: Mapping[str, Behaviour]
) -> dict[str, str]:
    """Render the files of a result: name -> content."""
    content = {"schema_version": SCHEMA_VERSION, "result": asdict(result)}
    found = {
        "bisect.json": json.dumps(content, indent=2, ensure_ascii=False) + "\n",
        "bisect.md": markdown(result),
    }
    if result.good_pins and not why_no_script(deployment):
        found["reproduce.sh"] = script(deployment, result, turns(deployment, observations))
    return found


def write(found: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files into a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        (folder / name).write_text(content, encoding="utf-8")
        if name.endswith(".sh"):
            (folder / name).chmod(0o755)
    return [folder / name for name in found]


def why_no_script(deployment: Deployment) -> str:
    """'' where the canary can be shown by the library's own calls; else why it cannot."""
    source = deployment.source
    if source.weights != "canary" and source.backend != "fake":
        return "only canaries ship with the project, and a script needs its weights"
    if source.backend not in BACKENDS:
        return f"a {source.backend} is no library that a script could call"
    if source.backend == "mlx" and deployment.model.family in _PATCHED:
        return f"mlx-vlm loads a {deployment.model.family} of this size only with our changes"
    return ""


def turns(deployment: Deployment, observations: Mapping[str, Behaviour]) -> tuple[Turn, ...]:
    """Choose what to ask: a question that good and bad answered differently, another, it again."""
    good = {one.question: one for one in _asked(observations.get("good"))}
    bad = {one.question: one for one in _asked(observations.get("bad"))}
    simple = [one for one in held_out(deployment, 0) if not one.history and one.clip is None]

    def rank(question: Question) -> tuple[bool, bool]:
        a, b = good.get(question.identifier), bad.get(question.identifier)
        differs = a is not None and b is not None and a.text != b.text
        return (not (differs and a is not None and a.right), not question.scenes)

    first, *others = sorted(simple, key=rank)
    other = next((one for one in others if one.skill == first.skill), first)

    def turn(question: Question) -> Turn:
        a, b = good.get(question.identifier), bad.get(question.identifier)
        return Turn(_parts(question), question.answer, a.text if a else "", b.text if b else "")

    return turn(first), turn(other), turn(first)


def script(deployment: Deployment, result: Bisection, asked: tuple[Turn, ...]) -> str:
    """Return the bash script; its argument is the folder with the project's fixtures."""
    source = deployment.source
    facts = {
        "backend": source.backend,
        "model_file": source.model_file,
        "mmproj_file": source.mmproj_file,
        "options": source.options,
        "template": deployment.model.chat_template,
        "context": deployment.model.context,
        "max_tokens": deployment.model.generation.max_tokens,
        "turns": [{"parts": turn.parts, "expected": turn.expected} for turn in asked],
    }
    lines = [
        "#!/usr/bin/env bash",
        f"# {_comment(result.sentence)}",
        f"# Shows it with {source.backend}'s own calls: bash reproduce.sh [FIXTURES]",
        "set -euo pipefail",
        f'canary="${{1:-fixtures}}/{source.path}"' if source.path else 'canary=""',
        'work="$(mktemp -d)"',
        "trap 'rm -rf \"$work\"' EXIT",
        "cat > \"$work/ask.py\" <<'END_OF_PYTHON'",
        _ASK.replace("FACTS", repr(json.dumps(facts))).strip(),
        "END_OF_PYTHON",
        "side() {  # name, pins; then pins without dependencies in ALONE",
        '  python3 -m venv "$work/$1"',
        '  "$work/$1/bin/pip" install --quiet "${@:2}"',
        '  if [ -n "$ALONE" ]; then "$work/$1/bin/pip" install --quiet --no-deps $ALONE; fi',
        '  echo "== $1"',
        *(f"  export {name}={shlex.quote(value)}" for name, value in source.environment.items()),
        '  (cd "$work" && "$work/$1/bin/python" ask.py "$canary") || echo "(it failed: $?)"',
        "}",
        'case "$canary" in ""|/*) ;; *) canary="$PWD/$canary" ;; esac',
        f"ALONE={shlex.quote(' '.join(result.no_dependencies))}",
        f"side {shlex.quote(_name(result, 'good'))} {shlex.join(result.good_pins)}",
        f"side {shlex.quote(_name(result, 'bad'))} {shlex.join(result.bad_pins)}",
        "",
    ]
    return "\n".join(lines)


def markdown(result: Bisection) -> str:
    """Return the result for a reader; what a library or a model said is quoted as code."""
    lines = [
        f"# {_code_free(result.sentence)}",
        "",
        f"Check `{result.check}` of `{result.deployment}`, from `{result.good.name}` (good) to "
        f"`{result.bad.name}` (bad), Python {result.good.python}.",
        "",
    ]
    if result.pins:
        pins = " or ".join(f"`{pin}`" for pin in result.pins)
        lines += [f"Pin to use: {pins}.", ""]
    lines += [
        f"Environments installed for the search: {result.installs}; refused by pip: "
        f"{result.refused}; time: {result.wall_s:.0f} s.",
        "",
    ]
    if result.tried:
        lines += ["| tried | answer | what came |", "|---|---|---|"]
        lines += [
            f"| {one.side} with {one.package} {one.version or 'left out'} | {one.answer} "
            f"| {_cell(one.sentence)} |"
            for one in result.tried
        ]
        lines.append("")
    if result.untold:
        lines += ["Between the two, without an answer:", ""]
        lines += [f"- {version}: {_cell(why)}" for version, why in result.untold]
        lines.append("")
    if result.left_out:
        lines += ["Not tried:", ""]
        lines += [f"- {version}: {why}" for version, why in result.left_out]
        lines.append("")
    return "\n".join(lines)


def _parts(question: Question) -> tuple[tuple[str, str], ...]:
    """As a canary is asked by the suites: the text before, the pictures, the question."""
    before = (("text", question.before),) if question.before else ()
    shown = tuple(("image", _png(picture)) for picture in question.images())
    return (*before, *shown, ("text", question.prompt))


def _png(picture: object) -> str:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")  # type: ignore[attr-defined]
    return base64.b64encode(stream.getvalue()).decode()


def _asked(behaviour: Behaviour | None) -> tuple[Asked, ...]:
    return behaviour.asked if behaviour is not None else ()


def _name(result: Bisection, side: str) -> str:
    version = result.last_good if side == "good" else result.first_bad
    return f"{side}-{result.package}-{version or 'none'}"


def _comment(text: str) -> str:
    return " ".join(disarm(text).split())


def _code_free(text: str) -> str:
    return _comment(text).replace("`", "'").replace("<", "&lt;").replace("|", "\\|")


def _cell(text: str) -> str:
    return f"`{_comment(text).replace('`', chr(39)).replace('|', '¦')}`"


_ASK = '''
import base64, json, pathlib, sys

facts = json.loads(FACTS)
folder = pathlib.Path(sys.argv[1])


def declare_torchvision():
    """The registry's Linux wheel has no operators beside a CPU torch; the schemas are enough."""
    import importlib.util, re

    found = importlib.util.find_spec("torchvision")
    if found is None or importlib.util.find_spec("torch") is None or sys.platform != "linux":
        return None
    import torch

    if torch.version.cuda is not None:
        return None
    text = (pathlib.Path(found.origin).parent / "_meta_registrations.py").read_text()
    names = re.findall(r"""register_fake\\(\\s*["']torchvision::(\\w+)["']""", text)
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted({"nms", *names}):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def pictures(turn):
    files = []
    for kind, value in turn["parts"]:
        if kind == "image":
            files.append(pathlib.Path(f"{abs(hash(value))}.png").absolute())
            files[-1].write_bytes(base64.b64decode(value))
    return files


def chat(turn):
    content = [
        {"type": "text", "text": value} if kind == "text" else {"type": "image"}
        for kind, value in turn["parts"]
    ]
    return [{"role": "user", "content": content}]


def with_mlx():
    from mlx_vlm import load, stream_generate
    from mlx_vlm.prompt_utils import get_chat_template

    model, processor = load(str(folder), **facts["options"])
    more = {"chat_template": facts["template"]} if facts["template"] else {}

    def ask(turn):
        prompt = get_chat_template(processor, chat(turn), add_generation_prompt=True, **more)
        files = [str(file) for file in pictures(turn)]
        pieces = stream_generate(
            model, processor, prompt, image=files or None, max_tokens=facts["max_tokens"],
            temperature=0.0,
        )
        return "".join(piece.text for piece in pieces)

    return ask


def with_torch():
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, **facts["options"]).eval()

    def ask(turn):
        text = processor.apply_chat_template(
            chat(turn), chat_template=facts["template"] or None, tokenize=False,
            add_generation_prompt=True,
        )
        images = [Image.open(file).convert("RGB") for file in pictures(turn)]
        inputs = processor(text=[text], images=images or None, return_tensors="pt")
        inputs = inputs.to("cpu", dtype=model.dtype)
        with torch.inference_mode():
            ids = model.generate(
                **inputs, max_new_tokens=facts["max_tokens"], do_sample=False,
                repetition_penalty=1.0,
            )
        ids = ids[0, inputs["input_ids"].shape[1]:]
        return processor.tokenizer.decode(ids, skip_special_tokens=True)

    return ask


def with_llamacpp():
    import llama_cpp
    from llama_cpp.llama_chat_format import MTMDChatHandler

    handler = MTMDChatHandler(clip_model_path=str(folder / facts["mmproj_file"]), verbose=False)
    llama = llama_cpp.Llama(
        str(folder / facts["model_file"]), chat_handler=handler, n_ctx=facts["context"],
        verbose=False, **facts["options"],
    )

    def ask(turn):
        content = [
            {"type": "text", "text": value}
            if kind == "text"
            else {"type": "image_url", "image_url": {"url": "data:image/png;base64," + value}}
            for kind, value in turn["parts"]
        ]
        reply = llama.create_chat_completion(
            [{"role": "user", "content": content}], max_tokens=facts["max_tokens"],
            temperature=0.0, repeat_penalty=1.0,
        )
        return reply["choices"][0]["message"]["content"]

    return ask


def with_fake():
    library = __import__(facts["options"]["library"])
    return lambda turn: library.answer(" ".join(v for k, v in turn["parts"] if k == "text"))


kept = declare_torchvision() if facts["backend"] in ("mlx", "torch") else None
ask = globals()["with_" + facts["backend"]]()
for turn in facts["turns"]:
    question = " ".join(value for kind, value in turn["parts"] if kind == "text")
    print(f"{question}  expected {turn['expected']!r}, got {ask(turn)!r}", flush=True)
'''
