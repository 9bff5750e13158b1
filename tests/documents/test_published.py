"""The published claims as a document: every figure as it is printed, and what does not hold."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.paths import published_claims
from qualification.documents.model import Document, Section, Span, Table, plain_text
from qualification.documents.published.document import appendix, published_document
from qualification.documents.published.tables import claims, document_sections
from qualification.models import published_documents as published
from qualification.models.loading import load_registry
from qualification.models.published_claims import contradictions, read_published

PUBLISHED = published_claims()

LOADING_GUIDE = """
Capability Overview, 2025-07-28
Moondream2 | yes | no | 11.58 | 5.34 | -1.15 | Best Overall
SmolVLM-500M-Instruct (GGUF) | yes | yes | 0.93 | 2.04 | 0.07 | Fastest
SmolVLM2-500M-Video-Instruct | yes | yes | 9.80 | 1.02 | 0.06 | Fast & Accurate
Phi-3.5-Vision-Instruct | yes | yes | 10.54 | 1.52 | 0.28 | Balanced
LLaVA-v1.6-Mistral-7B-MLX | yes | yes | 21.93 | 2.17 | 0.46 | Issues

Model Loading Methods, 2025-07-28
Moondream2 | 5.34s | 11.58s | -1.15GB | 52.5% | 60.0%
SmolVLM-500M-Instruct (GGUF) | 2.04s | 0.93s | 0.07GB | 39.5% | 40.0%
SmolVLM2-500M-Video-Instruct | 1.02s | 9.80s | 0.06GB | 51.5% | 60.0%
Phi-3.5-Vision-Instruct | 1.52s | 10.54s | 0.28GB | 42.5% | 40.0%
LLaVA-v1.6-Mistral-7B-MLX | 2.17s | 21.93s | 0.46GB | 27.0% | 25.0%

Speed Rankings, 2025-07-28
1. SmolVLM GGUF | 0.93s avg inference
2. SmolVLM2-MLX | 9.80s avg inference
3. Phi-3.5-MLX | 10.54s avg inference
4. Moondream2 | 11.58s avg inference
5. LLaVA-MLX | 21.93s avg inference

Accuracy Rankings, 2025-07-28
1. Moondream2 | 60.0% simple accuracy
2. SmolVLM2-MLX | 60.0% simple accuracy
3. Phi-3.5-MLX | 42.5% VQA accuracy
4. SmolVLM GGUF | 40.0% simple accuracy, 39.5% VQA accuracy
5. LLaVA-MLX | 25.0% simple accuracy
"""

RECOMMENDATIONS = """
Why 7B over 3B?, 2025-12-29
Speed | 94 tok/s | 8 tok/s | 11x faster
Memory | 5.8GB | 3.5GB | 2.3GB more memory
Faster loading | 5.8s | 35.4s

Tested Models Comparison, 2025-12-29
Load time | 5.80s | 35.39s, 6x slower than 7B
Memory usage | 5.79 GB | 3.51 GB
Generation speed | 94.13 tok/s | 8.37 tok/s, 11x slower than 7B

Benchmark Results (3 runs, 100 tokens each), 2025-12-29
Run 1 | 94.58 tok/s | 8.77 tok/s
Run 2 | 95.37 tok/s | 12.28 tok/s
Run 3 | 96.26 tok/s | 34.36 tok/s
Average | 95.40 tok/s | 18.47 tok/s
Consistency | Highly consistent | Very inconsistent

Memory Footprint, 2025-12-29
Model | ~4GB download | ~2GB download
Loaded | ~5.79GB RAM | ~3.51GB RAM
Headroom on 32GB Air | ~26GB available | ~28GB available

Machine-Specific Recommendations, 2025-12-29
Text-only machine | M4 Mini (16GB)
Text-only models for it | 0.5B-7B text
Vision models would consume | >50% RAM
Vision capable machine | M4 Air (32GB)
7B for Air M4, highly recommended | Air M4 (32GB)
7B on the Air: Fast | 94 tok/s
7B on the Air: Low memory | 5.8GB, 18% of 32GB
7B on the Air: Headroom for system + other apps | ~26GB
Machines with full vision capability | M4 Max/Studio (64GB-128GB)
32B: Model | ~18GB download
32B: Memory | ~24-28GB loaded
32B: Would fit comfortably on | 64GB+ machines
32B: Higher quality, slower | ~40-50 tok/s estimated

Memory Budget for Air, 2025-12-29
System | ~8GB
Vision model | ~6GB
Server overhead | ~2GB
Applications | ~16GB

Memory Budget for Studio (128GB), 2025-12-29
System | ~10GB
Vision 7B | ~6GB
Vision 32B (if running both) | ~28GB
Server overhead | ~4GB
Applications | ~80GB

