"""Which variables a child is given; the page for users has the same table."""

import re

import pytest

from qualification.core.child_variables import TABLE, child_variables, is_for
from qualification.core.paths import PACKAGE

PAGE = PACKAGE.parent / "docs/environment-variables.md"


def test_the_page_has_the_table_of_the_code():
    """In its order, one row for each use."""
    section = PAGE.read_text().partition("| given to |")[2].partition("\n\n")[0]
    rows = [line.split("|")[2] for line in section.splitlines()[2:]]
    listed = {use: re.findall("`([^`]+)`", row) for use, row in zip(_uses(), rows, strict=True)}
    assert listed == {use: list(dict.fromkeys(TABLE[use])) for use in TABLE}


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "HF_TOKEN_READ", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "GITHUB_TOKEN"),
        *("AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET"),
        *("LLAMA_API_KEY", "NVIDIA_API_KEY", "UV_PUBLISH_PASSWORD", "PGPASSWORD", "SSH_AUTH_SOCK"),
        *("QUALIFY_RESULTS", "QUALIFY_API_KEY", "PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS"),
    ],
)
def test_a_secret_is_for_no_library_and_no_installer(name):
    """Even where it begins as the variables of a library do."""
    assert not is_for(name, "library", "installer")


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("PATH", "any"),
        ("LC_ALL", "any"),
        ("https_proxy", "any"),
        ("HF_HOME", "library"),
        ("HF_TOKEN_PATH", "library"),
        ("TOKENIZERS_PARALLELISM", "library"),
        ("CUDA_VISIBLE_DEVICES", "library"),
        ("OMP_NUM_THREADS", "library"),
        ("PIP_INDEX_URL", "installer"),
        ("UV_INDEX_FIRM_PASSWORD", "installer"),
        ("CMAKE_ARGS", "installer"),
        ("QUALIFY_API_KEY", "server"),
        ("QUALIFY_HOME", "gate"),
        ("HF_TOKEN", "gate"),
    ],
)
def test_what_a_child_needs_reaches_it(monkeypatch, name, use):
    """With its value."""
    monkeypatch.setenv(name, "value")
    assert child_variables(use)[name] == "value"


def _uses():
    return ["any", "library", "server", "installer", "gate"]
