"""The search for the package and the release that broke a check."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import SelectionError
from tests.support.bisect_sample import ToyIndex, built


@given(st.integers(2, 40), st.data())
def test_the_package_and_its_first_bad_release_are_found_among_three(newest, data):
    """All three differ; any of them may be the cause."""
    culprit = data.draw(st.sampled_from(["mlx", "torch", "zzz"]))
    broken = data.draw(st.integers(2, newest))
    index = ToyIndex(lambda versions: versions[culprit] >= broken)
    packages = ["mlx", "torch", "zzz"]
    result = index.search(dict.fromkeys(packages, "1"), dict.fromkeys(packages, str(newest)))
    assert result.decided
    assert (result.package, result.last_good) == (culprit, str(broken - 1))
    assert result.first_bad == str(broken)
    assert result.pins == (f"{culprit}<{broken}", f"{culprit}=={broken - 1}")
    assert result.installs <= 3 + math.ceil(math.log2(newest))
    assert f"{culprit}=={broken}" in result.bad_pins


def test_one_package_that_differs_needs_no_install_to_be_named():
    """Only its releases are tried."""
    result = ToyIndex(lambda versions: versions["mlx"] >= 2).search({"mlx": "1"}, {"mlx": "2"})
    assert (result.decided, result.package, result.installs) == (True, "mlx", 0)


def test_where_pip_refuses_the_move_the_bad_environment_is_tried_without_it():
    """The releases are then searched on bad's side."""
    index = ToyIndex(
        lambda versions: versions["mlx"] >= 3,
        refuses=lambda versions: versions["mlx"] >= "2" and versions["zzz"] == "1",
    )
    result = index.search({"mlx": "1", "zzz": "1"}, {"mlx": "5", "zzz": "5"})
    assert (result.package, result.first_bad, result.refused) == ("mlx", "3", 1)
    assert [tried.side for tried in result.tried] == ["good", "bad", "bad", "bad"]
    assert "some.host" not in str(result)


def test_a_fault_of_two_packages_together_is_not_blamed_on_one():
    """It is undecided, and the sentence names what was tried."""
    index = ToyIndex(lambda versions: versions["a"] + versions["b"] >= 4)
    result = index.search({"a": "1", "b": "1"}, {"a": "2", "b": "2"})
    assert (result.decided, result.exit_code) == (False, 3)
    assert "no package alone" in result.sentence


@pytest.mark.parametrize(
    ("fails", "clause"),
    [(lambda _v: True, "given as good"), (lambda _v: False, "given as bad")],
)
def test_a_check_that_does_not_separate_the_two_is_reported_first(fails, clause):
    """Nothing is installed for it."""
    result = ToyIndex(fails).search({"mlx": "1"}, {"mlx": "5"})
    assert (result.exit_code, result.installs) == (3, 0)
    assert clause in result.sentence


def test_a_package_that_is_equal_cannot_be_searched():
    """The sentence names those that differ."""
    with pytest.raises(SelectionError, match="they differ in mlx"):
        ToyIndex(lambda versions: versions["mlx"] > 1).search(
            {"mlx": "1", "x": "1"}, {"mlx": "2", "x": "1"}, only="x"
        )


def test_releases_that_do_not_install_are_named_in_the_answer():
    """The pin excludes them too, because they may be bad."""
    index = ToyIndex(
        lambda versions: versions["mlx"] >= 5,
        refuses=lambda versions: versions["mlx"] in ("4", "5"),
    )
    result = index.search({"mlx": "1"}, {"mlx": "8"})
    assert (result.last_good, result.first_bad, result.decided) == ("3", "6", True)
    assert [version for version, _ in result.untold] == ["4", "5"]
    assert result.pins[0] == "mlx<4"


def test_an_environment_with_the_releases_of_a_given_one_is_not_asked_again():
    """A release may bring a package along; its move then makes all of bad, and is no install."""
    index = ToyIndex(lambda versions: versions["mlx"] >= 2)
    bad = built("b", {"mlx": "2", "extra": "1"})
    result = index.search({"mlx": "1"}, bad.versions, ready=lambda _spec: bad)
    assert (result.package, result.first_bad, result.installs) == ("mlx", "2", 0)
