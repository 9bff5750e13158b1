"""Every command in the documentation works: each is run, or run dry, or parsed by its own parser.

The identifier of a test says which of the three: ``run`` executes it in a project with one stored
session, ``dry`` is ``make -n`` or ``pytest --collect-only``, and ``parse`` stops where a command
that takes minutes, changes the machine or needs a network would start. A program or a command that
none of them knows is an error.
"""

import configparser
import contextlib
import dataclasses
import fnmatch
import importlib.util
import re
import subprocess
import tomllib
from functools import cache

import click
import pytest
from _pytest.config import _prepareconfig
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

import qualification
from qualification.cli import main
from qualification.core.declarations import marker_names
from qualification.machine.probe import probe
from qualification.models.loading import load_registry
from qualification.results.store import Store
from qualification.upgrade.environments.interpreters import run
from qualification.upgrade.environments.uv_program import uv_program
from tests.support.documentation import PAGES, ROOT, blocks, commands, commands_of, prose
from tests.support.forked_pytest import run_forked
from tests.support.session_sample import results

RUN = {
    "accept", "baseline expire", "baseline list", "baseline stale", "baseline suspects", "doctor",
    "environments list", "footprint", "report", "synthetic list",
}  # fmt: skip
"""Commands of qualify that are executed; all others are parsed."""

FOREIGN = ("apt-get", "git")
"""Programs that are not ours and whose words are not checked."""

COLLECTED = ("pytest -m canary", "pytest -m hub -k mine")
"""Commands of pytest that also collect, which takes seconds."""


def _way(command):
    if command.program == "qualify":
        return "run" if _subcommand(command.words)[0] in RUN else "parse"
    if command.program == "make" or " ".join(command.words) in COLLECTED:
        return "dry"
    return "parse" if command.program in (*_PARSERS, *FOREIGN) else "none"


def _distinct():
    """Every command once, with the first place that has it."""
    distinct = {}
    for command in commands():
        distinct.setdefault((command.program, *command.words[1:]), command)
    return list(distinct.values())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A user's project: the model and the bug of the pages declared, one session stored."""
    folder = tmp_path_factory.mktemp("project")
    for block in blocks("toml"):
        if block.page.name in ("your-own-model.md", "known-bugs.md"):
            name = re.match(r"# (\S+)", block.text)
            file = folder / (name[1] if name else "declared/bugs.toml")
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
    registry = load_registry()
    stored = results()
    session = dataclasses.replace(
        stored.session, machine=probe(registry.chips, registry.tiers), started="2026-11-29T00:00:00"
    )
    verdict = dataclasses.replace(stored.verdicts[0], name="no_baseline", advice="usable")
    (folder / "reports/gates/<identifier>").mkdir(parents=True)
    Store(f"sqlite:///{folder / 'reports/results.sqlite'}").keep(
        dataclasses.replace(stored, session=session, verdicts=(verdict,))
    )
    with contextlib.chdir(folder):  # `report --check` is of a page too, and checks what it wrote
        assert CliRunner().invoke(main, ["report"]).exit_code == 0
    return folder


