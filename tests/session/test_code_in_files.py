"""No code of a model runs unasked, by whatever key its files name it, on every backend."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace

import pytest

from qualification.core.errors import QualificationError
from qualification.core.paths import canaries
from qualification.machine.probe import probe
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.upgrade.gate.side import deployed

pytestmark = pytest.mark.slow

CLASSES = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoImageProcessor")
WAYS = {
    "auto_map": {
        "auto_map": dict.fromkeys(CLASSES, "evil.Evil") | {"AutoTokenizer": ["evil.Evil"] * 2}
    },
    "auto_map of a repository": {"auto_map": dict.fromkeys(CLASSES, "owner/name--evil.Evil")},
    "model_file": {"model_file": "evil.py"},
    "model_file inside": {"text_config": {"model_file": "evil.py"}},
    "a module as type": {"model_type": "evil.Evil"},
    "a class of a module": {"processor_class": "evil.Evil", "tokenizer_class": "evil.Evil"},
    "kernels": {"attn_implementation": "owner/evil", "_attn_implementation": "owner/evil"},
    "a key of tomorrow": {"custom_loader": "evil.py"},
}
PLACES = ("mlx", "torch", "mlx_vlm.server", "transformers-serve")
REFUSED = [way for way in WAYS if not way.startswith("auto_map")]


@pytest.fixture
def model(tmp_path):
    """``model(way)``: a copy of SmolVLM's canary that names evil.py, and the file this writes."""

    def make(way):
        folder, trap = tmp_path / "model", tmp_path / "executed"
        shutil.copytree(canaries() / "smolvlm", folder)
        code = f"open({str(trap)!r}, 'w').close()\nclass Evil: pass\n"
        for name in ("evil.py", "generate.py", "custom_generate/generate.py", "sitecustomize.py"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(code)
        for file in folder.glob("*config.json"):
            config = json.loads(file.read_text())
            for key, value in WAYS[way].items():
                old = config.get(key)
                config[key] = old | value if isinstance(old, dict) else value
            file.write_text(json.dumps(config))
        return folder, trap

    return make


def load(folder, place, tmp_path):
    """Load the folder as weights of a user, and ask once."""
    registry = load_registry()
    deployment = registry.deployment(f"smolvlm-canary-f32@{place}")
    source = replace(deployment.source, path=str(folder), weights="hub")
    context = RunContext(probe((), ()), None, tmp_path)
    with deployed(replace(deployment, source=source), context) as loaded:
        return loaded.generate("Which digit is six?").text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", REFUSED)
def test_code_that_a_configuration_names_is_refused_before_any_library_is_asked(
    way, place, model, tmp_path
):
    """In one sentence that names the key; no process is started."""
    folder, trap = model(way)
    with pytest.raises(QualificationError, match="names code"):
        load(folder, place, tmp_path)
    assert not trap.exists()


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", [way for way in WAYS if way not in REFUSED])
def test_code_that_transformers_would_ask_about_is_answered_no(way, place, model, tmp_path):
    """The library's own classes are used, also where mlx-vlm tells transformers to trust it."""
    if importlib.util.find_spec("mlx_vlm" if place.startswith("mlx") else "torch") is None:
        pytest.skip("not installed")
    folder, trap = model(way)
    assert load(folder, place, tmp_path).strip() == "6"
    assert not trap.exists()
