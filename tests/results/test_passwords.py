"""No password of a results database is shown, whatever its driver says of it."""

from __future__ import annotations

import traceback

import pytest

import tests.support.toy_driver  # noqa: F401 - registers toydb, which repeats its URL in every error
from qualification.core.errors import StoreError
from qualification.results.store import Store


def refusal(url):
    """The error of a store, and all that a traceback of it would show."""
    with pytest.raises(StoreError) as refused:
        Store(url)
    return str(refused.value), "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "password",
    [
        "hush-hush",
        "hush%40hush",
        "hush%2Fhush%3A",
        "hush+hush",
        "hush/hush",
        "hush#hush",
        "hush?",
    ],
)
def test_a_password_that_the_driver_repeats_is_not_shown(password):
    """Neither as it is nor as the URL has it; the rest of the error is."""
    text, output = refusal(f"toydb://me:{password}@127.0.0.1:1/name")
    assert text.startswith("toydb://127.0.0.1:1/name: its server cannot be reached")
    assert "Connection refused" in text
    assert "hush" not in output


@pytest.mark.parametrize(
    "login", ["me:hush@hush", "me:hu@sh/hush", "me:@hush", "me:hush@", "me:1/hush@hush"]
)
def test_a_password_with_a_raw_at_is_refused(login):
    """SQLAlchemy would take what is behind it for the host, and the driver would name that."""
    text, output = refusal(f"toydb://{login}@127.0.0.1:1/name")
    assert "its password has a raw '@', which ends it: write that as %40" in text
    assert "hush" not in output
    assert "hu" not in text.partition(": its password")[0]


@pytest.mark.parametrize("option", ["password", "sslpassword", "api_key", "pwd"])
def test_a_password_among_the_options_is_not_shown(option):
    """Some drivers take it there."""
    text, output = refusal(f"toydb://me:@127.0.0.1:1/name?{option}=hush-hush")
    assert "Connection refused" in text
    assert "hush" not in output


def test_an_at_in_a_user_or_behind_a_password_that_is_quoted_is_none_of_it():
    """Some servers have users of the form user@server."""
    text, _ = refusal("toydb://me@server:hush@127.0.0.1:1/name")
    assert "raw" not in text


def test_a_short_password_hides_the_whole_error():
    """With a letter left out, a text shows which one it is."""
    text, _ = refusal("toydb://me:h@127.0.0.1:1/name")
    assert "(Error, whose text has the password)" in text
