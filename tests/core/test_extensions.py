"""Objects that other packages register, and those that cannot be used."""

from types import SimpleNamespace

import pytest

from qualification.core import extensions
from qualification.core.extensions import Extension


class Entry:
    """An entry point whose object is given, or that raises."""

    def __init__(self, name, candidate=None, error=None):
        self.name, self._candidate, self._error = name, candidate, error
        self.value = f"acme:{name}"
        self.dist = None

    def load(self):
        if self._error is not None:
            raise self._error
        return self._candidate


@pytest.fixture
def registered(monkeypatch):
    """``registered(*entries)``: the texts that these entry points register."""

    def read(*entries, reserved=()):
        monkeypatch.setattr(extensions, "_USED", [])
        monkeypatch.setattr(extensions, "_BROKEN", [])
        installed = SimpleNamespace(select=lambda group: entries)
        monkeypatch.setattr(extensions, "_installed", lambda: installed)
        extensions._entry_points.cache_clear()
        return extensions.extensions("toys", str, reserved)

    yield read
    extensions._entry_points.cache_clear()


def test_an_object_is_used_under_its_entrys_name(registered):
    """With the package that it comes from."""
    assert registered(Entry("a", "text")) == {"a": "text"}
    assert extensions.used() == (Extension("qualification.toys", "a", "acme:a"),)
    assert extensions.broken() == ()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Entry("a", error=ImportError("no acme")), "does not import (ImportError: no acme)"),
        (Entry("a", error=SystemExit(3)), "does not import (SystemExit: 3)"),
        (Entry("a", 3), "it is no str but int"),
        (Entry("mlx", "text"), "the name is taken"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_works(registered, entry, problem):
    """An extension's own code may raise anything."""
    assert registered(entry, Entry("z", "good"), reserved=("mlx",)) == {"z": "good"}
    (broken,) = extensions.broken()
    assert problem in broken.sentence
    assert broken.sentence.startswith(f"acme:{entry.name} registers {entry.name!r} in ")


def test_an_object_that_calls_itself_otherwise_is_left_out(registered):
    """Two names for one thing would split its results."""

    class Named(str):
        name = "b"

    assert registered(Entry("a", Named())) == {}
    assert "calls itself 'b'" in extensions.broken()[0].problem
