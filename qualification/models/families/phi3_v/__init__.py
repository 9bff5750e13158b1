"""Phi-3.5-vision: up to four tiles and an overview, the tower of CLIP-L at 336 pixels."""

from qualification.models.families import Canary, Family
from qualification.models.families.phi3_v.images import image_tokens
from qualification.models.families.phi3_v.layout import published

FAMILY = Family(
    "phi3_v",
    image_tokens=image_tokens,
    tile_patches=576,
    published=published,
    canary=Canary(
        "fixtures.make_canaries.phi3_v:Phi3V", end_of_turn="<|end|>", is_patched_for_mlx=True
    ),
)
