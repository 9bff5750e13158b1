"""A processor for the Phi-3.5-vision canary, for releases of mlx-vlm that have none of their own.

Before mlx-vlm had one, the processor of this family came from the model's repository and was run
as remote code. A canary has no code in its files, so the worker does what that code does: each
image is stretched to whole crops, the overview comes first, and each token of image number n is -n
in the prompt. numpy and Pillow only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOTE = "phi3_v's processor by us: this release takes it from the model's repository"
_IMAGE_TAG = re.compile(r"<\|image_(\d+)\|>")


def crops(width: int, height: int, most: int) -> tuple[int, int]:
    """Return how many crops (across, down) an image of that many pixels is stretched to.

    The longer side gets as many as make at most ``most`` crops together, at least one. Source:
    mlx-vlm's ``processing_phi3_v._calc_hd_transform_size``.
    """
    ratio = max(width, height) / min(width, height)
    long = 1
    while (long + 1) * math.ceil((long + 1) / ratio) <= most:
        long += 1
    short = math.ceil(long / ratio)
    return (long, short) if width >= height else (short, long)


class Processor:
    """The parts of a processor that mlx-vlm uses: a call, a chat template and a tokenizer."""

    def __init__(self, tokenizer: Any, settings: dict[str, Any], side: int) -> None:
        self.tokenizer = tokenizer
        self.chat_template = tokenizer.chat_template
        self._side = side
        self._most: int = settings["num_crops"]
        self._tokens: int = settings["num_img_tokens"]
        self._mean, self._std = settings["image_mean"], settings["image_std"]

    @classmethod
    def from_pretrained(cls, folder: str | Path, **_options: object) -> Processor:
        """Open the tokenizer and the settings of a canary's folder."""
        from transformers import AutoTokenizer

        read = {
            name: json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("preprocessor_config", "config")
        }
        side = read["config"]["canary_vision_config"]["image_size"]
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return cls(tokenizer, read["preprocessor_config"], side)

    def apply_chat_template(self, *args: Any, **options: Any) -> Any:
        """Render a conversation as the tokenizer does."""
        return self.tokenizer.apply_chat_template(*args, **options)

    def __call__(
        self,
        text: str | Sequence[str],
        images: Sequence[Any] | None = None,
        padding: bool = True,
        return_tensors: str = "np",
    ) -> dict[str, Any]:
        """Return one prompt's ``input_ids`` (1, tokens) and its images as numpy arrays.

        ``pixel_values``: (images, crops + 1, 3, side, side), zeros after the crops of an image
        that has fewer; ``image_sizes``: (images, 2), height and width in pixels.
        """
        import numpy as np

        prompt = text if isinstance(text, str) else text[0]
        cropped = [self._crops(image) for image in images or ()]
        counts = [self._count(size) for _, size in cropped]
        pieces = _IMAGE_TAG.split(prompt)  # text, number, text, number, ..., text
        ids: list[int] = list(self.tokenizer.encode(pieces[0]))
        for number, after in zip(map(int, pieces[1::2]), pieces[2::2], strict=True):
            ids += [-number] * counts[number - 1]
            ids += self.tokenizer.encode(after, add_special_tokens=False)
        inputs: dict[str, Any] = {
            "input_ids": np.array([ids]),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
        }
        if cropped:
            most = max(len(pixels) for pixels, _ in cropped)
            padded = [
                np.pad(pixels, [(0, most - len(pixels)), (0, 0), (0, 0), (0, 0)])
                for pixels, _ in cropped
            ]
            inputs["pixel_values"] = np.stack(padded)
            inputs["image_sizes"] = np.array([size for _, size in cropped])
        return inputs

    def _count(self, size: tuple[int, int]) -> int:
        down, across = (length // self._side for length in size)
        rows = math.isqrt(self._tokens)
        return (down * across + 1) * self._tokens + 1 + (down + 1) * rows

    def _crops(self, image: Any) -> tuple[Any, tuple[int, int]]:
        import numpy as np
        from PIL import Image

        side = self._side
        width, height = image.size
        across, down = crops(width, height, self._most)
        bicubic = Image.Resampling.BICUBIC
        stretched = image.convert("RGB").resize((across * side, down * side), bicubic)
        pieces = [stretched.resize((side, side), bicubic)]
        for y in range(0, down * side, side):
            for x in range(0, across * side, side):
                pieces.append(stretched.crop((x, y, x + side, y + side)))
        values = np.stack([np.asarray(piece, dtype=np.float32) for piece in pieces]) / 255
        values = (values - np.float32(self._mean)) / np.float32(self._std)
        return values.transpose(0, 3, 1, 2), (down * side, across * side)
