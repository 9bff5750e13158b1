"""The pages: their examples are valid, their links lead somewhere, the API page is complete."""

import inspect
import json
import re
import tomllib

import pytest

from qualification.session.deployed import Deployed
from tests.support.documentation import PAGES, ROOT, SHELL, anchors, blocks, links, prose, scripts

WRITING_A_TEST = ROOT / "docs/writing-a-test.md"


def test_every_block_has_a_language_that_is_checked():
    """A block of output is ``text``, so that it is not taken for commands."""
    languages = {*SHELL, "text", "python", "toml", "yaml", "json"}
    assert [block.place for block in blocks() if block.language not in languages] == []


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.place)
def test_python_compiles(block):
    """Whatever it imports is the matter of the tests that run it."""
    compile(block.text, block.place, "exec")


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.place)
def test_toml_parses(block):
    """Whether its keys are known is the matter of the tests that load it."""
    tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.place)
def test_json_parses(block):
    """Behind the comment that names its file."""
    json.loads(re.sub(r"^# .*\n", "", block.text))


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.place)
def test_yaml_runs_something(block):
    """A workflow, a pipeline, or a step of one."""
    assert list(scripts(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading(page):
    """On GitHub; the site checks its own (test_site.py)."""
    broken = [
        f"{file}#{anchor}"
        for file, anchor in links(page)
        if not file.exists() or (anchor and anchor not in anchors(file))
    ]
    assert broken == []


def test_the_eleven_questions_of_a_newcomer_have_one_page_each():
    """The list on the index: eleven different places."""
    index = ROOT / "docs/index.md"
    section = prose(index).partition("## Questions")[2].partition("\n## ")[0]
    targets = re.findall(r"^\d+\. \[.+\?\]\((\S+)\)$", section, re.MULTILINE)
    assert len(set(targets)) == len(re.findall(r"^\d+\.", section, re.MULTILINE)) == 11
    linked = {f"{file}#{anchor}" for file, anchor in links(index)}
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (index.parent / path).resolve() if path else index
        assert f"{file}#{anchor}" in linked


def test_every_page_is_on_the_index():
    """A page that nobody links to is not found."""
    linked = {file for file, _anchor in links(ROOT / "docs/index.md")}
    assert [page.name for page in PAGES if page not in linked and page.name != "index.md"] == []


def test_the_page_on_writing_a_test_has_all_of_deployed():
    """Each public method, property and attribute, and each option of a request."""
    text = prose(WRITING_A_TEST)
    documented = set(re.findall(r"`(?:deployed\.)?(\w+)(?:\([^`]*\))?`", text))
    attributes = re.findall(r"self\.([a-z]\w*)\b", inspect.getsource(Deployed.__init__))
    public = {name for name in (*vars(Deployed), *attributes) if not name.startswith("_")}
    assert public - documented == set()
    for method in (Deployed.ask, Deployed.generate, Deployed.converse, Deployed.reload):
        for name, parameter in inspect.signature(method).parameters.items():
            assert parameter.kind is not parameter.KEYWORD_ONLY or f"{name}=" in text


def test_the_page_on_writing_a_test_has_no_method_that_is_gone():
    """What the tables show with brackets is a method of Deployed, or a fixture."""
    from qualification.pytest_plugin import fixtures

    rows = re.findall(r"^\| `(\w+)\(", prose(WRITING_A_TEST), re.MULTILINE)
    assert [
        name for name in rows if not hasattr(Deployed, name) and not hasattr(fixtures, name)
    ] == []


def test_the_picture_of_the_rooms_shows_the_law():
    """The rooms of the picture, from top to bottom, are those of the import contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    rooms = [room.strip() for layer in layers for room in layer.split("|")]
    drawn = re.findall(r'font-weight="700"[^>]*>(\w+)<', (ROOT / "docs/rooms.svg").read_text())
    folders = [room for room in rooms if (ROOT / "qualification" / room).is_dir()]
    assert drawn == folders
