"""uv resolves: a candidate moves the pins that it must, and what does not fit is one sentence."""

import pytest

from qualification.core.errors import EnvironmentFailed
from qualification.upgrade.environments import uv
from qualification.upgrade.environments.cache import ready
from qualification.upgrade.environments.spec import candidate, moved, pinned
from tests.support.tiny_environments import BASE


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        (
            "error: No solution found when resolving dependencies\n"
            "  cause: Because b==1 depends on c>=2\n         and you require b==1, we can conclude "
            "that you require c>=2.\n         And because you require c==1, we can conclude that "
            "your requirements are unsatisfiable.\n\nhint: Wheels are\n",
            "Because b==1 depends on c>=2 and you require b==1, we can conclude that you require "
            "c>=2. And because you require c==1",
        ),
        (
            "error: Failed to fetch: `https://me:secret@pypi.firm/simple/a/`\n"
            "  cause: client error (Connect)\n",
            "Failed to fetch: `<address>`: client error (Connect)",
        ),
        (
            "error: Failed to build `llama==1`\n  cause: The build backend returned an error\n\n"
            "         [stdout]\n         compiling\n\n         [stderr]\n         Traceback\n"
            "         RuntimeError: no compiler\n\nhint: Build failures\n",
            "Failed to build `llama==1`: The build backend returned an error: "
            "RuntimeError: no compiler",
        ),
        (
            "  × No solution found when resolving dependencies:\n"
            "  ╰─▶ Because there is no version of a==9,\n      your requirements fail.\n",
            "Because there is no version of a==9, your requirements fail.",
        ),
        ("", "it printed nothing"),
        ("error: \x1b[31mred\n", "\\x1b[31mred"),
    ],
)
def test_the_cause_of_a_failure_is_taken_from_the_output_of_uv(stderr, sentence):
    """What contradicts what, of a build the last line, in one line without an address."""
    assert uv.reason(stderr) == sentence


@pytest.mark.slow
def test_a_candidate_moves_the_pins_that_its_requirements_contradict_and_says_so(root):
    """mlx-cpu moves with mlx; what fits stays, though a newer release would fit too."""
    spec = candidate(BASE, "model==2.0")
    sentences: list[str] = []
    build = ready(spec, root=root, say=sentences.append)
    names = ("mlx", "mlx-cpu", "tokens")
    assert moved(spec, build.versions) == tuple(f"{name} 1.0 → 2.0" for name in names)
    expected = pinned(BASE) | dict.fromkeys(("model", *names), "2.0")
    assert build.versions == expected | {"nothing": "1.0"}
    sentence = "moved beside what was asked for: mlx 1.0 → 2.0, mlx-cpu 1.0 → 2.0, tokens 1.0 → 2.0"
    assert any(sentence in line for line in sentences)
    ready(spec, root=root, say=sentences.append)
    assert sentence in sentences[-1]


@pytest.mark.slow
def test_a_pin_without_its_dependencies_moves_with_what_it_depends_on(root):
    """As torchvision with torch."""
    spec = candidate(BASE, "tensor==2.0")
    assert moved(spec, ready(spec, root=root).versions) == ("vision 1.0 → 2.0",)


@pytest.mark.slow
def test_a_candidate_that_contradicts_nothing_moves_nothing_else(root):
    """Not even where a newer release would fit."""
    spec = candidate(BASE, "other==2.0")
    assert moved(spec, ready(spec, root=root).versions) == ()


@pytest.mark.slow
def test_pins_that_were_asked_for_do_not_move(root):
    """Not even one that is as in the base."""
    with pytest.raises(EnvironmentFailed, match=r"no releases fit together: .*tokens==1\.0"):
        ready(candidate(BASE, "model==2.0 tokens==1.0"), root=root)
