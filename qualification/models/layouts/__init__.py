"""What a model's files hold, from its published config alone: names, shapes, types and bytes.

Pure: nothing is read but the committed configs. The synthetic weights are written after it, and the
sum of ``bytes`` predicts the size of files that are not on this machine.
"""

from __future__ import annotations

import json
from typing import Any

from qualification.core.declarations import Deployment
from qualification.core.errors import DeclarationError
from qualification.core.paths import DECLARATIONS
from qualification.models.layouts import gguf_files, safetensors_files
from qualification.models.tensor_headers import TensorInfo

VERSION = 1
"""Of everything here; a change of any layout raises it, and caches are made again."""

_CONFIGS = DECLARATIONS / "configs"


def declared(model: str) -> dict[str, Any]:
    """The committed file of a model: ``config.json`` and what its processor's files say.

    Raises DeclarationError for a model that has none.
    """
    file = _CONFIGS / f"{model}.json"
    if not file.is_file():
        raise DeclarationError(
            f"{model} has no declarations/configs/{file.name}: write the architecture part of its "
            "published config.json there"
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def contents(deployment: Deployment) -> dict[str, tuple[TensorInfo, ...]]:
    """File's name -> every tensor in it, for the weights that a deployment loads.

    Raises DeclarationError where the model, the family or the quantisation has no layout.
    """
    source = deployment.source
    config = declared(deployment.model.name)["config.json"]
    if source.engine == "llamacpp":
        kind = gguf_files.mmproj_type(source.mmproj_file)
        return {
            source.model_file: gguf_files.text_model(config, source.quantisation),
            source.mmproj_file: gguf_files.mmproj(config, kind),
        }
    if source.quantisation in safetensors_files.DTYPES:
        return {"model.safetensors": safetensors_files.plain(config, source.quantisation)}
    if source.engine == "mlx" and source.quantisation in safetensors_files.BITS:
        return {"model.safetensors": safetensors_files.mlx_quantised(config, source.quantisation)}
    raise DeclarationError(
        f"{deployment.identifier}: no layout is known for {source.quantisation} on {source.engine}"
    )
