"""Models of the user's own for the rehearsal: canaries that are declared as what they are.

Under the name of a 7B a canary decodes faster than an Air can read 7B, so its speed is refused.
The figures of these stand, and one of them can be picked. A canary's request takes so little time
that a pause of the scheduler is a large part of it, so they are made deeper, by layers that change
nothing.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from qualification.core.paths import canaries
from qualification.models.loading import load_registry

OWNER = "rehearsal"
_QUANTISATIONS = {"qwen2.5-vl": "8bit", "smolvlm": "8bit"}
"""Canary -> its quantisation for mlx-vlm."""
_LAYERS = 12


def deployments() -> tuple[str, ...]:
    """The names of what :func:`declare` declares."""
    return tuple(f"tiny-{name}-{bits}@mlx" for name, bits in _QUANTISATIONS.items())


def declare(project: Path, hub: Path, tier: str) -> dict[str, Path]:
    """Write ``declared/models.toml`` and its mention; repository -> folder of the hub's files."""
    models = {model.name: model for model in load_registry().models}
    repositories: dict[str, Path] = {}
    lines = []
    for name, quantisation in _QUANTISATIONS.items():
        canary = models[f"{name}-canary"]
        repository = f"{OWNER}/tiny-{name}-{quantisation}"
        lines += [
            "[[models]]",
            f'name = "tiny-{name}"',
            f'family = "{canary.family}"',
            f"parameters = {canary.parameters}",
            f'licence = "{canary.licence}"',
            f"capabilities = {list(canary.capabilities)}",
            f"context = {canary.context}",
            "generation = { max_tokens = 16, temperature = 0.0 }",
            "[[models.sources]]",
            'backend = "mlx"',
            f'quantisation = "{quantisation}"',
            f'repository = "{repository}"',
            'revision = "main"',
            f'tiers = ["{tier}"]',
        ]
        repositories[repository] = hub / repository
        _deepened(canaries() / f"{canary.family}-{quantisation}", hub / repository)
    (project / "declared").mkdir()
    (project / "declared/models.toml").write_text("\n".join(lines))
    (project / "pyproject.toml").write_text('[tool.qualification]\ndeclarations = "declared"\n')
    return repositories


def _deepened(files: Path, folder: Path) -> None:
    """A copy with more layers in the language model, which add nothing to what passes through."""
    from safetensors.torch import load_file, save_file  # torch: not where a backend is left out

    shutil.copytree(files, folder)
    config = json.loads((folder / "config.json").read_text())
    language = config.get("text_config", config)
    depth = language["num_hidden_layers"]
    language["num_hidden_layers"] = _LAYERS
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    place = re.compile(rf"(language_model\.(?:model\.)?layers\.){depth - 1}(\..+)")
    for name in list(tensors):
        if match := place.fullmatch(name):
            is_output = re.search(r"(o_proj|down_proj)\.(scales|biases)$", name)
            for layer in range(depth, _LAYERS):
                tensor = tensors[name].clone()
                tensors[f"{match[1]}{layer}{match[2]}"] = tensor * 0 if is_output else tensor
    save_file(tensors, folder / "model.safetensors", {"format": "mlx"})
