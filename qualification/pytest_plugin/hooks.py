"""The hooks that pytest calls before anything is collected: options, markers, parts of the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from qualification.core.errors import DatasetError
from qualification.pytest_plugin import fixtures
from qualification.pytest_plugin.cases import SUITES
from qualification.pytest_plugin.collection import Collection
from qualification.pytest_plugin.ending import Ending
from qualification.pytest_plugin.options import BACKENDS, SOURCES
from qualification.pytest_plugin.running import Running
from qualification.pytest_plugin.state import RunState


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With pytest-xdist all tests of a model stay in one process: one load, one comparison."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markersand the plugins that share one run."""
    for names in (SUITES, SOURCES):
        for name, meaning in names.items():
            config.addinivalue_line("markers", f"{name}: {meaning}")
    for name in BACKENDS:
        config.addinivalue_line("markers", f"{name}: deployments on the {name} backend")
    config.addinivalue_line("markers", "here: deployments for the tier that this machine matches")
    config.addinivalue_line(
        "markers", "needs(capability): run only for models that declare the capability"
    )
    config.addinivalue_line(
        "markers", "needs_workaround(name): run only for deployments that declare the workaround"
    )
    config.addinivalue_line(
        "markers", "on_backends(name, ...): run only on backends that have what the test asks for"
    )
    config.addinivalue_line("markers", "owned: left out for a server that somebody else runs")
    config.addinivalue_line("markers", "xdist_group(name): kept in one process by pytest-xdist")
    _check_vqa_options(config)
    if 0 != config.getoption("--sustained") < fixtures.SUSTAINED_MINUTES:
        least = fixtures.SUSTAINED_MINUTES
        raise pytest.UsageError(f"--sustained takes {least:g} minutes or more: less is a burst")
    state = RunState(config)
    for tier in state.registry.tiers:
        config.addinivalue_line("markers", f"{tier.name}: deployments for {tier.title}")
    config.pluginmanager.register(Collection(state), "qualification-collection")
    config.pluginmanager.register(Running(state), "qualification-running")
    config.pluginmanager.register(Ending(state), "qualification-ending")
    config.pluginmanager.register(fixtures, "qualification-fixtures")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which of the official VQA questions are asked, where there are any."""
    folder = config.getoption("--vqa-dir")
    if not folder:
        return []
    from qualification.tasks.vqa.dataset import splits_in

    taken, *others = splits_in(Path(folder))
    text = f"vqa: real weights are asked about {taken} in {folder}"
    return [text + f"; {' and '.join(others)} there not taken" * bool(others)]


def _check_vqa_options(config: pytest.Config) -> None:
    if config.getoption("--vqa-sample") < 0:
        raise pytest.UsageError("--vqa-sample is negative: ask for 1 question or more")
    if folder := config.getoption("--vqa-dir"):
        from qualification.tasks.vqa.dataset import splits_in

        try:
            splits_in(Path(folder))
        except DatasetError as error:
            raise pytest.UsageError(str(error)) from error
