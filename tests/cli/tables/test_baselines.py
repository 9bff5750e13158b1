"""Tables and JSON of baselines: what differs, what is stale, what is not compared."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console, RenderableType

from qualification.cli.tables.baselines import (
    as_json,
    comparison,
    comparison_as_json,
    environments,
    table,
    total,
)
from qualification.judging.baselines.comparison import Operand
from qualification.judging.baselines.staleness import Reason, StoredBaseline
from qualification.judging.baselines.storage import Baseline
from tests.support.stored_sample import NAME, NEW, OLD, accepted, figures, session

A = Operand("A", (accepted(session("a", versions=OLD), figures()),))
B = Operand("B", (accepted(session("b", versions=NEW), figures(decode_tps=[10.0, 10.1, 10.2])),))
FILE = StoredBaseline(Path("air_m4/x.json"), Baseline(1, NAME, "air_m4", A.sessions + B.sessions))
DAMAGED = StoredBaseline(Path("air_m4/y.json"), None, "not JSON")
STALE = (Reason("age", "its newest session is 91 days old, over 90"),)


def rendered(*parts: RenderableType) -> str:
    """As a terminal without colours shows them."""
    console = Console(file=io.StringIO(), width=200, color_system=None)
    for part in parts:
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_baseline_is_one_row_with_the_reasons_why_it_is_stale() -> None:
    """A file that cannot be read has no row."""
    text = rendered(table([(FILE, STALE), (DAMAGED, ())]))
    (row,) = [line for line in text.splitlines() if NAME in line]
    assert "2026-11-01" in row
    assert STALE[0].clause in row
    assert "y.json" not in text


def test_the_total_counts_readable_stale_and_unreadable_files() -> None:
    """An unreadable file is counted once, not as stale too."""
    reasons = (Reason("unreadable", "cannot be read"),)
    surveyed = [(FILE, STALE), (FILE, ()), (DAMAGED, reasons)]
    assert total(surveyed) == (
        "2 baselines, 1 stale, 1 unreadable, 2 without a hash (whether damaged is unknown)"
    )
    assert total([(FILE, ())]).startswith("1 baseline, 0 stale, 0 unreadable")


def test_environments_are_counted_and_told_apart_by_what_differs() -> None:
    """numpy is the same in both; a single environment shows the engine's principal libraries."""
    both = environments(NAME, Operand("both", A.sessions + B.sessions))
    assert both.startswith("2: mlx 0.30.1 or 0.32.4, mlx-vlm 0.3.9 or 0.7.10")
    assert "numpy" not in both
    assert environments(NAME, A) == "1: mlx 0.30.1, mlx-vlm 0.3.9, transformers 4.57.3"


def test_a_servers_environment_shows_its_engines_libraries() -> None:
    """mlx_vlm.server computes with MLX."""
    assert environments("qwen2.5-vl-7b-4bit@mlx_vlm.server", A) == environments(NAME, A)


def test_a_comparison_shows_levels_and_factor_of_each_metric() -> None:
    """Half the speed is a factor of 2, and the versions that changed are named."""
    text = rendered(*comparison(A, B, any_machine=False))
    assert "B (1 session) compared with A (1 session)" in text
    assert "mlx 0.30.1 against 0.32.4" in text
    (row,) = [line for line in text.splitlines() if "decode_tps" in line]
    assert "20.1" in row
    assert "10.1" in row
    assert "1.990" in row


def test_the_revision_of_the_weights_is_shown_and_what_is_not_known_is_said() -> None:
    """Twelve digits in the list and in a comparison; all of them in JSON."""
    recorded = replace(A.sessions[0], revision="0123456789abcdef")
    a = Operand("A", (recorded,))
    text = rendered(*comparison(a, B, any_machine=False))
    assert "Revision of the weights: A 0123456789ab, B unknown." in text
    assert comparison_as_json(a, B, any_machine=False)["a"]["revisions"] == [recorded.revision]
    file = StoredBaseline(FILE.path, Baseline(1, NAME, "air_m4", (recorded, *B.sessions)))
    assert "0123456789ab or unknown" in " ".join(rendered(table([(file, ())])).split())
    assert as_json(file, ())["sessions"][0]["revision"] == recorded.revision


def test_a_metric_of_one_operand_only_is_named_with_the_reason() -> None:
    """Instead of being left out."""
    loaded = Operand("loaded", (accepted(session("c"), figures(load_s=[3.0, 3.1])),))
    text = rendered(*comparison(A, loaded, any_machine=False))
    assert "load_s is not compared: A has no measurement of it." in text
    assert "│" not in text


def test_the_json_of_a_comparison_has_what_the_table_has() -> None:
    """And is JSON."""
    document = json.loads(json.dumps(comparison_as_json(A, B, any_machine=False)))
    (metric,) = document["metrics"]
    assert (metric["metric"], document["a"]["sessions"]) == ("decode_tps", ["a"])
    assert metric["lower"] <= metric["factor"] <= metric["upper"]


def test_a_damaged_file_has_json_with_its_problem() -> None:
    """No deployment, no session."""
    row = as_json(DAMAGED, ())
    assert (row["deployment"], row["problem"], row["sessions"]) == (None, "not JSON", [])
    assert json.loads(json.dumps(as_json(FILE, STALE)))["stale"][0]["kind"] == "age"


def test_a_files_content_is_never_read_as_markup() -> None:
    """Square brackets and escapes are shown."""
    hostile = Operand("[red]A[/red]\x1b[31m", A.sessions)
    text = rendered(*comparison(hostile, B, any_machine=True))
    assert "[red]A[/red]\\x1b[31m" in text
