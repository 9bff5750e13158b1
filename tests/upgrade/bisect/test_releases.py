"""Which releases are searched, from what pip and its indexes say."""

import contextlib
import datetime
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from qualification.core.errors import EnvironmentFailed
from qualification.upgrade.bisect.releases import (
    Fact,
    between,
    installable,
    published,
    read_html,
    read_json,
    without_addresses,
)


def day(number):
    """A day of 2026."""
    return datetime.datetime(2026, 1, number, tzinfo=datetime.UTC)


@given(st.lists(st.integers(0, 30).map(lambda n: f"1.{n}"), unique=True), st.booleans())
def test_releases_strictly_between_are_in_order_from_good_to_bad(versions, upwards):
    """Whichever of the two is newer."""
    good, bad = ("1.5", "1.20") if upwards else ("1.20", "1.5")
    chosen = [Version(version) for version in between(versions, {}, good, bad).versions]
    assert chosen == sorted(chosen, reverse=not upwards)
    assert {str(version) for version in chosen} == {
        v for v in versions if 5 < Version(v).minor < 20
    }


def test_a_backport_that_was_published_later_is_left_out():
    """And named with the reason, as yanked releases and pre-releases are."""
    facts = {
        "1.0": Fact(day(1)),
        "1.1": Fact(day(2)),
        "1.2": Fact(day(3), yanked=True),
        "1.9.1": Fact(day(20)),
        "2.0": Fact(day(10)),
    }
    releases = between([*facts, "1.3rc1", "1.4"], facts, "1.0", "2.0")
    assert releases.versions == ("1.1", "1.4")
    assert dict(releases.left_out) == {
        "1.2": "it was yanked",
        "1.3rc1": "it is a pre-release",
        "1.9.1": "it was published on 2026-01-20, not between the two",
    }


def test_dates_that_do_not_follow_the_versions_exclude_nothing():
    """A good release of an old series may be younger than the bad one of a new series."""
    facts = {"1.0": Fact(day(9)), "1.1": Fact(day(1)), "2.0": Fact(day(5))}
    assert between(list(facts), facts, "1.0", "2.0").versions == ("1.1",)


def test_pre_releases_are_searched_where_the_bad_one_is_one():
    """Else the first bad one could not be found."""
    assert between(["1.1rc1", "1.1rc2"], {}, "1.0", "1.1rc3").versions == ("1.1rc1", "1.1rc2")


def test_an_index_in_json_has_dates_and_yanked_releases():
    """A release is yanked if all of its files are, and published with its earliest."""
    files = [
        {"filename": "a_b-1.0-py3-none-any.whl", "upload-time": "2026-01-02T10:00:00.25Z"},
        {"filename": "a-b-1.0.tar.gz", "upload-time": "2026-01-01T00:00:00Z", "yanked": "why"},
        {"filename": "a_b-1.1.tar.gz", "yanked": True},
        {"filename": "a_b-1.1-no-wheel.egg"},
        {"filename": 7},
        "nothing",
    ]
    facts = read_json(json.dumps({"files": files}).encode())
    assert facts == {"1.0": Fact(day(1)), "1.1": Fact(None, yanked=True)}


@given(st.binary(max_size=200))
def test_a_page_of_anything_is_read_or_refused_as_such(page):
    """Never with another error than ValueError."""
    read_html(page)
    with contextlib.suppress(ValueError):
        read_json(page)


@pytest.mark.parametrize("line", ["https://me:secret@host/simple", "file:///home/me/index"])
def test_no_address_is_shown(line):
    """Neither of a host nor of a folder."""
    assert without_addresses(f"cannot reach {line} now") == "cannot reach … now"


@pytest.fixture
def folder_index(tmp_path, monkeypatch):
    """pip is configured with an index in a folder, by its environment."""
    package = tmp_path / "some-thing"
    package.mkdir()
    names = ["some_thing-1.0-py3-none-any.whl", "some_thing-1.1-py3-none-any.whl"]
    names += ["some_thing-1.2-py3-none-win32.whl", "some_thing-2.0rc1-py3-none-any.whl"]
    links = [f'<a href="{name}">x</a>' for name in names]
    links[1] = links[1].replace("<a ", '<a data-yanked="" ')
    (package / "index.html").write_text("<!DOCTYPE html>" + "".join(links))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("folder_index")
def test_pip_itself_says_what_installs_here():
    """No yanked releases, no wheels of another platform, pre-releases only on request."""
    assert set(installable(sys.executable, "some.thing")) == {"1.0"}
    assert "2.0rc1" in installable(sys.executable, "some.thing", pre_releases=True)


@pytest.mark.usefixtures("folder_index")
def test_an_index_in_a_folder_says_what_is_yanked():
    """It has no dates."""
    facts = published(sys.executable, "Some_Thing")
    assert facts["1.1"] == Fact(None, yanked=True)
    assert not facts["1.0"].yanked


@pytest.mark.usefixtures("folder_index")
def test_a_package_that_no_index_has_is_one_sentence_without_the_address():
    """The user knows where pip looks."""
    with pytest.raises(EnvironmentFailed, match="cannot list the releases of nothing") as raised:
        installable(sys.executable, "nothing")
    assert "file:" not in str(raised.value)
