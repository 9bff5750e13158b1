"""A search's result as files: JSON, Markdown, and a script that shows the fault without us.

The script is bash and Python (a copy of ``ask.py``). It makes two venvs with the complete pins of
the last good and the first bad release, loads the canary with the library's own calls and asks the
question that the two answered differently, another one, and the first again.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qualification.core.child_variables import is_for
from qualification.core.declarations import Deployment
from qualification.core.files import write_documents
from qualification.core.text import disarm
from qualification.models.families.table import FAMILIES
from qualification.tasks.questions import Question
from qualification.upgrade.bisect import ask
from qualification.upgrade.bisect.records import Bisection
from qualification.upgrade.gate.observe import held_out
from qualification.upgrade.gate.records import Answer, Behaviour

if TYPE_CHECKING:
    from PIL import Image

SCHEMA_VERSION = 1
"""The version of bisect.json."""


@dataclass(frozen=True)
class Turn:
    """One request: ``parts`` are (kind, value), an image as the base64 of its PNG."""

    parts: tuple[tuple[str, str], ...]
    expected: str
    good: str = ""
    bad: str = ""


def documents(
    deployment: Deployment, result: Bisection, observations: Mapping[str, Behaviour]
) -> dict[str, str]:
    """Render the files of a result: name -> content."""
    content = {"schema_version": SCHEMA_VERSION, "result": asdict(result)}
    texts = {
        "bisect.json": json.dumps(content, indent=2, ensure_ascii=False) + "\n",
        "bisect.md": markdown(result),
    }
    if result.good_pins and not why_no_script(deployment):
        texts["reproduce.sh"] = script(deployment, result, turns(deployment, observations))
    return texts


def write(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files into a folder, which is made if it is missing; a script is executable."""
    files = write_documents(texts, folder)
    for file in files:
        if file.suffix == ".sh":
            file.chmod(0o755)
    return files


def why_no_script(deployment: Deployment) -> str:
    """The reason why the library's own calls cannot show the canary; '' if they can."""
    source = deployment.source
    if source.weights != "canary" and source.backend != "fake":
        return "only canaries ship with the project, and a script needs its weights"
    if not source.is_its_own_engine or source.engine not in ask.ASKERS:
        return f"a {source.backend} is no library that a script could call"
    family = FAMILIES.get(deployment.model.family)
    if source.backend == "mlx" and family and family.canary and family.canary.is_patched_for_mlx:
        return f"mlx-vlm loads a {deployment.model.family} of this size only with our changes"
    return ""


def turns(deployment: Deployment, observations: Mapping[str, Behaviour]) -> tuple[Turn, ...]:
    """Choose three turns: a question that good and bad answered differently, another, it again."""
    good, bad = _answers(observations.get("good")), _answers(observations.get("bad"))
    simple = [
        question
        for question in held_out(deployment, 0)
        if not question.history and question.clip is None
    ]

    def rank(question: Question) -> tuple[bool, bool]:
        a, b = good.get(question.identifier), bad.get(question.identifier)
        is_lost = a is not None and b is not None and a.text != b.text and a.correct
        return (not is_lost, not question.scenes)

    chosen, *candidates = sorted(simple, key=rank)
    contrast = next((question for question in candidates if question.skill == chosen.skill), chosen)

    def turn(question: Question) -> Turn:
        a, b = good.get(question.identifier), bad.get(question.identifier)
        return Turn(_parts(question), question.answer, a.text if a else "", b.text if b else "")

    return turn(chosen), turn(contrast), turn(chosen)


