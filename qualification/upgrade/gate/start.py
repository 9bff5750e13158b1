"""Opens a gate: builds both environments, plans, and begins or resumes the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.errors import GateError
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.registry import Registry
from qualification.session.context import Fetching, RunContext
from qualification.upgrade.environments.cache import Built, ready
from qualification.upgrade.environments.spec import EnvironmentSpec, candidate, environment_spec
from qualification.upgrade.gate.journal import GateJournal, Recorded
from qualification.upgrade.gate.plan import GateRequest, choose_deployments, make_plan
from qualification.upgrade.gate.records import GatePlan
from qualification.upgrade.gate.run import Gate

Say = Callable[[str], None]


def _nothing(_deployments: Sequence[Deployment]) -> Fetching:
    return Fetching()


def open_gate(
    request: GateRequest,
    registry: Registry,
    say: Say,
    arrange: Callable[[Sequence[Deployment]], Fetching] = _nothing,
) -> Gate:
    """A gate that is ready to run, new or resumed; ``say`` hears of the builds.

    ``arrange`` plans the downloads of the deployments; without it none is downloaded.

    GateError for a request that cannot be met, EnvironmentFailed where an environment cannot be
    built.
    """
    machine = probe(registry.chips, registry.tiers)
    tier = tier_of(machine, registry.tiers)
    if request.resume is not None:
        journal, recorded = GateJournal.again(request.resume)
        with ExitStack() as stack:
            stack.enter_context(journal)
            environments = _built_again(request.resume, recorded, say)
            registry = registry.with_weights(recorded.plan.weights)
            deployments = [registry.deployment(name) for name in recorded.plan.identifiers]
            scratch = request.resume / "scratch"
            context = RunContext(machine, tier, scratch, fetching=arrange(deployments))
            stack.pop_all()
        return Gate(recorded, journal, deployments, environments, context, jobs=request.jobs)
    environments = _built(request, say)
    versions = [built.versions for built in environments]
    deployments = list(choose_deployments(registry, request, machine, tier, versions))
    plan = make_plan(environments, deployments, machine, request)
    folder = request.output or request.project.reports / "gates" / plan.identifier
    context = RunContext(machine, tier, folder / "scratch", fetching=arrange(deployments))
    return begin_gate(folder, plan, environments, deployments, context, jobs=request.jobs)


def begin_gate(
    folder: Path,
    plan: GatePlan,
    environments: tuple[Built, Built],
    deployments: Sequence[Deployment],
    context: RunContext,
    *,
    jobs: int = 1,
) -> Gate:
    """A new gate in a folder of its own; GateError where the folder has one already."""
    a, b = environments
    journal = GateJournal.begin(folder, plan, a.spec, b.spec)
    recorded = Recorded(plan, a.spec, b.spec, (), 0.0)
    return Gate(recorded, journal, deployments, environments, context, jobs=jobs)


def _built(request: GateRequest, say: Say) -> tuple[Built, Built]:
    if not request.candidate and not request.candidate_pins.strip():
        raise GateError(
            "there is no candidate: name it with --to ENV or --candidate PINS "
            "(an environment against itself: --to with the name of the baseline)"
        )
    if request.as_of and not (request.candidate_pins + request.baseline_pins).strip():
        raise GateError("--as-of dates what comes with pins: name some by --candidate")
    own = request.project.declarations
    spec_a = environment_spec(request.baseline, own)
    spec_a = _with_pins(spec_a, request.baseline_pins, request.as_of)
    spec_b = environment_spec(request.candidate, own) if request.candidate else spec_a
    spec_b = _with_pins(spec_b, request.candidate_pins, request.as_of)
    return ready(spec_a, say=say), ready(spec_b, say=say)


def _built_again(folder: Path, recorded: Recorded, say: Say) -> tuple[Built, Built]:
    environments = ready(recorded.a, say=say), ready(recorded.b, say=say)
    records = (recorded.plan.a, recorded.plan.b)
    for built, record in zip(environments, records, strict=True):
        if built.key != record.key:
            raise GateError(
                f"{folder}: was begun with another build of {record.name} (key {record.key}, now "
                f"{built.key}), so its pairs cannot be continued; start anew"
            )
    return environments


def _with_pins(spec: EnvironmentSpec, pins: str, as_of: str) -> EnvironmentSpec:
    return candidate(spec, pins, as_of) if pins else spec
