"""Environments as declared, and candidates made from them."""

import importlib.metadata
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qualification.core.errors import DeclarationError, EnvironmentFailed
from qualification.core.paths import DECLARATIONS
from qualification.upgrade.environments.spec import (
    EnvironmentSpec,
    candidate,
    environment_names,
    environment_spec,
    moved,
    pinned,
    relaxed,
)

BASE = EnvironmentSpec(
    "old",
    "as it was",
    ("mlx==0.30.1", "mlx-cpu==0.30.1", "mlx-vlm[cpu]==0.7.10", "transformers==5.23.0"),
    no_dependencies=("torchvision==0.28.0",),
)


def declare(folder, text, name="mine"):
    (folder / "environments").mkdir(exist_ok=True)
    (folder / f"environments/{name}.toml").write_text(f'title = "t"\n{text}')
    return environment_spec(name, folder)


def test_every_declared_environment_can_be_read():
    """Each of its pins has one version and no marker."""
    for name in environment_names():
        spec = environment_spec(name)
        for text in (*spec.pins, *spec.no_dependencies):
            assert Requirement(text).marker is None
        # Another torch brings gigabytes of CUDA.
        assert pinned(spec).get("torch", "2.13.0") == "2.13.0"


def test_current_is_what_this_project_pins():
    """Every requirement of its extras that holds on this machine, in the constraints' release."""
    pins = pinned(environment_spec("current"))
    constraints = (DECLARATIONS / "environments/constraints.txt").read_text().splitlines()
    for text in importlib.metadata.requires("qualification"):
        requirement = Requirement(text)
        for extra in ("mlx", "torch", "llamacpp"):
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                continue
            if requirement.marker.evaluate({"extra": extra}):
                release = pins[canonicalize_name(requirement.name)]
                assert f"{canonicalize_name(requirement.name)}=={release}" in constraints
    assert "click" not in pins
    assert "ruff" not in pins


def test_here_and_a_path_are_interpreters_that_exist_already(tmp_path):
    """The path stays as it is: the python of a venv is a link."""
    assert environment_spec("here").interpreter == sys.executable
    (tmp_path / "python").symlink_to(sys.executable)
    assert environment_spec(f"{tmp_path}/python").interpreter == f"{tmp_path}/python"


def test_an_unknown_name_is_answered_with_what_is_declared():
    """And with the one that is close."""
    with pytest.raises(EnvironmentFailed, match=r"was 'current' meant.*seed-2025-12"):
        environment_spec("curent")


def test_markers_and_a_python_of_its_own_choose_the_pins(tmp_path):
    """A marker is evaluated for the declared Python, not for the one that runs this."""
    spec = declare(
        tmp_path,
        'python = "3.11"\n'
        "pins = [\"a==1; python_version < '3.12'\", \"a==2; python_version >= '3.12'\"]",
    )
    assert spec.pins == ("a==1",)
    assert spec.python == "3.11"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('pins = ["a>=1"]', "a>=1' has not one exact version"),
        ('pins = ["a==1.*"]', "exact version"),
        ('pins = ["a===1"]', "exact version"),
        ('pins = ["a b"]', "is not a requirement"),
        ('pins = ["a @ https://x/y.whl"]', "has no version to compare"),
        ('pins = ["a==1", "A==2"]', "pinned twice"),
        ('pins = ["a==1"]\nno_dependencies = ["b"]', "b is in 'no_dependencies' and not pinned"),
        ("pins = []", "nothing is pinned"),
        ('extras = ["metal"]', "no extra 'metal'.*mlx"),
        ('pins = ["a==1"]\npython = "python3"', "such as '3.11'"),
        ('pins = ["a==1"]\nindex = "pypi"', "is no address"),
        ('pins = ["a==1"]\nindex = "https://me:secret@host/simple"', "pip's own configuration"),
        ('pinz = ["a==1"]', "pinz.*'pins'"),
        ("pins = 1", "list"),
    ],
)
def test_a_wrong_declaration_is_reported_in_one_sentence(tmp_path, text, sentence):
    """It names the file, and never shows a password."""
    with pytest.raises(DeclarationError, match=sentence) as caught:
        declare(tmp_path, text)
    assert "mine.toml" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_candidate_replaces_adds_and_keeps():
    """A replaced pin keeps its extras and its place; all others stay."""
    new = candidate(BASE, "MLX_VLM==0.7.11 torchvision==0.29.0 peft==1.0")
    assert new.name == "old + MLX_VLM==0.7.11 torchvision==0.29.0 peft==1.0"
    assert new.pins == (
        "mlx==0.30.1",
        "mlx-cpu==0.30.1",
        "mlx-vlm[cpu]==0.7.11",
        "peft==1.0",
        "transformers==5.23.0",
    )
    assert new.no_dependencies == ("torchvision==0.29.0",)


