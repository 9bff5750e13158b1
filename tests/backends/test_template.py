"""A template: whether what is forked from it computes."""

import os
import sys
import time
from types import ModuleType

import pytest

from qualification.backends import template


def hang():
    """As MLX does where its threads did not come along."""
    time.sleep(60)


def fail():
    """The library is not there."""
    raise ModuleNotFoundError("mlx")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    ("compute", "outlives"), [(lambda: 1 + 1, True), (fail, True), (hang, False), (None, True)]
)
def test_a_fork_that_does_not_compute_is_told(monkeypatch, compute, outlives):
    """Before anything is forked that has to be waited for until its deadline."""
    module = ModuleType("a_backend")
    if compute is not None:
        module.compute = compute
    monkeypatch.setitem(sys.modules, "a_backend", module)
    monkeypatch.setattr(template, "_COMPUTES_WITHIN_S", 1)
    assert template._outlives_a_fork("a_backend") == outlives
