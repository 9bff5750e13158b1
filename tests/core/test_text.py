"""Hostile text: whatever a model or a library says, a terminal only ever shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import BackendFailed, SelectionError
from qualification.core.text import disarm, one_line, without_login, without_secrets

TEXTS = st.text(st.characters(codec=None, categories=None), max_size=300)


@given(TEXTS)
def test_disarmed_text_prints_and_can_be_encoded(text):
    """No control character, no bidirectional override and no lone surrogate is left."""
    safe = disarm(text)
    assert all(character.isprintable() or character in "\n\t" for character in safe)
    safe.encode()


@given(TEXTS)
def test_disarming_twice_changes_nothing(text):
    """An escape is made of characters that print."""
    assert disarm(disarm(text)) == disarm(text)


def test_terminal_escapes_are_shown_as_escapes():
    """Colour codes, NUL, a bidirectional override and a lone surrogate."""
    assert disarm("\x1b[31m\0\u202e\ud800é") == r"\x1b[31m\x00\u202e\ud800é"


def test_a_long_text_keeps_both_ends_and_says_how_much_is_missing():
    """The end of a log is as important as its beginning."""
    text = disarm("a" * 600 + "b" * 600, limit=100)
    assert text.startswith("a" * 50 + "\n")
    assert text.endswith("\n" + "b" * 50)
    assert "1100 characters left out" in text


@given(TEXTS, st.integers(1, 50))
def test_one_line_is_one_printable_line_of_limited_length(text, limit):
    """Line breaks, tabs and control characters become single blanks."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert "  " not in line
    assert line == line.strip()


def test_a_truncated_line_ends_in_an_ellipsis():
    """A text that fits does not; an exception is taken by its message."""
    assert one_line("one two three", 8) == "one two…"
    assert one_line("one two", 7) == "one two"
    assert one_line(ValueError("line 1\nline 2")) == "line 1 line 2"


@pytest.mark.parametrize(
    ("address", "output"),
    [
        ("https://me:secret@host/simple", "https://host/simple"),
        ("https://secret@host/simple?key=secret#secret", "https://host/simple"),
        ("postgresql+psycopg://me:se/cret@host:5432/name", "postgresql+psycopg://host:5432/name"),
        ("postgresql://me:sec@secret@host/name", "postgresql://host/name"),
        ("postgresql://me:123/secret@host/name", "postgresql://host/name"),
        ("postgresql//me:secret@host/name", "postgresql//host/name"),
        ("postgresql://me:secret/name", "postgresql://me:…/name"),
        ("me:secret@host/name", "host/name"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://host:8080/models/name@q4", "http://host:8080/models/name@q4"),
        ("sqlite:////home/me@work/results.sqlite", "sqlite:////home/me@work/results.sqlite"),
    ],
)
def test_an_address_is_shown_without_its_login(address, output):
    """Also one with a typing error, and one whose password should have been quoted."""
    assert without_login(address) == output


def test_no_error_of_ours_has_a_key_or_a_login(monkeypatch):
    """A server may repeat the key that it refuses."""
    monkeypatch.setenv("QUALIFY_API_KEY", "sk-0123456789")
    text = "https://me:secret@host/v1 answered 401: no such key sk-0123456789"
    output = "https://…@host/v1 answered 401: no such key <QUALIFY_API_KEY>"
    assert str(SelectionError(text)) == output
    error = BackendFailed("it failed", stderr_tail=text)
    assert "sk-0123456789" not in error.stderr_tail


def test_a_deployments_name_is_no_login():
    """An @ is in every one."""
    text = "air_m4/qwen2.5-vl-7b-4bit@mlx: see https://host/models and linux_cpu:toy@fake"
    assert without_secrets(text) == text
