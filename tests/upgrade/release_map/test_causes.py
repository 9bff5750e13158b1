"""Whose change it is: nobody is accused of what was not swapped alone."""

from dataclasses import replace

from qualification.upgrade.release_map.causes import explained, to_swap
from qualification.upgrade.release_map.records import Place, Sight
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, behaviour, release_map

DAY = ("its day",)


def with_versions(sample, **versions):
    """``versions``: name -> its release beside each release of the map, '' without it."""
    releases = [release.version for release in sample.releases]
    places = tuple(
        replace(
            place,
            versions={"xllamacpp": place.version}
            | {
                name: of[releases.index(place.version)]
                for name, of in versions.items()
                if of[releases.index(place.version)]
            },
        )
        for place in sample.places
    )
    return replace(sample, places=places)


def swapped(sample, right, **versions):
    """With release 2.0 beside the packages of 1.0, where so many answers are correct."""
    place = Place("2.0", "as before", "swapped", {"xllamacpp": "2.0"} | versions)
    sights = [Sight("swapped", "w", "q", behaviour(right, attempt=n)) for n in (0, 1)]
    return replace(sample, places=(*sample.places, place), sights=(*sample.sights, *sights))


def whose(sample):
    """Of its only change."""
    (change,) = explained(sample)
    return change.whose


def test_it_is_the_librarys_where_only_the_library_moved():
    """And where the same shows beside packages that did not move."""
    moved = with_versions(release_map(GOOD, HALF, neighbours=DAY), numpy=("1", "1"))
    (change,) = explained(moved)
    assert change.whose == "the library's"
    assert change.tried == ("between both environments only xllamacpp differs",)
    assert not list(to_swap(moved))


def test_what_the_library_brings_and_drops_is_its_own_change():
    """No other package asked for it, since none moved."""
    sample = release_map(GOOD, HALF, neighbours=DAY)
    moved = with_versions(sample, numpy=("1", "1"), miniaudio=("", "1"), soundfile=("1", ""))
    (change,) = explained(moved)
    assert change.whose == "the library's"
    assert change.tried == (
        "between both environments only xllamacpp differs, which now requires miniaudio and no "
        "longer requires soundfile",
    )


def test_what_came_with_other_packages_is_open_until_it_was_swapped_alone():
    """The places to build are told, once each."""
    moved = with_versions(release_map(GOOD, HALF, neighbours=DAY), numpy=("1", "2"))
    (change,) = explained(moved)
    assert change.whose == "cannot tell"
    assert change.tried == ("with it moved numpy 1 → 2",)
    ((change, earlier),) = to_swap(moved)
    assert (change.later, earlier.version) == ("2.0", "1.0")
    assert not list(to_swap(swapped(moved, HALF, numpy="1")))


def test_the_swap_tells_the_library_from_a_dependency():
    """What is bad beside the old packages is the library's; what is good there is not."""
    moved = with_versions(release_map(GOOD, HALF, neighbours=DAY), numpy=("1", "2"))
    assert whose(swapped(moved, HALF, numpy="1")) == "the library's"
    assert whose(swapped(moved, GOOD, numpy="1")) == "a dependency's"


def test_a_library_that_takes_others_along_cannot_be_told():
    """It was not swapped alone."""
    moved = with_versions(release_map(GOOD, HALF, neighbours=DAY), numpy=("1", "2"))
    (change,) = explained(swapped(moved, HALF, numpy="3"))
    assert change.whose == "cannot tell"
    assert change.tried[-1] == "swapped alone it cannot be: it takes numpy 1 → 3 along"


def test_a_model_that_loads_nowhere_before_is_in_a_newer_layout():
    """No release before is at fault."""
    sample = with_versions(release_map(None, GOOD, neighbours=DAY), numpy=("1", "2"))
    assert whose(sample) == "the layout's"
    sample = with_versions(release_map(GOOD, None, GOOD, neighbours=DAY), numpy=("1", "1", "1"))
    assert [change.whose for change in explained(sample)] == ["the library's"] * 2


def test_it_is_told_of_every_canary_by_its_name():
    """The change names its deployment."""
    (change,) = explained(with_versions(release_map(GOOD, HALF, neighbours=DAY)))
    assert change.deployment == NAME
