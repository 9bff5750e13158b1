"""What a safetensors folder holds: as published for torch, or as ``mlx_vlm.convert`` makes it.

The rules of the conversion are those of mlx-vlm 0.7.10: a matrix is quantised unless its rows are
no multiple of the group or its module is one of ``skip_multimodal_module``. Older conversions on
the hub may have quantised the vision tower too: their files are smaller.
"""

from __future__ import annotations

from math import prod

from qualification.models.families.parts import Config, Shapes
from qualification.models.families.table import family_of, published
from qualification.models.tensor_headers import TensorInfo

GROUP = 64
ITEM_BYTES = {"F32": 4, "BF16": 2, "F16": 2, "U32": 4}
DTYPES = {"f32": "F32", "bf16": "BF16", "f16": "F16"}
"""Quantisation as declared -> type of every value."""

BITS = {"3bit": 3, "4bit": 4, "6bit": 6, "8bit": 8}
"""Quantisation as declared -> bits of a packed weight of MLX."""

_CONFIG_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}

_NOT_QUANTISED = (
    "vision",
    "aligner",
    "vl_connector",
    "sam_model",
    "audio_model",
    "audio_tower",
    "code_predictor",
    "img_projector",
    "multi_modal_projector",
    "patch_merge_mlp",
)


def plain(config: Config, quantisation: str) -> tuple[TensorInfo, ...]:
    """Every tensor of the published files, all in the type of ``f32``, ``bf16`` or ``f16``."""
    dtype = DTYPES[quantisation]
    return tuple(_tensor(name, shape, dtype) for name, shape in published(config).items())


def mlx_quantised(config: Config, quantisation: str) -> tuple[TensorInfo, ...]:
    """Every tensor after ``mlx_vlm.convert -q``: packed weights, scales, biases, and the rest.

    Unpacked tensors and scales have the config's ``torch_dtype``.
    """
    bits = BITS[quantisation]
    dtype = _CONFIG_DTYPES[config["torch_dtype"]]
    tensors: list[TensorInfo] = []
    for name, shape in _converted(config).items():
        if not _is_quantised(name, shape):
            tensors.append(_tensor(name, shape, dtype))
            continue
        rows, columns = shape
        module = name.removesuffix(".weight")
        tensors.append(_tensor(name, (rows, columns * bits // 32), "U32"))
        tensors += [
            _tensor(f"{module}.{part}", (rows, columns // GROUP), dtype)
            for part in ("scales", "biases")
        ]
    return tuple(tensors)


def _converted(config: Config) -> Shapes:
    family = family_of(config)
    renamed = family.mlx_names if family else ()
    shapes: Shapes = {}
    for name, shape in published(config).items():
        old, new = next((pair for pair in renamed if name.startswith(pair[0])), ("", ""))
        if new is None:
            continue
        if "patch_embed" in name and len(shape) > 2:
            shape = (shape[0], *shape[2:], shape[1])  # MLX convolves with the channels last
        shapes[new + name.removeprefix(old)] = shape
    return shapes


def _is_quantised(name: str, shape: tuple[int, ...]) -> bool:
    return (
        len(shape) == 2
        and name.endswith(".weight")
        and shape[1] % GROUP == 0
        and not any(module in name for module in _NOT_QUANTISED)
    )


def _tensor(name: str, shape: tuple[int, ...], dtype: str) -> TensorInfo:
    return TensorInfo(name, shape, dtype, prod(shape) * ITEM_BYTES[dtype])
