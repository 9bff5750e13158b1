"""The deployments beside each other: capabilities and figures, two rankings, size against speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.format import bytes_text, number, percent_text, seconds_text
from qualification.documents.figures import Figures, word
from qualification.documents.model import (
    Block,
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
from qualification.documents.sections.candidates import accuracy_interval
from qualification.documents.sections.session_plots import strips_plot
from qualification.judging.stats.estimators import median
from qualification.results.closing import kind, state
from qualification.results.rows import Row

_MARKS = {"passed": "yes", "failed": "no", "error": "no", "xfailed": "known bug"}


def comparison(rows: Sequence[Row], figures: Figures, notes: tuple[Paragraph, ...]) -> Section:
    """One row for each deployment, in the order of the declarations; the notes stand above."""
    heads: tuple[str, ...] = (
        "deployment",
        *("image", "text", "load", "first token", "tok/s", "% of roofline", "peak", "accuracy"),
        "verdict",
    )
    if not any(row.share_of_roofline for row in rows):
        heads = tuple(head for head in heads if head != "% of roofline")
    table = Table(
        "Medians of the raw trials, of the memory the most; a number shows its spread on hover",
        columns(*heads, numeric=heads[3:-1]),
        tuple(
            tuple(cell for head, cell in _cells(row, figures).items() if head in heads)
            for row in rows
        ),
    )
    legends = [
        "tok/s: decoding, behind the first token. accuracy: of generated held-out questions, with "
        "how many of them were answered correctly."
    ]
    if "% of roofline" in heads:
        legends.append(
            " % of roofline: of the speed that this machine's memory bandwidth allows; over it a "
            "record is rejected."
        )
    legend = Paragraph(inline(*legends, Span(" Run by run: spread.", link="#spread")))
    return Section("comparison", "Comparison", (*notes, table, legend))


def _cells(row: Row, figures: Figures) -> dict[str, Inline]:
    accuracy: Inline = (figures.of(row, row.accuracy, "share"),)
    if row.accuracy and row.questions:
        right = round(median(row.accuracy) * row.questions)
        accuracy += (Span(f" ({right} of {row.questions})", "quiet"),)
    share = row.share_of_roofline
    return {
        "deployment": inline(code(row.identifier, "#why")),
        "image": inline(mark(row, "image")),
        "text": inline(mark(row, "text")),
        "load": inline(figures.of(row, row.load_s, "s")),
        "first token": inline(figures.of(row, row.ttft_s, "s")),
        "tok/s": inline(figures.of(row, row.decode_tps, "tok/s", bare=True)),
        "% of roofline": inline(percent_text(share, digits=0) if share else Span("–", "quiet")),
        "peak": inline(figures.peak(row)),
        "accuracy": accuracy,
        "verdict": inline(word(state_word(row))),
    }


def state_word(row: Row) -> str:
    """The state that the closing sentence counts, or what is said in its place here."""
    counted = state(row)
    if counted == "works":
        return row.verdict.advice
    words = {"wrong": "answers wrongly", "in part": "not tried to its end"}
    return row.verdict.name if counted == "undecided" else words.get(counted, counted)


_TEXT = ("test_text_only_question", "test_answers_text")
_IMAGE = ("test_says_what_it_sees", "test_answers_held_out_questions")


def mark(row: Row, subject: str) -> Span:
    """Whether it answers about images, or without one, as its checks say."""
    tests = _TEXT if subject == "text" else _IMAGE
    outcomes = {check.outcome for check in row.checks if check.test.partition("[")[0] in tests} - {
        "skipped"
    }
    for outcome in ("failed", "error", "xfailed", "passed"):
        if outcome in outcomes:
            return word(_MARKS[outcome])
    return Span("–", "quiet")


def rankings(rows: Sequence[Row], figures: Figures) -> Section | None:
    """Speed and accuracy each by itself: a ranking never mixes two metrics."""
    real = [row for row in rows if not row.is_canary]
    fast = sorted((r for r in real if r.decode_tps), key=lambda r: -median(r.decode_tps))
    sure = sorted((r for r in real if r.accuracy and r.questions), key=_lower, reverse=True)
    blocks: list[Table] = []
    if len(fast) > 1:
        blocks.append(_ranking("By decoding speed", fast, figures, "decode_tps", "tok/s"))
    if len(sure) > 1:
        blocks.append(_ranking("By accuracy (lower bound)", sure, figures, "accuracy", "share"))
    return Section("rankings", "Rankings", tuple(blocks)) if blocks else None


def _lower(row: Row) -> float:
    interval = accuracy_interval(row)
    return interval.lower if interval else 0.0


def _ranking(title: str, rows: Sequence[Row], figures: Figures, metric: str, unit: str) -> Table:
    ranked = tuple(
        (
            inline(str(place)),
            inline(code(row.identifier)),
            inline(figures.of(row, getattr(row, metric), unit)),
        )
        for place, row in enumerate(rows, 1)
    )
    return Table(title, columns("place", "deployment", title, numeric=("place", title)), ranked)


def quality(rows: Sequence[Row], figures: Figures) -> Section | None:
    """What was measured of answers beyond the accuracy; None where nothing was."""
    metrics = {
        "vqa_accuracy": ("VQA", "share"),
        "simple_accuracy": ("simple", "share"),
        "generated_vqa_accuracy": ("generated VQA", "share"),
        "context_retention": ("remembers the image", "share"),
        "context_without_image": ("with the image left out", "share"),
        "diagram_recall": ("diagram recall", "share"),
        "diagram_hallucinations": ("hallucinations", ""),
        "diagram_repetition": ("repetitions", ""),
        "diagram_truncated": ("truncated", "share"),
    }
    metric_names = [name for name in metrics if any(row.quality.get(name) for row in rows)]
    measured = [row for row in rows if any(row.quality.get(name) for name in metric_names)]
    if not measured:
        return None
    titles = [metrics[name][0] for name in metric_names]
    table = Table(
        "Answers, beyond the accuracy on generated questions",
        columns("deployment", *titles, numeric=titles),
        tuple(
            (
                inline(code(row.identifier)),
                *(
                    inline(figures.of(row, row.quality.get(name, ()), metrics[name][1]))
                    for name in metric_names
                ),
            )
            for row in measured
        ),
    )
    return Section("quality", "Quality of answers", (table,))


def spread(rows: Sequence[Row]) -> Section | None:
    """Range and variation of the speed, run by run; None where none was measured."""
    timed = [row for row in rows if row.decode_tps]
    if not timed:
        return None
    heads = ("deployment", "tok/s, median", "range", "CV", "runs", "first token, range")
    table = Table(
        "Decoding speed over its repetitions",
        columns(*heads, numeric=heads[1:]),
        tuple(
            (
                inline(code(row.identifier)),
                inline(number(median(row.decode_tps))),
                inline(f"{number(min(row.decode_tps))}–{number(max(row.decode_tps))}"),
                inline(percent_text(row.variation)),
                inline(str(len(row.decode_tps))),
                inline(
                    f"{seconds_text(min(row.ttft_s))}–{seconds_text(max(row.ttft_s))}"
                    if row.ttft_s
                    else "–"
                ),
            )
            for row in timed
        ),
    )
    plot = strips_plot(timed)
    blocks: tuple[Block, ...] = (table, *([plot] if plot else []))
    return Section("spread", "Spread, run by run", blocks, is_folded=True)


def why(rows: Sequence[Row]) -> Section:
    """What did not pass: what counts against a deployment in full, all else by its kind."""
    blocks: list[Block] = []
    for row in rows:
        if points := tuple(_against(row)):
            blocks += [
                Paragraph(inline(code(row.identifier), " ", word(state_word(row)))),
                Items(points),
            ]
    kinds: dict[tuple[str, str], list[tuple[Row, Inline]]] = {}
    for row in rows:
        for status, sentence, entry in _remarks(row):
            kinds.setdefault((status, kind(sentence.replace(row.identifier, "…"))), []).append(
                (row, entry)
            )
    remarks = tuple(
        (*group[0][1], Span(f" ({_names([row for row, _ in group])})", "quiet"))
        for group in sorted(kinds.values(), key=len, reverse=True)
    )
    if remarks:
        blocks += [
            Paragraph(inline("Each kind of remark once, with where it was made:")),
            Items(remarks),
        ]
    if not blocks:
        blocks.append(Paragraph(inline("Nothing failed, and no finding is open.")))
    return Section("why", "Why: what did not pass", tuple(blocks), is_folded=True)


def _names(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row.identifier for row in rows))
    return ", ".join(names[:_SHOWN]) + (
        f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    )


_SHOWN = 6


def _against(row: Row) -> Iterator[Inline]:
    if row.rejected:
        yield inline(word("fail"), " ", Span(row.rejected, "quoted"))
    for finding in row.findings:
        if finding.status in ("fail", "suspect") and finding.sentence != row.rejected:
            yield inline(word(finding.status), " ", Span(finding.sentence, "quoted"))
    for check in row.problems:
        if check.outcome != "xfailed":
            detail = Span(check.detail, "quoted")
            yield inline(word(check.outcome), " ", code(check.test), ": ", detail)


def _remarks(row: Row) -> Iterator[tuple[str, str, Inline]]:
    """Status, sentence and entry of what is no reason against a deployment."""
    for finding in row.findings:
        if finding.status in ("warn", "unknown"):
            entry = inline(word(finding.status), " ", Span(finding.sentence, "quoted"))
            yield finding.status, finding.sentence, entry
    sentences = " ".join(f.sentence for f in row.findings if f.metric == "known_bug")
    for check in row.problems:
        if check.outcome == "xfailed" and check.known_bug not in sentences:
            bug = code(check.known_bug, "#known-bugs")
            entry = inline(word("known bug"), " ", bug, " in ", code(check.test))
            yield check.known_bug, check.test, entry


def revisions(rows: Sequence[Row]) -> Section | None:
    """The weights that were measured: size and revision, a commit in full."""
    loaded = [row for row in rows if row.load]
    if not loaded:
        return None
    heads = ("deployment", "weights", "revision", "page cache before the load")
    table = Table(
        "The weights that were measured",
        columns(*heads, numeric=("weights",)),
        tuple(
            (
                inline(code(row.identifier)),
                inline(bytes_text(row.load.weights_bytes)),
                inline(code(row.commit or row.load.revision[:12] or "unknown")),
                inline(row.load.page_cache),
            )
            for row in loaded
            if row.load
        ),
    )
    return Section("weights", "Weights and revisions", (table,), is_folded=True)
