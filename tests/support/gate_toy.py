"""A gate of a scripted deployment on two interpreters that differ in one module."""

import sys
import textwrap

from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.journal import GateJournal
from qualification.upgrade.gate.records import DeploymentRef, EnvironmentRecord, GatePlan
from qualification.upgrade.gate.run import Gate
from tests.support.session_sample import session
from tests.support.toy_project import NAME, write_declarations

# A request takes so long that a pause of the scheduler does not double the median latency.
GOOD = """
    TOKEN_S = 0.005
    DIGITS = "zero one two three four five six seven eight nine".split()
    def answer(question):
        return next((str(n) for n, digit in enumerate(DIGITS) if digit in question), "?")
"""
BAD = """
    TOKEN_S = 0.005
    def answer(question):
        return "garbage"
"""


def declarations(folder):
    """A folder that declares the toy, whose library is the interpreter's, and nothing else."""
    return write_declarations(folder, options={"library": "toy_library"})


def interpreter(folder, library):
    """An interpreter whose ``toy_library`` is that text: a script in front of this one."""
    folder.mkdir(parents=True)
    (folder / "toy_library.py").write_text(textwrap.dedent(library))
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


def plan(**changes):
    """A plan of the toy's behaviour alone."""
    facts = {
        "identifier": "toy",
        "started": "2026-01-01T00:00:00+00:00",
        "a": EnvironmentRecord("a", "3.11"),
        "b": EnvironmentRecord("b", "3.11"),
        "machine": session().machine,
        "deployments": (DeploymentRef(NAME, "synthetic"),),
        "timed": (),
        "metrics": (),
        "seed": 1,
        "weights": "synthetic",
    }
    return GatePlan(**(facts | changes))


def begin(folder, planned):
    """The folder of a gate that has only its first line."""
    specs = [EnvironmentSpec(name, "", ()) for name in "ab"]
    with GateJournal.begin(folder, planned, *specs):
        pass
    return folder


def run(folder, declared, a, b):
    """Continue the gate of a folder under two interpreters."""
    journal, recorded = GateJournal.again(folder)
    environments = tuple(
        Built(spec, python, "", {}, "3.11") for spec, python in ((recorded.a, a), (recorded.b, b))
    )
    registry = load_registry(declared).with_weights("synthetic")
    context = RunContext(recorded.plan.machine, None, folder / "scratch")
    with Gate(recorded, journal, [registry.deployment(NAME)], environments, context) as gate:
        return gate.run()
