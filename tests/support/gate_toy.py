"""A gate of a scripted deployment on two interpreters that differ in one module."""

import sys
import textwrap
from pathlib import Path

from qualification.models.loading import load_registry
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate import journal as journals
from qualification.upgrade.gate.records import EnvironmentRecord, GatePlan
from qualification.upgrade.gate.run import Gate, Sides
from tests.support.session_sample import session

MODELS = """
[[models]]
name = "toy"
family = "toy"
parameters = 1000
licence = "MIT"
capabilities = ["text_only"]

[[models.sources]]
backend = "fake"
quantisation = "bf16"
weights = "synthetic"
options = { library = "toy_library" }
"""
TOY = "toy-bf16-synthetic@fake"
GOOD = """
    TOKEN_S = 0.0
    DIGITS = "zero one two three four five six seven eight nine".split()
    def answer(question):
        return next((str(n) for n, digit in enumerate(DIGITS) if digit in question), "?")
"""
BAD = """
    TOKEN_S = 0.0
    def answer(question):
        return "garbage"
"""


def declarations(folder):
    """A folder with the toy and nothing else."""
    folder.mkdir(parents=True)
    (folder / "models.toml").write_text(MODELS)
    for name in ("tiers", "chips", "bugs"):
        (folder / f"{name}.toml").write_text(f"{name} = []\n")
    return folder


def interpreter(folder, library):
    """An interpreter whose ``toy_library`` is that text: a script in front of this one."""
    folder.mkdir(parents=True)
    (folder / "toy_library.py").write_text(textwrap.dedent(library))
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


def plan(**changes):
    """Of the toy's behaviour alone."""
    facts = {
        "identifier": "toy",
        "started": "2026-01-01T00:00:00+00:00",
        "a": EnvironmentRecord("a", "3.11"),
        "b": EnvironmentRecord("b", "3.11"),
        "machine": session().machine,
        "deployments": (TOY,),
        "timed": (),
        "metrics": (),
        "seed": 1,
        "weights": "synthetic",
    }
    return GatePlan(**(facts | changes))


def begin(folder, made):
    """The folder of a gate that has only its first line."""
    specs = [EnvironmentSpec(name, "", ()) for name in "ab"]
    with journals.Journal.begin(folder, made, *specs):
        pass
    return folder


def run(folder, declared, a, b, *, shown=None):
    """Go on with the gate of a folder."""
    journal, recorded = journals.Journal.again(folder)
    registry = load_registry(declared).with_weights("synthetic")
    with journal:
        return Gate(
            recorded,
            journal,
            {TOY: registry.deployment(TOY)},
            Sides(str(a), str(b)),
            machine=recorded.plan.machine,
            tier=None,
            fixtures=Path("none"),
            shown=shown,
        ).run()
