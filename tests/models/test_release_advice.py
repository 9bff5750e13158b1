"""What the maps that ship say of an installed release, and of a known bug."""

import pytest

from qualification.models.loading import load_registry
from qualification.models.release_advice import (
    Advice,
    WrongReleases,
    advice_for,
    installed_warnings,
    pinned_instead,
    warnings,
)

REGISTRY = load_registry()
OWN = REGISTRY.with_weights("hub").deployment("smolvlm-500m-Q8_0@llamacpp")
CANARY = REGISTRY.with_weights("canary").deployment("smolvlm-canary-f32@llama.cpp")
SPAN = WrongReleases("2.0", "4.0", "wrong: 160 of 240 correct", "llama.cpp#1")


def advice(precision="f32", pin="5.0", wrong=(SPAN,), package="xllamacpp"):
    """Of SmolVLM's canary on llama.cpp."""
    name = f"smolvlm-canary-{precision}@llama.cpp"
    return Advice(package, name, "smolvlm", "llama.cpp", pin, "5.0", "2026-11-30", wrong)


@pytest.mark.parametrize(
    ("version", "until", "is_wrong"),
    [
        ("1.9", "4.0", False),
        ("2.0", "4.0", True),
        ("3.9", "4.0", True),
        ("4.0", "4.0", False),
        ("5.0", "", True),
        ("5.1", "", False),
        ("", "4.0", False),
        ("b1234", "4.0", False),
    ],
)
def test_a_release_is_wrong_until_the_next_good_one(version, until, is_wrong):
    """What is newer than the map, or has no version, is not known."""
    entry = advice(wrong=(WrongReleases("2.0", until, "wrong"),))
    assert (entry.wrong_in(version) is not None) == is_wrong


def test_an_installed_release_is_named_with_the_pin():
    """By every canary that it is wrong for, and for the family of one's own model."""
    sentence = (
        "xllamacpp 3.0 is known to be wrong for smolvlm: smolvlm-canary-f32 since 2.0, wrong: 160 "
        "of 240 correct (llama.cpp#1); pin xllamacpp==5.0"
    )
    assert list(installed_warnings({"xllamacpp": "3.0"}, [advice()])) == [("xllamacpp", sentence)]
    assert list(warnings(CANARY, {"xllamacpp": "3.0"}, [advice()])) == [sentence]
    assert list(warnings(CANARY, {"xllamacpp": "4.0"}, [advice()])) == []
    assert list(warnings(CANARY, {}, [advice()])) == []
    (unpinned,) = warnings(CANARY, {"xllamacpp": "3.0"}, [advice(pin="")])
    assert unpinned.endswith("; no release is known to be good")


def test_another_engine_is_not_spoken_for():
    """Its library may be well."""
    assert list(advice_for(OWN, [advice()])) == []


def test_a_canary_of_the_same_precision_stands_for_a_model():
    """Else the exact one does."""
    exact, quantised = advice(), advice("Q8_0")
    assert list(advice_for(CANARY, [quantised, exact])) == [exact]


def test_a_known_bug_has_the_pin_that_is_out_of_its_range():
    """Of all the canaries that it concerns, or none."""
    patterns = ("smolvlm-*@llama.cpp",)
    assert pinned_instead("xllamacpp", patterns, "<4", [advice()]) == "xllamacpp==5.0"
    assert pinned_instead("xllamacpp", patterns, "<6", [advice()]) == ""
    assert pinned_instead("xllamacpp", ("llava-*",), "<4", [advice()]) == ""
    both = [advice(), advice("Q8_0", pin="3.0")]
    assert pinned_instead("xllamacpp", patterns, "<4", both) == ""
