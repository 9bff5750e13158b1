"""Finds the files that a name, a path or a hub id means: nothing is downloaded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qualification.core.declarations import Source
from qualification.core.errors import SelectionError
from qualification.core.weight_files import absence, gguf_parts, how_to_fetch_again, safetensors_in
from qualification.models.tensor_headers import is_gguf
from qualification.models.weights import cached_folder

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_OLLAMA = re.compile(r"(?:([\w.-]+)/)?([\w.-]+)(?::([\w.-]+))?")
_OLLAMA_KINDS = {
    "application/vnd.ollama.image.model": "model_file",
    "application/vnd.ollama.image.projector": "mmproj_file",
}
_MOST_MANIFEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Target:
    """The files of a model: a folder as transformers reads it, or GGUF files in it."""

    name: str
    folder: Path
    model_file: str = ""
    mmproj_file: str = ""


def find(text: str) -> Target:
    """What ``text`` names: a folder, a GGUF file, a hub id in the local cache, an Ollama name.

    SelectionError where nothing or more than one model is meant, with what to write instead.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return _folder(text, path.absolute())
    if path.is_file():
        return _file(text, path.absolute())
    if _HUB_ID.fullmatch(text):
        folder = cached_folder(Source("torch", "", repository=text))
        if folder is not None:
            return _named(text.partition("/")[2], _folder(text, folder))
    ollama = _ollama(text)
    if ollama is not None:
        return ollama
    if path.is_symlink():
        raise SelectionError(f"--model {text}: {absence(path)}; {how_to_fetch_again(path)}")
    hint = ""
    if _HUB_ID.fullmatch(text):
        hint = f"; to have it on this disk: hf download {text}"
    raise SelectionError(
        f"--model {text}: is no folder, no GGUF file, no repository in the local hub cache and no "
        f"model of Ollama{hint}"
    )


def ollama_store() -> Path:
    """Where Ollama keeps manifests and blobs."""
    return Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama/models")


def _named(name: str, target: Target) -> Target:
    return Target(name, target.folder, target.model_file, target.mmproj_file)


def _folder(text: str, folder: Path) -> Target:
    if safetensors_in(folder):
        if not (folder / "config.json").is_file():
            raise SelectionError(
                f"--model {text}: has weights and no config.json, which says what they are"
            )
        return Target(folder.name, folder)
    models, projectors = gguf_models(folder)
    if len(models) == 1:
        return _gguf(text, folder, models[0], projectors)
    if models:
        raise SelectionError(
            f"--model {text}: holds {len(models)} models; name one: {', '.join(models[:8])}"
        )
    pickled = sorted(file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt*")))
    if pickled:
        raise SelectionError(
            f"--model {text}: holds pickled weights ({pickled[0]}), which can run code when they "
            "are opened; convert them to safetensors"
        )
    raise SelectionError(f"--model {text}: holds neither safetensors nor GGUF files")


def _file(text: str, file: Path) -> Target:
    if not is_gguf(file):
        raise SelectionError(f"--model {text}: is no GGUF file; name a folder, or a .gguf")
    _, projectors = gguf_models(file.parent)
    return _gguf(text, file.parent, file.name, projectors)


def _gguf(text: str, folder: Path, name: str, projectors: Sequence[str]) -> Target:
    parts = gguf_parts(folder / name)
    if missing := [part.name for part in parts if not part.is_file()]:
        raise SelectionError(
            f"--model {text}: is in {len(parts)} parts, and {', '.join(missing[:8])} is not there; "
            f"{how_to_fetch_again(folder / missing[0])}"
        )
    if gone := [folder / file for file in projectors if not (folder / file).is_file()]:
        raise SelectionError(
            f"--model {text}: its projector {gone[0].name} is {absence(gone[0])}; "
            f"{how_to_fetch_again(gone[0])}"
        )
    if len(projectors) > 1:
        same = [file for file in projectors if _stem(file) == _stem(name)]
        projectors = same if len(same) == 1 else projectors
    if len(projectors) > 1:
        raise SelectionError(
            f"--model {text}: {len(projectors)} projectors lie beside it, and its name tells none "
            f"of them: move it and the one that belongs to it into a folder "
            f"({', '.join(projectors[:8])})"
        )
    plain = re.sub(r"(-\d{5}-of-\d{5})?(\.gguf)?$", "", name)
    return Target(
        re.sub(r"^model(?=[-_.]|$)", folder.name, plain),
        folder,
        parts[0].name,
        projectors[0] if projectors else "",
    )


def gguf_models(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the models (of one in parts the first that is there) and of the projectors.

    A link to a file that is gone counts: it stands for one.
    """
    files = folder.glob("[!.]*.gguf")
    names = sorted(file.name for file in files if file.is_file() or file.is_symlink())
    projectors = [name for name in names if "mmproj" in name.casefold()]
    models = [name for name in names if name not in projectors]
    leading = {
        next((part.name for part in gguf_parts(folder / name) if part.is_file()), name)
        for name in models
    }
    return sorted(leading), projectors


def _stem(name: str) -> str:
    """The part of a file's name that tells the model: without projector, quantisation and parts."""
    plain = re.sub(r"mmproj|\.gguf$|-\d{5}-of-\d{5}", "", name.casefold())
    plain = re.sub(r"[-_.](i?q\d\w*|bf16|f16|f32|fp16|ud)(?=[-_.]|$)", "", plain)
    return re.sub(r"[^a-z0-9]+", "", plain)


def _ollama(text: str) -> Target | None:
    """The blobs of a model of Ollama, which have no extension; None where it has none so named.

    https://github.com/ollama/ollama/blob/main/docs/faq.md ("Where are models stored?")
    """
    match = _OLLAMA.fullmatch(text)
    if match is None:
        return None
    owner, name, tag = match.groups()
    root = ollama_store()
    manifest = (
        root / "manifests/registry.ollama.ai" / (owner or "library") / name / (tag or "latest")
    )
    try:
        if manifest.stat().st_size > _MOST_MANIFEST_BYTES:
            raise SelectionError(f"{manifest}: is too large for a manifest of Ollama")
        layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
        kinds = [(_OLLAMA_KINDS.get(layer["mediaType"]), str(layer["digest"])) for layer in layers]
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SelectionError(
            f"{manifest}: cannot be read as a manifest of Ollama ({error})"
        ) from error
    files = {kind: _blob(root, digest, manifest) for kind, digest in kinds if kind}
    if "model_file" not in files:
        raise SelectionError(
            f"{manifest}: names no model on this disk (a model of Ollama's cloud?)"
        )
    return Target(f"{name}-{tag}" if tag else name, root / "blobs", **files)


def _blob(root: Path, digest: str, manifest: Path) -> str:
    name = digest.replace(":", "-")
    if not re.fullmatch(r"sha256-[0-9a-f]{64}", name):
        raise SelectionError(f"{manifest}: {digest[:80]!r} is no digest")
    if not (root / "blobs" / name).is_file():
        raise SelectionError(f"{manifest}: the blob {name} is not there; pull the model again")
    return name
