"""``qualify map``: what cannot be asked is a sentence; what ships is shown, and how old it is."""

import json

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.models.release_advice import map_files
from qualification.upgrade.release_map import driver
from qualification.upgrade.release_map.records import Release


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["llamacpp"], "no canary loads llamacpp: they load "),
        (["xllamacpp", "--models", "gpt*"], "no canary that is called gpt* runs on xllamacpp"),
        (["numpy", "--check"], "no map of numpy ships: make it with qualify map numpy"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(words, sentence):
    """And exit code 2."""
    result = CliRunner().invoke(main, ["map", *words])
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.skipif(not map_files(), reason="no map ships")
def test_without_a_package_the_maps_that_ship_are_shown(tmp_path, monkeypatch):
    """On the screen, on the page of a CI job, as documents, and as JSON alone."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page"))
    result = CliRunner().invoke(main, ["map", "--output", str(tmp_path / "maps")])
    assert "xllamacpp==" in (tmp_path / "page").read_text()
    assert result.exit_code == 0
    assert "PIN  xllamacpp==" in result.output
    assert {file.name for file in (tmp_path / "maps").iterdir()} == {
        "releases.md",
        "releases.html",
        "releases.json",
    }
    result = CliRunner().invoke(main, ["map", "--json"])
    assert json.loads(result.output)["name"] == "releases"


@pytest.mark.skipif(not map_files(), reason="no map ships")
@pytest.mark.parametrize(("later", "code"), [((), 0), ((Release("9999.1"),), 1)])
def test_a_map_that_is_older_than_the_index_is_told(monkeypatch, later, code):
    """With the command that brings it up to date, and exit code 1 for a workflow."""
    monkeypatch.setattr(driver, "newer_releases", lambda package, newest: later)
    result = CliRunner().invoke(main, ["map", "xllamacpp", "--check"])
    assert result.exit_code == code
    (line,) = result.output.splitlines()
    assert ("and there are 9999.1: qualify map xllamacpp" in line) == bool(later)
