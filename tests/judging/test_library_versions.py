"""The library versions that matter to an engine, and how environments differ."""

from __future__ import annotations

import pytest

from qualification.core.results import Environment
from qualification.judging.library_versions import difference, engine_of, pins
from qualification.models.loading import load_registry


def test_the_engine_of_an_identifier_is_that_of_the_declaration() -> None:
    """Also of a server, whose identifier names its program."""
    for deployment in load_registry().deployments():
        assert engine_of(deployment.identifier) == deployment.source.engine


@pytest.mark.parametrize(
    ("identifier", "engine"),
    [("x@mlx_vlm.server", "mlx"), ("x@torch", "torch"), ("x@new", "new"), ("x", ""), ("", "")],
)
def test_an_identifier_that_is_no_longer_declared_has_an_engine(
    identifier: str, engine: str
) -> None:
    """From the name behind the @; '' where there is none."""
    assert engine_of(identifier) == engine


def test_pins_are_what_an_index_knows() -> None:
    """Without local labels, without what is no version, for the platform's own MLX."""
    versions = {"mlx": "0.30.1", "torch": "2.13.0+cpu", "pillow": "1; rm -rf", "mlx-vlm": ""}
    environment = Environment("current", "3.12.1", versions)
    assert pins("mlx", environment, "linux") == ("mlx[cpu]==0.30.1", "torch==2.13.0")
    assert pins("mlx", environment, "macos")[0] == "mlx==0.30.1"
    assert pins("torch", environment, "macos") == ("torch==2.13.0",)
    assert pins("server", environment, "macos") == ()


def test_a_difference_names_what_computes_and_counts_the_rest() -> None:
    """Several earlier versions of one library, and one that was not recorded."""

    def of(**versions: str) -> Environment:
        return Environment("current", "3.12.1", versions)

    earlier = [of(torch="2.8.0", numpy="1", pillow="1"), of(torch="2.9.0", numpy="1", pillow="1")]
    now = of(torch="2.13.0", numpy="2", pillow="2", transformers="5.23.0")
    change = difference("torch", earlier, now)
    assert change == "torch 2.8.0 or 2.9.0 (now 2.13.0) and 2 libraries besides"
    assert difference("llamacpp", earlier, now) == "2 other libraries"
    assert difference("torch", [now], now) == ""
