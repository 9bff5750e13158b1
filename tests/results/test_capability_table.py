"""The capability matrix: a row per capability, a column per deployment of a model."""

import pytest

from qualification.core.results import Check
from qualification.models.loading import load_registry
from qualification.results.capability_table import matrices, title

MLX, TORCH = "smolvlm-canary-f32@mlx", "smolvlm-canary-f32@torch"


def test_each_cell_says_what_came_of_it():
    """What a deployment was not asked is not declared; other suites have no row."""
    checks = [
        Check(MLX, "capability", "test_format[webp]", "passed"),
        Check(TORCH, "capability", "test_format[webp]", "xfailed", known_bug="x"),
        Check(MLX, "capability", "test_text_only_question", "failed"),
        Check(MLX, "load", "test_loads", "passed"),
    ]
    (matrix,) = matrices(checks, load_registry().deployments())
    assert matrix.model == "smolvlm-canary"
    assert matrix.columns == ("f32@mlx", "f32@torch")
    assert matrix.rows == (
        ("format: webp", ("yes", "known bug")),
        ("text only question", ("no", "undeclared")),
    )


@pytest.mark.parametrize(
    ("test", "row"),
    [
        ("test_given_as[data_url]", "given as: data url"),
        ("test_recall", "recall"),
        ("something[\n]", "something[\n]"),
    ],
)
def test_a_row_is_named_for_a_reader(test, row):
    """Without the words of pytest."""
    assert title(test) == row
