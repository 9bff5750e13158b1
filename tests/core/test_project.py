"""The user's project: its folder is pytest's rootdir, and its settings are strict."""

from pathlib import Path

import pytest
from _pytest.config import get_config

from qualification.core.errors import DeclarationError
from qualification.core.paths import PACKAGE
from qualification.core.project import Project, find_project, has_settings, root_folder


@pytest.fixture
def no_variables(monkeypatch):
    """Nothing of the caller's environment decides."""
    for name in ("QUALIFY_HOME", "QUALIFY_RESULTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pytest.ini": ""},
        {"a/pytest.ini": ""},
        {"pyproject.toml": ""},
        {"pyproject.toml": "[tool.pytest.ini_options]\n", "a/pyproject.toml": ""},
        {"pyproject.toml": "", "a/setup.py": ""},
        {"setup.py": ""},
        {"tox.ini": "[pytest]\n", "a/tox.ini": "[tox]\n"},
        {"setup.cfg": "[tool:pytest]\n", "a/setup.cfg": "[metadata]\n"},
        {"a/tox.ini": "[tox]\n", "pyproject.toml": ""},
    ],
)
def test_the_root_is_pytests_rootdir(tmp_path, monkeypatch, files):
    """Results of a run are where the next command looks for them."""
    here = tmp_path / "a/b"
    here.mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(here)
    config = get_config([])
    config.parse([])
    assert root_folder(Path.cwd()) == config.rootpath


def test_results_and_declarations_are_relative_to_the_projects_file(
    tmp_path, monkeypatch, no_variables
):
    """From any folder inside the project."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.qualification]\ndeclarations = "declared"\nresults = "measured/all.sqlite"\n'
    )
    (tmp_path / "inside").mkdir()
    project = find_project(tmp_path / "inside")
    assert project.root == tmp_path
    assert project.declarations == tmp_path / "declared"
    assert project.results == f"sqlite:///{tmp_path}/measured/all.sqlite"
    assert has_settings(tmp_path)
    assert not has_settings(tmp_path / "inside")


def test_the_nearest_word_on_results_counts(tmp_path, monkeypatch, no_variables):
    """Option before variable before settings before reports/ of the root."""
    assert find_project(tmp_path).results == f"sqlite:///{tmp_path}/reports/results.sqlite"
    (tmp_path / "pyproject.toml").write_text('[tool.qualification]\nresults = "a.sqlite"\n')
    assert find_project(tmp_path).results == f"sqlite:///{tmp_path}/a.sqlite"
    monkeypatch.setenv("QUALIFY_RESULTS", "postgresql://host/results")
    project = find_project(tmp_path)
    assert project.results == "postgresql://host/results"
    monkeypatch.chdir(tmp_path)
    assert project.with_options(results="b.sqlite").results == f"sqlite:///{tmp_path}/b.sqlite"
    assert project.with_options(results="none").results == "none"


def test_a_variable_names_another_project(tmp_path, monkeypatch, no_variables):
    """For a job that starts elsewhere."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    assert find_project(Path("/")).root == tmp_path


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[tool.qualification]\ndeclaration = "x"\n', "unknown key 'declaration'"),
        ("[tool.qualification]\ndeclarations = 3\n", "declarations is no text"),
        ("[tool]\nqualification = 3\n", "is no table"),
        ("[tool.qualification\n", "cannot be read as TOML: .*line 1.*; correct it"),
    ],
)
def test_wrong_settings_are_one_sentence(tmp_path, no_variables, settings, words):
    """With the file and the key."""
    (tmp_path / "pyproject.toml").write_text(settings)
    with pytest.raises(DeclarationError, match=words):
        find_project(tmp_path)


@pytest.mark.parametrize(
    "file", [PACKAGE / "reports/results.sqlite", Path("/x/site-packages/reports/results.sqlite")]
)
def test_no_result_goes_into_an_installed_package(file):
    """Nor anywhere else in site-packages."""
    refused = Project(Path("/"), f"sqlite:///{file}").why_results_are_refused()
    assert refused.startswith(f"{file}: lies in an installed package")
    assert "--results" in refused


def test_a_place_that_cannot_be_written_is_said_before_anything_runs(tmp_path, monkeypatch):
    """The sentence names the file and the remedy; another database is not looked at."""
    project = find_project(tmp_path).with_options(results=str(tmp_path / "new/results.sqlite"))
    assert project.why_results_are_refused() == ""
    (tmp_path / "file").write_text("")
    project = project.with_options(results=str(tmp_path / "file/results.sqlite"))
    assert "cannot be written" in project.why_results_are_refused()
    assert project.with_options(results="postgresql://host/x").why_results_are_refused() == ""