Too Large for Air (32GB), 2025-12-29
Download | 18GB | 40GB+
Memory | ~24-28GB | ~50GB+
Would consume | 75-87% of 32GB RAM | –
Verdict | May work but risky under load | Does NOT fit on 32GB Air

Performance Comparison Table, 2025-12-29
Qwen2.5-VL-7B-4bit | 4 | 5.8s | 5.79 | 94.13 | Excellent | Recommended
Qwen2.5-VL-3B-4bit | 2 | 35.4s | 3.51 | 8.37 | Poor | Not recommended
Qwen2-VL-2B-4bit | 1.5 | ? | ~3-4 | ? | ? | Untested
Qwen2.5-VL-32B-4bit | 18 | ? | ~24-28 | ~40-50? | ? | Too large

Alerts, 2025-12-29
Memory usage: Warning | > 24GB, 75% of 32GB
Memory usage: Critical | > 28GB, 87% of 32GB
Generation speed: Performance degradation | < 50 tok/s
Load time: Possible issue | > 10s
"""


@cache
def document() -> Document:
    """Return the document of the claims that ship."""
    return published_document(PUBLISHED, load_registry())


def expected(text: str) -> list[tuple[str, list[list[str]]]]:
    """Return the title and the rows of each table of a text."""
    tables = [block.splitlines() for block in text.strip().split("\n\n")]
    return [(title, [row.split(" | ") for row in rows]) for title, *rows in tables]


def tables_of(section: Section) -> list[Table]:
    """Return the tables of a section."""
    return [block for block in section.blocks if isinstance(block, Table)]


def spans(of: Document) -> list[Span]:
    """Return every span of the tables of the sections."""
    return [
        span
        for section in of.sections
        for table in tables_of(section)
        for row in table.rows
        for cell in row
        for span in cell
    ]


@pytest.mark.parametrize(
    ("title", "rows"),
    [*expected(LOADING_GUIDE), *expected(RECOMMENDATIONS)],
    ids=lambda x: str(x)[:20],
)
def test_every_figure_of_a_table_is_as_it_is_printed(title: str, rows: list[list[str]]) -> None:
    """Row by row; behind the cells that are listed there are only words."""
    (section,) = [s for s in document().sections if s.title == title]
    (table,) = tables_of(section)
    printed = [[plain_text(cell) for cell in row] for row in table.rows]
    assert [row[: len(cells)] for row, cells in zip(printed, rows, strict=True)] == rows


def test_every_figure_of_every_file_is_somewhere_in_the_document() -> None:
    """In a table, or in the list of those that are in none."""
    texts = {span.text for span in spans(document()) if span.figure}
    for printed in read_published(PUBLISHED).values():
        for figure in printed.figures:
            lines = figure.stated_as.splitlines() if figure.values else []
            assert {figure.printed, figure.stated_as} & texts or {
                line.rpartition(": ")[2] for line in lines
            } <= texts


def test_every_figure_is_marked_as_published_with_its_document_and_line() -> None:
    """In the unit of our metrics: a GB is 10⁹ bytes, and a percentage is a share."""
    figures = [span.figure for span in spans(document()) if span.figure]
    assert {figure.origin for figure in figures} == {"published"}
    assert all(", line " in figure.source and ", 202" in figure.source for figure in figures)
    assert {figure.unit for figure in figures}.isdisjoint({"GB", "%"})
    ((loaded, accuracy),) = {
        (a.figure, b.figure)
        for a in spans(document())
        for b in spans(document())
        if (a.text, b.text) == ("Memory usage: 5.79 GB".rpartition(": ")[2], "42.5%")
    }
    assert loaded is not None
    assert accuracy is not None
    assert (loaded.value, loaded.unit) == (5.79e9, "B")
    assert loaded.source == "Vision-Language Model (VLM) Recommendations, 2025-12-29, line 31"
    assert (accuracy.value, accuracy.unit) == (pytest.approx(0.425), "share")


def test_a_range_keeps_its_two_ends() -> None:
    """Its value is the middle."""
    (figure, *_) = [span.figure for span in spans(document()) if span.text == "~24-28GB loaded"]
    assert figure is not None
    assert (figure.least, figure.value, figure.most) == (24e9, 26e9, 28e9)


def appendix_rows() -> list[list[str]]:
    """Return the rows of the appendix as text."""
    section = document().sections[-1]
    assert section.title == "What does not hold"
    return [[plain_text(cell) for cell in row] for t in tables_of(section) for row in t.rows]


@pytest.mark.parametrize(
    ("kind", "claim", "words"),
    [
        ("Faster than the memory", "94 tok/s", "374 GB/s and it has 120 GB/s"),
        ("A headline", "94.13 tok/s", "mean 95.40"),
        ("A headline", "8.37 tok/s", "mean 18.47"),
        ("A ranking that mixes", "42.5% VQA accuracy", "by simple accuracy"),
        (
            "A superlative",
            "Fastest inference",
            "moondream2, whose e2e_s of 11.58 s is place 4 of 5",
        ),
        ("A superlative", "best accuracy", "also that of smolvlm2-500m-video"),
        ("Under zero", "-1.15", "-1.15 GB is under zero"),
        ("A ratio", "11x faster", "5.2 times"),
        ("So far under the roofline", "8.37 tok/s", "a fault of the software"),
        ("Less memory", "0.46", "4.26 GB"),
        ("A machine that does not exist", "M4 Ultra (192GB+)", "no M4 Ultra"),
    ],
)
def test_the_appendix_names_what_does_not_hold(kind: str, claim: str, words: str) -> None:
    """Under its kind, with the claim as printed and the arithmetic."""
    tables = [t for t in tables_of(document().sections[-1]) if t.caption.startswith(kind)]
    rows = [[plain_text(cell) for cell in row] for table in tables for row in table.rows]
    assert any(row[3] == claim and words in row[4] for row in rows), rows


def test_no_contradiction_is_missing_from_the_appendix() -> None:
    """Each once, with its document and line; and the first screen counts them."""
    documents = read_published(PUBLISHED)
    contradicted = contradictions(documents, load_registry())
    listed = sorted((row[0], int(row[1]), row[2], row[4]) for row in appendix_rows())
    assert listed == sorted(
        (documents[c.file].date, c.line, c.model or "not stated", c.sentence) for c in contradicted
    )
    assert all(row[3] for row in appendix_rows())
    assert f"{len(contradicted)} do not hold" in plain_text(document().lines[1].content)


def test_a_figure_that_does_not_hold_links_to_the_appendix_and_no_other_does() -> None:
    """So that nobody reads 94 tok/s without its contradiction."""
    linked = {
        (s.text, s.figure.source.rpartition(" ")[2])
        for s in spans(document())
        if s.figure and s.link
    }
    assert {("94 tok/s", "126"), ("94.13", "210"), ("-1.15", "8"), ("8.77 tok/s", "64")} <= linked
    assert ("95.40 tok/s", "39") not in linked
    assert {span.link for span in spans(document()) if span.link} == {
        f"#{document().sections[-1].anchor}"
    }


def test_anchors_are_unique_and_every_row_has_a_cell_for_each_column() -> None:
    """As the renderers need it."""
    anchors = [section.anchor for section in document().sections]
    assert len(set(anchors)) == len(anchors)
    targets = {
        s.link
        for table in document().overview
        if isinstance(table, Table)
        for row in table.rows
        for cell in row
        for s in cell
    }
    assert targets - {""} <= {f"#{anchor}" for anchor in anchors}
    for section in document().sections:
        for table in tables_of(section):
            assert {len(row) for row in table.rows} == {len(table.columns)}


HOSTILE = "<script>alert('5')</script> [x](javascript:alert(5)) 5 `\x1b[31m\u202e 5 GB"


def hostile(text: str) -> published.Document:
    """Return a document whose every text is this one."""
    figure = published.Figure(text, text, text, "GB", text, 3, text, None, text, value=5.0)
    ranked = published.PrintedTable(
        text,
        text,
        [published.PrintedColumn(text)],
        [published.PrintedRow(text, [3], {text: text})],
        "most",
    )
    return published.Document(
        1,
        text,
        text,
        text,
        text,
        {text: text},
        {text: text},
        text,
        [figure, dataclasses.replace(figure, line=4)],
        [published.Superlative(text, 5, text, [text], "most")],
        [ranked],
    )


def test_a_hostile_text_passes_unchanged_as_text(tmp_path: Path) -> None:
    """The renderers disarm it; nothing here escapes, shortens or interprets it."""
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(dataclasses.asdict(hostile(HOSTILE))))
    claimed = published_document(folder, load_registry())
    assert [span.text for span in spans(claimed) if span.figure] == [HOSTILE]
    assert all(span.link in ("", "#what-does-not-hold") for span in spans(claimed))
    (listed,) = [s for s in claimed.sections if s.is_folded]
    assert HOSTILE in [plain_text(cell) for row in tables_of(listed)[0].rows for cell in row]


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_printed_text_stands_whole_in_the_list_of_figures(text: str, value: float) -> None:
    """Whatever it is, and also where it does not show its number."""
    printed = dataclasses.replace(hostile("t"), tables=[])
    figure = dataclasses.replace(printed.figures[0], stated_as=text, value=value)
    printed = dataclasses.replace(printed, figures=[figure])
    every = claims("a.json", printed, ())
    (section,) = document_sections(1, printed, every)
    assert plain_text(tables_of(section)[0].rows[0][3]) == text


def test_a_folder_without_contradictions_says_so() -> None:
    """The appendix is there all the same."""
    section = appendix({}, [])
    assert [plain_text(block.content) for block in section.blocks if block.kind == "paragraph"] == [
        "No rule contradicts any figure."
    ]
