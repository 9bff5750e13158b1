"""What differs between architectures: all that the project knows of a family, in one folder each.

Start with :class:`Family`; ``table`` has all of them, those of other packages too. The worker
imports this room for its image tokens, so it is standard library only. May import ``core``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qualification.models.families.parts import Config, Shapes


@dataclass(frozen=True)
class Gguf:
    """The two files that llama.cpp loads, as its conversion scripts write them.

    ``architecture`` is llama.cpp's name of the text model. ``text`` and ``vision`` take
    ``config.json`` and the published tensors, and give the tensors of the text model and of the
    mmproj by llama.cpp's names. ``vision_layers`` are the tower's layers that the mmproj has.
    ``figures`` takes the model's file of ``declarations/configs`` and gives the keys of the
    mmproj's metadata that only this family has.
    """

    architecture: str
    text: Callable[[Config, Shapes], Shapes]
    vision: Callable[[Config, Shapes], Shapes]
    vision_layers: Callable[[Config], int]
    figures: Callable[[Config], Mapping[str, Any]] = lambda _: {}


@dataclass(frozen=True)
class Canary:
    """How the family's canary is trained.

    ``trainer`` names a subclass of ``CanaryTrainer`` as ``module:Class``, because it imports torch.
    ``answer_prefix`` precedes the answer in a prompt, ``end_of_turn`` is the token behind it.
    ``is_patched_for_mlx``: mlx-vlm loads a model so small only with our changes.
    """

    trainer: str
    end_of_turn: str
    answer_prefix: str = ""
    is_patched_for_mlx: bool = False


@dataclass(frozen=True)
class Family:
    """One architecture. Everything but the name is optional; what is missing is left out.

    ``name`` is the model's ``family`` in a declaration; ``model_types`` are the values of
    ``model_type`` in ``config.json`` that stand for it (default: the name).

    ``image_tokens(width, height)`` counts by the published settings; ``image_tokens_by_files``
    takes ``config.json`` and ``preprocessor_config.json`` before the two, and raises KeyError or
    TypeError where a setting is missing. ``llama_cpp_settings`` are the preprocessor's settings
    with those that llama.cpp has in its code. ``tile_patches``: patches of one tile, for a family
    that splits an image into tiles of one size.

    ``published`` gives every tensor of the published files by ``config.json``. ``mlx_names`` are
    pairs of a published prefix and mlx-vlm's, the first that fits; None: dropped.
    """

    name: str
    model_types: tuple[str, ...] = ()
    image_tokens: Callable[[int, int], int] | None = None
    image_tokens_by_files: Callable[[Config, Config, int, int], int] | None = None
    llama_cpp_settings: Callable[[Config], Config] | None = None
    tile_patches: int = 0
    published: Callable[[Config], Shapes] | None = None
    mlx_names: tuple[tuple[str, str | None], ...] = ()
    gguf: Gguf | None = None
    canary: Canary | None = None
