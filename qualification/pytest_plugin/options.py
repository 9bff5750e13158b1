"""Options of the qualification on pytest's command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qualification.models.registry import Registry
    from qualification.upgrade.environments.cache import Built

BACKENDS = ("mlx", "torch", "llamacpp", "server", "fake")

SOURCES = {
    "hub": "deployments of real weights",
    "canary": "deployments of tiny trained weights that ship with the project",
    "synthetic": "deployments of random weights at real size",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the qualification."""
    group = parser.getgroup("qualification", "qualify a machine for vision-language models")
    group.addoption(
        "--any-machine",
        action="store_true",
        help="run a tier's deployments on a machine of another tier; "
        "the results are filed under this machine",
    )
    group.addoption(
        "--require-all",
        action="store_true",
        help="a deployment that could not be tried fails the run (for CI)",
    )
    group.addoption(
        "--allow-remote-code",
        action="store_true",
        help="run the code that comes with a model's files, for deployments that declare it",
    )
    group.addoption(
        "--weights",
        choices=tuple(SOURCES),
        help="only deployments of these weights; 'synthetic' takes the real models' deployments "
        "with random weights of their shape, made here and cached (see docs/synthetic.md)",
    )
    group.addoption(
        "--environment",
        metavar="NAME",
        help="run the workers in this environment (see `qualify environments list`), or under an "
        "interpreter by its path (then written with =: --environment=PATH); the default "
        "is the interpreter that runs pytest",
    )
    group.addoption(
        "--candidate",
        metavar="PINS",
        help='lay pins over the environment (default: current): "mlx-vlm==X transformers==Y"',
    )
    group.addoption(
        "--server-url",
        metavar="URL",
        help="ask the OpenAI-compatible server at this address, and nothing else; it is neither "
        "started nor stopped; its key, if it wants one, is taken from QUALIFY_API_KEY",
    )
    group.addoption(
        "--server-model",
        metavar="NAME",
        default="",
        help="the model's name there (default: the only one that it serves)",
    )
    group.addoption(
        "--gate-suspects",
        action="store_true",
        help="where a stored baseline makes a deployment suspect, start `qualify gate` between the "
        "baseline's environment and this one",
    )
    group.addoption(
        "--declarations",
        metavar="DIR",
        help="folder with models.toml, tiers.toml, chips.toml and bugs.toml",
    )
    group.addoption(
        "--results",
        metavar="URL",
        help="results database (default: reports/results.sqlite, or QUALIFY_RESULTS); "
        "'none' keeps nothing",
    )
    group.addoption(
        "--vqa-dir",
        metavar="DIR",
        help="folder with the official VQA 2.0 questions, annotations and images",
    )
    group.addoption(
        "--vqa-sample",
        type=int,
        default=0,
        metavar="N",
        help="questions of a VQA set that are asked (default: 100 official, 60 generated)",
    )
    group.addoption(
        "--vqa-seed",
        type=int,
        default=2026,
        metavar="SEED",
        help="what the sample follows from (default: 2026)",
    )
    group.addoption(
        "--sustained",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="also measure the speed after so many minutes without a pause, 5 or more: "
        "what a machine without a fan keeps up",
    )
    group.addoption(
        "--cold-load",
        action="store_true",
        help="also load with the files dropped from the page cache",
    )
    group.addoption(
        "--deadline",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="time after which a request is given up and its worker ended (default: 600)",
    )


def served(config: pytest.Config, registry: Registry) -> Registry:
    """The registry with the server of ``--server-url`` as its only deployment, or as it was."""
    url = config.getoption("--server-url")
    if not url:
        return registry
    if not re.match(r"https?://[^/]", url):
        raise pytest.UsageError(
            f"--server-url {url} is no address: write one such as http://127.0.0.1:8080/v1"
        )
    return registry.with_server(url, config.getoption("--server-model"))


def built_environment(config: pytest.Config) -> Built | None:
    """The environment that the options name, built where it is missing; None without them."""
    name, pins = config.getoption("--environment"), config.getoption("--candidate")
    if not name and not pins:
        return None
    from qualification.core.errors import QualificationError
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.environments.spec import candidate, environment_spec

    try:
        spec = environment_spec(name or "current")
        return ready(candidate(spec, pins) if pins else spec)
    except QualificationError as error:
        raise pytest.UsageError(str(error)) from error
