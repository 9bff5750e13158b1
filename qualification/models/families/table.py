"""Every family: those that ship, and those that other packages register."""

from __future__ import annotations

from qualification.core.errors import DeclarationError
from qualification.core.extensions import extensions
from qualification.models.families import (
    Family,
    Gguf,
    llava_next,
    moondream2,
    phi3_v,
    qwen2_5_vl,
    qwen2_vl,
    smolvlm,
    smolvlm2,
)
from qualification.models.families.parts import Config, Shapes

_SHIPPED: dict[str, Family] = {
    package.FAMILY.name: package.FAMILY
    for package in (qwen2_vl, qwen2_5_vl, smolvlm, smolvlm2, llava_next, phi3_v, moondream2)
}

FAMILIES = _SHIPPED | extensions("families", Family, reserved=_SHIPPED)
"""Name, as declarations have it -> family."""

_BY_MODEL_TYPE: dict[str, Family] = {}
for _family in FAMILIES.values():
    for _model_type in _family.model_types or (_family.name,):
        _BY_MODEL_TYPE.setdefault(_model_type, _family)


def family_of(config: Config) -> Family | None:
    """The family of a ``config.json`` by its ``model_type``; None where it is not known."""
    return _BY_MODEL_TYPE.get(config.get("model_type", ""))


def published(config: Config) -> Shapes:
    """``{name: shape}`` of all published tensors; DeclarationError without a layout."""
    family = family_of(config)
    if family is None or family.published is None:
        names = [name for name, family in _BY_MODEL_TYPE.items() if family.published]
        raise DeclarationError(
            f"no layout is known for the family {config.get('model_type')!r}: known are "
            f"{', '.join(names)}"
        )
    return family.published(config)


def gguf_of(config: Config) -> Gguf:
    """The GGUF layout of a ``config.json``; DeclarationError for a family that has none."""
    family = family_of(config)
    if family is None or family.gguf is None:
        names = [name for name, family in _BY_MODEL_TYPE.items() if family.gguf]
        raise DeclarationError(
            f"no GGUF layout is known for the family {config.get('model_type')!r}: known are "
            f"{', '.join(names)}"
        )
    return family.gguf
