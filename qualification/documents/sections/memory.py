"""Does it fit: the memory budget of this machine summed, and the predictions for all others."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.declarations import Tier
from qualification.core.format import bytes_text, installed_memory_text, number
from qualification.core.results import Machine
from qualification.documents.figures import Figures, word
from qualification.documents.model import (
    Block,
    Figure,
    Inline,
    Items,
    Paragraph,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.sections.session_plots import memory_plot
from qualification.models.memory_fit import machine_allowance
from qualification.models.registry import Registry
from qualification.results.fit_tables import Fit, fits, machine_allowances
from qualification.results.rows import Row


def budget(
    rows: Sequence[Row], machine: Machine, tier: Tier | None, figures: Figures
) -> Section | None:
    """System, server, model and what is left for applications, for each measured real model."""
    measured = [row for row in rows if row.peak_memory_bytes and not row.is_canary]
    if machine.memory_bytes <= 0 or not measured:
        return None
    system = tier.budget.system if tier else 0.0
    server = tier.budget.server if tier else 0.0
    allowed = machine_allowance(machine, tier)
    heads = ("deployment", "system", "server", "model, peak", "left for applications", "fits")
    table = Table(
        f"Of {installed_memory_text(machine.memory_bytes)}: what a model leaves",
        columns(*heads, numeric=heads[1:5]),
        tuple(
            (
                *_budget_row(row, machine.memory_bytes, system, server, figures),
                inline(word(allowed.answer(max(row.peak_memory_bytes)))),
            )
            for row in measured
        ),
    )
    shares = (
        f"A model may take {bytes_text(allowed.limit_bytes)}"
        + (f" ({allowed.limited_by})" if allowed.limited_by else "")
        + f", and {bytes_text(allowed.budget_bytes)} while applications keep their share."
    )
    if tier is None:
        shares += " No tier is declared for this machine, so nothing is set aside for the system."
    plot = memory_plot(rows, machine, tier)
    blocks: tuple[Block, ...] = (table, Paragraph(inline(shares)), *([plot] if plot else []))
    return Section("memory", "Memory budget", blocks)


def _budget_row(
    row: Row, memory: float, system: float, server: float, figures: Figures
) -> tuple[Inline, ...]:
    remaining = memory - system - server - max(row.peak_memory_bytes)
    return (
        inline(code(row.identifier)),
        inline(Span(bytes_text(system), figure=Figure(system, "B", "declared"))),
        inline(Span(bytes_text(server), figure=Figure(server, "B", "declared"))),
        inline(figures.peak(row)),
        inline(bytes_text(remaining)),
    )


def predicted_fit(registry: Registry, machine: Machine) -> Section:
    """Every real deployment against this machine and the smallest and largest of each tier."""
    allowances = machine_allowances(registry, machine)
    single, combined = fits(registry, allowances)
    titles = [f"{a.name}, of {a.limit_bytes / 1e9:.1f}" for a in allowances]
    table = Table(
        "Headroom under the limit of each machine, in GB",
        columns("deployment", "predicted peak", *titles, numeric=("predicted peak", *titles)),
        tuple(_fit_row(fit) for fit in (*single, *combined)),
    )
    note = (
        "Predicted peak memory of the real models, with an image of 1355 × 710 px and the whole "
        "declared context. ~: only if applications give up some of their share. Negative: it does "
        "not fit, so it is never loaded."
    )
    blocks: tuple[Block, ...] = (
        Paragraph(inline(Span(note, "quiet"))),
        table,
        Paragraph(inline("The sums:")),
        Items(
            tuple(
                inline(code(fit.footprint.deployment), ": ", fit.footprint.sentence)
                for fit in (*single, *combined)
            )
        ),
    )
    return Section("fit", "Predicted fit, all machines", blocks, is_folded=True)


def _figure(need_bytes: float, text: str) -> Span:
    return Span(text, figure=Figure(need_bytes, "B", "predicted"))


def _fit_row(fit: Fit) -> tuple[Inline, ...]:
    return (
        inline(code(fit.footprint.deployment)),
        inline(_figure(fit.footprint.total_bytes, number(fit.footprint.total_bytes / 1e9))),
        *(
            inline(
                Span(
                    f"{headroom / 1e9:.1f}{' ~' if answer == 'tight' else ''}",
                    "word",
                    "good" if answer == "fits" else "bad" if answer == "does not fit" else "open",
                )
            )
            for answer, headroom in fit.answers
        ),
    )
