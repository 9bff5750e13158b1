"""Parts of a run that pytest-xdist divided become one run."""

from dataclasses import replace

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Condition
from qualification.models.loading import load_registry
from qualification.session.journal import Journal, Run
from qualification.session.merge import condition, merged, packed, parts_of
from tests.support.session_sample import session, trials

REGISTRY = load_registry()
ONE = REGISTRY.deployment("smolvlm-canary-f32@mlx")
OTHER = REGISTRY.deployment("qwen2.5-vl-canary-f32@mlx")


def part(deployment, started, **changes):
    """What one process found of one deployment."""
    name = deployment.identifier
    journal = Journal(
        trials=list(trials("load_s", 0.5, deployment=name)),
        checks=[Check(name, "load", "test_loads", "passed")],
        load_reports={name: LoadReport(0.5, 0.4, 1.0, "cpu", 1000, "", {"mlx": "1"})},
        no_longer=[f"{name} no longer fails"],
    )
    record = replace(session(started=started), **changes)
    return Run(record, None, journal, {name: deployment})


def test_parts_are_put_together_in_the_order_of_the_declarations():
    """Trials, checks and load reports of both, and the record of the one that began first."""
    first, second = part(ONE, "2026-01-01T00:00:00"), part(OTHER, "2026-01-01T00:00:05")
    whole = merged([packed(second), packed(first)], REGISTRY.deployments(), None)
    assert list(whole.deployments) == [OTHER.identifier, ONE.identifier]
    assert whole.record == first.record
    assert sorted(whole.journal.trials, key=str) == sorted(
        first.journal.trials + second.journal.trials, key=str
    )
    assert {check.deployment for check in whole.journal.checks} == set(whole.deployments)
    assert set(whole.journal.load_reports) == set(whole.deployments)
    assert len(whole.journal.no_longer) == 2


def test_a_state_that_was_unfit_in_one_part_is_unfit_in_the_whole():
    """And a run on two processes is never fit for timing."""
    quiet, busy = Condition("load", "0.1"), Condition("load", "3.0", False)
    parts = [
        packed(part(ONE, "1", conditions=(quiet, condition(2)))),
        packed(part(OTHER, "2", conditions=(busy, condition(2)))),
    ]
    whole = merged(parts, REGISTRY.deployments(), None)
    found = {one.name: one.fit for one in whole.record.conditions}
    assert found == {"load": False, "parallel": False}


def test_a_process_that_crashed_gives_no_part():
    """What the others found is kept."""
    assert parts_of([{}, {"qualification": "text"}]) == ["text"]
