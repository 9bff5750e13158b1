"""What somebody who has never seen the project asks, answered by the first screen."""

import pytest

from qualification.core.paths import published_claims
from qualification.documents.context import Context
from qualification.documents.recommendations import recommendations
from qualification.documents.render import render, screen
from qualification.documents.session_view import session_view
from qualification.models.loading import load_registry
from qualification.models.published_documents import read_published
from qualification.results.closing import sentence
from qualification.results.rows import rows
from tests.documents.sample_documents import session

REGISTRY = load_registry()
SESSION = session()
CONTEXT = Context(None, {"mlx": "99.0"}, read_published(published_claims()))
DOCUMENT = recommendations(session_view(SESSION, REGISTRY, CONTEXT))
LINES = {line.word: line.text for line in reversed(DOCUMENT.lines)}

ANSWERS = {
    "which model": ("run", "qwen2.5-vl-7b-4bit@mlx"),
    "why": ("run", "94% correct (88–97 % of 100 questions), the best that fits"),
    "how fast": ("run", "21.8 tok/s = 72% of what the memory allows"),
    "how long for an image": ("run", "first token in 1.40 s"),
    "does it fit beside my applications": ("memory", "17.6 GB left for applications"),
    "what is as good": ("as accurate", "qwen2.5-vl-7b-8bit@mlx"),
    "what is the smallest": ("smallest", "qwen2-vl-2b-4bit@mlx"),
    "what must I avoid": ("avoid", "answers wrongly (llava-next-mlx-packing) → workaround"),
    "what is too big": ("too big", "qwen2.5-vl-72b-4bit@mlx"),
    "is what I read elsewhere true": ("claimed", "94.0 tok/s takes 374 GB/s and it has 120 GB/s"),
    "is there anything newer": (
        "upgrade",
        "newer and tested with canaries: mlx 99.0 (here 0.32.4)",
    ),
    "can I trust it": ("trust", "speeds from 3 runs or more"),
}
"""Question -> the line that answers it, and what it must say."""


@pytest.mark.parametrize("question", ANSWERS)
def test_a_line_answers(question):
    """In the view model, in every form and on the terminal."""
    word, answer = ANSWERS[question]
    assert answer in LINES[word]
    printed = " ".join(" ".join(screen(DOCUMENT, 100)).split())
    assert answer in printed
    forms = render(DOCUMENT)
    assert answer in forms["recommendations.md"].replace("\\", "").replace("`", "")
    assert word in forms["recommendations.html"]


def test_the_sentence_on_the_terminal_is_that_of_the_documents():
    """Of all deployments."""
    closing = sentence(rows(SESSION, REGISTRY))
    forms = render(DOCUMENT)
    assert closing in forms["recommendations.md"]
    assert closing in forms["recommendations.html"]


def test_the_markdown_is_short_before_what_is_folded():
    """200 lines."""
    lines = render(DOCUMENT)["recommendations.md"].splitlines()
    folded = next(n for n, line in enumerate(lines) if line.startswith("<details"))
    assert folded <= 200
