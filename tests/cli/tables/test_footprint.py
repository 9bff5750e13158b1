"""Which machines and deployments a footprint is for, and how the answers are shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from qualification.cli.tables.footprint import (
    as_json,
    chosen,
    fit_table,
    image_size,
    machines,
    sums,
)
from qualification.core.errors import SelectionError
from qualification.models.footprint import Footprint, Term
from qualification.models.loading import load_registry
from qualification.models.memory_fit import Allowance

SMALL = Footprint("small@mlx", (Term("weights", 3e9, "headers"), Term("process", 1e9, "measured")))
LARGE = Footprint("large@mlx", (Term("weights", 24e9, "headers"),))
AIR = Allowance("air 32 GiB", 34e9, limit_bytes=20e9, budget_bytes=10e9)
STUDIO = Allowance("studio 128 GiB", 137e9, limit_bytes=100e9, budget_bytes=20e9)


def rendered(part: RenderableType, width: int = 120) -> str:
    """As a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_an_image_size_is_two_positive_numbers(width: int, height: int) -> None:
    """Width first."""
    assert image_size(f"{width}x{height}") == (width, height)


@pytest.mark.parametrize("text", ["", "3", "0x5", "5x0", "-1x5", "1.5x2", "5x5x5", "5 x 5", "٣x٣"])
def test_any_other_text_is_no_image_size(text: str) -> None:
    """One sentence that shows the form."""
    with pytest.raises(SelectionError, match="1355x710"):
        image_size(text)


def test_without_a_name_every_deployment_of_real_weights_is_chosen() -> None:
    """Canaries fit everywhere."""
    deployments, has_combination = chosen(load_registry(), ())
    assert deployments
    assert not has_combination
    assert "canary" not in {deployment.source.weights for deployment in deployments}


def test_a_name_is_a_deployments_a_models_or_a_combinations() -> None:
    """A combination is added up."""
    registry = load_registry()
    combination = registry.together[0]
    deployment = registry.deployment(combination.deployments[0])
    assert chosen(registry, [deployment.identifier]) == ([deployment], False)
    of_model, _ = chosen(registry, [deployment.model.name])
    model = deployment.model.name
    assert deployment in of_model
    assert {deployment.model.name for deployment in of_model} == {model}
    combined, has_combination = chosen(registry, [combination.name])
    assert [part.identifier for part in combined] == list(combination.deployments)
    assert has_combination


def test_an_unknown_name_is_an_error() -> None:
    """For a deployment and for a tier."""
    with pytest.raises(SelectionError):
        chosen(load_registry(), ["nothing"])
    with pytest.raises(SelectionError):
        machines(load_registry(), ["nothing"])


def test_a_named_tier_gives_its_smallest_and_largest_machine() -> None:
    """This machine is added only if it belongs to the tier."""
    names = [machine.name for machine in machines(load_registry(), ["studio"])]
    assert names
    assert all(name.startswith("studio ") for name in names)


def test_headroom_is_negative_where_a_model_does_not_fit() -> None:
    """4 GB of 20 leave 16; 24 GB miss 4; under the limit and over the budget is tight."""
    text = rendered(fit_table([SMALL, LARGE], [AIR, STUDIO]))
    (small,) = [line for line in text.splitlines() if "small@mlx" in line]
    (large,) = [line for line in text.splitlines() if "large@mlx" in line]
    assert [cell.strip() for cell in small.split("│")[1:-1]] == [
        "small@mlx",
        "4.00",
        "16.0",
        "96.0",
    ]
    assert [cell.strip() for cell in large.split("│")[1:-1]] == [
        "large@mlx",
        "24.0",
        "-4.00",
        "76.0 ~",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_machines_that_do_not_fit_side_by_side_get_tables_of_their_own(width: int) -> None:
    """Every machine is shown once, and no line is wider than the terminal."""
    places = [Allowance(f"tier {number}", 34e9, 20e9, 10e9) for number in range(10, 20)]
    text = rendered(fit_table([SMALL], places, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert all(text.count(str(number)) >= 1 for number in range(10, 20))
    assert text.count("Headroom after loading") == 1


def test_a_sum_shows_parts_totals_and_an_answer_for_each_machine() -> None:
    """28 GB together: too much for one machine, headroom on the other."""
    text = rendered(sums([SMALL, LARGE], [AIR, STUDIO]))
    assert "headers" in text
    assert "28.0" in next(line for line in text.splitlines() if "all at once" in line)
    assert "8.00 GB too much" in text
    assert "72.0 GB of headroom" in text


def test_json_has_the_sum_only_if_it_was_asked_for() -> None:
    """Whole bytes, with the answer for each machine."""
    document: dict[str, Any] = as_json([SMALL, LARGE], [AIR], at_once=False)
    assert "together" not in document
    assert document["footprints"][1]["machines"]["air 32 GiB"] == {
        "answer": "does not fit",
        "limit_bytes": 20_000_000_000,
        "headroom_bytes": -4_000_000_000,
    }
    document = as_json([SMALL, LARGE], [AIR], at_once=True)
    assert document["together"]["total_bytes"] == 28_000_000_000
