"""TOML as a strict type: whatever does not fit is one sentence."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict

from qualification.core.errors import DeclarationError
from qualification.models.strict_toml import read_declarations


@dataclass(frozen=True)
class Dog:
    """A record with a required and an optional key."""

    name: str
    age: int
    friends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kennel:
    """A file with one list of records."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    dogs: tuple[Dog, ...]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where each test writes its declarations."""
    return tmp_path_factory.mktemp("kennel") / "dogs.toml"


def refusal(file: Path, content: bytes) -> str:
    """Write the content and return the sentence that refuses it, without the file's name."""
    file.write_bytes(content)
    with pytest.raises(DeclarationError) as caught:
        read_declarations(file, Kennel)
    start, sentence = str(caught.value).split(": ", 1)
    assert re.fullmatch(rf"{re.escape(str(file))}(:\d+)?", start)
    assert "\n" not in sentence
    return sentence


def test_a_file_that_fits_is_the_type(file: Path) -> None:
    """Tables are records, lists are tuples, defaults fill what is absent."""
    file.write_text('[[dogs]]\nname = "Rex"\nage = 3\nfriends = ["Ada"]\n')
    assert read_declarations(file, Kennel) == Kennel((Dog("Rex", 3, ("Ada",)),))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'[[dogs]]\nname = "Rex"', "dog 'Rex', key 'age' is missing: add it"),
        (b"[[dogs]]\nage = 3", "dog number 1, key 'name' is missing: add it"),
        (
            b'[[dogs]]\nname = "Rex"\nage = "3"',
            "dog 'Rex', key 'age' is '3', which is of the wrong type: write a whole number",
        ),
        (
            b'[[dogs]]\nname = "Rex"\nage = 3\nfriends = ["Ada", 1]',
            "dog 'Rex', key 'friends.2' is 1, which is of the wrong type: write text in quotes",
        ),
    ],
)
def test_the_sentence_names_entry_key_and_remedy(file: Path, content: bytes, sentence: str) -> None:
    """An entry without a name is named by its number."""
    assert refusal(file, content) == sentence


def test_a_misspelt_required_key_is_named_and_not_the_missing_one(file: Path) -> None:
    """The sentence gives the cause (an unknown key), not its consequence (a missing one)."""
    sentence = refusal(file, b'[[dogs]]\nname = "Rex"\naeg = 3')
    assert sentence.startswith("dog 'Rex', key 'aeg' is unknown")
    assert "was 'age' meant?" in sentence


@pytest.mark.parametrize(
    "content", [b"# \xff\xfe\n", b"\x00\x01", b"", b"dogs = 3\n", b"a = [" * 5000]
)
def test_a_file_of_another_kind_is_one_sentence(file: Path, content: bytes) -> None:
    """Another encoding, binary, empty, another structure, or nested too deeply: no traceback."""
    refusal(file, content)


@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_declaration_errors(file: Path, content: bytes) -> None:
    """Any short file is the type or one error."""
    file.write_bytes(content)
    with contextlib.suppress(DeclarationError):
        assert isinstance(read_declarations(file, Kennel), Kennel)
