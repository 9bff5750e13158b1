"""What was not tried: the reason from the records, and a command that is accepted."""

import shlex
from dataclasses import replace

import pytest
from _pytest.config import _prepareconfig

from qualification.core.declarations import Deployment
from qualification.core.libraries import install_command
from qualification.core.results import Check
from qualification.documents.model import plain_text
from qualification.documents.sections.roadmap import roadmap
from qualification.models.loading import load_registry
from tests.documents.air_sample import EIGHT, LARGE, SMALL, VERSIONS, air

HUGE, GGUF = "qwen2.5-vl-72b-4bit@mlx", "smolvlm-500m-Q8_0@llamacpp"


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


def plans(names, registry, checks=(), untried=None, selection="", source=None, **changes):
    """Deployment -> why it was not tried, and the command."""
    sample = air({LARGE: {}}, checks, **changes)
    session = replace(sample.session, untried=untried or {}, selection=selection)
    declared = [registry.deployment(name) for name in names]
    deployments = [Deployment(d.model, replace(d.source, **(source or {}))) for d in declared]
    section = roadmap(deployments, replace(sample, session=session), registry)
    if section is None:
        return {}
    rows = [[plain_text(cell) for cell in row] for row in section.blocks[0].rows]
    return {name: (why, command) for name, why, command in rows}


def test_what_does_not_fit_has_its_sum_and_no_command(registry):
    """Nothing would come of trying it here."""
    why, command = plans([HUGE], registry)[HUGE]
    assert why.startswith("does not fit: predicted 46.8 GB = weights")
    assert why.endswith("22.4 GB too much")
    assert command == "–"


def test_a_missing_library_is_installed_first(registry):
    """By the project's own command."""
    why, command = plans([GGUF], registry, versions={"llama-cpp-python": ""})[GGUF]
    assert why == "needs llama-cpp-python, which this environment lacks"
    assert command.startswith(f"{install_command('llamacpp')} && pytest ")


def test_an_engine_with_an_extra_of_another_name_is_installed_by_it(registry):
    """llama.cpp's wheel is one."""
    name = "smolvlm-canary-f32@llama.cpp"
    _why, command = plans([name], registry, versions={"xllamacpp": ""})[name]
    assert command.startswith("pip install 'qualification[llama-cpp]' && ")


def test_a_skipped_one_has_the_reason_of_its_checks(registry):
    """In one line: it quotes a library or the hub."""
    skipped = [
        Check(EIGHT, "load", "test_loads", "skipped", "is not whole\nhere\x1b[2J"),
        Check(EIGHT, "memory", "test_peak", "skipped", "another"),
        Check(SMALL, "load", "test_loads", "skipped", "of no matter"),
        Check(SMALL, "load", "test_loads_again", "passed"),
    ]
    reasons = plans([EIGHT, SMALL], registry, skipped)
    assert reasons[EIGHT][0] == "skipped: is not whole here [2J"
    assert reasons[SMALL][0] == "not part of this session"


def test_one_of_another_machine_says_which(registry):
    """It fits all the same, so it can be tried."""
    name = "qwen2.5-vl-32b-4bit@mlx"
    why, command = plans([name], registry)[name]
    assert why == "not meant for this machine: declared for max_m4, studio, ultra only"
    assert name in command


def test_one_that_was_not_selected_says_what_was(registry):
    """The arguments of the run."""
    assert plans([SMALL], registry, selection="-m here -k 7b")[SMALL][0] == (
        "not part of this session, which ran -m here -k 7b"
    )


def test_an_unfinished_one_goes_on_with_its_session(registry):
    """And without any there is no section."""
    plan = plans([], registry, untried={LARGE: 4, SMALL: 0})
    assert list(plan) == [LARGE]
    assert plan[LARGE][0].startswith("4 selected tests were not tried")
    assert plan[LARGE][1] == "pytest --resume=20260101T000000Z-abc123"
    assert plans([], registry) == {}


def test_every_command_is_accepted_by_pytest(registry):
    """With code of the model's own only where that is declared."""
    hub = [d.identifier for d in registry.with_weights("hub").deployments()]
    commands = plans(hub, registry, versions=VERSIONS | {"llama-cpp-python": ""})
    commands |= {"own": plans([SMALL], registry, source={"remote_code": True})[SMALL]}
    for name, (_why, command) in commands.items():
        if command == "–":
            continue
        words = shlex.split(command.rpartition("&& ")[2])
        assert words[0] == "pytest"
        config = _prepareconfig(["--capture=no", *words[1:]])
        try:
            assert config.option.download
            assert config.option.deployment == [SMALL if name == "own" else name]
            assert config.option.allow_remote_code == (name == "own")
        finally:
            config._ensure_unconfigure()
