"""The commands that install, download, serve and ask a deployment, as lines for a shell. Pure.

Every word that a declaration or a record gives is quoted for the shell. What may be a key or a
password is no part of a command: a variable of that name stands in its place.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from qualification.core.backends import ENGINES
from qualification.core.child_variables import API_KEY
from qualification.core.hub.files import Part, parts_of
from qualification.documents.sections.recipes.recipe import PICTURE, QUESTION, Recipe, is_secret
from qualification.models.weights import load_request
from qualification.servers import programs

_UNRECORDED = {"mlx": ("num2words",), "torch": ("num2words",)}
"""Engine -> what transformers' processors ask for and no record has a version of."""

_WIDTH = 92


def install(recipe: Recipe) -> str:
    """A fresh environment with the releases that were measured; '' for a server that runs."""
    if recipe.deployment.source.server == "url":
        return ""
    number = re.match(r"3\.\d+", recipe.session.environment.python)
    pins, beside = _requirements(recipe)
    lines = [f"python{number[0] if number else 3} -m venv vlm", ". vlm/bin/activate"]
    if pins:
        lines.append(_command(["pip", "install", *pins]))
    lines.append(_command(["pip", "install", *beside]) + "  # of no recorded release")
    if builds := list(_local_builds(recipe)):
        lines.append(f"# measured with: {', '.join(builds)}")
    return "\n".join(lines)


def _requirements(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Those with the recorded release, and those of which none is recorded."""
    engine = ENGINES.get(recipe.deployment.source.engine)
    names = [*engine.imports.values(), *engine.principal, *engine.beside] if engine else []
    needed = list(recipe.program.needs) if recipe.program else []
    if recipe.program and recipe.program.name == "llama.cpp":
        needed.append("qualification")
    needed += [*_UNRECORDED.get(recipe.deployment.source.engine, ()), "huggingface_hub", "openai"]
    pins = [_pin(recipe, name) for name in dict.fromkeys([*names, *needed]) if recipe.version(name)]
    beside = [name for name in dict.fromkeys(needed) if not recipe.version(name)]
    return pins, beside


def _pin(recipe: Recipe, name: str) -> str:
    extra = ""
    if name == "mlx" and recipe.session.machine.system == "linux":
        device = recipe.row.load.device if recipe.row and recipe.row.load else ""
        extra = "[cuda]" if device == "gpu" else "[cpu]"
    return f"{name}{extra}=={recipe.version(name)}"


def _local_builds(recipe: Recipe) -> Iterator[str]:
    engine = ENGINES.get(recipe.deployment.source.engine)
    for name in (*engine.principal, *engine.beside) if engine else ():
        public = recipe.version(name)
        if public and (local := Version(recipe.session.environment.versions[name]).local):
            yield f"{name} {public}+{local}"


def download(recipe: Recipe) -> str:
    """Take what was measured from the hub, and link it; '' for files of this machine."""
    source = recipe.deployment.source
    if source.path or not source.repository:
        return ""
    *beside, own = parts_of(source)
    lines = [_command(_hub_words(recipe, part, part.revision)) for part in beside]
    words = [*_hub_words(recipe, own, recipe.revision), "--quiet"]
    lines.append(f'ln -sfn "$({_command(words)})" {shlex.quote(recipe.folder)}')
    return "\n".join(lines)


def _hub_words(recipe: Recipe, part: Part, revision: str) -> list[str]:
    release = recipe.version("huggingface_hub")
    if release and Version(release).major < 1:
        patterns = ["--include", *part.patterns]
    else:
        patterns = [word for pattern in part.patterns for word in ("--include", pattern)]
    return ["hf", "download", part.repository, "--revision", revision, *patterns]


def serve(recipe: Recipe) -> str:
    """The command line that the harness starts, on loopback; '' where no program is known."""
    program, source = recipe.program, recipe.deployment.source
    if program is None:
        return ""
    request = load_request(recipe.deployment)
    words = list(program.command(request, Path(recipe.folder), "python"))
    script = Path(words[1])
    if script.parent == Path(programs.__file__).parent:
        ours = ["qualification.servers.llama_cpp"] if script.stem == "llama_cpp" else []
        words = ["python", "-m", *ours, *words[2:]]
    elif program.name == "llama-server":
        words[0] = program.name  # not where it was found on this machine
    if source.server:
        words += map(str, source.options.get("arguments", ()))
    words = [word.replace("{port}", str(recipe.port)) for word in words]
    variables = [f"{name}={value}" for name, value in shell_variables(source.environment).items()]
    return " ".join([*variables, _command(words)])


def shell_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with their values quoted for a shell; that of a secret is left to the reader."""
    return {
        name: f'"${name}"' if is_secret(name) else shlex.quote(value)
        for name, value in environment.items()
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    }


def _command(words: Sequence[str]) -> str:
    """Words quoted for a shell, in lines of about :data:`_WIDTH`."""
    lines = [""]
    option = before = ""
    for word in words:
        name, equals, _ = word.partition("=")
        quoted = shlex.quote(word)
        if option and not word.startswith("-"):
            quoted = f'"${_variable(option)}"'
        elif equals and name.startswith("-") and is_secret(name):
            quoted = f'{shlex.quote(name)}="${_variable(name)}"'
        option = word if word.startswith("-") and is_secret(word) else ""
        if len(lines[-1]) + len(quoted) > _WIDTH and not before.startswith("-"):
            lines.append("")
        lines[-1] += f" {quoted}"
        before = word
    return " \\\n   ".join(lines).strip()


def _variable(option: str) -> str:
    return re.sub(r"\W", "_", option.strip("-"), flags=re.ASCII).upper()


def body(recipe: Recipe, url: str) -> dict[str, Any]:
    """The fields of one chat completion; ``url`` is the image's."""
    text = {"type": "text", "text": QUESTION}
    content: Any = QUESTION
    if recipe.sees:
        content = [{"type": "image_url", "image_url": {"url": url}}, text]
    settings = recipe.deployment.model.generation
    return {
        "model": recipe.served_as,
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "messages": [{"role": "user", "content": content}],
    }


def ask_with_curl(recipe: Recipe) -> str:
    """One request; the body comes by a pipe, because an image may be too long for an argument."""
    url_mark = "data:image/png;base64,"
    before, _, after = json.dumps(body(recipe, url_mark)).rpartition(url_mark)
    parts = [f"  printf '%s' {shlex.quote(json.dumps(body(recipe, '')))}"]
    if recipe.sees:
        parts = [
            f"  printf '%s' {shlex.quote(before + url_mark)}",
            f"  base64 < {PICTURE} | tr -d '\\n'",
            f"  printf '%s' {shlex.quote(after)}",
        ]
    words = ["curl --silent --show-error", shlex.quote(f"{recipe.address}/chat/completions")]
    if recipe.deployment.source.server == "url":
        words.append(f'-H "Authorization: Bearer ${API_KEY}"')
    words.append("-H 'Content-Type: application/json' --data-binary @-")
    return "\n".join(["{", *parts, f"}} | {' '.join(words)}"])
