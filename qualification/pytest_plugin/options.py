"""Options of the qualification on pytest's command line."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from qualification.core.declarations import Model
    from qualification.models.registry import Registry
    from qualification.upgrade.environments.cache import Built

SOURCES = {
    "hub": "deployments of real weights",
    "canary": "deployments of tiny trained weights that ship with the project",
    "synthetic": "deployments of random weights at real size",
}

_OPTIONS: dict[str, dict[str, Any]] = {
    "--any-machine": {
        "action": "store_true",
        "help": "run the deployments of another tier on this machine; "
        "the results are filed under this machine",
    },
    "--require-all": {
        "action": "store_true",
        "help": "fail the run if a deployment could not be tried (for CI)",
    },
    "--download": {
        "action": "store_true",
        "help": "download the weights that are missing from the hub; without it a terminal is "
        "asked once, and anywhere else their tests are skipped",
    },
    "--allow-remote-code": {
        "action": "store_true",
        "help": "run the code that comes with a model's files, for deployments that declare it",
    },
    "--weights": {
        "choices": tuple(SOURCES),
        "help": "only deployments with these weights; 'synthetic' takes the real models' "
        "deployments with random weights of their shape, generated here and cached "
        "(see docs/synthetic.md)",
    },
    "--environment": {
        "metavar": "NAME",
        "help": "run the workers in this environment (see `qualify environments list`), or under "
        "the interpreter at a path (written with =: --environment=PATH); the default is the "
        "interpreter that runs pytest",
    },
    "--candidate": {
        "metavar": "PINS",
        "help": "pins that replace those of the environment (default: current): "
        '"mlx-vlm==X transformers==Y"',
    },
    "--as-of": {
        "metavar": "DATE",
        "default": "",
        "help": "the day of all packages that --candidate does not name: 2026-03-31",
    },
    "--model": {
        "action": "append",
        "metavar": "TARGET",
        "help": "try a model that is not declared, and nothing else: a folder, a .gguf, a hub id "
        "in the local cache, a model of Ollama, or a server's URL; may be repeated",
    },
    "--deployment": {
        "action": "append",
        "metavar": "PATTERN",
        "help": "only the deployments whose name matches, with shell wildcards: 'qwen*@mlx'; may "
        "be repeated",
    },
    "--server-url": {
        "metavar": "URL",
        "help": "test the OpenAI-compatible server at this address and nothing else; it is neither "
        "started nor stopped; if it requires a key, set QUALIFY_API_KEY",
    },
    "--server-model": {
        "metavar": "NAME",
        "default": "",
        "help": "the model's name on that server (default: the only one that it serves)",
    },
    "--resume": {
        "nargs": "?",
        "const": "newest",
        "default": "",
        "metavar": "SESSION",
        "help": "go on with a session that was interrupted (default: the newest of the project), "
        "with the arguments that it was begun with",
    },
    "--thinking": {
        "choices": ("default", "on", "off"),
        "default": "default",
        "help": "tell the models to think before they answer, or not to (default: as the model "
        "does by itself)",
    },
    "--gate-suspects": {
        "action": "store_true",
        "help": "where the comparison with a stored baseline makes a deployment suspect, run "
        "`qualify gate` between the baseline's environment and this one",
    },
    "--declarations": {
        "metavar": "DIR",
        "help": "folder with TOML files of your own declarations, laid over those that ship "
        "(default: [tool.qualification] in the project's pyproject.toml)",
    },
    "--results": {
        "metavar": "URL",
        "help": "results database, a file or a URL (default: QUALIFY_RESULTS, else "
        "reports/results.sqlite in the project); 'none' stores nothing",
    },
    "--vqa-dir": {
        "metavar": "DIR",
        "help": "folder with the official VQA 2.0 questions, annotations and images",
    },
    "--vqa-sample": {
        "type": int,
        "default": 0,
        "metavar": "N",
        "help": "number of VQA questions to ask (default: 100 official, 60 generated)",
    },
    "--vqa-seed": {
        "type": int,
        "default": 2026,
        "metavar": "SEED",
        "help": "seed of the sample of VQA questions (default: 2026)",
    },
    "--sustained": {
        "type": float,
        "default": 0.0,
        "metavar": "MINUTES",
        "help": "also measure the speed after MINUTES of continuous load, 5 or more: the speed "
        "that a machine without a fan sustains",
    },
    "--cold-load": {
        "action": "store_true",
        "help": "also load with the files dropped from the page cache",
    },
    "--deadline": {
        "type": float,
        "default": 600.0,
        "metavar": "SECONDS",
        "help": "seconds after which a request is abandoned and its worker ended (default: 600)",
    },
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the qualification."""
    group = parser.getgroup("qualification", "qualify a machine for vision-language models")
    for name, settings in _OPTIONS.items():
        group.addoption(name, **settings)


