"""How many tokens an image becomes, by published settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import ImageBudget
from qualification.models.own.image_budget import image_budget

QWEN = {"max_pixels": 12_845_056, "patch_size": 14, "merge_size": 2}
QWEN3 = {"size": {"longest_edge": 16_777_216}, "patch_size": 16, "merge_size": 2}
LFM2 = {"do_image_splitting": True, "max_tiles": 10, "max_image_tokens": 256, "tile_size": 512}
INTERNVL = {"crop_to_patches": True, "max_patches": 12, "image_seq_length": 256}
PIXTRAL = {"size": {"longest_edge": 1540}, "patch_size": 14}


@pytest.mark.parametrize(
    ("config", "settings", "budget"),
    [
        ({}, QWEN, ImageBudget(16_384, 28**2)),
        ({}, QWEN3, ImageBudget(16_384, 32**2)),
        ({}, {"max_soft_tokens": 280}, ImageBudget(280)),
        ({"mm_tokens_per_image": 256}, {}, ImageBudget(256)),
        ({}, LFM2, ImageBudget(11 * 256, 32**2, 256)),
        ({}, LFM2 | {"min_image_tokens": 64}, ImageBudget(11 * 256, 32**2, 64)),
        ({}, INTERNVL | {"size": {"height": 448}}, ImageBudget(13 * 256, 28**2, 256)),
        ({}, INTERNVL | {"crop_to_patches": False}, ImageBudget(256)),
        ({"spatial_merge_size": 2}, PIXTRAL, ImageBudget(3025, 28**2)),
        ({"vision_config": {"patch_size": 14}}, {"max_pixels": 196_000}, ImageBudget(1000, 196)),
        ({}, {}, None),
    ],
)
def test_published_settings_give_their_budget(config, settings, budget):
    """A fixed count, a limit, or the most pixels over those of a token."""
    assert image_budget(config, settings) == budget


def test_an_image_costs_by_its_size_within_the_budget():
    """Qwen3-VL's and Gemma's."""
    assert ImageBudget(16_384, 32**2).tokens(1355, 710) == 940
    assert ImageBudget(256).tokens(10, 10) == ImageBudget(256).tokens(5000, 5000) == 256
    assert ImageBudget(2816, 32**2, 256).tokens(84, 84) == 256


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just({"a": 1})
KEYS = st.sampled_from([*QWEN3, *LFM2, *INTERNVL, "vision_config", "min_image_tokens"])


@given(st.dictionaries(KEYS, VALUES))
def test_any_values_are_read(values):
    """Model files are hostile."""
    budget = image_budget(values, values)
    assert budget is None or budget.tokens(100, 100) <= budget.most
