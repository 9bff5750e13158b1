"""The public surface: a name here stays; a new one is a promise."""

import ast
import subprocess
import sys

import pytest

from qualification import api
from qualification.core.paths import PACKAGE

NAMES = [
    "BackendFailed",
    "BackendSpec",
    "BackendUnavailable",
    "Canary",
    "Config",
    "Deployed",
    "Family",
    "GenerateRequest",
    "Generation",
    "Gguf",
    "InvalidOutput",
    "Limits",
    "LoadReport",
    "LoadRequest",
    "MemoryReport",
    "Message",
    "Metric",
    "Part",
    "Phases",
    "Question",
    "ServerProgram",
    "Shapes",
    "TokenClock",
    "WeightsUnavailable",
    "WorkerCrashed",
    "WorkerError",
    "WorkerOutOfMemory",
    "WorkerTimedOut",
    "clock",
    "decoder",
    "drop_pages",
    "image_tower",
    "library_versions",
    "linear",
    "norm",
    "of_kind",
    "page_cache",
    "resolve",
    "total_bytes",
]


def test_the_surface_is_what_it_was():
    """Removing a name breaks somebody's package."""
    assert api.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name):
    """Each is found in the module that the table names."""
    assert getattr(api, name).__name__ == name or name in ("Config", "Shapes", "clock")


def test_type_checkers_see_the_same_names():
    """The imports for them and the table cannot drift apart."""
    tree = ast.parse((PACKAGE / "api.py").read_text(encoding="utf-8"))
    imported = [
        (node.module.removeprefix("qualification."), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("qualification.")
        for alias in node.names
    ]
    assert sorted(imported) == sorted((module, name) for name, module in api._MODULE_OF.items())


def test_an_unknown_name_is_no_part_of_it():
    """As of any module."""
    with pytest.raises(ImportError, match="Registry"):
        exec("from qualification.api import Registry")


def test_importing_it_imports_nothing_else():
    """A package that registers something is imported while our tables are being filled."""
    code = (
        "import sys; before = set(sys.modules); import qualification.api; "
        "print([n for n in set(sys.modules) - before if n.startswith('qualification.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['qualification.api']"
