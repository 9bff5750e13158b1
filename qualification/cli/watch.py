"""``qualify watch``: does it stay fast, correct and within its memory for minutes or days?"""

from __future__ import annotations

import contextlib
import datetime
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qualification.cli.downloads import may_download, required
from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, in_project
from qualification.cli.stored import declared
from qualification.core.errors import SelectionError
from qualification.core.project import Project

if TYPE_CHECKING:
    from rich.console import Console

    from qualification.core.declarations import Deployment, Tier
    from qualification.core.results import Machine
    from qualification.models.registry import Registry
    from qualification.watch.records import Alert, Header, Summary
    from qualification.watch.run import Observer
    from qualification.watch.subject import Subject

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True)
class WatchRequest:
    """The command line, one field for each option of :func:`watch`."""

    deployment: str
    url: str
    model: str
    pid: int | None
    minutes: float | None
    hours: float | None
    requests: int
    every: float
    tokens: int
    critical: str
    failures: int
    deadline: float
    seed: int
    log_file: Path | None
    read_file: Path | None
    prometheus: int | None
    download: bool
    project: Project

    @property
    def planned_s(self) -> float:
        """Seconds to watch for."""
        if self.hours is not None:
            return 3600 * self.hours
        return 60 * (self.minutes or DEFAULT_MINUTES)

    @property
    def critical_bytes(self) -> float:
        """The critical threshold of the subject; 0 without one. Raises SelectionError."""
        from qualification.core.units import parse_quantity

        try:
            return parse_quantity(self.critical, "memory") if self.critical else 0.0
        except ValueError as error:
            raise SelectionError(f"--critical: {error}") from error

    def check(self) -> None:
        """Raise SelectionError for options that do not go together."""
        if not (self.deployment or self.url):
            raise SelectionError(
                "there is nothing to watch: name a DEPLOYMENT (smolvlm-canary-f32@llamacpp) or"
                " --url"
            )
        if self.minutes is not None and self.hours is not None:
            raise SelectionError("--minutes and --hours are given; write one of them")
        if not self.url and (self.model or self.pid):
            raise SelectionError("--model and --pid belong to a server that is named with --url")


