"""One test of one deployment: its suite, its name, and when it is left out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from qualification.models.loading import load_registry
from qualification.pytest_plugin import cases

MLX = load_registry().deployment("smolvlm-canary-f32@mlx")


def item(identifier="", *, markers=(), name="test_sees", file="test_capability.py", **facts):
    """A collected test as far as these functions look at it."""
    return SimpleNamespace(
        originalname=name,
        callspec=SimpleNamespace(id=identifier, params={"deployed": MLX} | facts.pop("params", {})),
        path=SimpleNamespace(stem=file.removesuffix(".py")),
        get_closest_marker=lambda marker: marker if marker in markers else None,
        **facts,
    )


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        (MLX.identifier, "test_sees"),
        (f"{MLX.identifier}-red", "test_sees[red]"),
        (f"red-{MLX.identifier}-8", "test_sees[red--8]"),
        ("", "test_sees"),
    ],
)
def test_a_name_has_the_parameters_without_the_deployment(identifier, name):
    """Wherever pytest puts the deployment among them."""
    assert cases.test_name(item(identifier), MLX) == name


def test_a_suite_is_known_by_its_marker_before_its_file():
    """A test of a user's own without a marker has the suite of its file, after all others."""
    assert cases.suite_of(item(markers=("state",), file="test_mine.py")) == "state"
    assert cases.suite_of(item(file="test_mine.py")) == "mine"
    assert cases.suite_rank(item(markers=("load",))) == 0
    assert cases.suite_rank(item(file="test_mine.py")) == len(cases.SUITES)


def test_a_skill_that_the_model_is_not_declared_for_is_not_asked():
    """A test without a skill is for every model, and a model without declared skills has all."""
    reader = replace(MLX, model=replace(MLX.model, skills=("word",)))
    assert cases.asks_another_skill(item(params={"deployed": reader, "skill": "colour"}))
    assert not cases.asks_another_skill(item(params={"deployed": reader, "skill": "word"}))
    assert not cases.asks_another_skill(item(params={"deployed": reader}))
    assert not cases.asks_another_skill(item(params={"skill": "colour"}))


@pytest.mark.parametrize(
    ("fixture", "option"), [("sustained_minutes", "--sustained"), ("cold_load", "--cold-load")]
)
def test_a_long_test_lacks_its_option_until_it_is_given(fixture, option):
    """Without its option it is left out and not skipped."""
    absent = SimpleNamespace(getoption=lambda name: False)
    assert cases.lacks_its_option(item(fixturenames=[fixture], config=absent))
    present = SimpleNamespace(getoption=lambda name: name == option)
    assert not cases.lacks_its_option(item(fixturenames=[fixture], config=present))
