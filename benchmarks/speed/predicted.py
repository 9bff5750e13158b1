"""Predicted compared with measured peak memory: synthetic deployments of 0.5 to 5 GB.

The prediction is made from the declaration alone, for the image and the tokens that are asked.
MLX is asked without an image: its CPU build needs half an hour for one in bf16.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from benchmarks.speed.ours import Ours, deployment
from benchmarks.speed.rows import Row
from qualification.core.declarations import Deployment, Source
from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.models.loading import load_registry
from qualification.models.memory_fit import predict

SIZE = (448, 336)
TOKENS = 8


COUNT = 5


def row(number: int) -> Row:
    """Predicted over measured of one of the deployments; 1 is the smallest."""
    deployments = [
        deployment("smolvlm-500m-Q8_0-synthetic@llamacpp"),
        deployment("smolvlm2-500m-video-bf16-synthetic@mlx"),
        deployment("smolvlm2-500m-video-f32-synthetic@torch"),
        deployment("qwen2.5-vl-3b-Q4_K_M-synthetic@llamacpp"),
        # Not declared for torch; its shape is, so the weights can be made.
        Deployment(
            deployment("qwen2-vl-2b-4bit-synthetic@mlx").model,
            Source(backend="torch", quantisation="bf16", weights="synthetic"),
        ),
    ]
    return _row(f"predicted_vs_peak_{number}", deployments[number - 1])


def _row(identifier: str, chosen: Deployment) -> Row:
    name = chosen.identifier
    has_image = chosen.source.backend != "mlx"
    with tempfile.TemporaryDirectory() as place, Ours(chosen) as ours:
        image = Path(place) / "image.png"
        Image.effect_noise(SIZE, 60).convert("RGB").save(image)
        parts = (*[Part("image", str(image))] * has_image, Part("text", "What is it?"))
        request = GenerateRequest((Message("user", parts),), max_tokens=TOKENS, fixed_length=True)
        answer = ours.worker.generate(request, deadline_s=3600.0)
        peak = ours.worker.memory().peak_memory_bytes
    # llama.cpp takes the memory of its whole context when it loads.
    context = None if name.endswith("@llamacpp") else answer.prompt_tokens + TOKENS
    footprint = predict(ours.deployment, load_registry(), context=context, image=SIZE)
    if not has_image:
        parts_of = tuple(part for part in footprint.parts if part.name != "activations")
        footprint = replace(footprint, parts=parts_of)
    return Row(
        identifier,
        (footprint.total_bytes / peak,),
        (0.9, 1.1),
        f"{name}: {footprint.sentence}",
        f"{peak / 1e9:.2f} GB measured",
    )
