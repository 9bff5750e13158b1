"""``qualify watch``: does it stay fast, right and within its memory for minutes or days?"""

from __future__ import annotations

import contextlib
import datetime
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence

if TYPE_CHECKING:
    from rich.console import Console

    from qualification.core.declarations import Deployment, Tier
    from qualification.core.results import Machine
    from qualification.models.registry import Registry
    from qualification.watch.records import Alert, Header, Summary
    from qualification.watch.subject import Subject

DEFAULT_MINUTES = 10.0


@click.command()
@click.argument("deployment", default="")
@click.option("--url", default="", metavar="URL", help="A server of yours: http://…/v1.")
@click.option("--model", default="", help="The model to ask there (default: the first it lists).")
@click.option("--pid", type=click.IntRange(1), help="Whose memory (default: who has the port).")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Default: 10.")
@click.option("--hours", type=click.FloatRange(0, min_open=True))
@click.option("--requests", type=click.IntRange(0), default=0, help="End after so many.")
@click.option(
    "--every", type=click.FloatRange(0), default=0.0, metavar="S",
    help="Seconds from one request's start to the next one's, at least (default: back to back).",
)  # fmt: skip
@click.option(
    "--tokens", type=click.IntRange(0, 100_000), default=0,
    help="Answers of this length, to judge decoding speed; they are not checked then.",
)  # fmt: skip
@click.option("--critical", default="", metavar="SIZE", help='Stop where it holds more: "12 GB".')
@click.option("--failures", type=click.IntRange(1), default=10, help="In a row, then stop.")
@click.option("--deadline", type=click.FloatRange(1), default=600.0, help="Seconds of a request.")
@click.option("--seed", type=int, default=1, help="Of the questions.")
@click.option(
    "--log", "log_file", type=click.Path(dir_okay=False, path_type=Path),
    help="A new file of JSON lines (default: in reports/watch).",
)  # fmt: skip
@click.option(
    "--read", "read_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE", help="Render the summary of a log again, and do nothing else.",
)  # fmt: skip
@click.option(
    "--prometheus", type=click.IntRange(0, 65535), metavar="PORT",
    help="Serve metrics on 127.0.0.1; 0 takes a free port.",
)  # fmt: skip
@click.option("--declarations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@one_sentence
def watch(
    deployment: str,
    url: str,
    model: str,
    pid: int | None,
    minutes: float | None,
    hours: float | None,
    requests: int,
    every: float,
    tokens: int,
    critical: str,
    failures: int,
    deadline: float,
    seed: int,
    log_file: Path | None,
    read_file: Path | None,
    prometheus: int | None,
    declarations: Path | None,
) -> None:
    """Ask DEPLOYMENT, or the server at --url, one question after another and watch what changes.

    With --url, DEPLOYMENT says what that server serves, for its levels: a canary's answers must be
    right. The server is never started and never stopped. Exit codes: 0 nothing found, 1 an alert
    was raised, 3 too little was seen, 2 usage.
    """
    from rich.console import Console

    from qualification.core.errors import SelectionError
    from qualification.watch.conclusion import exit_code
    from qualification.watch.log import summary_of

    console = Console()
    if read_file is not None:
        header, summary, alerts = summary_of(read_file)
        _print(console, header, summary, alerts)
        sys.exit(exit_code(summary, summary.figures.resident_peak_bytes is not None))
    if not (deployment or url):
        raise SelectionError(
            "there is nothing to watch: name a DEPLOYMENT (smolvlm-canary-f32@llamacpp) or --url"
        )
    if minutes is not None and hours is not None:
        raise SelectionError("--minutes and --hours are given; write one of them")
    if not url and (model or pid):
        raise SelectionError("--model and --pid belong to a server that is named with --url")
    wanted = _Wanted(
        deployment=deployment,
        url=url,
        model=model,
        pid=pid,
        planned_s=3600 * hours if hours is not None else 60 * (minutes or DEFAULT_MINUTES),
        requests=requests,
        every_s=every,
        tokens=tokens,
        critical=critical,
        failures=failures,
        deadline_s=deadline,
        seed=seed,
        log_file=log_file,
        prometheus=prometheus,
        declarations=declarations,
    )
    with _terminated_as_interrupted():
        summary, seen = _run(console, wanted)
    sys.exit(exit_code(summary, seen))


@dataclass(frozen=True)
class _Wanted:
    """The command line."""

    deployment: str
    url: str
    model: str
    pid: int | None
    planned_s: float
    requests: int
    every_s: float
    tokens: int
    critical: str
    failures: int
    deadline_s: float
    seed: int
    log_file: Path | None
    prometheus: int | None
    declarations: Path | None


def _run(console: Console, wanted: _Wanted) -> tuple[Summary, bool]:
    """Watch; the summary, and whether memory was seen."""
    from qualification.core.errors import SelectionError
    from qualification.core.paths import home
    from qualification.core.units import parse_quantity
    from qualification.machine.probe import describe, probe
    from qualification.models.loading import load_registry
    from qualification.watch.levels import levels_for
    from qualification.watch.log import Log
    from qualification.watch.progress import Screen
    from qualification.watch.records import Header
    from qualification.watch.run import Run, Settings, Shown

    registry = load_registry(wanted.declarations)
    machine = probe(registry.chips, registry.tiers)
    tier = registry.tier(machine.tier) if machine.tier else None
    deployment = _deployment(registry, wanted.deployment) if wanted.deployment else None
    try:
        mark = parse_quantity(wanted.critical, "memory") if wanted.critical else 0.0
    except ValueError as error:
        raise SelectionError(f"--critical: {error}") from error
    levels = levels_for(machine, tier, deployment, subject_critical=mark)
    started = datetime.datetime.now(datetime.timezone.utc)
    identifier = f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
    with contextlib.ExitStack() as stack:
        if not wanted.url:
            console.print(f"loading {wanted.deployment} …", markup=False, highlight=False)
        subject = _subject(wanted, registry, machine, tier, deployment)
        stack.callback(subject.close)
        header = Header(
            identifier=identifier,
            started=started.isoformat(timespec="seconds"),
            subject=subject.title,
            memory_of=subject.memory_of,
            machine=describe(machine),
            levels=levels,
            answers_checked=subject.is_canary,
            every_s=wanted.every_s,
            planned_s=wanted.planned_s,
            seed=wanted.seed,
        )
        log = Log(wanted.log_file or home() / "reports/watch" / f"{identifier}.jsonl")
        stack.callback(log.close)
        screen = Screen(header, console)
        shown: list[Shown] = [screen]
        if wanted.prometheus is not None:
            from qualification.watch.prometheus import LOOPBACK, Exposition

            served = stack.enter_context(Exposition(header, wanted.prometheus))
            shown.append(served)
            where = f"http://{LOOPBACK}:{served.port}/metrics"
            console.print(f"metrics on {where}", highlight=False, soft_wrap=True)
        settings = Settings(
            wanted.planned_s, wanted.every_s, wanted.seed, wanted.failures, wanted.requests
        )
        with screen:
            running = Run(subject, header, settings, log, tuple(shown))
            summary = running.run()
        _print(console, header, summary, screen.alerts)
        console.print(f"log        {log.path}", markup=False, highlight=False, soft_wrap=True)
    return summary, summary.figures.resident_peak_bytes is not None


def _subject(
    wanted: _Wanted,
    registry: Registry,
    machine: Machine,
    tier: Tier | None,
    deployment: Deployment | None,
) -> Subject:
    if wanted.url:
        from qualification.watch.served_subject import ServedSubject

        return ServedSubject(
            wanted.url,
            model=wanted.model,
            pid=wanted.pid,
            deployment=deployment,
            memory_bytes=machine.memory_bytes,
            tokens=wanted.tokens,
            deadline_s=wanted.deadline_s,
        )
    from qualification.core.paths import home
    from qualification.watch.loaded_subject import LoadedSubject

    assert deployment is not None
    return LoadedSubject(
        deployment,
        registry,
        machine=machine,
        tier=tier,
        fixtures=home() / "fixtures",
        tokens=wanted.tokens,
        deadline_s=wanted.deadline_s,
    )


def _deployment(registry: Registry, name: str) -> Deployment:
    """A declared deployment, or the one with random weights that stands for it."""
    random = "-synthetic@" in name
    return (registry.with_weights("synthetic") if random else registry).deployment(name)


def _print(console: Console, header: Header, summary: Summary, alerts: tuple[Alert, ...]) -> None:
    from qualification.watch.conclusion import sentences

    for line in sentences(header, summary, alerts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a watch as Ctrl-C does: summary printed, log closed, nothing left."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
