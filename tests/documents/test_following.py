"""``qualify report --check``: do the documents in a folder follow from the store?"""

import json
from dataclasses import replace

import pytest

from qualification.core.errors import QualificationError
from qualification.core.files import write_documents
from qualification.documents.context import context
from qualification.documents.following import reported_before, stale_documents
from qualification.documents.junit import session_junit
from qualification.documents.session_documents import forms, session_documents
from qualification.models.loading import load_registry
from qualification.results.store import Store
from tests.support.session_sample import results, session

REGISTRY = load_registry()


@pytest.fixture
def store(tmp_path):
    """With one session."""
    store = Store(f"sqlite:///{tmp_path}/results.sqlite")
    store.keep(results())
    return store


@pytest.fixture
def folder(tmp_path, store):
    """The documents of that session."""
    stored = results()
    documents = session_documents(stored, REGISTRY, context(stored, store, REGISTRY))
    folder = tmp_path / "out"
    write_documents(forms(documents, folder) | {"session.xml": session_junit(stored)}, folder)
    return folder


def stale(folder, store):
    """The sentences."""
    return stale_documents(folder, store, REGISTRY)[1]


def test_what_was_just_written_follows(folder, store):
    """All ten files."""
    assert stale_documents(folder, store, REGISTRY) == (10, [])


@pytest.mark.parametrize("name", ["recommendations.md", "certificate.html", "session.xml"])
def test_a_file_that_was_edited_or_lost_is_told(folder, store, name):
    """By its name."""
    file = folder / name
    file.write_text(file.read_text() + "94 tok/s")
    assert [sentence for sentence in stale(folder, store) if name in sentence]
    file.unlink()
    assert stale(folder, store) == [f"{file}: is missing"]


def test_a_file_that_no_session_gives_is_told(folder, store):
    """A copy with another name too."""
    forged = json.loads((folder / "certificate.json").read_text())
    (folder / "forged.json").write_text(json.dumps(forged))
    (sentence,) = stale(folder, store)
    assert sentence.endswith("forged.json: is there, and no session gives it")


def test_a_folder_without_documents_is_refused(tmp_path, store):
    """Nothing was checked."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(QualificationError, match="has no document"):
        stale(tmp_path / "empty", store)
    (tmp_path / "empty/x.json").write_text("{")
    with pytest.raises(QualificationError, match="is no document"):
        stale(tmp_path / "empty", store)


def test_a_session_is_compared_with_one_of_the_same_environment_and_deployments(store):
    """Never with one of other releases on purpose, nor with one of other models."""
    later = results(session=session("later"))
    seeded = replace(later.session, identifier="other")
    seeded = replace(seeded, environment=replace(seeded.environment, name="seed-2025-12"))
    store.keep(replace(results(), session=seeded))
    store.keep(later)
    assert store.before(later) == results().session.identifier
    alone = replace(later, verdicts=(replace(later.verdicts[0], deployment="another@mlx"),))
    assert store.before(alone) == ""


def since(folder):
    """The lines that say what changed."""
    document = json.loads((folder / "recommendations.json").read_text())
    lines = (line for line in document["lines"] if line["word"] == "since")
    return ["".join(span["text"] for span in line["content"]) for line in lines]


def report(store, folder, identifier):
    """What ``qualify report`` does."""
    stored = store.results(identifier)
    reported = reported_before(folder, identifier)
    documents = session_documents(stored, REGISTRY, context(stored, store, REGISTRY, reported))
    write_documents(forms(documents, folder) | {"session.xml": session_junit(stored)}, folder)


def test_a_report_says_what_changed_since_the_last_session_and_the_last_report(folder, store):
    """Once where they are the same; written anew it still says so, and it follows."""
    store.keep(results(session=session("second")))
    report(store, folder, "second")
    (line,) = since(folder)
    assert line.startswith("the last session and the last report, of 20")
    store.keep(results(session=session("third")))
    store.keep(results(session=session("fourth")))
    for _ in range(2):
        report(store, folder, "fourth")
        since_session, since_report = since(folder)
        assert since_session.startswith("the last session, of 20")
        assert since_report.startswith("the last report, of 20")
        assert stale(folder, store) == []
    assert "<strong>What changed</strong>" in (folder / "recommendations.md").read_text()


@pytest.mark.parametrize("content", [None, "{", '{"session": "x"}', "\x00"])
def test_what_is_no_report_is_compared_with_nothing(tmp_path, store, content):
    """Nor is one of a session that the store does not have."""
    if content is not None:
        (tmp_path / "recommendations.json").write_text(content)
    assert reported_before(tmp_path, "later") == ""
    later = results(session=session("later"))
    store.keep(later)
    assert context(later, store, REGISTRY, "gone").reported is None
