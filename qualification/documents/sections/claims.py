"""What was published of the models of a session, beside what it measured."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qualification.core.format import rate_text
from qualification.core.metrics import METRICS
from qualification.documents.figures import Figures
from qualification.documents.model import (
    Inline,
    Line,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.published.claimed import PublishedClaim
from qualification.judging.stats.estimators import median
from qualification.results.rows import Row


def claimed(claims: Sequence[PublishedClaim], rows: Sequence[Row]) -> Line | None:
    """The speed that is contradicted first; None where nothing is."""
    by_name = {row.identifier: row for row in rows}
    wrong = [claim for claim in claims if claim.wrong]
    wrong.sort(key=lambda claim: claim.metric != "decode_tps")
    if not wrong:
        return None
    worst = wrong[0]
    row = by_name[worst.deployment]
    measured = ""
    if worst.metric == "decode_tps" and row.decode_tps:
        measured = f"; measured here: {rate_text(median(row.decode_tps))}"
    count = f" ({len(wrong)} contradicted)" if len(wrong) > 1 else ""
    sentence = re.split(r"(?<=\.) ", worst.wrong)[0]
    return Line(
        "claimed",
        inline(
            f"{sentence.rstrip('.')} ({worst.document}){measured}. ",
            Span(f"all claims{count}", link="#claims"),
        ),
    )


def claims_section(
    claims: Sequence[PublishedClaim], rows: Sequence[Row], figures: Figures
) -> Section | None:
    """Every claim about a deployment that was measured; None where there is none."""
    if not claims:
        return None
    by_name = {row.identifier: row for row in rows}
    heads = ("deployment", "figure", "claimed", "for", "measured here", "contradicted by", "source")
    table = Table(
        "Published claims beside measured figures",
        columns(*heads, numeric=("measured here",)),
        tuple(
            (
                inline(code(claim.deployment)),
                inline(METRICS[claim.metric].label or claim.metric.replace("_", " ")),
                _unlinked(claim.printed),
                inline(claim.place or "–"),
                inline(_measured(by_name[claim.deployment], claim.metric, figures)),
                inline(Span(claim.wrong, "quoted")) if claim.wrong else inline("–"),
                inline(Span(claim.document, "quiet")),
            )
            for claim in claims
        ),
    )
    return Section("claims", "Published claims beside measured figures", (table,), is_folded=True)


def _unlinked(content: Inline) -> Inline:
    """Links of the published document's own tree lead nowhere here."""
    return tuple(Span(s.text, s.style, s.tone, "", s.figure) for s in content)


def _measured(row: Row, metric: str, figures: Figures) -> Span:
    values = {
        "decode_tps": row.decode_tps,
        "load_s": row.load_s,
        "peak_memory_bytes": row.peak_memory_bytes,
    }.get(metric, row.quality.get(metric, ()))
    return figures.of(row, values, METRICS[metric].unit)
