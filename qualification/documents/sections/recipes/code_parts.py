"""Pieces of Python that several loaders share: lines of code as lists of text. Pure."""

from __future__ import annotations

import re
from typing import Any

from qualification.core.hub.files import parts_of
from qualification.documents.sections.recipes.recipe import PICTURE, QUESTION, Recipe, is_secret
from qualification.documents.sections.recipes.shell import body


def import_lines(recipe: Recipe, *lines: str) -> list[str]:
    """The imports, with what finds weights of the hub, and the blank line behind them."""
    hub = ["from huggingface_hub import snapshot_download"] if _is_of_the_hub(recipe) else []
    return [*hub, *lines, ""]


def folder_lines(recipe: Recipe) -> list[str]:
    """Those that set ``folder``: the declared one, or the commit in the hub's cache."""
    source = recipe.deployment.source
    if not _is_of_the_hub(recipe):
        return [f"folder = {recipe.folder!r}"]
    return [
        "folder = snapshot_download(",
        f"    {source.repository!r},",
        f"    revision={recipe.revision!r},",
        f"    allow_patterns={list(parts_of(source)[-1].patterns)!r},",
        ")",
    ]


def options_line(options: dict[str, Any]) -> tuple[list[str], str]:
    """The line that sets a loader's options, and how a call takes them."""
    return ([f"options = {literal(options)}"], ", **options") if options else ([], "")


def template_line(recipe: Recipe) -> tuple[list[str], str]:
    """The line that sets a chat template of the declaration, and how a call takes it."""
    template = recipe.deployment.model.chat_template
    return ([f"template = {template!r}"], ", chat_template=template") if template else ([], "")


def message_lines(recipe: Recipe, image: str) -> list[str]:
    """Those that set ``messages``; ``image`` is the code of an image's part."""
    content = f"[{image}, {{'type': 'text', 'text': question}}]" if recipe.sees else "question"
    return [
        f"question = {QUESTION!r}",
        f"content = {content}",
        "messages = [{'role': 'user', 'content': content}]",
    ]


def request_lines(recipe: Recipe, key: str) -> list[str]:
    """One request by OpenAI's client; ``key`` is the code of its key."""
    image = [
        f"image = base64.b64encode(Path({PICTURE!r}).read_bytes()).decode()",
        "url = f'data:image/png;base64,{image}'",
    ]
    fields = {name: value for name, value in body(recipe, "").items() if name != "messages"}
    return [
        *(image if recipe.sees else []),
        *message_lines(recipe, "{'type': 'image_url', 'image_url': {'url': url}}"),
        f"client = OpenAI(base_url={recipe.address!r}, api_key={key})",
        "answer = client.chat.completions.create(",
        *(f"    {name}={value!r}," for name, value in fields.items()),
        "    messages=messages,",
        ")",
        "print(answer.choices[0].message.content)",
    ]


def literal(value: Any) -> str:
    """A value as code; what is named like a key is read from a variable of that name."""
    if not isinstance(value, dict):
        return repr(value)
    entries = []
    for name, content in value.items():
        variable = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
        text = f"os.environ[{variable!r}]" if is_secret(name) else literal(content)
        entries.append(f"{name!r}: {text}")
    return f"{{{', '.join(entries)}}}"


def _is_of_the_hub(recipe: Recipe) -> bool:
    source = recipe.deployment.source
    return bool(source.repository) and not source.path
