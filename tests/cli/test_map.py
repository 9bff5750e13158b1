"""``qualify map``: what cannot be asked is one sentence, before anything is built."""

import pytest
from click.testing import CliRunner

from qualification.cli import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["llamacpp"], "no environment pins llamacpp: there are "),
        (["xllamacpp", "--models", "gpt*"], "no canary that is called gpt* runs on xllamacpp"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(words, sentence):
    """And exit code 2."""
    result = CliRunner().invoke(main, ["map", *words])
    assert result.exit_code == 2
    assert sentence in result.output
