"""``qualify see``: does a deployment see? At most 60 requests, and a verdict in one sentence."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.downloads import chosen, fetching, may_download
from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, in_project
from qualification.cli.stored import declared
from qualification.core.project import Project
from qualification.core.text import without_login
from qualification.session.scratch import scratch as scratch_folder

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment, KnownBug
    from qualification.core.protocol import LoadReport, Thinking
    from qualification.core.results import Machine
    from qualification.models.registry import Registry
    from qualification.see.issue import Case
    from qualification.see.run import Sight
    from qualification.session.context import RunContext
    from qualification.session.deployed import Deployed

FOUND, CANNOT_TELL = 1, 3

_NEWEST = "999999"
"""For a user's server that does not say its release."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    target: str
    as_json: bool
    markdown: Path | None
    deadline: float
    seed: int
    server_model: str
    thinking: Thinking
    before: str
    download: bool


@click.command()
@click.argument("target", shell_complete=declared_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a text for an issue: releases, requests, answers, and a script.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(1),
    default=120.0,
    show_default=True,
    help="Seconds for all requests.",
)
@click.option(
    "--seed",
    type=int,
    default=lambda: random.SystemRandom().randrange(10**6),
    help="The images of an earlier run (default: new ones).",
)
@click.option("--server-model", default="", metavar="NAME", help="The model of a server of many.")
@click.option(
    "--thinking",
    type=click.Choice(["default", "on", "off"]),
    default="default",
    help="Tell the model to think first, or not to.",
)
@click.option(
    "--before",
    default="",
    metavar="ENV",
    help="Ask in this environment first (its name, or an interpreter); say what changed.",
)
@may_download
@in_project
@one_sentence
def see(*, project: Project, **words: object) -> None:
    """Does it see? Blind, stale, permuted, wrong colours, swayed by text, …; or all is well.

    TARGET is a deployment, or what pytest --model takes: a folder, a GGUF file, a hub id, an Ollama
    name, the address of a server. Exit codes: 0 it sees, 1 a finding, 3 cannot tell, 2 usage error.
    """
    from qualification.models.release_advice import warnings
    from qualification.see import report

    options = Options(**words)  # type: ignore[arg-type]
    registry = declared(project)
    earlier = _asked(_earlier(registry, options, project)) if options.before else None
    run = _asked(_run(registry, options, sys.executable))
    changed = []
    if earlier is not None:
        changed = [*report.changes(earlier.sight, run.sight), *_versions(earlier, run)]
    wrong_releases = list(warnings(run.deployment, run.report.versions))
    if options.as_json:
        record = report.as_json(run.name, run.sight, run.report, run.machine)
        record |= {"seed": options.seed, "wrong_releases": wrong_releases} | (
            {"changed": changed} if changed else {}
        )
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(
            "\n".join([report.screen(run.name, run.sight, run.report, wrong_releases), *changed])
        )
        if run.sight.conclusion.name != "sees":
            target = without_login(options.target) if "//" in options.target else options.target
            click.echo(f"the same images again: qualify see --seed {options.seed} {target}")
    if options.markdown is not None:
        options.markdown.write_text(run.markdown(), encoding="utf-8")
    if run.sight.conclusion.name != "sees":
        sys.exit(CANNOT_TELL if run.sight.conclusion.name == "cannot tell" else FOUND)


@dataclass(frozen=True)
class _Run:
    """One run of a deployment; the rest is what documents say of it."""

    name: str
    sight: Sight
    report: LoadReport
    machine: Machine
    cases: list[Case]
    engine: str
    deployment: Deployment

    def markdown(self) -> str:
        """The text for an issue."""
        from qualification.see import issue

        return issue.markdown(
            self.name, self.sight, self.report, self.machine, self.cases, self.engine
        )


def _asked(run: _Run | str) -> _Run:
    if isinstance(run, str):
        click.echo(f"cannot tell: {run}")
        sys.exit(CANNOT_TELL)
    return run