def script(deployment: Deployment, result: Bisection, turns: tuple[Turn, ...]) -> str:
    """Return the bash script; its argument is the folder that holds the canaries."""
    source = deployment.source
    facts = {
        "backend": source.engine,
        "model_file": source.model_file,
        "mmproj_file": source.mmproj_file,
        "options": source.options,
        "template": deployment.model.chat_template,
        "context": deployment.model.context,
        "max_tokens": deployment.model.generation.max_tokens,
        "turns": [{"parts": turn.parts, "expected": turn.expected} for turn in turns],
    }
    lines = [
        "#!/usr/bin/env bash",
        f"# {_comment(result.sentence)}",
        f"# Shows it with {source.engine}'s own calls: bash reproduce.sh [CANARIES]",
        "set -euo pipefail",
        *_canary_lines(Path(source.path).name),
        'work="$(mktemp -d)"',
        "trap 'rm -rf \"$work\"' EXIT",
        "cat > \"$work/ask.py\" <<'END_OF_PYTHON'",
        Path(ask.__file__).read_text(encoding="utf-8").rstrip(),
        "END_OF_PYTHON",
        "cat > \"$work/facts.json\" <<'END_OF_FACTS'",
        json.dumps(facts),
        "END_OF_FACTS",
        "side() {  # name, pins; then pins without dependencies in ALONE",
        '  python3 -m venv "$work/$1"',
        '  "$work/$1/bin/pip" install --quiet "${@:2}"',
        '  if [ -n "$ALONE" ]; then "$work/$1/bin/pip" install --quiet --no-deps $ALONE; fi',
        '  echo "== $1"',
        *_exports(source.environment),
        '  (cd "$work" && "$work/$1/bin/python" ask.py "$canary" facts.json) \\',
        '    || echo "(it failed: $?)"',
        "}",
        'case "$canary" in ""|/*) ;; *) canary="$PWD/$canary" ;; esac',
        f"ALONE={shlex.quote(' '.join(result.no_dependencies))}",
        f"side {shlex.quote(_name(result, 'good'))} {shlex.join(result.good_pins)}",
        f"side {shlex.quote(_name(result, 'bad'))} {shlex.join(result.bad_pins)}",
        "",
    ]
    return "\n".join(lines)


def _exports(environment: Mapping[str, str]) -> list[str]:
    """The declared variables; a script is passed on, so only those are shown that hold no key."""
    return [
        f"  export {name}={shlex.quote(value)}"
        if is_for(name, "library")
        else f"  # {name}: as in the declaration"
        for name, value in environment.items()
    ]


def markdown(result: Bisection) -> str:
    """Return the result for a reader; texts of a library or a model are quoted as code."""
    lines = [
        f"# {_without_markup(result.sentence)}",
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
        lines += ["| tried | answer | reason |", "|---|---|---|"]
        lines += [
            f"| {tried.side} with {tried.package} {tried.version or 'left out'} | {tried.answer} "
            f"| {_cell(tried.sentence)} |"
            for tried in result.tried
        ]
        lines.append("")
    if result.untold:
        lines += ["Between the two, without an answer:", ""]
        lines += [f"- {version}: {_cell(sentence)}" for version, sentence in result.untold]
        lines.append("")
    if result.left_out:
        lines += ["Not tried:", ""]
        lines += [f"- {version}: {reason}" for version, reason in result.left_out]
        lines.append("")
    return "\n".join(lines)


def _canary_lines(name: str) -> tuple[str, ...]:
    """Where the script looks for the canary: nothing of this machine's paths is in it."""
    if not name:
        return ('canary=""',)
    return (
        f'canary="${{1:-fixtures/canaries}}/{name}"',
        '[ -d "$canary" ] || { echo "$canary: no such folder; name the one that holds the'
        ' canaries: bash reproduce.sh CANARIES" >&2; exit 2; }',
    )


def _parts(question: Question) -> tuple[tuple[str, str], ...]:
    """As the suites ask a canary: the text before, the images, the question."""
    before = (("text", question.before),) if question.before else ()
    images = tuple(("image", _png(image)) for image in question.images())
    return (*before, *images, ("text", question.prompt))


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _answers(behaviour: Behaviour | None) -> dict[str, Answer]:
    """Question -> answer."""
    answers = behaviour.answers if behaviour is not None else ()
    return {answer.question: answer for answer in answers}


def _name(result: Bisection, side: Literal["good", "bad"]) -> str:
    version = result.last_good if side == "good" else result.first_bad
    return f"{side}-{result.package}-{version or 'none'}"


def _comment(text: str) -> str:
    return " ".join(disarm(text).split())


def _without_markup(text: str) -> str:
    return _comment(text).replace("`", "'").replace("<", "&lt;").replace("|", "\\|")


def _cell(text: str) -> str:
    return f"`{_comment(text).replace('`', chr(39)).replace('|', '¦')}`"
