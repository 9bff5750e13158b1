"""What to watch: the limits are those of the watch, and its commands are accepted."""

import shlex
from dataclasses import replace

import pytest

from qualification.cli.watch import watch
from qualification.core.declarations import Deployment
from qualification.core.format import bytes_text, rate_text, seconds_text
from qualification.core.results import Check
from qualification.documents.figures import Figures
from qualification.documents.model import plain_text
from qualification.documents.sections.monitoring import monitoring
from qualification.judging.thresholds import thresholds_for
from qualification.machine.tiers import tier_of
from qualification.models.loading import load_registry
from tests.documents.air_sample import LARGE, air, row_of

CANARY = "smolvlm-canary-f32@llama-server"
NAMES = [LARGE, "smolvlm-500m-Q8_0@llamacpp", "qwen2.5-vl-32b-4bit@mlx", CANARY]


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


def parts_of(identifier, registry, checks=(), source=None, **machine):
    """The deployment, its row, the tier and the machine."""
    declared = registry.deployment(identifier)
    deployment = Deployment(declared.model, replace(declared.source, **(source or {})))
    sample = air({identifier: {}}, checks, **machine)
    row = row_of(identifier, sample, registry)
    return row, deployment, tier_of(sample.session.machine, registry.tiers), sample.session.machine


def rows_of(section):
    """Figure -> the other cells of its row."""
    table = section.blocks[0]
    assert all(len(row) == len(table.columns) for row in table.rows)
    cells = [[plain_text(cell) for cell in row] for row in table.rows]
    return {name: cells_behind for name, *cells_behind in cells}


def commands_of(section):
    """The words of each command."""
    return [shlex.split(line) for line in section.blocks[1].text.splitlines()]


MACHINES = [
    {},
    {"bandwidth": None},
    {"chip": "Other", "tier": "", "product": "", "system": "macos"},
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("identifier", NAMES)
def test_every_limit_is_the_one_of_the_watch(identifier, machine, registry):
    """Whatever the machine is."""
    row, deployment, tier, machine = parts_of(identifier, registry, **machine)
    limits = thresholds_for(machine, tier, deployment)
    cells = rows_of(monitoring(row, deployment, tier, machine, Figures("")))
    memory = next(cells[name] for name in cells if name.startswith("memory in use"))
    warning, critical = bytes_text(limits.warning_bytes), bytes_text(limits.critical_bytes)
    assert memory[0] == f"over {warning}; critical over {critical}"
    growth = cells["memory growth for each request"]
    assert growth[0] == f"over {bytes_text(limits.growth_limit)}"
    assert cells["load time"][0] == f"over {seconds_text(limits.load_limit_s)}"
    floor = f"under {rate_text(limits.floor_tps)}" if limits.floor_tps else "–"
    assert cells["decoding speed"][0] == floor
    if not limits.floor_tps:
        assert cells["decoding speed"][2] == limits.floor_why
    assert ("time to first token" in cells) == bool(limits.drift_limit)


def test_a_declared_floor_comes_first(registry):
    """It is the reader's own."""
    row, deployment, tier, machine = parts_of(
        LARGE, registry, source={"speed_floors": {"air_m4": 20.0}}
    )
    assert thresholds_for(machine, tier, deployment).floor_tps == 20.0
    cells = rows_of(monitoring(row, deployment, tier, machine, Figures("")))
    assert cells["decoding speed"][2] == "declared for air_m4"


def test_unknown_memory_has_no_threshold_and_says_so(registry):
    """Nothing is guessed."""
    cells = rows_of(monitoring(*parts_of(LARGE, registry, memory_bytes=0), Figures("")))
    assert cells["memory in use"][0] == "–"
    assert "is not known" in cells["memory in use"][2]


def test_what_was_measured_stands_beside_its_limit(registry):
    """With its evidence; growth by the check of the memory suite."""
    check = Check(LARGE, "memory", "test_memory_does_not_grow", "passed")
    section = monitoring(*parts_of(LARGE, registry, (check,)), Figures("session s"))
    cells = rows_of(section)
    assert cells["decoding speed"][1] == "21.8 tok/s"
    assert cells["load time"][1] == "4.20 s"
    assert cells["memory growth for each request"][1] == "passed"
    figures = [
        span.figure
        for row in section.blocks[0].rows
        for cell in row
        for span in cell
        if span.figure is not None
    ]
    assert {figure.source for figure in figures} == {"session s"}
    assert len(figures) == 4


@pytest.mark.parametrize("identifier", [*NAMES, "smolvlm-canary-f32@mlx_vlm.server"])
def test_the_commands_are_accepted_by_their_own_parser(identifier, registry):
    """Behind the guide's server, and by itself."""
    commands = commands_of(monitoring(*parts_of(identifier, registry), Figures("")))
    assert len(commands) == 2
    for program, name, *words in commands:
        assert (program, name) == ("qualify", "watch")
        context = watch.make_context("watch", list(words))
        assert context.params["deployment"] == identifier
        is_canary = "canary" in identifier
        assert not (is_canary and context.params["tokens"])  # its answers are checked
    assert commands[0][3:5] == ["--url", "http://127.0.0.1:8080/v1"]


def test_a_server_of_the_users_is_watched_at_its_address(registry):
    """Without its login, and without a load time: it was running."""
    url = "http://user:hidden-word@127.0.0.1:9000/v1"
    (deployment,) = registry.with_server(url, "some model").deployments()
    sample = air({deployment.identifier: {}})
    row = row_of(deployment.identifier, sample, registry)
    section = monitoring(row, deployment, None, sample.session.machine, Figures(""))
    ((*words,),) = commands_of(section)
    assert words[2:6] == ["--url", "http://127.0.0.1:9000/v1", "--hours", "24"]
    assert words[6:] == ["--model", "some model"]
    assert "load time" not in rows_of(section)
