"""Which tensors do a model's files hold, by its published config: names, shapes, types and bytes?

Reads nothing but the model's config: the file that its declaration names, or its local folder's.
Synthetic weights are written by these layouts, and their bytes predict the size of files that are
not on this machine. Start with :func:`contents`; each family's own part is in ``families``. May
import ``core``, ``families`` and the types of ``tensor_headers``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from qualification.core.backends import ENGINES
from qualification.core.declarations import Deployment, Source
from qualification.core.errors import DeclarationError
from qualification.core.paths import canaries
from qualification.models.layouts import gguf_files, safetensors_files
from qualification.models.tensor_headers import TensorInfo

_MOST_LAYERS = 10_000
_REPEATED = re.compile("layer|depth|block|expert", re.IGNORECASE)

VERSION = 1
"""Version of all layouts: raised with any change of one, so that caches are made again."""


def declared(deployment: Deployment) -> dict[str, Any]:
    """The files of a deployment's model by name: ``config.json``, and its processor's settings.

    Raises DeclarationError for a model that has none.
    """
    file = _config_file(deployment)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeclarationError(f"{file}: cannot be read as JSON ({error}); correct it") from error
    if not isinstance(document, dict):
        raise DeclarationError(f"{file}: is no JSON object; put the published config.json there")
    return document if "config.json" in document else {"config.json": document}


def canary_folder(deployment: Deployment) -> Path:
    """The folder whose tokenizer and processor files synthetic weights get.

    The config's file names it: a folder beside it, or a canary that ships. Without a name, the
    canary that ships of the model's family. Raises DeclarationError where there is none.
    """
    beside, model = _config_file(deployment).parent, deployment.model
    name = str(declared(deployment).get("canary", model.family))
    is_gguf = ENGINES[deployment.source.engine].weight_files == "gguf"
    file = "gguf/model.gguf" if is_gguf else "config.json"
    for folder in (beside / name, canaries() / name):
        if (folder / file).is_file():
            return folder
    raise DeclarationError(
        f"{deployment.identifier}: its tokenizer has no source, because {file} is neither in "
        f"{beside / name} nor in a canary that ships; name a folder that has it as "
        f'"canary" in configs/{model.name}.json'
    )


def _config_file(deployment: Deployment) -> Path:
    model, source = deployment.model, deployment.source
    if model.config:
        return Path(model.config)
    if source.path:
        return Path(source.path) / "config.json"
    raise DeclarationError(
        f"{model.name} has no configs/{model.name}.json beside its declaration: write the "
        "architecture part of its published config.json there"
    )


def contents(deployment: Deployment) -> dict[str, tuple[TensorInfo, ...]]:
    """File name -> every tensor in that file, for the weights that a deployment loads.

    Raises DeclarationError where the model, the family or the quantisation has no layout. A local
    folder's config is hostile: what cannot be computed with it is that too.
    """
    config = declared(deployment)["config.json"]
    problem = _too_deep(config)
    files: dict[str, tuple[TensorInfo, ...]] = {}
    if not problem:
        try:
            files = _contents(deployment.source, config)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
    sizes = [tensor.bytes for tensors in files.values() for tensor in tensors]
    if problem or any(type(size) is not int or size < 0 for size in sizes):
        raise DeclarationError(
            f"{deployment.identifier}: {_config_file(deployment)} describes no model of its family "
            f"({problem or 'the size of a tensor is no number'}); correct it"
        )
    if not files:
        quantisation, engine = deployment.source.quantisation, deployment.source.engine
        raise DeclarationError(
            f"{deployment.identifier}: no layout is known for {quantisation} on {engine}"
        )
    return files


def _too_deep(config: Any) -> str:
    """What a config has more of than any model, '' where it is one: each makes tensors."""
    if isinstance(config, list):
        return next(filter(None, map(_too_deep, config)), "")
    for key, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, int) and value > _MOST_LAYERS and _REPEATED.search(str(key)):
            return f"{key} is {value:,}"
        if inner := _too_deep(value):
            return inner
    return ""


def _contents(source: Source, config: dict[str, Any]) -> dict[str, tuple[TensorInfo, ...]]:
    """The files of a source whose layout is known, else none."""
    if ENGINES[source.engine].weight_files == "gguf":
        files = {source.model_file: gguf_files.text_model(config, source.quantisation)}
        if source.mmproj_file:
            kind = gguf_files.mmproj_type(source.mmproj_file)
            files[source.mmproj_file] = gguf_files.mmproj(config, kind)
        return files
    if source.quantisation in safetensors_files.DTYPES:
        return {"model.safetensors": safetensors_files.plain(config, source.quantisation)}
    if source.engine == "mlx" and source.quantisation in safetensors_files.BITS:
        return {"model.safetensors": safetensors_files.mlx_quantised(config, source.quantisation)}
    return {}
