"""pip instead of uv, where a user has chosen it."""

from dataclasses import replace

import pytest

from qualification.core.errors import EnvironmentFailed
from qualification.upgrade.environments import pip
from qualification.upgrade.environments.cache import ready, remove
from qualification.upgrade.environments.spec import candidate
from tests.support.tiny_environments import BASE, SPEC


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        (
            "WARNING: x\nERROR: Could not find a version that satisfies the requirement a==9 (from "
            "versions: 1, 2)\nERROR: No matching distribution found for a==9\n",
            "No matching distribution found for a==9",
        ),
        (
            "ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='pypi."
            "firm', port=443): Max retries exceeded with url: https://me:secret@pypi.firm/simple/a",
            "Could not install packages due to an OSError: HTTPSConnectionPool(host=<address>, "
            "port=443): Max retries exceeded with url: <address>",
        ),
        (
            "  error: subprocess-exited-with-error\nERROR: Failed building wheel for llama\n"
            "ERROR: Could not build wheels for llama, which is required\n",
            "Failed building wheel for llama",
        ),
        ("", "it printed nothing"),
        ("ERROR: \x1b[31mred\n", "\\x1b[31mred"),
    ],
)
def test_the_cause_of_a_failure_is_taken_from_the_output_of_pip(stderr, sentence):
    """One line, harmless to a terminal, without an address."""
    assert pip.reason("", stderr) == sentence


@pytest.mark.slow
def test_pip_keeps_all_pins_of_a_candidate_and_knows_no_day(root, monkeypatch):
    """It says what contradicts what."""
    monkeypatch.setenv("QUALIFY_INSTALLER", "pip")
    with pytest.raises(EnvironmentFailed, match=r"model 2\.0 depends on tokens==2\.0"):
        ready(candidate(BASE, "model==2.0 other==2.0"), root=root)
    with pytest.raises(EnvironmentFailed, match="pip cannot take packages as of a day"):
        ready(candidate(BASE, "model==2.0", as_of="2026-03-31"), root=root)


@pytest.mark.slow
def test_pip_builds_what_uv_builds(root, monkeypatch):
    """Where a user has chosen it; a reason of pip's is one sentence too."""
    build = ready(SPEC, root=root)
    remove(build)
    monkeypatch.setenv("QUALIFY_INSTALLER", "pip")
    again = ready(SPEC, root=root)
    assert again.fresh
    assert (again.key, again.versions) == (build.key, build.versions)
    with pytest.raises(EnvironmentFailed, match="pip failed: No matching distribution found"):
        ready(replace(SPEC, pins=("alpha==9.0",)), root=root)


def test_an_installer_that_is_neither_uv_nor_pip_is_reported_in_one_sentence(tmp_path, monkeypatch):
    """With the two that are."""
    monkeypatch.setenv("QUALIFY_INSTALLER", "conda")
    with pytest.raises(EnvironmentFailed, match=r"'conda': write uv \(the default\) or pip$"):
        ready(SPEC, root=tmp_path)
