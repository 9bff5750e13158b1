"""The hooks that run before collection: the markers, and the parts of the plugin for one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from qualification.core.backends import BACKENDS
from qualification.core.errors import DatasetError
from qualification.pytest_plugin import fixtures
from qualification.pytest_plugin.cases import SUITES
from qualification.pytest_plugin.collection import Collection
from qualification.pytest_plugin.ending import Ending
from qualification.pytest_plugin.options import SOURCES
from qualification.pytest_plugin.running import Running
from qualification.pytest_plugin.state import RunState

_MARKERS = {
    **SUITES,
    **SOURCES,
    **{name: f"deployments on the {name} backend" for name in BACKENDS},
    "here": "deployments for the tier that this machine matches",
    "needs(capability)": "run only for models that declare the capability",
    "needs_workaround(name)": "run only for deployments that declare the workaround",
    "on_backends(name, ...)": "run only on these backends, which have what the test needs",
    "managed": "left out for a server that a user runs",
    "xdist_group(name)": "kept in one process by pytest-xdist",
}


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With pytest-xdist all tests of a model stay in one process: one load, one comparison."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the parts of the plugin, which share the state of the run."""
    _check_options(config)
    state = RunState(config)
    tiers = {tier.name: f"deployments for {tier.title}" for tier in state.registry.tiers}
    for name, meaning in (_MARKERS | tiers).items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.pluginmanager.register(Collection(state), "qualification-collection")
    config.pluginmanager.register(Running(state), "qualification-running")
    config.pluginmanager.register(Ending(state), "qualification-ending")
    config.pluginmanager.register(fixtures, "qualification-fixtures")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The split of the official VQA questions that is used, if there are any."""
    folder = config.getoption("--vqa-dir")
    if not folder:
        return []
    from qualification.tasks.vqa.dataset import splits_in

    used, *unused = splits_in(Path(folder))
    text = f"vqa: real weights are asked about {used} in {folder}"
    return [text + f"; {' and '.join(unused)} there not used" * bool(unused)]


def _check_options(config: pytest.Config) -> None:
    """Refuse option values that no run can use, in one sentence."""
    if config.getoption("--vqa-sample") < 0:
        raise pytest.UsageError("--vqa-sample is negative: ask for 1 question or more")
    if folder := config.getoption("--vqa-dir"):
        from qualification.tasks.vqa.dataset import splits_in

        try:
            splits_in(Path(folder))
        except DatasetError as error:
            raise pytest.UsageError(str(error)) from error
    minutes = fixtures.SUSTAINED_MINUTES
    if 0 != config.getoption("--sustained") < minutes:
        raise pytest.UsageError(f"--sustained takes {minutes:g} minutes or more: less is a burst")