def changed_options(config: pytest.Config) -> set[str]:
    """The options of the qualification that are not at their defaults."""
    return {
        name
        for name, settings in _OPTIONS.items()
        if (config.getoption(name) or None) != (settings.get("default") or None)
    }


def refuse_moved_root(config: pytest.Config) -> None:
    """Raise UsageError where pytest took the model of ``--model`` for a place of its own tests.

    Before it knows our options, pytest looks for its rootdir at every path on the command line, so
    ``--model DIR`` moves it there, and results with it; ``--model=DIR`` does not.
    """
    here, root = config.invocation_params.dir, config.rootpath
    if root == here or (config.inipath is not None and root in here.parents):
        return
    for option, value in pairwise(config.invocation_params.args):
        if option == "--model" and (here / str(value)).exists():
            raise pytest.UsageError(
                f"pytest takes {value} for a place of its own tests and {root} for its rootdir; "
                f"write --model={shlex.quote(str(value))}"
            )


def is_resume(argument: str) -> bool:
    """Whether an argument is ``--resume``, with a session or without."""
    return argument.partition("=")[0] == "--resume"


def marker_expression_names(expression: str) -> set[str]:
    """The marker names in a ``-m`` expression."""
    return set(re.findall(r"\w+", expression or ""))


def with_choice(config: pytest.Config, registry: Registry) -> Registry:
    """The registry with the models of ``--model`` alone, and what ``--deployment`` matches."""
    from qualification.core.errors import QualificationError

    targets, patterns = config.getoption("--model"), config.getoption("--deployment")
    urls = [target for target in targets or () if "://" in target]
    if urls and len(targets) > 1:
        raise pytest.UsageError(f"--model {urls[0]} is a server: ask it in a run of its own")
    try:
        if urls:
            registry = _with_server(config, registry, urls[0])
        elif targets:
            registry = registry.with_models([_described(target) for target in targets])
        return registry.matching(patterns) if patterns else registry
    except QualificationError as error:
        raise pytest.UsageError(str(error)) from error


def _described(text: str) -> tuple[Model, str]:
    """An undeclared model, and what is said of it: what was read, and what is doubtful."""
    from qualification.models.own.contradictions import contradictions
    from qualification.models.own.inference import described
    from qualification.models.own.targets import find

    target = find(text)
    model, note = described(target)
    return model, "; doubtful: ".join((note, *contradictions(target, model)))


def with_server_option(config: pytest.Config, registry: Registry) -> Registry:
    """The registry with the server of ``--server-url`` as its only deployment, if it is given."""
    url = config.getoption("--server-url")
    if not url:
        return registry
    if not re.match(r"https?://[^/]", url):
        from qualification.core.text import without_login

        raise pytest.UsageError(
            f"--server-url {without_login(url)} is no address: write one such as "
            "http://127.0.0.1:8080/v1"
        )
    return _with_server(config, registry, url)


def _with_server(config: pytest.Config, registry: Registry, url: str) -> Registry:
    """The model of ``--server-model``; without it, the server is asked for its only one."""
    from qualification.core.errors import SelectionError
    from qualification.servers.served import only_model

    try:
        return registry.with_server(url, config.getoption("--server-model") or only_model(url))
    except SelectionError as error:
        raise pytest.UsageError(str(error)) from error


def built_environment(config: pytest.Config, own: Path | None) -> Built | None:
    """The environment that the options name, built if it is missing; None without them.

    ``own`` is the user's folder of declarations.
    """
    name, pins = config.getoption("--environment"), config.getoption("--candidate")
    as_of = config.getoption("--as-of")
    if not name and not pins and not as_of:
        return None
    from qualification.core.errors import QualificationError
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.environments.spec import candidate, environment_spec

    try:
        spec = environment_spec(name or "current", own)
        return ready(candidate(spec, pins or "", as_of) if pins or as_of else spec)
    except QualificationError as error:
        raise pytest.UsageError(str(error)) from error
