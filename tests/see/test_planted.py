"""Faults that are planted before real servers and in workers are named."""

from contextlib import ExitStack

import pytest

from benchmarks.see.planted import IN_WORKERS, OLLAMA, PLANTS, TORCH, at, is_named, with_fault

FAST = [plant for plant in PLANTS if plant.where == OLLAMA]
SLOW = [plant for plant in (*PLANTS, *IN_WORKERS) if plant not in FAST]


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
    [*FAST, *(pytest.param(plant, marks=pytest.mark.long) for plant in SLOW)],
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
