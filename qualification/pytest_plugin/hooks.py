"""The hooks that run before collection: markers, the parts of the plugin, the shipped suites.

The plugin is loaded in every project of an environment that it is installed in. Until a run asks
for a qualification (:func:`is_asked_for`) it registers names, and nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qualification.pytest_plugin import fixtures
from qualification.pytest_plugin.cases import BACKEND_MARKERS, SESSION, SUITES, TERMINAL
from qualification.pytest_plugin.options import (
    SOURCES,
    changed_options,
    is_resume,
    marker_expression_names,
    refuse_moved_root,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from qualification.pytest_plugin.distribution import ByModel
    from qualification.pytest_plugin.state import RunState

_MARKERS = {
    **{name: f"tests of the shipped suite {name}" for name in SUITES},
    **SOURCES,
    **{name: f"deployments on the {name} backend" for name in BACKEND_MARKERS},
    "here": "deployments for the tier that this machine matches",
    "first_verdict": "a canary of each model on each engine: does it load, and does it see?",
    "suite(name, meaning)": "the suite that a test belongs to, and the question that it answers",
    "needs(capability)": "run only for models that declare the capability",
    "needs_workaround(name)": "run only for deployments that declare the workaround",
    "on_backends(name, ...)": "run only on these backends, which have what the test needs",
    "managed": "left out for a server that a user runs",
}

_OWN_MARKERS = pytest.StashKey[set[str]]()
_STATE = pytest.StashKey["RunState"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and fixtures, and the parts of the plugin where they are asked for."""
    _own_markers(config)
    _keep_terminal(config)
    for name, meaning in _MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.pluginmanager.register(fixtures, "qualification-fixtures")
    if is_asked_for(config) or config.option.markers:
        refuse_moved_root(config)
        state = _state(config)
        state.activate()
        _check_options(config)
        if _takes_shipped_suites(config, state):
            _add_shipped_suites(config)


@pytest.hookimpl(wrapper=True)
def pytest_report_header(
    config: pytest.Config,
) -> Generator[None, list[str | list[str]], list[str | list[str]]]:
    """The machine, and what a run takes into account; with it all lines fit the terminal."""
    headers = yield
    lines = _header(config)
    if not lines:
        return headers
    from qualification.results.terminal import wrapped

    width = config.get_terminal_writer().fullwidth
    fitted: list[str | list[str]] = []
    for plugin in [*headers, lines]:
        of_plugin = [plugin] if isinstance(plugin, str) else plugin
        fitted.append([part for line in of_plugin for part in wrapped(line, width)])
    return fitted


def _header(config: pytest.Config) -> list[str]:
    """The machine, the user's declarations and what they replace, extensions, VQA questions."""
    lines: list[str] = []
    if is_asked_for(config):
        from qualification.machine.names import describe

        state = _state(config)
        tier = state.tier.name if state.tier else "none"
        lines.append(f"qualification: on {describe(state.machine)}, tier {tier}")
    if _STATE in config.stash:
        from qualification.core.extensions import broken
        from qualification.pytest_plugin.resuming import offers

        lines += offers(_state(config))
        lines += _state(config).registry.notes
        lines += [f"qualification: {extension.sentence}" for extension in broken()]
    if folder := config.getoption("--vqa-dir"):
        from qualification.tasks.vqa.dataset import splits_in

        used, *unused = splits_in(Path(folder))
        text = f"vqa: real weights are asked about {used} in {folder}"
        lines.append(text + f"; {' and '.join(unused)} there not used" * bool(unused))
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``deployed`` asks for a qualification, and gets its deployments."""
    if "deployed" not in metafunc.fixturenames:
        return
    try:
        collection = _state(metafunc.config).activate()
    except pytest.UsageError as error:
        raise pytest.Collector.CollectError(str(error)) from error
    collection.parametrise(metafunc)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModel | None:
    """Share out whole models, unless ``--dist`` asks for something else."""
    if config.option.dist != "load" or not is_asked_for(config):
        return None
    from qualification.pytest_plugin.distribution import ByModel

    return ByModel(config, log, _state(config).registry.deployments())


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """``--resume``: the arguments with which the session was begun, before any is read."""
    if any(map(is_resume, args)):
        from qualification.pytest_plugin.resuming import with_first_arguments

        invocation = early_config.invocation_params
        own = [str(word) for word in invocation.args]
        args[:] = with_first_arguments(early_config.rootpath, args, own)
        # What pytest-xdist starts its processes with: they go on with the session that was chosen.
        named = [args[-1] if is_resume(word) else word for word in own]
        early_config.invocation_params = dataclasses.replace(invocation, args=tuple(named))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Before pytest-xdist starts its processes: what they measure can be kept."""
    if is_asked_for(config) and not config.option.collectonly:
        from qualification.pytest_plugin.preflight import require_place, require_session
        from qualification.pytest_plugin.resuming import require_same_conditions

        require_same_conditions(_state(config))
        require_session(_state(config))
        require_place(_state(config))