@pytest.mark.parametrize("command", _distinct(), ids=lambda c: f"{_way(c)}: {' '.join(c.words)}")
def test_command(command, project, monkeypatch, tmp_path):
    """It is accepted, and what can be executed within seconds succeeds."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path))
    for name in ("QUALIFY_HOME", "QUALIFY_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    _check(command, project)


@pytest.mark.parametrize(
    "line",
    [
        "qualify gate --nonsense",
        "qualify nonsense",
        "qualify watch smolvlm-canary-f32@nonsense",
        "pytest --nonsense",
        "pytest -m nonsense",
        "make nonsense",
        "tox -e nonsense",
        "pip install --nonsense",
        "pip install dist/qualification-0.1.0-py3-none-any.whl[nonsense]",
        "uv pip install --nonsense pytest",
        "uv pip install dist/qualification-0.1.0-py3-none-any.whl[nonsense]",
        "python -m nonsense",
        "nonsense",
    ],
)
def test_a_wrong_command_is_refused(line, project, monkeypatch):
    """By the same check: a misspelt command, option, marker, target, extra or deployment."""
    monkeypatch.chdir(project)
    (command,) = commands_of("here", line)
    with pytest.raises((AssertionError, click.UsageError, pytest.UsageError, SystemExit)):
        _check(command, project)


def test_a_script_is_split_into_commands():
    """Continued lines are one command; comments and variables that are set are left out."""
    script = 'PINS="a b" tox \\\n  -e gate  # a comment\n\n# another\nmake a && bin/make "b c"\n'
    words = [command.words for command in commands_of("here", script)]
    assert words == [("tox", "-e", "gate"), ("make", "a"), ("bin/make", "b c")]


def _check(command, project):
    way = _way(command)
    assert way != "none", f"{command.place}: no way to check {command.program}"
    names = {word for word in command.words if re.fullmatch(r"[\w.+-]+@[\w.-]+", word)}
    assert names - _identifiers() == set(), command.place
    if way == "run":
        done = CliRunner().invoke(main, command.words[1:])
        assert done.exit_code in (0, int("--strict" in command.words)), done.output
    elif way == "dry":
        _run_dry(command, project)
    elif command.program not in FOREIGN:
        _PARSERS[command.program](command.words)


def _run_dry(command, project):
    if command.program == "pytest":
        listing = run_forked(project, "--collect-only", "-q", *command.words[1:])
        assert listing.ret == 0, "\n".join([*listing.outlines[-30:], *listing.errlines])
        return
    words = ("make", "-n", *command.words[1:])
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


# ------------------------------------------------------------------------------------------ parsers


def _subcommand(words):
    """The name of a command of qualify, the command, and the words behind its name."""
    command, name, words = main, [], words[1:]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, name, words = command.commands[words[0]], [*name, words[0]], words[1:]
    return " ".join(name), command, list(words)


def _parse_qualify(words):
    name, command, arguments = _subcommand(words)
    assert not isinstance(command, click.Group), f"{' '.join(words)}: no such command"
    command.make_context(name, arguments)


def _parse_pytest(words):
    # What is resumed says with which arguments: there is no session here.
    words = [word for word in words if word.partition("=")[0] != "--resume"]
    # Not with the fixture pytester: it forgets what was imported, and numpy loads only once.
    config = _prepareconfig(["--capture=no", *words[1:]])
    try:
        markers = set(re.findall(r"[a-z]\w*", config.option.markexpr)) - {"and", "or", "not"}
        assert markers <= _markers()
        assert any(config.option.keyword in name for name in _identifiers())
    finally:
        config._ensure_unconfigure()


def _parse_tox(words):
    file = configparser.ConfigParser(interpolation=None)
    file.read(ROOT / "tox.ini")
    sections = " ".join(name.partition(":")[2] for name in file.sections())
    assert words[words.index("-e") + 1] in re.findall(r"[\w.-]+", sections)


def _parse_pip(words):
    from pip._internal.commands import create_command

    _options, (name, *requirements) = create_command("install").parser.parse_args(list(words[1:]))
    assert name == "install"
    _parse_requirements(requirements)


def _parse_uv(words):
    assert words[1:3] == ("pip", "install")
    text = run([str(uv_program()), "pip", "install", "--help"]).stdout
    options = [word for word in words[3:] if word.startswith("-")]
    assert [option for option in options if not re.search(rf"{option}\b", text)] == []
    _parse_requirements([word for word in words[3:] if not word.startswith("-")])


def _parse_requirements(requirements):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in requirements:
        if wheel := re.fullmatch(r"dist/(.*\.whl)\[(.*)\]", requirement):
            package, version, _build, _tags = parse_wheel_filename(wheel[1])
            assert (package, str(version)) == ("qualification", qualification.__version__)
            assert set(wheel[2].split(",")) <= set(extras["optional-dependencies"])
        else:
            Requirement(requirement)


def _parse_python(words):
    assert words[1] == "-m"
    assert importlib.util.find_spec(words[2]) is not None


_PARSERS = {
    "qualify": _parse_qualify,
    "pytest": _parse_pytest,
    "tox": _parse_tox,
    "pip": _parse_pip,
    "uv": _parse_uv,
    "python": _parse_python,
    "python3": _parse_python,
    "python3.12": _parse_python,
}


@cache
def _identifiers():
    """Every declared deployment, with random weights too, and the one of the pages' example."""
    registry = load_registry()
    both = (registry, registry.with_weights("synthetic"))
    shipped = {deployment.identifier for part in both for deployment in part.deployments()}
    return shipped | {"mine-4bit@mlx"}


@cache
def _markers():
    """The markers of deployments, tiers and suites."""
    from qualification.pytest_plugin.cases import SUITES

    registry = load_registry()
    tiers = {tier.name for tier in registry.tiers}
    deployments = {name for d in registry.deployments() for name in marker_names(d)}
    # The family of the example in extending.md, whose whole run tests/backends has.
    return {"here", "synthetic", "toy"} | tiers | deployments | set(SUITES)


# -------------------------------------------------------------------------------- commands in prose


def _inline():
    """Commands of qualify in the text of the pages, between backquotes."""
    return [
        command
        for page in PAGES
        for text in re.findall(r"`(qualify [^`\n]+)`", prose(page))
        for command in commands_of(f"{page.relative_to(ROOT)}", text)
    ]


@pytest.mark.parametrize("command", dict.fromkeys(_inline()), ids=lambda c: " ".join(c.words))
def test_options_in_prose_exist(command):
    """Such a command may be a part of one, but it names no command or option that is none."""
    _name, subcommand, words = _subcommand(command.words)
    options = {
        name for option in subcommand.params for name in (*option.opts, *option.secondary_opts)
    }
    used = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert used <= options | {"--help", "-h", "--version"}, command.place
    if isinstance(subcommand, click.Group):
        assert all(fnmatch.fnmatchcase(word, "[A-Z-]*") or word == "…" for word in words)
