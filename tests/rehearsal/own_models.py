"""Models of the user's own for the rehearsal: canaries that are declared as what they are.

Under the name of a 7B a canary decodes faster than an Air can read 7B, so its speed is refused.
The figures of these stand, and one of them can be picked.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from qualification.core.paths import canaries
from qualification.models.loading import load_registry

OWNER = "rehearsal"
_SOURCES = {
    "qwen2.5-vl": ("mlx-8bit", "mlx-4bit", "llamacpp-Q8_0"),
    "smolvlm": ("mlx-8bit",),
    "llava-1.6": ("mlx-4bit",),
}
"""Canary -> backends with their quantisations."""


def deployments() -> tuple[str, ...]:
    """The names of what :func:`declare` declares."""
    return tuple(
        f"tiny-{name}-{quantisation}@{backend}"
        for name, kinds in _SOURCES.items()
        for backend, quantisation in (kind.split("-", 1) for kind in kinds)
    )


def declare(project: Path, hub: Path, tier: str) -> dict[str, Path]:
    """Write ``declared/models.toml`` and its mention; repository -> folder of the hub's files."""
    models = {model.name: model for model in load_registry().models}
    repositories: dict[str, Path] = {}
    lines = []
    for name, kinds in _SOURCES.items():
        canary = models[f"{name}-canary"]
        lines += [
            "[[models]]",
            f'name = "tiny-{name}"',
            f'family = "{canary.family}"',
            f"parameters = {canary.parameters}",
            f'licence = "{canary.licence}"',
            f"capabilities = {list(canary.capabilities)}",
            f"context = {canary.context}",
            "generation = { max_tokens = 16, temperature = 0.0 }",
        ]
        for backend, quantisation in (kind.split("-", 1) for kind in kinds):
            repository = f"{OWNER}/tiny-{name}-{quantisation}"
            lines += [
                "[[models.sources]]",
                f'backend = "{backend}"',
                f'quantisation = "{quantisation}"',
                f'repository = "{repository}"',
                'revision = "main"',
                f'tiers = ["{tier}"]',
            ]
            repositories[repository] = hub / repository
            files = canaries() / canary.family
            if backend == "llamacpp":
                lines += ['model_file = "model.gguf"', 'mmproj_file = "mmproj.gguf"']
                repositories[repository].mkdir(parents=True)
                weights = files / f"gguf/model-{quantisation.lower()}.gguf"
                shutil.copy(weights, repositories[repository] / "model.gguf")
                shutil.copy(files / "gguf/mmproj.gguf", repositories[repository])
            else:
                shutil.copytree(
                    files.with_name(f"{files.name}-{quantisation}"), repositories[repository]
                )
    (project / "declared").mkdir()
    (project / "declared/models.toml").write_text("\n".join(lines))
    (project / "pyproject.toml").write_text('[tool.qualification]\ndeclarations = "declared"\n')
    return repositories
