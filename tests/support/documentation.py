"""The pages of the documentation, taken apart: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qualification.core.paths import PACKAGE

yaml = pytest.importorskip("yaml", reason="comes with the extra docs")

ROOT = PACKAGE.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL = ("", "sh", "console")
"""Languages of blocks whose lines are commands; in ``console`` only those after a ``$``."""

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_SCRIPTS = ("run", "script", "before_script", "after_script")
"""Keys of GitHub's and GitLab's YAML whose values are commands."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of its fence, its language and its content."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """For example ``docs/gate.md:3``."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a page; variables that are set before it are left out."""

    place: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """The program without its folder, as ``pytest`` for ``.venv/bin/pytest``."""
        return self.words[0].rpartition("/")[2]


def blocks(*languages: str) -> list[Block]:
    """All fenced blocks in these languages; all at all without any."""
    return [
        Block(page, text.count("\n", 0, fence.start()) + 1, fence[2], fence[3])
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for fence in _FENCE.finditer(text)
        if not languages or fence[2] in languages
    ]


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands() -> list[Command]:
    """Every command of a shell block, and of a YAML block that runs some."""
    shell = [command for block in blocks(*SHELL) for command in _of_shell(block)]
    return shell + [
        command
        for block in blocks("yaml")
        for script in scripts(block)
        for command in commands_of(block.place, script)
    ]


def scripts(block: Block) -> Iterator[str]:
    """The scripts in a block of YAML."""
    return _scripts(yaml.safe_load(block.text))


def commands_of(place: str, script: str) -> Iterator[Command]:
    """The commands of a script: continued lines joined, comments and assignments left out."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for part in _split(words, "&&"):
            while part and _ASSIGNMENT.match(part[0]):
                part = part[1:]
            if part:
                yield Command(place, tuple(part))


def links(page: Path) -> list[tuple[Path, str]]:
    """(File, anchor) of every link of a page into this repository."""
    targets = re.findall(r"\]\(([^)\s:]+)\)", prose(page))
    return [
        ((page.parent / path).resolve() if path else page, anchor)
        for path, _, anchor in (target.partition("#") for target in targets)
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them, and those that it has by itself."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    own = set(re.findall(r'^<a id="([\w.-]+)"></a>$', prose(page), re.MULTILINE))
    return own | {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def _of_shell(block: Block) -> Iterator[Command]:
    text = block.text
    if block.language == "console":
        text = "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
    yield from commands_of(block.place, text)


def _split(words: list[str], separator: str) -> Iterator[list[str]]:
    while separator in words:
        place = words.index(separator)
        yield words[:place]
        words = words[place + 1 :]
    yield words


def _scripts(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _SCRIPTS:
                yield "\n".join(value) if isinstance(value, list) else value
            else:
                yield from _scripts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _scripts(value)
