"""What to watch once a deployment is in use: the limits, each with its derivation. Pure.

They are those by which ``qualify watch`` raises an alert.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from qualification.core.declarations import Deployment, Tier
from qualification.core.format import bytes_text, percent_text, rate_text, seconds_text
from qualification.core.results import Machine
from qualification.documents.figures import Figures, word
from qualification.documents.model import (
    Code,
    Inline,
    Paragraph,
    Section,
    Span,
    Table,
    columns,
    inline,
)
from qualification.documents.sections.recipes.recipe import address, program_of
from qualification.judging.budgets import CANARY_SERVER_START_S, REFERENCE_PARAMETERS
from qualification.judging.thresholds import Thresholds, thresholds_for
from qualification.results.rows import Row
from qualification.servers.programs import LLAMA_SERVERS

_HOURS, _MINUTES, _TOKENS = 24, 10, 64
"""Of the commands: a day behind a server, a few minutes by itself; tokens of an answer."""


def monitoring(
    row: Row, deployment: Deployment, tier: Tier | None, machine: Machine, figures: Figures
) -> Section:
    """The limits beside what was measured, and the commands that watch them."""
    limits = thresholds_for(machine, tier, deployment)
    heads = ("figure", "alert", "measured here", "derived from")
    table = Table(
        f"Limits for {deployment.identifier} on this machine",
        columns(*heads, numeric=heads[2:3]),
        (
            *_memory(row, limits, figures),
            *_speed(row, limits, figures),
            *_load(row, deployment, limits, figures),
        ),
    )
    note = inline(
        "Exit code 1: an alert was raised. Over the critical threshold the watch stops, before the "
        "machine swaps. More: ",
        Span("qualify watch", link="docs/watch.md"),
        ".",
    )
    blocks = (table, Code("\n".join(_commands(deployment)), "sh"), Paragraph(note))
    return Section("monitoring", "Monitoring", blocks)


def _memory(row: Row, limits: Thresholds, figures: Figures) -> Iterator[_Cells]:
    total = limits.memory_bytes
    measured = inline(figures.peak(row), " at its peak")
    if total > 0:
        levels = (limits.warning_bytes, limits.critical_bytes)
        shares = " and ".join(percent_text(level / total, digits=0) for level in levels)
        source = f"tier {limits.tier}" if limits.tier else "the default of a machine without a tier"
        yield _cells(
            "memory in use, of the machine and of the model's processes",
            f"over {bytes_text(levels[0])}; critical over {bytes_text(levels[1])}",
            measured,
            f"{shares} of {bytes_text(total)} ({source})",
        )
    else:
        why = "this machine's memory is not known, so neither are its thresholds"
        yield _cells("memory in use", "–", measured, why)
    grown = [c.outcome for c in row.checks if c.test == "test_memory_does_not_grow"]
    yield _cells(
        "memory growth for each request",
        f"over {bytes_text(limits.growth_limit)}",
        inline(word(next(iter(grown), "not tried"))),
        "limit of the memory suite; the lower end of the slope counts",
    )


def _speed(row: Row, limits: Thresholds, figures: Figures) -> Iterator[_Cells]:
    yield _cells(
        "decoding speed",
        f"under {rate_text(limits.floor_tps)}" if limits.floor_tps else "–",
        inline(figures.of(row, row.decode_tps, "tok/s")),
        limits.floor_why,
    )
    if not limits.drift_limit:
        return
    drift = percent_text(limits.drift_limit - 1, digits=0)
    yield _cells(
        "time to first token",
        f"{drift} over the beginning of the watch",
        inline(figures.of(row, row.ttft_s, "s")),
        "drift limit: last quarter against first; decoding has the same",
    )


def _load(
    row: Row, deployment: Deployment, limits: Thresholds, figures: Figures
) -> Iterator[_Cells]:
    if deployment.source.server == "url":
        return
    reference = f"{REFERENCE_PARAMETERS / 1e9:.1f} billion parameters"
    source = f"of tier {limits.tier}" if limits.tier else "of a machine without a tier"
    is_started = (deployment.source.backend, deployment.source.weights) == ("server", "canary")
    start = f", and {seconds_text(CANARY_SERVER_START_S)} for the program" if is_started else ""
    yield _cells(
        "load time",
        f"over {seconds_text(limits.load_limit_s)}",
        inline(figures.of(row, row.load_s, "s")),
        f"limit {source} for {reference}, in proportion for more{start}",
    )


_Cells = tuple[Inline, ...]


def _cells(figure: str, alert: str, measured: Inline, why: str) -> _Cells:
    return inline(figure), inline(alert), measured, inline(why)


def _commands(deployment: Deployment) -> Iterator[str]:
    """Behind its server, and for a deployment that we load by itself."""
    source, program = deployment.source, program_of(deployment)
    is_canary = source.weights == "canary"
    if program is not None or source.server == "url":
        words = ["--url", address(deployment), "--hours", str(_HOURS)]
        if source.server == "url":
            model = str(source.options.get("model", ""))
            words += ["--model", model] if model else []
        else:
            words.insert(0, deployment.identifier)
        if program is not None and program.name in LLAMA_SERVERS and not is_canary:
            words += ["--tokens", str(_TOKENS)]
        yield shlex.join(["qualify", "watch", *words])
    if source.server == "url":
        return
    words = [deployment.identifier, "--minutes", str(_MINUTES)]
    words += [] if is_canary else ["--tokens", str(_TOKENS)]
    yield shlex.join(["qualify", "watch", *words])
