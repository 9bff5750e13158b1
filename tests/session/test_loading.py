"""What may be loaded: a model's own code only after a person has said yes."""

from __future__ import annotations

import dataclasses

import pytest

from qualification.core.declarations import Deployment
from qualification.core.errors import WeightsUnavailable
from qualification.machine.probe import probe
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.session.loading import prepared_request


def test_a_declaration_alone_lets_no_code_run(tmp_path):
    """In no command: watch, gate and see have no yes to give."""
    registry = load_registry()
    canary = registry.deployment("smolvlm-canary-f32@torch")
    declared = Deployment(canary.model, dataclasses.replace(canary.source, remote_code=True))
    context = RunContext(probe(registry.chips, registry.tiers), None, tmp_path)
    with pytest.raises(WeightsUnavailable, match="its files run their own code"):
        prepared_request(declared, context)
    allowed = dataclasses.replace(context, allow_remote_code=True)
    assert prepared_request(declared, allowed).remote_code
    assert not prepared_request(canary, context).remote_code
