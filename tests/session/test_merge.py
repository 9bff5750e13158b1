"""Parts of a run that pytest-xdist divided become one run."""

from dataclasses import replace

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Condition
from qualification.models.loading import load_registry
from qualification.session.journal import Journal, Run
from qualification.session.merge import merged, packed, parallel_condition
from tests.support.session_sample import session, trials

REGISTRY = load_registry()
SMOLVLM = REGISTRY.deployment("smolvlm-canary-f32@mlx")
QWEN = REGISTRY.deployment("qwen2.5-vl-canary-f32@mlx")


def part(deployment, started, **changes):
    """The run of one process, with one deployment."""
    name = deployment.identifier
    journal = Journal(
        checks=[Check(name, "load", "test_loads", "passed")],
        load_reports={name: LoadReport(0.5, 0.4, 1.0, "cpu", 1000, "", {"mlx": "1"})},
        fixed_bugs=[f"{name} no longer fails"],
    )
    journal.add(*trials("load_s", 0.5, deployment=name))
    record = replace(session(started=started), **changes)
    return Run(record, None, journal, {name: deployment})


def test_parts_are_merged_in_the_order_of_the_declarations():
    """Trials, checks and load reports of both, and the record of the one that began first."""
    earlier, later = part(SMOLVLM, "2026-01-01T00:00:00"), part(QWEN, "2026-01-01T00:00:05")
    run = merged([packed(later), packed(earlier)], REGISTRY.deployments(), None)
    assert list(run.deployments) == [QWEN.identifier, SMOLVLM.identifier]
    assert run.record == earlier.record
    assert run.journal.trials == earlier.journal.trials + later.journal.trials
    assert {check.deployment for check in run.journal.checks} == set(run.deployments)
    assert set(run.journal.load_reports) == set(run.deployments)
    assert len(run.journal.fixed_bugs) == 2


def test_a_condition_that_was_unfit_in_one_part_is_unfit_in_the_merged_run():
    """And a run on two processes is never fit for timing."""
    quiet, busy = Condition("load", "0.1"), Condition("load", "3.0", False)
    parts = [
        packed(part(SMOLVLM, "1", conditions=(quiet, parallel_condition(2)))),
        packed(part(QWEN, "2", conditions=(busy, parallel_condition(2)))),
    ]
    run = merged(parts, REGISTRY.deployments(), None)
    fit = {condition.name: condition.fit for condition in run.record.conditions}
    assert fit == {"load": False, "parallel": False}
