"""A project of its own with one scripted deployment, and the declarations of such a toy alone."""

import json
import os
import platform
import sqlite3
import textwrap

import pytest

from tests.support.forked_pytest import run_forked

NAME = "toy-bf16-synthetic@fake"
TIERS = f"""
[[tiers]]
name = "linux_cpu"
title = "this kind of machine"
system = "{"macos" if platform.system() == "Darwin" else "linux"}"
memory_min = "0 GB"
memory_max = "100000 GB"
budget = {{ system = "1 GB", server = "1 GB", applications = "1 GB" }}

[[tiers]]
name = "air_m4"
title = "MacBook Air M4, 32 GB"
system = "macos"
memory_min = "30 GiB"
memory_max = "34 GiB"
budget = {{ system = "8 GB", server = "2 GB", applications = "16 GB" }}
chips = ["M4"]
products = ["MacBook Air"]
accelerator = "metal"
"""
"""This machine's tier, whatever the machine, and another one's."""

CHIPS = """
[[chips]]
name = "M4"
gpu_cores_min = 8
gpu_cores_max = 10
bandwidth = "120 GB/s"
"""

SUITE = """
import pytest

@pytest.mark.state
def test_second_image(deployed):
    from PIL import Image

    assert deployed.ask("What?", Image.new("RGB", (8, 8), "red")) == "red"
    assert deployed.ask("What?", Image.new("RGB", (8, 8), "blue")) == "red"

@pytest.mark.capability
def test_text(deployed):
    deployed.record("decode_tps", 10.0, 11.0)
    assert deployed.ask("Hello") == "red"
"""


ASKING = """
from pathlib import Path

def test_one(deployed):
    Path("asked").touch()
"""
"""A suite that leaves a file once it has been let in."""

SECRET = "secret"
"""The password in every URL of a run that is to stop."""


def bug_toml(versions, **changes):
    """A known bug of pillow that fails the suite's second image; ``changes`` go over its keys."""
    bug = {
        "identifier": "second-image",
        "title": "the second image fails",
        "package": "pillow",
        "versions": versions,
        "deployments": ["toy-*"],
        "tests": ["test_second_image"],
        "failure": "axis remapping",
        "cause": "a parameter is overwritten",
        "source": "a test",
    }
    return "\n".join(["[[bugs]]", *_lines(bug | changes)]) + "\n"


def write_declarations(
    folder,
    *,
    capabilities=("text_only",),
    skills=(),
    parameters=1000,
    tiers_toml="tiers = []\n",
    chips_toml="chips = []\n",
    bugs_toml="bugs = []\n",
    **source,
):
    """Write a folder that declares the toy and takes nothing that ships.

    ``source`` goes over the toy's source.
    """
    source = {"backend": "fake", "quantisation": "bf16", "weights": "synthetic"} | source
    model = {"name": "toy", "family": "toy", "parameters": parameters, "licence": "MIT"}
    model |= {"capabilities": capabilities, "skills": skills}
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["shipped = false", "[[models]]", *_lines(model), "[[models.sources]]", *_lines(source)]
    (folder / "models.toml").write_text("\n".join(lines) + "\n")
    texts = {"tiers": tiers_toml, "chips": chips_toml, "bugs": bugs_toml}
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


class ToyProject:
    """Runs pytest with the plugin on the toy, which both tiers of ``TIERS`` name."""

    def __init__(self, pytester):
        self.path = pytester.path
        self.declarations = pytester.path / "declared"
        self._pytester = pytester

    def run(self, *arguments, suite=SUITE, **declared):
        """Write the declarations and the project's own suite ('' for none), and run."""
        declared = {
            "tiers": ["linux_cpu", "air_m4"],
            "capabilities": ["vision", "text_only"],
            "tiers_toml": TIERS,
            "chips_toml": CHIPS,
        } | declared
        write_declarations(self.declarations, **declared)
        if suite:
            self._pytester.makepyfile(test_suite=textwrap.dedent(suite))
            arguments = (*arguments, "test_suite.py")
        options = ("--declarations", self.declarations, "-ra")
        return run_forked(self.path, *options, *arguments)

    def stopped(self, *arguments, suite=ASKING):
        """Run, and return the sentence with which the run stopped before its first test."""
        result = self.run(*arguments, suite=suite)
        output = result.stderr.str() + result.stdout.str()
        assert result.ret == pytest.ExitCode.USAGE_ERROR, output
        assert not (self.path / "asked").exists()
        (sentence,) = [line for line in result.errlines if line.startswith("ERROR: ")]
        assert SECRET not in output
        assert "Traceback" not in output
        return sentence

    def metrics(self):
        """Metric -> the last value recorded for it; nothing where no results were stored."""
        if not (self.path / "reports/results.sqlite").exists():
            return {}
        return dict(self.query("select metric, value from trials"))

    def query(self, sql):
        """The rows of a query of the results database."""
        with sqlite3.connect(self.path / "reports/results.sqlite") as database:
            return database.execute(sql).fetchall()


@pytest.fixture
def toy_project(pytester, monkeypatch):
    """A project in an empty folder; nothing of the caller's environment reaches it."""
    monkeypatch.setenv("QUALIFY_HOME", str(pytester.path))
    for name in ("QUALIFY_RESULTS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WORKER", "WORKER_COUNT", "TESTRUNUID"):  # or it takes itself for one of several
        monkeypatch.delenv(f"PYTEST_XDIST_{name}", raising=False)
    return ToyProject(pytester)


def own_variables():
    """What a program has that a test starts in a project of its own: no settings of the caller's.

    The folder of locks stays: tests do not wait for each other, nor for what the user measures.
    """
    dropped = ("PYTEST_", "QUALIFY_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return own | {"QUALIFY_LOCKS": os.environ["QUALIFY_LOCKS"]}


def _lines(table):
    return [f"{key} = {_toml(value)}" for key, value in table.items() if value is not None]


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(_lines(value)) + " }"
    return json.dumps(value)
