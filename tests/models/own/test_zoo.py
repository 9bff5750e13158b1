"""Ten families without a folder of ours, tiny and of random weights, by ``pytest --model``."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from qualification.core.declarations import Deployment
from qualification.core.paths import PACKAGE
from qualification.models.loading import load_registry
from qualification.models.memory_fit import predict
from qualification.models.own.contradictions import contradictions
from qualification.models.own.inference import described
from qualification.models.own.targets import find
from qualification.models.weights import tensors_here
from qualification.results.store import Store
from tests.support.toy_project import own_variables
from tests.support.zoo import FAMILIES

pytestmark = [pytest.mark.slow, pytest.mark.long]

IMAGE = (84, 84)
"""The timed image's, in pixels."""

CLIPS = ("qwen3_5", "qwen3_vl", "gemma4", "internvl", "minicpmv4_6", "glm4v")
TOKENS = {"gemma4": 64, "lfm2_vl": 64, "internvl": 4, "minicpmv4_6": 4}
"""Of the timed image where it is not 9: a budget, a least count, a tile's fixed count."""

KNOWN = {
    ("paddleocr_vl", "mlx"): "mlx-vlm 0.7.10 has its width fixed in its code: it does not load",
    ("internvl", "torch"): "transformers cuts into tiles whatever the file says: 20 tokens",
    ("minicpmv4_6", "mlx"): "mlx-vlm's configuration has no image token: nothing is counted",
}
"""What a library does with a family; found here."""

_BUILD = """
import sys
from pathlib import Path
from qualification.backends.shims.torchvision import install_if_needed
install_if_needed()
from tests.support.zoo import FAMILIES, build
for family in FAMILIES:
    build(family, Path(sys.argv[1]) / family)
from mlx_vlm.convert import convert
convert(f"{sys.argv[1]}/qwen3_vl", f"{sys.argv[1]}/qwen3_vl-mxfp4", quantize=True, q_mode="mxfp4",
        q_bits=4, q_group_size=32)
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Their folders; transformers 5 and mlx-vlm make them in a process of their own."""
    if find_spec("mlx_vlm") is None or find_spec("transformers") is None:
        pytest.skip("mlx-vlm and transformers are needed")
    if int(version("transformers").partition(".")[0]) < 5:
        pytest.skip("this transformers is older than these families")
    place = tmp_path_factory.mktemp("zoo")
    subprocess.run([sys.executable, "-c", _BUILD, place], cwd=PACKAGE.parent, check=True)
    return place


@pytest.fixture(scope="module")
def figures(zoo, tmp_path_factory):
    """(deployment, metric) -> its first value, of one run over all of them."""
    project = tmp_path_factory.mktemp("project")
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    words = [f"--model={zoo / family}" for family in (*FAMILIES, "qwen3_vl-mxfp4")]
    words += ["-m", "load or throughput or memory", "-q"]
    words += ["-k", "test_loads or test_phases or test_peak"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=project, env=own_variables(), check=False
    )
    store = Store(f"sqlite:///{project}/reports/results.sqlite")
    trials = store.results(store.latest()).trials
    return {(trial.deployment, trial.metric): trial.value for trial in reversed(trials)}


@pytest.mark.parametrize("family", FAMILIES)
def test_its_files_say_what_it_is(zoo, family):
    """Capabilities, quantisation, shape and budget; nothing contradicts them."""
    target = find(str(zoo / family))
    model, _ = described(target)
    clips = ("video",) if family in CLIPS else ()
    assert model.capabilities == ("vision", "text_only", "multi_image", *clips, "multi_turn")
    assert {source.place: source.quantisation for source in model.sources} == {
        "mlx": "f32",
        "torch": "f32",
    }
    assert model.family == family
    assert model.shape is not None
    assert (model.image_budget is None) == (family == "minicpmv4_6")
    assert list(contradictions(target, model)) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", ["mlx", "torch"])
def test_it_is_loaded_with_the_predicted_memory_and_tokens(zoo, figures, family, backend):
    """Undeclared, on each stack that supports it; the peak within 15 %."""
    model, _ = described(find(str(zoo / family)))
    source = next(source for source in model.sources if source.backend == backend)
    deployment = Deployment(model, source)
    identifier = deployment.identifier
    if (family, backend) == ("paddleocr_vl", "mlx"):
        assert (identifier, "load_s") not in figures, KNOWN[family, backend]
        return
    assert figures[identifier, "load_s"] > 0
    predicted = predict(deployment, load_registry(), tensors_here(deployment), image=IMAGE)
    peak = figures[identifier, "peak_memory_bytes"]
    assert predicted.total_bytes == pytest.approx(peak, rel=0.15), predicted.sentence
    expected = TOKENS.get(family, 9)
    if (family, backend) in KNOWN:
        assert figures.get((identifier, "image_tokens")) != expected, KNOWN[family, backend]
    else:
        assert figures[identifier, "image_tokens"] == expected


def test_todays_formats_are_read(zoo, figures):
    """MXFP4 as mlx-vlm writes it: for MLX alone."""
    model, _ = described(find(str(zoo / "qwen3_vl-mxfp4")))
    assert [(s.backend, s.quantisation) for s in model.sources] == [("mlx", "mxfp4")]
    assert json.loads(Path(zoo / "qwen3_vl-mxfp4/config.json").read_text())["quantization"]
    assert figures[Deployment(model, model.sources[0]).identifier, "load_s"] > 0
