"""The figures of the documents that this project replaces: kept as claims, in one form."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.errors import BaselineError
from qualification.core.paths import published_claims
from qualification.models.loading import load_registry
from qualification.models.published_claims import (
    Contradiction,
    Document,
    Figure,
    contradictions,
    read_known,
    read_published,
)

PUBLISHED = published_claims()
UNITS = {
    "s",
    "GB",
    "tok/s",
    "%",
    "1",
    "px",
    "tokens",
    "frames",
    "frames/s",
    "million",
    "billion",
    "inferences",
}


def documents() -> dict[str, Document]:
    """Return every published document by file name."""
    return read_published(PUBLISHED)


def figures() -> list[Any]:
    """Return every figure as a parameter."""
    return [
        pytest.param(figure, id=f"{name}:{figure.line}:{figure.metric}")
        for name, document in documents().items()
        for figure in document.figures
    ]


def test_five_documents_are_kept_under_their_dates() -> None:
    """Each document has its date in its name and the version of this form."""
    published = documents()
    assert len(published) == 5
    assert len({document.document for document in published.values()}) == 5
    for name, document in published.items():
        assert name.startswith(date.fromisoformat(document.date).isoformat())
        assert document.schema_version == 1
        assert document.figures


@pytest.mark.parametrize("figure", figures())
def test_figure_is_a_number_that_its_printed_text_shows(figure: Figure) -> None:
    """Exactly one of value, values and range, each number readable in the printed text."""
    forms = [form for form in (figure.value, figure.values, figure.range) if form is not None]
    assert len(forms) == 1
    numbers = forms[0] if isinstance(forms[0], list) else [forms[0]]
    assert figure.range is None or (len(numbers) == 2 and numbers[0] <= numbers[1])
    for number in numbers:
        texts = {f"{number:g}", f"{number:.1f}", f"{number:.2f}", f"{number:.3f}"}
        assert any(text in figure.stated_as for text in texts)
    assert figure.unit in UNITS
    assert figure.line >= 1
    assert figure.last_line is None or figure.last_line > figure.line


@pytest.mark.parametrize("figure", figures())
def test_figure_names_what_is_declared(figure: Figure) -> None:
    """Model, deployment and the tier that a claim is projected for exist in the registry."""
    registry = load_registry()
    if figure.deployment is not None:
        assert registry.deployment(figure.deployment).model.name == figure.model
    assert figure.model in {None, *(model.name for model in registry.models)}
    assert figure.projected_for in {None, *(tier.name for tier in registry.tiers)}


def test_three_runs_are_kept_where_three_are_given() -> None:
    """The raw runs of the 3B and the 7B are there, not only their means."""
    runs = {
        figure.model: figure.values
        for document in documents().values()
        for figure in document.figures
        if figure.values is not None
    }
    assert runs == {
        "qwen2.5-vl-7b": [94.58, 95.37, 96.26],
        "qwen2.5-vl-3b": [8.77, 12.28, 34.36],
    }


def test_tables_arrange_figures_that_are_there() -> None:
    """Each row with lines has a figure on each; a cell of words is in a column of its table."""
    for document in documents().values():
        lines = {
            line
            for figure in document.figures
            for line in range(figure.line, (figure.last_line or figure.line) + 1)
        }
        for table in document.tables:
            titles = [column.title for column in table.columns]
            assert len(set(titles)) == len(titles)
            for row in table.rows:
                assert set(row.lines) <= lines, (table.title, row.name)
                assert set(row.words) <= set(titles), (table.title, row.name)


def test_superlatives_are_of_a_declared_model_and_a_metric_of_the_document() -> None:
    """Otherwise no rule could contradict one."""
    registry = load_registry()
    for document in documents().values():
        metrics = {figure.metric for figure in document.figures}
        for superlative in document.superlatives:
            assert superlative.model in {model.name for model in registry.models}
            assert set(superlative.metrics) <= metrics


def test_wrong_claims_stay_unchanged_and_are_marked_as_claims() -> None:
    """The impossible figures stay as published, with the reason beside them."""
    every = [json.dumps(json.loads(path.read_text())) for path in PUBLISHED.glob("*.json")]
    assert any(
        '"value": 94' in text and "roofline for this model is 30 tok/s" in text for text in every
    )
    assert any('"value": -1.15' in text and "cannot be negative" in text for text in every)
    assert any('"metric": "speed floor"' in text for text in every)


# --------------------------------------------------------------------------- the lint


def contradicted() -> list[Contradiction]:
    """Return the figures of the stored documents that arithmetic contradicts."""
    return contradictions(documents(), load_registry())


@pytest.mark.parametrize(
    ("file", "line", "rule", "words"),
    [
        ("2025-07-28", 8, "sign", "memory of -1.15 GB is under zero"),
        ("2025-07-29", 174, "sign", "memory of -0.09 GB"),
        ("2025-07-28", 12, "weights", "7.57 billion at 0.5625 bytes are 4.26 GB"),
        ("2025-12-29", 126, "roofline", "takes 374 GB/s and it has 120 GB/s"),
        ("2025-12-29", 164, "roofline", "30.3 tok/s that the memory of an M4 Max allows"),
        ("2025-12-29", 213, "roofline", "6.67 tok/s that the memory of air_m4 (M4) allows"),
        ("2025-12-29", 363, "roofline", "over the 30.2 tok/s"),
        ("2025-12-29", 60, "investigate", "3% of what the memory of an M4 Max allows"),
        ("2025-12-29", 60, "ratio", "95.40 and 18.47 tok/s, 5.2 times"),
        ("2025-12-29", 60, "runs", "8.77, 12.28, 34.36"),
        ("2025-12-29", 32, "runs", "94.58, 95.37, 96.26"),
        ("2025-12-29", 115, "share", "5.8 GB are 36%"),
        ("2025-12-29", 431, "chip", "There is no M4 Ultra"),
        (
            "2025-07-28",
            22,
            "superlative",
            "11.58 s is place 4 of 5: smolvlm-500m has 0.93",
        ),
        ("2025-07-28", 22, "superlative", "60 % is also that of smolvlm2-500m-video"),
        ("2025-07-28", 60, "superlative", '"Highest accuracy" is said of moondream2'),
        ("2025-07-28", 80, "superlative", "simple accuracy of 60 %"),
        ("2025-07-28", 100, "ranking", "the simple accuracy of phi-3.5-vision is 40 %"),
    ],
)
def test_a_known_contradiction_is_found_with_its_arithmetic(
    file: str, line: int, rule: str, words: str
) -> None:
    """The figures that an expert would not trust, each with the sum that says why."""
    sentences = [
        c.sentence for c in contradicted() if (c.file[:10], c.line, c.rule) == (file, line, rule)
    ]
    assert any(words in sentence for sentence in sentences), sentences


def test_a_possible_figure_is_not_contradicted() -> None:
    """Both averages are the means of their runs, and the M4 Max can do 94 tok/s."""
    rules = {(c.file[:10], c.line, c.rule) for c in contradicted()}
    assert ("2025-12-29", 39, "mean") not in rules
    assert ("2025-12-29", 67, "mean") not in rules
    assert not any(line == 32 and rule == "roofline" for _, line, rule in rules)
    assert not any(line == 42 for _, line, _ in rules)
    assert not any(rule == "superlative" and line in (9, 26, 61, 441) for _, line, rule in rules)
    assert not any(line in range(91, 96) for _, line, _ in rules)


def test_every_contradiction_is_recorded_and_every_record_is_found() -> None:
    """The list is a file, so that a new contradiction is noticed."""
    assert {contradiction.key for contradiction in contradicted()} == read_known(PUBLISHED)


def planted(tmp_path: Path, **changes: Any) -> Any:
    """Run the lint on one document with one changed figure."""
    figure = {
        "model": "qwen2.5-vl-7b",
        "deployment": "qwen2.5-vl-7b-4bit@mlx",
        "metric": "decode_tps",
        "unit": "tok/s",
        "stated_as": "",
        "line": 1,
        "machine": "M4 Max (128GB)",
        "projected_for": None,
        "note": "",
    }
    runs = figure | {"values": [90.0, 92.0], "stated_as": "90.0 and 92.0"}
    document = {
        "schema_version": 1,
        "document": "d",
        "title": "t",
        "date": "2026-01-01",
        "machine": None,
        "environment": {},
        "method": {},
        "note": "",
        "figures": [runs, figure | changes],
    }
    (tmp_path / "2026-01-01-d.json").write_text(json.dumps(document))
    return CliRunner().invoke(main, ["lint-published", "--folder", str(tmp_path)])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"value": 95.0, "stated_as": "Average: 95.0"}, "mean"),
        ({"value": 80.0, "stated_as": "80.0 tok/s"}, "runs"),
        ({"value": 150.0, "stated_as": "150.0 tok/s"}, "roofline"),
        ({"range": [9.0, 8.0], "stated_as": "9.0-8.0"}, "range"),
        ({"metric": "memory", "unit": "GB", "value": 3.0, "stated_as": "3.0 GB"}, "weights"),
        ({"metric": "load_s", "unit": "s", "value": -1.0, "stated_as": "-1.0"}, "sign"),
        ({"metric": "accuracy", "unit": "%", "value": 130.0, "stated_as": "130.0 %"}, "share"),
        ({"machine": "M6 Pro", "value": 91.0, "stated_as": "91.0"}, "chip"),
    ],
)
def test_a_new_contradiction_fails_the_lint(
    changes: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    """Exit code 1, and the rule is named."""
    result = planted(tmp_path, **changes)
    assert result.exit_code == 1, result.output
    assert f"[{rule}, NEW]" in result.output


def test_consistent_figures_pass_the_lint(tmp_path: Path) -> None:
    """The true mean of the runs, under the roofline: nothing to say."""
    result = planted(tmp_path, value=91.0, stated_as="Average: 91.0")
    assert result.exit_code == 0, result.output
    assert "0 figures contradicted" in result.output


def test_a_record_without_its_contradiction_fails_the_lint(tmp_path: Path) -> None:
    """So the list never outlives its reasons."""
    entry = 'file = "x.json"\nline = 1\nmodel = ""\nmetric = "m"\nrule = "sign"'
    (tmp_path / "contradictions.toml").write_text(f"[[known]]\n{entry}\n")
    result = planted(tmp_path, value=91.0, stated_as="Average: 91.0")
    assert result.exit_code == 1
    assert "no longer found" in result.output


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 1}'])
def test_a_malformed_document_is_one_sentence(text: str, tmp_path: Path) -> None:
    """It is named; the lint ends with exit code 2."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BaselineError, match=r"a\.json: is no published document"):
        read_published(tmp_path)
    result = CliRunner().invoke(main, ["lint-published", "--folder", str(tmp_path)])
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
