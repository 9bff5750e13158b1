"""The whole search, from pins to a script, over real environments of tiny wheels."""

import os
import subprocess

import pytest
from click.testing import CliRunner

from qualification.cli.bisect import bisect
from qualification.core.declarations import Deployment, Model, Source
from qualification.models.loading import load_registry
from qualification.upgrade.bisect import driver
from qualification.upgrade.bisect.reproduction import documents, turns
from qualification.upgrade.environments.spec import EnvironmentSpec
from tests.support.tiny_wheels import write_wheel


def test_an_unknown_check_is_a_usage_error():
    """One sentence, before anything is built."""
    result = CliRunner().invoke(bisect, ["--good", "here", "--bad", "here", "--check", "speed"])
    assert result.exit_code == 2
    assert "there is no check or metric 'speed'" in result.output


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A PEP 503 index in a folder: ``index(code_of)`` writes twelve releases, 1.4 yanked."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)

    def write(code_of):
        folder = tmp_path / "index" / "fakelib"
        links = []
        for number in range(12):
            wheel = write_wheel(folder, "fakelib", f"1.{number}", code=code_of(number))
            yanked = ' data-yanked="it was wrong"' if number == 4 else ""
            links.append(f'<a href="{wheel.name}"{yanked}>{wheel.name}</a>')
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links))
        return folder.parent.as_uri()

    return write


def fake_deployment():
    """The scripted backend, answering with what the library of its environment says."""
    source = Source("fake", "f32", options={"library": "fakelib"})
    model = Model("fakelib-demo", "fake", 1, "MIT", ("vision", "text_only"), (source,))
    return Deployment(model, source)


def searched(index, tmp_path, check):
    """The result of a search between the oldest and the newest release."""
    good, bad = (
        EnvironmentSpec(name, "", (f"fakelib=={version}",), index=index)
        for name, version in (("old", "1.0"), ("new", "1.11"))
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    question = driver.BisectQuestion(good, bad, check, fake_deployment())
    return driver.answer(question, load_registry(), scratch, root=tmp_path / "environments")


@pytest.mark.long
def test_the_release_that_changes_an_answer_is_found_in_an_index_of_twelve(index, tmp_path):
    """In no more than five installs, and the script shows both answers."""
    address = index(
        lambda n: f"TOKEN_S = 0.0\ndef answer(q): return {'blue' if n >= 7 else 'red'!r}\n"
    )
    result, observations = searched(address, tmp_path, "answers")
    assert (result.package, result.last_good, result.first_bad) == ("fakelib", "1.6", "1.7")
    assert result.installs <= 5
    assert ("1.4", "it was yanked") in result.left_out
    assert turns(fake_deployment(), observations)[0].bad == "blue"
    script = documents(fake_deployment(), result, observations)["reproduce.sh"]
    output = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_INDEX_URL": address},
        check=True,
    ).stdout
    good, _, bad = output.partition("== bad-fakelib-1.7")
    assert good.count("got 'red'") == bad.count("got 'blue'") == 3


@pytest.mark.long
def test_the_release_that_is_slower_is_found_in_an_index_of_twelve(index, tmp_path):
    """By pairs of fresh processes against the good one."""
    address = index(
        lambda n: f"TOKEN_S = {0.004 if n >= 3 else 0.002}\ndef answer(q): return 'red'\n"
    )
    result, _ = searched(address, tmp_path, "decode_tps")
    assert (result.package, result.last_good, result.first_bad) == ("fakelib", "1.2", "1.3")
    assert result.installs <= 5
