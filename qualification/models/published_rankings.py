"""Rankings and superlatives of published documents, against the figures of the same document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from qualification.core.text import one_line
from qualification.models.published_documents import (
    Best,
    Contradiction,
    Document,
    Figure,
    PrintedTable,
    Superlative,
)


def order_contradictions(file: str, document: Document) -> Iterator[Contradiction]:
    """The superlatives that do not hold, and the places of rankings that are by another metric.

    A document without a figure of the metric contradicts nothing.
    """
    for superlative in document.superlatives:
        for metric in superlative.metrics:
            if sentence := _not_the_best(superlative, metric, document):
                yield Contradiction(
                    file, superlative.line, superlative.model, metric, "superlative", sentence
                )
    for table in document.tables:
        if table.best is not None:
            for rule, figure, sentence in _ranking(table, table.best, document):
                yield Contradiction(
                    file, figure.line, figure.model or "", figure.metric, rule, sentence
                )


def best_numbers(document: Document, metric: str, best: Best) -> dict[str, float]:
    """Model -> the best number that the document gives of it, for those that have one."""
    choose = min if best == "least" else max
    numbers: dict[str, list[float]] = {}
    for figure in document.figures:
        if figure.metric == metric and figure.model is not None and figure.numbers:
            numbers.setdefault(figure.model, []).extend(figure.numbers)
    return {model: choose(candidates) for model, candidates in numbers.items()}


def _not_the_best(superlative: Superlative, metric: str, document: Document) -> str:
    """One sentence where another model is better or as good, else ''."""
    numbers = best_numbers(document, metric, superlative.best)
    own = numbers.pop(superlative.model, None)
    if own is None:
        return ""
    unit = _unit(metric, document)
    stated = f'"{one_line(superlative.stated_as, 60)}" is said of {superlative.model}'
    better = {m: n for m, n in numbers.items() if _is_better(n, own, superlative.best)}
    if better:
        leader = min(better, key=lambda model: better[model] * _sign(superlative.best))
        return (
            f"{stated}, whose {metric} of {own:g} {unit} is place {len(better) + 1} of"
            f" {len(numbers) + 1}: {leader} has {better[leader]:g} {unit}."
        )
    equals = [model for model, number in numbers.items() if number == own]
    if not equals:
        return ""
    metrics = " or ".join(superlative.metrics)
    open_metric = f"; {metrics} is not said" if len(superlative.metrics) > 1 else ""
    return (
        f"{stated}, whose {metric} of {own:g} {unit} is also that of"
        f" {' and '.join(equals)}{open_metric}."
    )


def _ranking(
    table: PrintedTable, best: Best, document: Document
) -> Iterator[tuple[str, Figure, str]]:
    """Places by another metric than most of the ranking, then places in the wrong order."""
    places = [
        figures
        for row in table.rows
        if (figures := [figure for figure in document.figures if figure.line in row.lines])
    ]
    counts = Counter(metric for figures in places for metric in {f.metric for f in figures})
    if not counts:
        return
    title, common = f'"{one_line(table.title, 60)}"', max(counts, key=counts.__getitem__)
    ordered: list[tuple[int, Figure]] = []
    for place, figures in enumerate(places, 1):
        figure = next((f for f in figures if f.metric == common), None)
        if figure is None:
            sentence = _mixed(figures[0], place, places, (title, common, best), document)
            yield "ranking", figures[0], sentence
        else:
            ordered.append((place, figure))
    for (before, upper), (place, lower) in pairwise(ordered):
        if upper.numbers and lower.numbers:
            high, low = upper.numbers[0], lower.numbers[0]
            if _is_better(low, high, best):
                yield (
                    "order",
                    lower,
                    f"{low:g} {lower.unit} {common} is place {place} of {title}, under"
                    f" {high:g} {upper.unit} at place {before}.",
                )


def _mixed(
    figure: Figure,
    place: int,
    places: list[list[Figure]],
    ranking: tuple[str, str, Best],
    document: Document,
) -> str:
    title, common, best = ranking
    numbers = best_numbers(document, common, best)
    sentence = (
        f'"{one_line(figure.printed, 60)}" at place {place} of {title} is {figure.metric}, and most'
        f" of its places are by {common}"
    )
    own = numbers.get(figure.model or "")
    if own is None:
        return f"{sentence}; the document gives no {common} of {figure.model}."
    unit = _unit(common, document)
    sentence = f"{sentence}: the {common} of {figure.model} is {own:g} {unit}"
    below = [model for figures in places[place:] if (model := figures[0].model) in numbers]
    equals = [model for model in below if model and not _is_better(own, numbers[model], best)]
    if equals:
        return f"{sentence}, no better than that of {' and '.join(equals)} under it."
    return f"{sentence}."


def _sign(best: Best) -> int:
    return 1 if best == "least" else -1


def _is_better(number: float, rival: float, best: Best) -> bool:
    return number * _sign(best) < rival * _sign(best)


def _unit(metric: str, document: Document) -> str:
    return next(figure.unit for figure in document.figures if figure.metric == metric)
