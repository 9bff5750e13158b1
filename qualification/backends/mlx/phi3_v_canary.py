"""Lets mlx-vlm load a Phi-3.5-vision of another size than the published one.

mlx-vlm's ``phi3_v`` has one vision tower, CLIP-L at 336 pixels, in a class attribute, and its
figures as literals in the code of the model and of the processor: 336 pixels a side of a crop,
1,024 values a patch, 12 x 12 = 144 tokens a crop. Nothing in a model's files changes them. So the
library's own source is compiled again with other literals, and the library's code still does all of
the work, in any release.

It affects only folders whose ``config.json`` has ``canary_vision_config``, and lasts for the life
of the process: a real Phi-3.5-vision cannot be loaded afterwards.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qualification.backends.mlx import phi3_v_processor
from qualification.core.errors import BackendFailed

CONFIG_KEY = "canary_vision_config"
_PUBLISHED = {"side": 336, "width": 1024, "tokens": 144, "rows": 12}
_MODEL = {"VisionModel": ("side", "width", "tokens", "rows")}
_PROCESSOR = {
    "_calc_padded_size": ("side",),
    "_calc_hd_transform_size": ("side",),
    "_pad_to_336": ("side",),
    "Phi3VImageProcessor": ("side", "tokens", "rows"),
}


def resize_if_canary(folder: Path) -> tuple[str, ...]:
    """Make mlx-vlm's ``phi3_v`` as small as ``folder``'s files say; return notes for the record.

    Does nothing and returns no note where they say nothing. Call it before ``mlx_vlm.load``.

    Raises:
        BackendFailed: this release's code lacks the literals, or the sizes are no numbers.

    """
    path = folder / "config.json"
    if not path.is_file():
        return ()
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") != "phi3_v" or CONFIG_KEY not in config:
        return ()
    vision = config[CONFIG_KEY]
    if not all(isinstance(value, (int, float)) for value in vision.values()):
        raise BackendFailed(f"{CONFIG_KEY} in {path} has values that are no numbers")
    rows = vision["image_size"] // vision["patch_size"] // 2
    sizes = {
        "side": vision["image_size"],
        "width": vision["hidden_size"],
        "tokens": rows * rows,
        "rows": rows,
    }
    note = f"phi3_v with crops of {sizes['side']} px instead of 336, set by us"
    family: Any = import_module("mlx_vlm.models.phi3_v")
    tower: Any = import_module("mlx_vlm.models.phi3_v.vision")
    _recompile(tower, _MODEL, sizes)
    tower.VisionModel.CLIP_VIT_LARGE_PATCH14_336_CONFIG = SimpleNamespace(
        **{"model_type": "phi3_v", **vision}
    )
    family.phi3_v.VisionModel = family.VisionModel = tower.VisionModel
    if hasattr(family, "processing_phi3_v"):
        _recompile(family.processing_phi3_v, _PROCESSOR, sizes)
        family.Phi3VImageProcessor = family.processing_phi3_v.Phi3VImageProcessor
        return (note,)
    library: Any = import_module("mlx_vlm.utils")
    library.AutoProcessor = phi3_v_processor.Processor
    return note, phi3_v_processor.NOTE


def _recompile(module: Any, names: Mapping[str, Sequence[str]], sizes: dict[str, int]) -> None:
    """Replace functions and classes of ``module`` by themselves with other literals."""
    path = str(module.__file__)
    definitions = {
        node.name: node
        for node in ast.parse(Path(path).read_text(encoding="utf-8")).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    for name, changed in names.items():
        literals = _Literals({_PUBLISHED[size]: sizes[size] for size in changed})
        if name in definitions:
            literals.visit(definitions[name])
        if literals.replaced != set(literals.values):
            raise BackendFailed(
                f"{module.__name__}.{name} has not all of the literals {sorted(literals.values)}: "
                "this release is written in another way"
            )
        code = compile(ast.Module([definitions[name]], []), path, "exec")
        exec(code, vars(module))  # noqa: S102 (the library's own code)


class _Literals(ast.NodeTransformer):
    """Replaces integer literals by others."""

    def __init__(self, values: dict[int, int]) -> None:
        self.values = values
        self.replaced: set[int] = set()

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Return the literal that stands for ``node``."""
        if type(node.value) is int and node.value in self.values:
            self.replaced.add(node.value)
            return ast.copy_location(ast.Constant(self.values[node.value]), node)
        return node
