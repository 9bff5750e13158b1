"""LLaVA-NeXT (1.6): an overview and the best of five grids of tiles, a newline for each row."""

from qualification.models.families import Canary, Family, Gguf
from qualification.models.families.llava_next import gguf, images, layout

FAMILY = Family(
    "llava_next",
    image_tokens=images.image_tokens,
    tile_patches=576,
    published=layout.published,
    gguf=Gguf("llama", gguf.text, gguf.vision, gguf.vision_layers, gguf.figures),
    canary=Canary("fixtures.make_canaries.llava_next:LlavaNext", end_of_turn="</s>"),
)