@click.command()
@click.argument("deployment", default="", shell_complete=declared_names)
@click.option("--url", default="", metavar="URL", help="A server of yours: http://…/v1.")
@click.option("--model", default="", help="The model to ask there (default: the first it lists).")
@click.option(
    "--pid",
    type=click.IntRange(1),
    help="Whose memory to watch (default: the process that listens on the port).",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Default: 10.")
@click.option("--hours", type=click.FloatRange(0, min_open=True))
@click.option("--requests", type=click.IntRange(0), default=0, help="End after this many.")
@click.option(
    "--every",
    type=click.FloatRange(0),
    default=0.0,
    metavar="S",
    help="Minimum seconds between the starts of two requests (default: back to back).",
)
@click.option(
    "--tokens",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Answers of this length, to judge decoding speed; they are not checked then.",
)
@click.option(
    "--critical", default="", metavar="SIZE", help='Stop if the subject holds more: "12 GB".'
)
@click.option(
    "--failures", type=click.IntRange(1), default=10, help="Stop after this many in a row."
)
@click.option(
    "--deadline", type=click.FloatRange(1), default=600.0, help="Seconds for each request."
)
@click.option("--seed", type=int, default=1, help="Seed of the questions.")
@click.option(
    "--log",
    "log_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file of JSON lines (default: in reports/watch).",
)
@click.option(
    "--read",
    "read_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Render the summary of a log again, and do nothing else.",
)
@click.option(
    "--prometheus",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve metrics on 127.0.0.1; 0 takes a free port.",
)
@may_download
@in_project
@one_sentence
def watch(**options: Any) -> None:
    """Ask DEPLOYMENT, or the server at --url, one question after another and watch what changes.

    With --url, DEPLOYMENT names what that server serves, for its thresholds: a canary's answers
    must be correct. The server is never started and never stopped. Exit codes: 0 nothing found, 1
    an alert was raised, 3 too little was observed, 2 usage.
    """
    from rich.console import Console

    from qualification.watch.conclusion import exit_code
    from qualification.watch.log import summary_of

    request = WatchRequest(**options)
    console = Console()
    if request.read_file is not None:
        header, summary, alerts = summary_of(request.read_file)
        _print(console, header, summary, alerts)
    else:
        request.check()
        with _terminated_as_interrupted():
            summary = _run(console, request)
    sys.exit(exit_code(summary))


def _run(console: Console, request: WatchRequest) -> Summary:
    from qualification.machine.probe import probe
    from qualification.machine.tiers import tier_of
    from qualification.session.device_lock import measuring
    from qualification.watch.log import Log
    from qualification.watch.progress import Screen
    from qualification.watch.run import Settings, SoakTest

    registry = declared(request.project)
    machine = probe(registry.chips, registry.tiers)
    tier = tier_of(machine, registry.tiers)
    deployment = _deployment(registry, request.deployment) if request.deployment else None
    critical_bytes = request.critical_bytes
    with contextlib.ExitStack() as stack:
        if not request.url:
            stack.enter_context(measuring("qualify watch", request.project.root))
            console.print(f"loading {request.deployment} …", markup=False, highlight=False)
        subject = _subject(request, registry, machine, tier, deployment)
        stack.callback(subject.close)
        header = _header(request, subject, machine, tier, deployment, critical_bytes)
        file = request.project.reports / "watch" / f"{header.identifier}.jsonl"
        log = Log(request.log_file or file)
        stack.callback(log.close)
        screen = Screen(header, console)
        observers: list[Observer] = [screen]
        if request.prometheus is not None:
            from qualification.watch.prometheus import LOOPBACK, Exposition

            exposition = stack.enter_context(Exposition(header, request.prometheus))
            observers.append(exposition)
            address = f"http://{LOOPBACK}:{exposition.port}/metrics"
            console.print(f"metrics on {address}", highlight=False, soft_wrap=True)
        settings = Settings(
            planned_s=request.planned_s,
            every_s=request.every,
            seed=request.seed,
            failures=request.failures,
            requests=request.requests,
        )
        with screen:
            summary = SoakTest(subject, header, settings, log, tuple(observers)).run()
        _print(console, header, summary, screen.alerts)
        console.print(f"log        {log.path}", markup=False, highlight=False, soft_wrap=True)
    return summary


def _subject(
    request: WatchRequest,
    registry: Registry,
    machine: Machine,
    tier: Tier | None,
    deployment: Deployment | None,
) -> Subject:
    if request.url:
        from qualification.watch.served_subject import ServedSubject

        return ServedSubject(
            request.url,
            model=request.model,
            pid=request.pid,
            deployment=deployment,
            memory_bytes=machine.memory_bytes,
            tokens=request.tokens,
            deadline_s=request.deadline,
        )
    from qualification.watch.loaded_subject import LoadedSubject

    assert deployment is not None
    return LoadedSubject(
        deployment,
        registry,
        machine=machine,
        tier=tier,
        tokens=request.tokens,
        deadline_s=request.deadline,
        fetching=required([deployment], is_allowed=request.download),
    )


def _header(
    request: WatchRequest,
    subject: Subject,
    machine: Machine,
    tier: Tier | None,
    deployment: Deployment | None,
    critical_bytes: float,
) -> Header:
    from qualification.judging.thresholds import thresholds_for
    from qualification.machine.names import describe
    from qualification.watch.records import Header

    started = datetime.datetime.now(datetime.UTC)
    return Header(
        identifier=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
        started=started.isoformat(timespec="seconds"),
        subject=subject.title,
        memory_of=subject.memory_of,
        machine=describe(machine),
        levels=thresholds_for(machine, tier, deployment, subject_critical=critical_bytes),
        answers_checked=subject.is_canary,
        every_s=request.every,
        planned_s=request.planned_s,
        seed=request.seed,
        revision=subject.revision,
    )


def _deployment(registry: Registry, name: str) -> Deployment:
    """A declared deployment, or the one with random weights that stands for it."""
    synthetic = registry.with_weights("synthetic")
    if any(deployment.identifier == name for deployment in synthetic.deployments()):
        registry = synthetic
    return registry.deployment(name)


def _print(console: Console, header: Header, summary: Summary, alerts: tuple[Alert, ...]) -> None:
    from qualification.watch.conclusion import sentences

    for line in sentences(header, summary, alerts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a watch as Ctrl-C does: summary printed, log closed, no process left."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