def test_mlx_takes_its_cpu_part_along():
    """Unless the candidate names that."""
    assert pinned(candidate(BASE, "mlx==0.31.0"))["mlx-cpu"] == "0.31.0"
    assert pinned(candidate(BASE, ["mlx==0.31.0", "mlx-cpu==0.30.2"]))["mlx-cpu"] == "0.30.2"
    on_a_mac = EnvironmentSpec("mac", "", ("mlx==0.30.1",))
    assert candidate(on_a_mac, "mlx==0.31.0").pins == ("mlx==0.31.0",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("", "changes nothing"),
        ("mlx-vlm", "has not one exact version"),
        ("mlx-vlm>=0.7", "has not one exact version"),
        ("mlx-vlm==0.7.11,transformers==5.24.0", "is not a requirement|exact version"),
        ("mlx==1 mlx==2", "pinned twice"),
        ("mlx==0.31.0; rm", "exact|requirement"),
        ("--index-url=https://x", "is not a requirement"),
        ("\x1b[31m==1", "is not a requirement"),
    ],
)
def test_a_wrong_candidate_is_reported_in_one_sentence(changes, sentence):
    """Nothing but a requirement reaches pip's command line."""
    with pytest.raises(EnvironmentFailed, match=sentence) as caught:
        candidate(BASE, changes)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday", "20260301", "2026-03-01T00:00"])
def test_a_wrong_day_is_reported_in_one_sentence(day):
    """With one that is right."""
    with pytest.raises(EnvironmentFailed, match=f"^--as-of {day}: is no day: .* as 2026-03-31$"):
        candidate(BASE, "mlx-vlm==0.7.11", as_of=day)


def test_the_pins_of_the_base_lose_their_release_where_a_candidate_may_move_them():
    """Their extras stay; those that the candidate names stay as they are."""
    assert relaxed(candidate(BASE, "mlx==0.31.0 transformers==5.23.0")) == (
        "mlx==0.31.0",
        "mlx-cpu==0.31.0",
        "mlx-vlm[cpu]",
        "transformers==5.23.0",
        "torchvision",
    )


def test_a_build_of_the_pinned_release_has_not_moved():
    """torch 2.13.0+cpu is torch 2.13.0."""
    spec = candidate(EnvironmentSpec("b", "", ("torch==2.13.0", "mlx==1.0")), "mlx==2.0")
    assert moved(spec, {"torch": "2.13.0+cpu", "mlx": "2.0"}) == ()
    assert moved(spec, {"torch": "2.12.0+cpu", "mlx": "2.0"}) == ("torch 2.13.0 → 2.12.0",)


def test_there_is_no_candidate_of_an_interpreter():
    """Nothing is installed into one that exists already."""
    with pytest.raises(EnvironmentFailed, match="nothing is installed"):
        candidate(environment_spec("here"), "mlx==1")


NAMES = st.sampled_from(["mlx", "mlx_vlm", "Torch", "numpy", "torchvision", "Foo.Bar"])


@given(st.dictionaries(NAMES, st.integers(0, 99).map(lambda n: f"1.{n}"), min_size=1))
def test_a_candidate_pins_its_own_changes_and_otherwise_those_of_its_base(changes):
    """Whatever the spelling; and the same change again alters nothing."""
    texts = [f"{name}=={version}" for name, version in changes.items()]
    new = candidate(BASE, texts)
    named = {canonicalize_name(name): version for name, version in changes.items()}
    expected = pinned(BASE) | ({"mlx-cpu": named["mlx"]} if "mlx" in named else {})
    assert pinned(new) == expected | named
    again = candidate(new, texts)
    assert (again.pins, again.no_dependencies) == (new.pins, new.no_dependencies)


def test_an_environment_of_ones_own_stands_beside_those_that_ship(tmp_path):
    """One of the same name replaces the shipped one."""
    assert declare(tmp_path, 'pins = ["mlx-vlm==0.6.4"]', "ours").pins == ("mlx-vlm==0.6.4",)
    assert {"current", "ours"} <= set(environment_names(tmp_path))
    assert declare(tmp_path, 'pins = ["mlx-vlm==0.6.4"]', "current").title == "t"
