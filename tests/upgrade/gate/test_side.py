"""One deployment in a fresh process of an environment's interpreter."""

import psutil
import pytest

from qualification.core.errors import WorkerError
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.upgrade.gate.side import deployed
from tests.support import gate_toy
from tests.support.session_sample import session

QUESTION = "four is a digit."


@pytest.fixture
def toy(tmp_path):
    """The toy deployment."""
    declared = gate_toy.declarations(tmp_path / "declared")
    return load_registry(declared).with_weights("synthetic").deployment(gate_toy.NAME)


def context(folder, library):
    """The context of an environment whose library is that text."""
    python = gate_toy.interpreter(folder / "environment", library)
    scratch = folder / "scratch"
    return RunContext(session().machine, None, scratch, python=str(python))


def test_each_environment_answers_with_its_own_library(toy, tmp_path):
    """The same question under two interpreters."""
    answers = []
    for name, library in (("good", gate_toy.GOOD), ("bad", gate_toy.BAD)):
        with deployed(toy, context(tmp_path / name, library)) as loaded:
            answers.append(loaded.ask(QUESTION))
    assert answers == ["4", "garbage"]


def test_each_process_is_fresh_and_ends_with_its_block(toy, tmp_path):
    """Also where the block ends by an error."""
    surroundings = context(tmp_path, gate_toy.GOOD)
    processes = []

    def interrupted():
        with deployed(toy, surroundings) as loaded:
            processes.append(psutil.Process(loaded.worker_pid))
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert processes[0] != processes[1]
    assert not any(process.is_running() for process in processes)


def test_a_library_that_cannot_be_imported_is_a_worker_error(toy, tmp_path):
    """The gate makes it a failed check, with the message of the library."""
    broken = context(tmp_path, 'raise ImportError("libmlx.so: cannot open shared object file")')
    with pytest.raises(WorkerError, match=r"libmlx\.so"), deployed(toy, broken):
        pass
