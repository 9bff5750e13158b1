"""Which environment, canaries and releases a map is made of."""

from dataclasses import replace

import pytest

from qualification.core.errors import SelectionError
from qualification.models.loading import load_registry
from qualification.upgrade.release_map.driver import (
    MapRequest,
    base_environment,
    between_that_differ,
    canaries_on,
    chosen_releases,
    ends_of_minors,
)
from qualification.upgrade.release_map.records import Release
from tests.upgrade.release_map.test_changes import GOOD, HALF, release_map

REGISTRY = load_registry()


def names(releases):
    """Their versions."""
    return [release.version for release in releases]


@pytest.mark.parametrize(
    ("package", "environment"),
    [
        ("xllamacpp", "llama-cpp"),
        ("mlx-vlm", "mlx"),
        ("transformers", "mlx"),
        ("mlx", "mlx"),
        ("torch", "mlx"),
        ("tokenizers", "mlx"),
        ("llama-cpp-python", "current"),
        ("pillow", "current"),
    ],
)
def test_a_release_stands_beside_the_smallest_environment_of_today(package, environment):
    """And never beside one of an earlier day; what is not pinned, beside everything."""
    assert base_environment(package).name == environment


def test_a_package_that_no_canary_loads_is_a_sentence():
    """With those that they load."""
    with pytest.raises(SelectionError, match=r"no canary loads django: they load .*mlx-vlm"):
        canaries_on(REGISTRY, "django", base_environment("django"))


@pytest.mark.parametrize(
    ("package", "engines"),
    [
        ("xllamacpp", {"llama.cpp"}),
        ("mlx-vlm", {"mlx"}),
        ("transformers", {"mlx", "torch"}),
        ("huggingface-hub", {"mlx", "torch"}),
        ("llama-cpp-python", {"llamacpp"}),
        ("pillow", {"mlx", "torch", "llamacpp"}),
    ],
)
def test_all_canaries_of_a_package_are_asked(package, engines):
    """Of every engine that has it, where its environment has the rest."""
    canaries = canaries_on(REGISTRY, package, base_environment(package)).values()
    assert {canary.source.engine for canary in canaries} == engines


def test_of_a_minor_release_the_first_and_the_last_are_asked():
    """One that is alone is asked once."""
    releases = [Release(version) for version in ("4.50.0", "4.50.1", "4.50.3", "4.51.0", "5.0.0")]
    assert names(ends_of_minors(releases)) == ["4.50.0", "4.50.3", "4.51.0", "5.0.0"]


def test_between_two_that_differ_all_are_asked():
    """With the two, which are their neighbours; nothing where all were asked."""
    sample = release_map(GOOD, GOOD, HALF, HALF)
    index = [*sample.releases[:2], Release("2.1"), Release("2.2"), *sample.releases[2:]]
    assert names(between_that_differ(sample, index)) == ["2.0", "2.1", "2.2", "3.0"]
    assert between_that_differ(sample, sample.releases) == ()
    same = release_map(GOOD, GOOD)
    same = replace(same, releases=tuple(index))
    assert between_that_differ(same, index) == ()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, ["2.0", "3.0", "4.0"]),
        ({"since": "2026-01-03"}, ["3.0", "4.0"]),
        ({"since": "2020-01-01"}, ["1.0", "2.0", "3.0", "4.0"]),
        ({"most": 1}, ["4.0"]),
    ],
)
def test_without_a_word_nothing_older_than_the_map_is_asked(words, expected):
    """Which knows the oldest that somebody wanted; without a map that is every release."""
    index = release_map(*[GOOD] * 4).releases
    shipped = replace(release_map(), releases=index[1:3])
    assert names(chosen_releases(MapRequest("xllamacpp", **words), index, shipped)) == expected
    nothing = replace(shipped, releases=())
    assert names(chosen_releases(MapRequest("xllamacpp"), index, nothing)) == names(index)
    with pytest.raises(SelectionError, match="there is no release of xllamacpp since 2027"):
        chosen_releases(MapRequest("xllamacpp", since="2027-01-01"), index, shipped)
