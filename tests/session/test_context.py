"""What every load of a run shares: how long it may take."""

from dataclasses import replace

import pytest

from qualification.models.loading import load_registry
from qualification.session.context import IMPORTS_S, LONGEST_LOAD_S, RunContext
from tests.support.session_sample import session
from tests.support.toy_project import NAME, write_declarations


@pytest.fixture
def deadline(tmp_path):
    """``deadline(parameters, server)``: seconds that a load of such a model may take."""
    declared = load_registry(write_declarations(tmp_path / "declared")).deployment(NAME)
    context = RunContext(session().machine, None, tmp_path, deadline_s=60.0)

    def seconds(parameters, server=""):
        return context.load_deadline_s(
            replace(
                declared,
                model=replace(declared.model, parameters=parameters),
                source=replace(declared.source, server=server),
            )
        )

    return seconds


def test_a_canary_is_loaded_in_minutes_and_a_large_model_in_an_hour(deadline):
    """A worker that hangs while it loads a canary is not waited for an hour."""
    assert IMPORTS_S < deadline(400_000) < IMPORTS_S + 1
    assert 1000 < deadline(7_000_000_000) < LONGEST_LOAD_S
    assert deadline(72_000_000_000) == LONGEST_LOAD_S


def test_a_size_that_is_not_known_may_take_longest(deadline):
    """Files of one's own may say nothing of their size."""
    assert deadline(0) == LONGEST_LOAD_S


def test_what_is_loaded_already_has_the_time_of_a_request(deadline):
    """A server at a user's address."""
    assert deadline(7_000_000_000, server="url") == 60.0
