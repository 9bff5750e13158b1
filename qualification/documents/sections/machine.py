"""The machine, its environment and state, and how each figure came about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.format import installed_memory_text, number
from qualification.core.results import Session
from qualification.documents.figures import word
from qualification.documents.model import (
    Inline,
    Items,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.machine.names import describe


def subject(
    session: Session, tier_title: str, versions: Sequence[str], drifted: Sequence[bool] = ()
) -> Inline:
    """The line under the title: machine, day, the libraries that matter, fit for timing.

    ``drifted``: of each deployment that was timed, whether its speed changed under way.
    """
    installed = [
        f"{name} {version}"
        for name, version in session.environment.versions.items()
        if version and name in versions
    ]
    if not session.conditions:
        state = Span("state not recorded", "word", "open")
    elif not all(condition.fit for condition in session.conditions) or (drifted and all(drifted)):
        state = Span("not fit for timing", "word", "open")
    elif any(drifted):
        state = Span("fit for timing, but not throughout", "word", "open")
    else:
        state = word("fits", "fit for timing")
    return inline(
        Span(describe(session.machine), "strong"),
        f" · {' · '.join(filter(None, (tier_title or 'no tier', session.started[:10])))} · ",
        f"{', '.join(installed)} · " if installed else "",
        state,
    )


def machine(session: Session) -> Section:
    """Everything that was probed, the versions, and the conditions."""
    return Section("machine", "Machine and environment", (facts(session),), is_folded=True)


def facts(session: Session) -> Table:
    """The same as a table."""
    return Table("Machine and environment", columns("what", "value"), tuple(_facts(session)))


def _facts(session: Session) -> Iterator[tuple[Inline, Inline]]:
    host, environment = session.machine, session.environment
    texts = {
        "session": f"{session.identifier}, started {session.started}, {session.selection or '–'}",
        "system": f"{host.system} {host.os_version} ({host.architecture})",
        "processor": f"{host.chip}, {host.cpu_cores} cores",
        "memory": installed_memory_text(host.memory_bytes),
        "memory bandwidth": f"{number(host.bandwidth / 1e9)} GB/s (declared)"
        if host.bandwidth
        else "not declared",
        "machine": host.identifier,
        "environment": f"{environment.name}, Python {environment.python}",
    }
    for accelerator in host.accelerators:
        texts[f"accelerator {accelerator.kind}"] = accelerator.name
    texts |= {name: version for name, version in environment.versions.items() if version}
    yield from ((inline(name), inline(value)) for name, value in texts.items())
    for condition in session.conditions:
        note = f" ({condition.note})" if condition.note else ""
        state = () if condition.fit else (word("unfit"),)
        value = inline(f"{condition.value}{note} ", *state)
        yield inline(condition.name.replace("_", " ")), value


def method() -> Section:
    """How the figures are defined; the pages of docs/ say it at length."""
    entries = (
        inline(
            "Each deployment is loaded once in a fresh process of its own. load is from “library "
            "imported” until a first token could be computed; downloads never count."
        ),
        inline(
            "first token is from the start of the request, before the image is decoded. decode is "
            "(N − 1) / (t_N − t_1) over requests of a fixed number of tokens, after a warm-up with "
            "another image. prefill counts text and image tokens."
        ),
        inline(
            "peak memory is the kernel's lifetime peak of that process: VmHWM on Linux, its "
            "children's added; phys_footprint on macOS. GPU memory is the most that the driver "
            "reported for it."
        ),
        inline(
            "accuracy: share of generated, held-out questions answered correctly. A canary must "
            "give the whole answer and nothing else, a real model the words of the answer in their "
            "order."
        ),
        inline(
            "The raw trials behind a number: ",
            code("qualify explain DEPLOYMENT METRIC"),
            ". More: ",
            Span("how it is measured", link="docs/measuring.md"),
            ", ",
            Span("how it is judged", link="docs/judging.md"),
            ", ",
            Span("how to read this", link="docs/reading-a-report.md"),
            ".",
        ),
    )
    return Section("method", "Method", (Items(entries),), is_folded=True)