@pytest.hookimpl(wrapper=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None]:
    """A process of pytest-xdist that ends before it has begun is one sentence, not xdist's error.

    What it had not begun is whole: no test has run.
    """
    try:
        yield
    except (EOFError, OSError) as error:
        # What execnet says of a process that it cannot hear or reach any more.
        is_lost = isinstance(error, EOFError | BrokenPipeError) or "already closed" in str(error)
        if not (is_lost and session.config.pluginmanager.hasplugin("dsession")):
            raise
        pytest.exit(
            "a process of pytest-xdist ended while it was started, and nothing was run: "
            "give the same command again",
            returncode=pytest.ExitCode.INTERRUPTED,
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist which session it is a part of."""
    state = _state(node.config)
    node.workerinput[SESSION] = {
        "folder": str(state.folder),
        "number": state.number,
        "attempt": state.attempt,
    }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A process that tried something has left it in the journal; the run is judged at its end."""
    if (getattr(node, "workeroutput", None) or {}).get(SESSION):
        _state(node.config).activate()


def _keep_terminal(config: pytest.Config) -> None:
    """Keep a way to the terminal: now, while nothing is captured.

    Whether the run qualifies something may be known only after its tests are collected.
    """
    if hasattr(config, "workerinput"):
        return
    try:
        number = os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return
    stream = os.fdopen(number, "w", encoding="utf-8", errors="replace")
    config.stash[TERMINAL] = stream
    config.add_cleanup(stream.close)


def is_asked_for(config: pytest.Config) -> bool:
    """Whether the command line, or the project's settings, say that this run qualifies something.

    A marker counts that selects deployments, unless the project itself registers one of that name.
    A test that takes ``deployed`` asks too, but that is known only after it was collected.
    """
    return bool(changed_options(config) or _selectors(config)) or _has_settings(config)


def _has_settings(config: pytest.Config) -> bool:
    """Whether the project has settings of ours; a file without the word is not even parsed."""
    file = config.rootpath / "pyproject.toml"
    if not file.is_file() or b"qualification" not in file.read_bytes():
        return False
    from qualification.core.project import has_settings

    return has_settings(config.rootpath)


def _state(config: pytest.Config) -> RunState:
    """The state of the run, which begins with the first call."""
    if _STATE not in config.stash:
        from qualification.pytest_plugin.state import RunState

        config.stash[_STATE] = RunState(config)
    return config.stash[_STATE]


def _selectors(config: pytest.Config) -> set[str]:
    """The names in ``-m`` that select deployments: by weights, or a tier, shipped or derived."""
    names = marker_expression_names(config.option.markexpr) - _own_markers(config)
    selectors = names & {*SOURCES, "here", "first_verdict"}
    if names - selectors:
        import tomllib

        from qualification.core.paths import DECLARATIONS
        from qualification.machine.tiers import is_derived_name

        tiers = tomllib.loads((DECLARATIONS / "tiers.toml").read_text(encoding="utf-8"))
        selectors |= names & {tier["name"] for tier in tiers["tiers"]}
        selectors |= set(filter(is_derived_name, names))
    return selectors


def _own_markers(config: pytest.Config) -> set[str]:
    """The markers that the project, or another plugin, had registered before ours were."""
    if _OWN_MARKERS not in config.stash:
        lines: list[str] = config.getini("markers")
        config.stash[_OWN_MARKERS] = {re.split(r"[:(]", line)[0].strip() for line in lines}
    return config.stash[_OWN_MARKERS]


def _takes_shipped_suites(config: pytest.Config, state: RunState) -> bool:
    """Whether the suites that ship are collected beside the project's own tests.

    They are where no path is given and ``-m`` (or ``--weights``, ``--server-url``, ``--model``,
    ``--deployment``) chooses deployments; in a project with settings or declarations of its own any
    marker of a deployment or suite chooses.
    """
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return False
    changed = changed_options(config)
    if _selectors(config) or changed & {"--weights", "--server-url", "--model", "--deployment"}:
        return True
    if not (_has_settings(config) or "--declarations" in changed):
        return False
    names = marker_expression_names(config.option.markexpr) - _own_markers(config)
    return bool(names & {*SUITES, *state.deployment_markers})


def _add_shipped_suites(config: pytest.Config) -> None:
    """Collect the test files that ship, and those of installed packages.

    By their import names, so that pytest looks at nothing else of an environment. Those that lie
    below a folder that is collected anyway (an environment in the project) get no argument of their
    own, which pytest would drop: :class:`Collection` lets pytest through to them.
    """
    from qualification.core.extensions import suite_packages

    folders = [config.invocation_params.dir / argument for argument in config.args]
    names: list[str] = []
    places_inside: list[str] = []
    for name in ("qualification.suites", *suite_packages()):
        place = _place(name)
        if place and any(Path(place).is_relative_to(folder) for folder in folders):
            places_inside.append(place)
        else:
            names.append(name)
    config.args[:] = [*map(str, folders), *names]
    config.option.pyargs = True
    config.option.suites_inside = places_inside  # pytest-xdist hands its processes the options


def _place(name: str) -> str:
    """The folder of a package or the file of a module, as pytest finds it; '' for neither."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ""  # pytest says so
    if spec is None or spec.origin is None:
        return ""
    return os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin


def _check_options(config: pytest.Config) -> None:
    """Refuse option values that no run can use, in one sentence."""
    if config.getoption("--vqa-sample") < 0:
        raise pytest.UsageError("--vqa-sample is negative: ask for 1 question or more")
    if folder := config.getoption("--vqa-dir"):
        from qualification.core.errors import DatasetError
        from qualification.tasks.vqa.dataset import splits_in

        try:
            splits_in(Path(folder))
        except DatasetError as error:
            raise pytest.UsageError(str(error)) from error
    minutes = fixtures.SUSTAINED_MINUTES
    if 0 != config.getoption("--sustained") < minutes:
        raise pytest.UsageError(f"--sustained takes {minutes:g} minutes or more: less is a burst")
