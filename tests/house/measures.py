"""Counts what the house rules are about. Pure: source text in, figures out."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VAGUE = re.compile(
    "_*(one|each|some|found|said|told|made|wanted|kept|seen|first|last|others?|given|known|asked"
    "|shown|held|taken|left|rest|what|which|such|many|things?)_*"
)
"""Words that name no thing: a variable, parameter or loop target is called by its noun instead."""

BACKEND = re.compile(
    r"(torch|torchvision|transformers|mlx|mlx_lm|mlx_vlm|llama_cpp|xllamacpp"
    r"|safetensors\.(torch|mlx))(\.|$)"
)
"""What comes with an extra only; ``tox -e py313`` has none."""

MAX_MODULES, MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_SKIPS = 25, 400, 60, 8, 5
SKIP_MARK = "# fmt:" + " skip"


@dataclass(frozen=True)
class Binding:
    """A name that a module binds: a variable, a parameter, a loop's or a comprehension's target."""

    name: str
    file: Path
    line: int

    @property
    def is_vague(self) -> bool:
        """Whether it is a pronoun or a participle where a noun should stand."""
        return VAGUE.fullmatch(self.name) is not None


def sources(folder: Path) -> list[Path]:
    """The Python files of a folder and of those below it, without caches."""
    return sorted(file for file in folder.rglob("*.py") if "__pycache__" not in file.parts)


def bindings(file: Path, text: str) -> Iterator[Binding]:
    """Every name that a source binds, once for each place."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Binding(node.id, file, node.lineno)
        elif isinstance(node, ast.arg):
            yield Binding(node.arg, file, node.lineno)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield Binding(node.name, file, node.lineno)


def large_functions(file: Path, text: str) -> Iterator[str]:
    """A sentence for each function with too many lines or too many parameters."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        arguments = node.args
        parameters = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
        if lines > MAX_FUNCTION_LINES:
            yield f"{file}:{node.lineno}: {node.name} has {lines} lines"
        if parameters > MAX_PARAMETERS:
            yield f"{file}:{node.lineno}: {node.name} has {parameters} parameters"


def backend_imports(file: Path, text: str) -> Iterator[str]:
    """A sentence for each import that fails where no backend is installed, before any skip."""
    for node in ast.parse(text).body:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if BACKEND.match(module):
                yield f"{file}:{node.lineno}: import {module} where it is used"


def crowded_folders(files: list[Path]) -> list[str]:
    """A sentence for each folder with too many modules."""
    counts = Counter(file.parent for file in files)
    return [f"{folder}: {count} modules" for folder, count in counts.items() if count > MAX_MODULES]


def long_modules(texts: dict[Path, str]) -> list[str]:
    """A sentence for each module with too many lines."""
    return [
        f"{file}: {text.count(chr(10))} lines"
        for file, text in texts.items()
        if text.count("\n") > MAX_LINES
    ]
