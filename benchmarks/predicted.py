"""Predicted against measured peak memory: synthetic deployments of 0.5 to 5 GB, one picture each.

The prediction is made from the declaration alone, for the picture and the tokens that are asked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.ours import Ours
from benchmarks.rows import Row
from qualification.plan import predict
from qualification.records import GenerateRequest, Message, Part
from qualification.registry import load_registry

DEPLOYMENTS = (
    "smolvlm-500m-Q8_0-synthetic@llamacpp",
    "smolvlm2-500m-video-bf16-synthetic@mlx",
    "smolvlm2-500m-video-f32-synthetic@torch",
    "qwen2.5-vl-3b-Q4_K_M-synthetic@llamacpp",
    "llava-1.6-mistral-7b-4bit-synthetic@mlx",
)
SIZE = (448, 336)
TOKENS = 8


def rows(deployments: tuple[str, ...] = DEPLOYMENTS) -> list[Row]:
    """Return a row for each deployment, smallest first: predicted over measured."""
    return [_row(f"predicted_vs_peak_{n}", name) for n, name in enumerate(deployments, 1)]


def _row(identifier: str, name: str) -> Row:
    with tempfile.TemporaryDirectory() as place, Ours(name) as ours:
        picture = Path(place) / "picture.png"
        Image.effect_noise(SIZE, 60).convert("RGB").save(picture)
        parts = (Part("image", str(picture)), Part("text", "What is it?"))
        request = GenerateRequest((Message("user", parts),), max_tokens=TOKENS, fixed_length=True)
        answer = ours.worker.generate(request, deadline_s=3600.0)
        peak = ours.worker.memory().peak_memory_bytes
    # llama.cpp takes the memory of its whole context when it loads.
    held = None if name.endswith("@llamacpp") else answer.prompt_tokens + TOKENS
    footprint = predict(ours.deployment, load_registry(), context=held, picture=SIZE)
    return Row(
        identifier,
        (footprint.total_bytes / peak,),
        (0.9, 1.1),
        f"{name}: {footprint.sentence}",
        f"{peak / 1e9:.2f} GB measured",
    )
