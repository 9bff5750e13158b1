"""``qualify see``: does a deployment see? At most 60 questions, and a verdict in one sentence."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment
    from qualification.models.registry import Registry
    from qualification.session.context import RunContext
    from qualification.session.deployed import Deployed

FOUND, CANNOT_TELL = 1, 3


@click.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a text for an issue: releases, questions, answers, and a script.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(1),
    default=120.0,
    show_default=True,
    help="Seconds for all questions.",
)
@click.option("--seed", type=int, help="The images of an earlier run (default: new ones).")
@in_project
@one_sentence
def see(
    *,
    target: str,
    as_json: bool,
    markdown: Path | None,
    deadline: float,
    seed: int | None,
    project: Project,
) -> None:
    """Does it see? Blind, stale, permuted, wrong colours, low resolution, forgets; or all is well.

    TARGET is a deployment, or what pytest --model takes: a folder, a GGUF file, a hub id, an Ollama
    name, the address of a server. Exit codes: 0 it sees, 1 a finding, 3 cannot tell, 2 usage error.
    """
    from qualification.machine.probe import probe
    from qualification.machine.tiers import tier_of
    from qualification.see import report
    from qualification.see.run import see as look
    from qualification.session.context import RunContext

    registry = declared(project)
    machine = probe(registry.chips, registry.tiers)
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="qualify-see-") as scratch:
        tier = tier_of(machine, registry.tiers)
        context = RunContext(machine, tier, Path(scratch), deadline_s=deadline)
        loaded = _loaded(registry, target, context)
        if isinstance(loaded, str):
            click.echo(f"cannot tell: {loaded}")
            sys.exit(CANNOT_TELL)
        try:
            sight = look(loaded, Path(scratch), seed=seed, deadline_s=deadline)
        finally:
            loaded.close()
    name, read = loaded.identifier, loaded.load_report
    if as_json:
        record = report.as_json(name, sight, read, machine) | {"seed": seed}
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(report.screen(name, sight))
        if sight.conclusion.name != "sees":
            click.echo(f"the same images again: qualify see --seed {seed} {target}")
    if markdown is not None:
        markdown.write_text(report.markdown(name, sight, read, machine), encoding="utf-8")
    if sight.conclusion.name != "sees":
        sys.exit(CANNOT_TELL if sight.conclusion.name == "cannot tell" else FOUND)


def _loaded(registry: Registry, target: str, context: RunContext) -> Deployed | str:
    """The first deployment of the target that can be loaded here; else why none can."""
    from qualification.core.errors import WeightsError, WorkerError
    from qualification.models.memory_fit import does_not_fit, predict
    from qualification.models.weights import tensors_here
    from qualification.session.deployed import Deployed
    from qualification.session.journal import Journal
    from qualification.session.loading import prepared_request

    problems = []
    for deployment in _deployments(registry, target):
        try:
            predicted = predict(deployment, registry, tensors_here(deployment))
            if over := does_not_fit(predicted, context.machine, context.tier):
                problems.append(f"{deployment.identifier} does not fit: {over}")
                continue
            request = prepared_request(deployment, context)
            return Deployed(deployment, request, context, Journal())
        except (WorkerError, WeightsError) as error:
            problems.append(f"{deployment.identifier}: {error}")
    return "; ".join(problems)


def _deployments(registry: Registry, target: str) -> list[Deployment]:
    """What the target means, the first one that can be loaded here to be asked."""
    from qualification.core.declarations import Deployment
    from qualification.core.errors import SelectionError
    from qualification.models.own.inference import described
    from qualification.models.own.targets import find

    if "://" in target:
        return list(registry.with_server(target).deployments())
    meant = [d for d in registry.deployments() if target in (d.model.name, d.identifier)]
    if meant or "@" in target:
        return meant or [registry.deployment(target)]
    model, note = described(find(target))
    if "vision" not in model.capabilities:
        raise SelectionError(f"{target}: {note}")
    return [Deployment(model, source) for source in model.sources]
