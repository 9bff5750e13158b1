"""pip's configuration, as uv gets it."""

import os
from pathlib import Path

import pytest

from qualification.upgrade.environments import pip_settings
from qualification.upgrade.environments.pip_settings import uv_variables


@pytest.fixture(autouse=True)
def on_linux(monkeypatch):
    """Only there has torch a choice of builds; and this machine's own configuration is hidden."""
    monkeypatch.setattr(pip_settings.sys, "platform", "linux")
    monkeypatch.setattr(pip_settings, "_OF_MACHINE", Path("/nowhere"))


def configured(tmp_path, text):
    """An environment whose only configuration of pip is a file with that text."""
    file = tmp_path / "pip.conf"
    file.write_text(text)
    empty = str(tmp_path / "nothing")
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"), empty)
    return places | {"PIP_CONFIG_FILE": str(file)}


def test_what_pip_is_told_of_indexes_and_trust_uv_is_told_too(tmp_path):
    """An index beside another one counts as in pip: the best release of both."""
    environment = configured(
        tmp_path,
        "[global]\nindex-url = https://me:secret@pypi.firm/simple\n"
        "extra-index-url = https://one/simple\n    https://two/simple\ncert = /etc/ca.pem\n"
        "constraint = /etc/c.txt\n[install]\ntrusted_host = pypi.firm\n[list]\ntimeout = 3\n",
    )
    assert uv_variables(environment) == {
        "UV_DEFAULT_INDEX": "https://me:secret@pypi.firm/simple",
        "UV_INDEX": "https://one/simple https://two/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_CONSTRAINT": "/etc/c.txt",
        "UV_INSECURE_HOST": "pypi.firm",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }


def test_folders_of_wheels_are_named_if_they_exist(tmp_path):
    """uv refuses one that does not; it separates by commas."""
    folders = [tmp_path / name for name in ("a", "b", "built")]
    for folder in folders:
        folder.mkdir()
    links = f"{folders[0]} {folders[1].as_uri()} /nowhere https://pages/links"
    variables = uv_variables(configured(tmp_path, f"[global]\nfind-links = {links}\n"), folders[2])
    names = [str(folder) for folder in folders]
    expected = [names[0], names[1], "https://pages/links", names[2]]
    assert variables == {"UV_FIND_LINKS": ",".join(expected)}


def test_a_variable_overrides_a_file_and_the_users_own_of_uv_overrides_both(tmp_path):
    """As pip has it; what a user told uv is never changed, only the built wheels are added."""
    environment = configured(tmp_path, "[global]\nfind-links = /\ntimeout = 5\n")
    (tmp_path / "mine").mkdir()
    environment |= {"PIP_FIND_LINKS": str(tmp_path / "mine"), "UV_HTTP_TIMEOUT": "9"}
    assert uv_variables(environment) == {"UV_FIND_LINKS": str(tmp_path / "mine")}
    environment |= {"UV_FIND_LINKS": str(tmp_path)}
    assert uv_variables(environment, tmp_path / "mine") == {
        "UV_FIND_LINKS": f"{tmp_path},{tmp_path / 'mine'}"
    }


def test_torch_is_the_build_of_this_machine_where_nothing_else_is_configured(tmp_path, monkeypatch):
    """The public index has only CUDA's for Linux; a wheel that CI built is no configuration."""
    empty = configured(tmp_path, "")
    assert uv_variables(empty) == {"UV_TORCH_BACKEND": "auto"}
    assert uv_variables(empty, tmp_path)["UV_TORCH_BACKEND"] == "auto"
    assert "UV_TORCH_BACKEND" not in uv_variables(empty | {"UV_TORCH_BACKEND": "cpu"})
    assert uv_variables(empty | {"PIP_INDEX_URL": "https://x"}) == {"UV_DEFAULT_INDEX": "https://x"}
    assert uv_variables(empty | {"UV_DEFAULT_INDEX": "https://x"}) == {}
    monkeypatch.setattr(pip_settings.sys, "platform", "darwin")
    assert uv_variables(empty) == {}


def test_a_file_that_is_none_of_pips_counts_as_empty(tmp_path):
    """And without any file pip has its defaults."""
    assert uv_variables(configured(tmp_path, "no section\n")) == {"UV_TORCH_BACKEND": "auto"}
    silent = {"PIP_CONFIG_FILE": os.devnull, "HOME": str(Path("/nowhere"))}
    assert uv_variables(silent) == {"UV_TORCH_BACKEND": "auto"}
