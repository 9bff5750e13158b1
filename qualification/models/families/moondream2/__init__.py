"""Moondream2: 27 x 27 features whatever the size; further crops are merged into them."""

from qualification.models.families import Canary, Family, Gguf
from qualification.models.families.moondream2 import gguf
from qualification.models.families.moondream2.layout import published

FAMILY = Family(
    "moondream2",
    model_types=("moondream1",),  # its published config has the older name
    image_tokens=lambda _width, _height: 27 * 27,
    published=published,
    mlx_names=(
        ("model.region.", None),
        ("model.text.wte", "text.model.embed_tokens.weight"),
        ("model.text.blocks.", "text.model.layers."),
        ("model.text.post_ln.", "text.model.post_ln."),
        ("model.text.", "text."),
        ("model.vision.proj_mlp.", "vision.proj_mlp."),
        ("model.vision.", "vision.encoder."),
    ),
    gguf=Gguf("phi2", gguf.text, gguf.vision, gguf.vision_layers),
    canary=Canary(
        "fixtures.make_canaries.moondream2:Moondream2",
        end_of_turn="<|endoftext|>",
        is_patched_for_mlx=True,
    ),
)
