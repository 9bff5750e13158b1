"""The rules of docs/design.md, and the script that counts."""

from pathlib import Path

import pytest

from tests.house.measures import (
    backend_imports,
    bindings,
    crowded_folders,
    large_functions,
    long_modules,
)
from tests.house.rules import PRODUCT, broken_rules, names, vague

HERE = Path("module.py")


def test_the_house_is_in_order():
    """Sizes, parameters, names and the ratchet."""
    assert broken_rules() == []


def test_under_one_per_cent_of_the_names_are_vague():
    """Whatever the ratchet says."""
    assert len(vague(PRODUCT)) < 0.01 * len(names(PRODUCT))


@pytest.mark.parametrize(
    "source",
    [
        "one = 1",
        "for one in (): pass",
        "[one for one in ()]",
        "def f(one): pass",
        "lambda one: 1",
        "with open('') as one: pass",
        "try: pass\nexcept ValueError as one: pass",
        "(one := 1)",
        "a, (b, one) = 1, (2, 3)",
        "def f(*one): pass",
    ],
)
def test_a_vague_name_is_found_wherever_it_is_bound(source):
    """Assigned, looped over, passed, caught."""
    assert [binding.name for binding in bindings(HERE, source) if binding.is_vague] == ["one"]


def test_a_noun_is_not_vague():
    """Nor is the use of a name that is bound elsewhere."""
    source = "observation = one"
    assert not [binding for binding in bindings(HERE, source) if binding.is_vague]


def test_a_large_function_is_named_with_its_place():
    """By its lines, and by its parameters."""
    lines = "def long():\n" + "    pass\n" * 60
    assert list(large_functions(HERE, lines)) == ["module.py:1: long has 61 lines"]
    wide = f"def wide({', '.join('abcdefghi')}): pass"
    assert list(large_functions(HERE, wide)) == ["module.py:1: wide has 9 parameters"]


def test_crowded_folders_and_long_modules_are_named():
    """More than 25 modules in one folder, more than 400 lines in one module."""
    assert crowded_folders([Path(f"a/{number}.py") for number in range(26)]) == ["a: 26 modules"]
    assert long_modules({HERE: "\n" * 401}) == ["module.py: 401 lines"]


def test_a_backend_that_a_test_module_imports_is_named():
    """Its tests could not even be collected without it; inside a function it is asked for last."""
    source = "from safetensors.torch import load_file\nimport mlx.core as mx, torch\nimport mlxtend"
    assert [line.split()[2] for line in backend_imports(HERE, source)] == [
        "safetensors.torch",
        "mlx.core",
        "torch",
    ]
    assert not list(backend_imports(HERE, "def f():\n    import torch"))
