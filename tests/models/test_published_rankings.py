"""Superlatives and rankings of a document are read against its own figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from qualification.models.published_documents import (
    Document,
    Figure,
    PrintedColumn,
    PrintedRow,
    PrintedTable,
    Superlative,
)
from qualification.models.published_rankings import order_contradictions

Best = Literal["least", "most"]


def figure(model: str, metric: str, value: float, line: int = 1) -> Figure:
    """Return a claim of one number in seconds."""
    return Figure(model, None, metric, "s", f"{value:g}s", line, None, None, "", value=value)


def document(
    figures: list[Figure],
    superlatives: list[Superlative] | None = None,
    tables: list[PrintedTable] | None = None,
) -> Document:
    """Return a document of these claims."""
    return Document(
        1, "d", "t", "2026-01-01", None, {}, {}, "", figures, superlatives or [], tables or []
    )


def ranking(best: Best, *lines: int) -> PrintedTable:
    """Return a ranking whose places stand on these lines."""
    rows = [PrintedRow(f"{place}.", [line]) for place, line in enumerate(lines, 1)]
    return PrintedTable("Ranking", "Place", [PrintedColumn("figure")], rows, best)


def said(claims: Document) -> list[tuple[str, int, str, str]]:
    """Return rule, line, model and sentence of every contradiction."""
    return [(c.rule, c.line, c.model, c.sentence) for c in order_contradictions("f.json", claims)]


def superlative(best: Best, *metrics: str) -> Superlative:
    """Return the words "the best" about model a, on line 9."""
    return Superlative("the best", 9, "a", list(metrics), best)


def test_a_superlative_of_a_model_that_another_beats_has_its_place() -> None:
    """Second by the least time, with the value that is better."""
    claims = document(
        [figure("a", "time", 3), figure("b", "time", 2), figure("c", "time", 5)],
        [superlative("least", "time")],
    )
    ((rule, line, model, sentence),) = said(claims)
    assert (rule, line, model) == ("superlative", 9, "a")
    assert sentence.endswith("whose time of 3 s is place 2 of 3: b has 2 s.")


def test_a_superlative_that_holds_is_not_contradicted() -> None:
    """Neither by the least nor by the most."""
    figures = [figure("a", "time", 2), figure("b", "time", 3)]
    assert said(document(figures, [superlative("least", "time")])) == []
    assert len(said(document(figures, [superlative("most", "time")]))) == 1


def test_a_superlative_that_another_model_shares_does_not_hold() -> None:
    """Where several metrics could be meant, the sentence says so."""
    claims = document(
        [
            *(figure("a", "VQA", 5), figure("b", "VQA", 4)),
            *(figure("a", "simple", 6), figure("b", "simple", 6)),
        ],
        [superlative("most", "VQA", "simple")],
    )
    ((_, _, _, sentence),) = said(claims)
    assert sentence.endswith("simple of 6 s is also that of b; VQA or simple is not said.")


def test_a_superlative_without_figures_is_not_contradicted() -> None:
    """Of the model itself, or of any other."""
    assert said(document([figure("b", "time", 3)], [superlative("least", "time")])) == []
    assert said(document([figure("a", "time", 3)], [superlative("least", "time")])) == []


def test_a_place_by_another_metric_than_the_rest_mixes_the_ranking() -> None:
    """With what the model has by the metric of the others, where the document gives it."""
    figures = [
        figure("a", "simple", 6, 1),
        figure("b", "VQA", 5, 2),
        figure("c", "simple", 4, 3),
        figure("b", "simple", 4, 20),
    ]
    ((rule, line, model, sentence),) = said(document(figures, tables=[ranking("most", 1, 2, 3)]))
    assert (rule, line, model) == ("ranking", 2, "b")
    assert sentence.endswith("the simple of b is 4 s, no better than that of c under it.")
    ((_, _, _, sentence),) = said(document(figures[:3], tables=[ranking("most", 1, 2, 3)]))
    assert sentence.endswith("the document gives no simple of b.")


def test_a_better_place_under_a_worse_one_is_the_wrong_order() -> None:
    """Equal values may stand in either order."""
    figures = [figure("a", "time", 2, 1), figure("b", "time", 2, 2), figure("c", "time", 1, 3)]
    ((rule, line, _, sentence),) = said(document(figures, tables=[ranking("least", 1, 2, 3)]))
    assert (rule, line) == ("order", 3)
    assert '1 s time is place 3 of "Ranking", under 2 s at place 2' in sentence


def test_a_table_that_is_no_ranking_may_have_any_order() -> None:
    """Only with ``best`` is it one."""
    table = replace(ranking("most", 1, 2), best=None)
    figures = [figure("a", "time", 2, 1), figure("b", "simple", 1, 2)]
    assert said(document(figures, tables=[table])) == []
    assert said(document([], tables=[ranking("most", 1, 2)])) == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.sampled_from(["least", "most"]))
def test_as_many_places_are_wrong_as_values_that_get_better(values: list[int], best: Best) -> None:
    """And none where the values are sorted, best first."""
    figures = [figure(f"m{line}", "time", value, line) for line, value in enumerate(values)]
    claims = document(figures, tables=[ranking(best, *range(len(values)))])
    better = [low < high if best == "least" else low > high for high, low in pairwise(values)]
    assert [rule for rule, *_ in said(claims)] == ["order"] * sum(better)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.sampled_from(["least", "most"]))
def test_a_superlative_holds_exactly_where_the_model_alone_is_the_best(
    values: list[int], best: Best
) -> None:
    """For any figures: the first model is a."""
    figures = [figure(name, "time", value) for name, value in zip("abcdef", values, strict=False)]
    best_value = min(values) if best == "least" else max(values)
    is_alone = values[0] == best_value and values.count(best_value) == 1
    assert (said(document(figures, [superlative(best, "time")])) == []) == is_alone
