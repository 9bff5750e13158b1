"""Which tensors do a model's files hold, by its published config: names, shapes, types and bytes?

Reads nothing but the configs in ``declarations/configs/``. Synthetic weights are written by these
layouts, and their bytes predict the size of files that are not on this machine. Start with
:func:`contents`, then ``families``. May import ``core`` and the types of ``tensor_headers``.
"""

from __future__ import annotations

import json
from typing import Any

from qualification.core.backends import BACKENDS
from qualification.core.declarations import Deployment
from qualification.core.errors import DeclarationError
from qualification.core.paths import DECLARATIONS
from qualification.models.layouts import gguf_files, safetensors_files
from qualification.models.tensor_headers import TensorInfo

VERSION = 1
"""Version of all layouts: raised with any change of one, so that caches are made again."""

_CONFIGS = DECLARATIONS / "configs"


def declared(model: str) -> dict[str, Any]:
    """The committed file of a model: its ``config.json`` and its processor's settings.

    Raises DeclarationError for a model that has none.
    """
    file = _CONFIGS / f"{model}.json"
    if not file.is_file():
        raise DeclarationError(
            f"{model} has no declarations/configs/{file.name}: write the architecture part of its "
            "published config.json there"
        )
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def contents(deployment: Deployment) -> dict[str, tuple[TensorInfo, ...]]:
    """File name -> every tensor in that file, for the weights that a deployment loads.

    Raises DeclarationError where the model, the family or the quantisation has no layout.
    """
    source = deployment.source
    config = declared(deployment.model.name)["config.json"]
    if BACKENDS[source.engine].weight_files == "gguf":
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
