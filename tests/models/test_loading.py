"""A user's folder of declarations, laid over those that ship."""

from pathlib import Path

import pytest

from qualification.core.declarations import Source
from qualification.core.errors import DeclarationError
from qualification.core.paths import canaries
from qualification.models.loading import load_registry

SHIPPED = load_registry()
MODEL = """
[[models]]
name = "mine"
family = "smolvlm"
parameters = 1000
licence = "MIT"
capabilities = ["text_only"]

[[models.sources]]
backend = "torch"
quantisation = "f32"
"""


def declare(folder, text, name="mine.toml"):
    """Write a file of declarations and read the folder."""
    (folder / name).write_text(text, encoding="utf-8")
    return load_registry(folder)


def only_source(registry, model="mine") -> Source:
    (source,) = next(entry for entry in registry.models if entry.name == model).sources
    return source


def test_one_file_with_one_model_is_enough(tmp_path):
    """Everything that ships stays, and the user's own comes first."""
    registry = declare(tmp_path, MODEL + f'path = "{tmp_path}"\n')
    assert registry.models[0].name == "mine"
    assert registry.models[1:] == SHIPPED.models
    assert registry.tiers == SHIPPED.tiers
    assert registry.bugs == SHIPPED.bugs
    assert registry.notes == ()


def test_what_is_replaced_is_said_once(tmp_path):
    """An entry of the same name replaces the shipped one, and only that."""
    name = SHIPPED.models[0].name
    text = MODEL.replace('"mine"', f'"{name}"') + f'path = "{tmp_path}"\n'
    tier = 'name = "linux_cpu"\ntitle = "ours"\nsystem = "linux"\nmemory_min = "1 GB"\n'
    tier += 'memory_max = "2 GB"\n'
    tier += 'budget = { system = "0 GB", server = "0 GB", applications = "0 GB" }\n'
    registry = declare(tmp_path, text + "[[tiers]]\n" + tier)
    (note,) = registry.notes
    assert note == f"{tmp_path} replaces what ships: model '{name}', tier 'linux_cpu'"
    assert registry.models[0].parameters == 1000
    assert len(registry.models) == len(SHIPPED.models)
    assert registry.tier("linux_cpu").title == "ours"


def test_an_equal_copy_replaces_nothing(tmp_path):
    """A copy of a shipped file changes nothing, so there is nothing to say."""
    from qualification.core.paths import DECLARATIONS

    registry = declare(tmp_path, (DECLARATIONS / "tiers.toml").read_text(encoding="utf-8"))
    assert registry.notes == ()
    assert registry.tiers == SHIPPED.tiers


def test_a_shipped_combination_goes_with_its_deployment(tmp_path):
    """The user's model no longer has what the combination names."""
    combination = SHIPPED.together[0]
    model = SHIPPED.deployment(combination.deployments[0]).model.name
    text = MODEL.replace('"mine"', f'"{model}"') + f'path = "{tmp_path}"\n'
    registry = declare(tmp_path, text)
    assert combination not in registry.together


def test_nothing_that_ships_is_taken_where_the_folder_says_so(tmp_path):
    """Only the memory constants of the backends stay."""
    registry = declare(tmp_path, "shipped = false\n" + MODEL + f'path = "{tmp_path}"\n')
    assert [model.name for model in registry.models] == ["mine"]
    assert registry.tiers == registry.bugs == registry.chips == ()
    assert registry.backends == SHIPPED.backends


@pytest.mark.parametrize(
    ("path", "folder", "file"),
    [
        ("weights", "{declared}/weights", ""),
        ("../weights", "{parent}/weights", ""),
        ("~/weights", "{home}/weights", ""),
        ("/big disk/wörk", "/big disk/wörk", ""),
        ("weights/model-Q4_K_M.gguf", "{declared}/weights", "model-Q4_K_M.gguf"),
    ],
)
def test_a_path_is_absolute_relative_to_its_file_or_at_home(
    tmp_path, monkeypatch, path, folder, file
):
    """A .gguf file is named with its folder."""
    monkeypatch.setenv("HOME", "/home/user")
    declared = tmp_path / "declared here"
    declared.mkdir()
    text = MODEL.replace("torch", "llamacpp") if file else MODEL
    source = only_source(declare(declared, text + f'path = "{path}"\n'))
    places = {"declared": declared, "parent": tmp_path, "home": "/home/user"}
    assert source.path == folder.format(**places)
    assert source.model_file == file


def test_a_shipped_canary_is_found_by_its_shipped_path(tmp_path):
    """A user may declare it on a backend of their own."""
    text = MODEL + 'weights = "canary"\npath = "canaries/smolvlm"\n'
    assert Path(only_source(declare(tmp_path, text)).path) == canaries() / "smolvlm"


def test_a_users_bug_need_not_match_a_deployment(tmp_path):
    """It may be about a model of another machine's folder."""
    bug = {
        "identifier": "ours",
        "title": "t",
        "package": "mlx-vlm",
        "versions": ">=0",
        "failure": "f",
        "cause": "c",
        "source": "s",
    }
    lines = [f'{key} = "{value}"' for key, value in bug.items()]
    lines += ['deployments = ["elsewhere-*@mlx"]', 'tests = ["test_format"]']
    registry = declare(tmp_path, "[[bugs]]\n" + "\n".join(lines))
    assert registry.bugs[0].identifier == "ours"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (MODEL.replace("licence", "license"), 6, ["'license' is unknown", "'licence'"]),
        (MODEL + "\nquantization = 1\n", 13, ["'quantization'", "'quantisation'"]),
        (MODEL.replace('"torch"', '"torhc"'), 10, ["'torhc'", "'torch'"]),
        (MODEL + 'tiers = ["air_m9"]\n', 12, ["air_m9"]),
        (MODEL.replace("1000", "0"), 5, ["'parameters' is 0"]),
    ],
)
def test_a_wrong_key_is_answered_with_file_line_and_the_nearest_key(tmp_path, text, line, words):
    """An editor jumps to file:line."""
    with pytest.raises(DeclarationError) as caught:
        declare(tmp_path, text if "path" in text else text + f'path = "{tmp_path}"\n')
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path}/mine.toml:{line}: ")
    assert [word for word in words if word not in sentence] == []


@pytest.mark.parametrize("makes_folder", [True, False])
def test_a_folder_without_declarations_is_one_sentence(tmp_path, makes_folder):
    """Empty, or not there."""
    folder = tmp_path / "nothing"
    if makes_folder:
        folder.mkdir()
    with pytest.raises(DeclarationError, match=r"nothing: (no such folder|holds no declarations)"):
        load_registry(folder)


def test_the_home_of_a_user_who_is_not_known_is_a_folder_of_that_name(tmp_path):
    """It is not there, which the checks of the files say; reading the declaration goes on."""
    source = only_source(declare(tmp_path, MODEL + 'path = "~nobody-of-that-name/m"\n'))
    assert source.path == str(tmp_path / "~nobody-of-that-name/m")
