"""Faults that are planted before real servers and in workers are named."""

from contextlib import ExitStack

import pytest

from benchmarks.see.__main__ import SOUND
from benchmarks.see.planted import (
    OLLAMA,
    PLANTS,
    TORCH,
    asked,
    at,
    is_named,
    with_fault,
)
from qualification.models.loading import load_registry

FAST = [plant for plant in PLANTS if plant.where == OLLAMA]
SLOW = [plant for plant in PLANTS if plant not in FAST]  # IN_WORKERS: python -m benchmarks.see


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A function that starts each server once for all tests here."""
    with ExitStack() as stack:
        running = {}

        def start(where):
            if where == TORCH:
                return "", ""
            if where not in running:
                folder = tmp_path_factory.mktemp("server")
                running[where] = stack.enter_context(at(where, folder))
            return running[where]

        yield start


@pytest.mark.parametrize(
    "plant",
    [
        *(pytest.param(plant, marks=pytest.mark.slow) for plant in FAST),
        *(pytest.param(plant, marks=pytest.mark.long) for plant in SLOW),
    ],
    ids=lambda plant: f"{plant.fault}@{plant.where}",
)
def test_a_planted_fault_is_named(plant, server, tmp_path):
    """In at most 60 requests; which twenty-two there are, says the issue."""
    with with_fault(plant, server(plant.where), tmp_path) as run:
        sight = run(11)
    assert is_named(plant, sight), sight.conclusion
    assert len(sight.looks) <= 60


def test_twenty_two_faults_are_planted():
    """Each once before a server or in a worker."""
    assert len({plant.fault for plant in PLANTS}) == len(PLANTS) == 22


@pytest.mark.long
@pytest.mark.parametrize("where", [where for where in SOUND if "smolvlm" in where])
def test_a_sound_deployment_sees(where, tmp_path):
    """Every server and library: no finding that is no known bug."""
    with asked(load_registry().deployment(where), tmp_path) as run:
        sight = run(12)
    assert sight.conclusion.name == "sees", sight.conclusion
    assert not sight.conclusion.gone