def _run(registry: Registry, options: Options, python: str) -> _Run | str:
    """Ask the target's deployment in an environment; else why none can be asked."""
    from qualification.machine.probe import probe
    from qualification.machine.tiers import tier_of
    from qualification.see.issue import cases_of
    from qualification.see.run import see as look
    from qualification.session.context import RunContext

    machine = probe(registry.chips, registry.tiers)
    tier = tier_of(machine, registry.tiers)
    with scratch_folder("see") as scratch:
        context = RunContext(
            machine,
            tier,
            scratch,
            python=python,
            deadline_s=options.deadline,
            thinking=options.thinking,
        )
        loaded = _loaded(registry, options, context)
        if isinstance(loaded, str):
            return loaded
        try:
            sight = look(
                loaded,
                scratch,
                seed=options.seed,
                deadline_s=options.deadline,
                known_bugs=lambda test: known_here(registry, loaded, test),
            )
            looks = sight.conclusion.verdict.evidence or sight.looks[:3]
            cases = cases_of(loaded, looks, scratch)
        finally:
            loaded.close()
    engine = "" if loaded.load_report.address else loaded.deployment.source.backend
    return _Run(
        loaded.identifier, sight, loaded.load_report, machine, cases, engine, loaded.deployment
    )


def _earlier(registry: Registry, options: Options, project: Project) -> _Run | str:
    """The same questions in the environment before; EnvironmentFailed where it cannot be built."""
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.environments.spec import environment_spec

    if "://" in options.target:
        raise click.UsageError("--before: a server is asked as it runs, in no environment of ours")
    spec = environment_spec(options.before, project.declarations)
    built = ready(spec, say=lambda text: click.echo(text, err=True))
    return _run(registry, options, str(built.python))


def _versions(before: _Run, now: _Run) -> list[str]:
    """The releases that differ, a line each."""
    names = sorted({*before.report.versions, *now.report.versions})
    pairs = ((n, before.report.versions.get(n, ""), now.report.versions.get(n, "")) for n in names)
    return [
        f"{name}: {a or 'absent'} before, now {b or 'absent'}" for name, a, b in pairs if a != b
    ]


def known_here(registry: Registry, loaded: Deployed, test: str) -> tuple[KnownBug, ...]:
    """The known bugs of a test that apply: a user's server is what it says it is."""
    from qualification.core.declarations import Deployment, Source
    from qualification.models.known_bugs import known_bugs
    from qualification.servers.programs import PROGRAMS

    deployment, report = loaded.deployment, loaded.load_report
    versions = dict(report.versions)
    if report.program in PROGRAMS:
        source = Source("server", deployment.source.quantisation, server=report.program)
        deployment = Deployment(deployment.model, source)
        build = re.search(r"[1-9]\d*", versions.get(report.program, ""))
        versions[PROGRAMS[report.program].package] = build.group() if build else _NEWEST
    tier = loaded.tier.name if loaded.tier else ""
    return known_bugs(registry.bugs, deployment, test, versions, tier)


def _loaded(registry: Registry, options: Options, context: RunContext) -> Deployed | str:
    """The first deployment of the target that can be loaded here; else why none can."""
    from qualification.core.errors import WeightsError, WorkerError
    from qualification.models.memory_fit import does_not_fit, predict
    from qualification.models.weights import tensors_here
    from qualification.session.deployed import Deployed
    from qualification.session.journal import Journal
    from qualification.session.loading import prepared_request

    problems = []
    for deployment in _deployments(registry, options):
        try:
            predicted = predict(deployment, registry, tensors_here(deployment))
            if over := does_not_fit(predicted, context.machine, context.tier):
                problems.append(f"{deployment.identifier} does not fit: {over}")
                continue
            choice = chosen([deployment], is_allowed=options.download)
            if sentence := choice.refusals.get(deployment.identifier):
                problems.append(f"{deployment.identifier}: {sentence}")
                continue
            context = replace(context, fetching=fetching(choice))
            request = prepared_request(deployment, context)
            return Deployed(deployment, request, context, Journal())
        except (WorkerError, WeightsError) as error:
            problems.append(f"{deployment.identifier}: {error}")
    return "; ".join(problems)


def _deployments(registry: Registry, options: Options) -> list[Deployment]:
    """What the target means, the first one that can be loaded here to be asked."""
    from qualification.core.declarations import Deployment
    from qualification.core.errors import SelectionError
    from qualification.models.own.inference import described
    from qualification.models.own.targets import find
    from qualification.servers.served import only_model

    target = options.target
    if "://" in target:
        served = options.server_model or only_model(target)
        return list(registry.with_server(target, served).deployments())
    meant = [d for d in registry.deployments() if target in (d.model.name, d.identifier)]
    if meant or "@" in target:
        return meant or [registry.deployment(target)]
    model, note = described(find(target))
    if "vision" not in model.capabilities:
        raise SelectionError(f"{target}: {note}")
    return [Deployment(model, source) for source in model.sources]
