"""Refuses a chat template that does not end or that reaches for Python's own attributes.

Every library renders a model's template, most in a sandbox of jinja2 and none with a deadline. Here
it is parsed and rendered once, in a process of its own that has seconds to do it. A template that
fails for another reason is left to the library, which says so.

``python -I chat_templates.py`` is that process: it reads the template from its standard input.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from qualification.core.child_variables import child_variables
from qualification.core.errors import WeightsError

_DEADLINE_S = 10.0
"""A real template takes milliseconds, the process a second on a slow machine."""

_REFUSED = 3
_MOST_BYTES = 1_000_000_000
_LONGEST = 1_000_000
"""Characters; published templates have up to 30,000."""

_CONVERSATIONS: tuple[list[dict[str, Any]], ...] = (
    [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ],
    [
        {"role": "system", "content": "Hello"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Hello"},
    ],
)
"""With parts, and as texts: a template takes one of them or both."""


def templates_in(folder: Path) -> dict[Path, str]:
    """File -> chat template of a folder as transformers reads it; several of a file are joined."""
    templates: dict[Path, str] = {}
    files = (*folder.glob("[!.]*.jinja"), *folder.glob("additional_chat_templates/[!.]*"))
    for file in sorted(filter(Path.is_file, files)):
        templates[file] = file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json", "processor_config.json"):
        try:
            template = json.loads((folder / name).read_text(encoding="utf-8"))["chat_template"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        named = template if isinstance(template, list) else [{"template": template}]
        texts = [str(entry.get("template")) for entry in named if isinstance(entry, dict)]
        templates[folder / name] = "".join(texts)
    return templates


@functools.lru_cache(maxsize=64)
def fault(template: str) -> str:
    """Why a template is refused, '' for one that renders or fails in the library's own way."""
    if not template:
        return ""
    if len(template) > _LONGEST:
        return f"has {len(template):,} characters"
    try:
        ended = subprocess.run(
            [sys.executable, "-I", __file__],
            input=template.encode("utf-8", errors="replace"),
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
            env=child_variables(),
        )
    except subprocess.TimeoutExpired:
        return f"was not rendered within {_DEADLINE_S:.0f} s"
    if ended.returncode == _REFUSED:
        return ended.stdout.decode("utf-8", errors="replace")[:200]
    return ""


def refuse_template(file: Path, template: str) -> None:
    """Raise WeightsError if the chat template of ``file`` may not be rendered."""
    if why := fault(template):
        raise WeightsError(f"{file}: its chat template {why}; it is never given to a library")


def _main() -> None:
    # Not at the top: the parent needs none of it.
    import contextlib
    import resource

    from jinja2 import nodes
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    text = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", text)  # transformers' own tag

    class Strict(ImmutableSandboxedEnvironment):
        """Refuses the attributes that the sandbox only takes for undefined."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            if not super().is_safe_attribute(obj, attr, value):
                raise SecurityError(attr)
            return True

    def raise_exception(message: object) -> None:
        raise ValueError(message)

    environment = Strict(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    try:
        parsed = environment.parse(text)
        names = [node.attr for node in parsed.find_all(nodes.Getattr)]
        names += [str(node.value) for node in parsed.find_all(nodes.Const)]
        if reached := [name for name in names if re.fullmatch(r"__\w+__", name)]:
            raise SecurityError(reached[0])
        template = environment.from_string(text)
        for conversation in _CONVERSATIONS:
            try:
                template.render(
                    messages=conversation,
                    add_generation_prompt=True,
                    bos_token="",
                    eos_token="",
                    tools=None,
                    documents=None,
                    raise_exception=raise_exception,
                    strftime_now=lambda _: "",
                )
            except (SecurityError, MemoryError):
                raise
            except Exception:  # noqa: S112 - it takes conversations of the other kind
                continue
    except SecurityError as error:
        sys.stdout.write(f"reaches for an attribute of Python's own ({error})")
        sys.exit(_REFUSED)
    except MemoryError:
        sys.stdout.write(f"takes more than {_MOST_BYTES / 1e9:.0f} GB to render")
        sys.exit(_REFUSED)
    except Exception:  # noqa: S110 - the library says so itself
        pass


if __name__ == "__main__":
    _main()
