"""SmolVLM, of Idefics3's architecture: an image is split into tiles, with an overview."""

from qualification.models.families import Canary, Family, Gguf
from qualification.models.families.smolvlm import gguf, images, layout

FAMILY = Family(
    "smolvlm",
    model_types=("smolvlm", "idefics3"),
    image_tokens=images.image_tokens,
    image_tokens_by_files=images.image_tokens_by_files,
    tile_patches=1024,
    published=layout.published,
    mlx_names=(
        ("model.text_model.", "language_model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.", ""),
    ),
    gguf=Gguf("llama", gguf.text, gguf.vision, gguf.vision_layers, gguf.figures),
    canary=Canary(
        "fixtures.make_canaries.smolvlm:SmolVLM",
        end_of_turn="<end_of_utterance>",
        answer_prefix=" ",
    ),
)
