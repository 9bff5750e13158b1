"""A backend that is broken on purpose fails certain tests of the suites, which are named here."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from qualification.results.store import Store
from tests.support.toy_project import own_variables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODEL = """
[[models]]
name = "{mutation}"
family = "qwen2_5_vl"
parameters = 400_000
licence = "MIT"
capabilities = ["vision", "text_only", "multi_image", "multi_turn"]
context = 1024
generation = {{ max_tokens = 16, temperature = 0.0 }}

[[models.sources]]
backend = "mlx"
quantisation = "f32"
weights = "canary"
path = "canaries/qwen2_5_vl"
environment = {{ OMP_NUM_THREADS = "1", PYTHONPATH = "{folder}", MUTATION = "{mutation}" }}

[[models.sources]]
backend = "torch"
quantisation = "f32"
weights = "canary"
path = "canaries/qwen2_5_vl"
environment = {{ OMP_NUM_THREADS = "1" }}
"""
CAUGHT_BY = {
    "zeroed_vision": {"test_says_what_it_sees[colour]", "test_answers_held_out_questions"},
    "shifted_image_tokens": {"test_answers_held_out_questions"},
    "wrong_rotary_sections": {"test_is_as_sure_as_its_other_deployments"},
    "dropped_template": {"test_text_only_question", "test_answers_held_out_questions"},
    "reused_cache": {"test_another_image_between_changes_nothing"},
}


@pytest.mark.long
@pytest.mark.parametrize("mutation", CAUGHT_BY)
def test_a_broken_backend_is_caught_by_name(mutation, tmp_path):
    """The suites run on a canary whose backend has one fault, and these tests fail."""
    if importlib.util.find_spec("mlx_vlm") is None:
        pytest.skip("mlx-vlm is not installed")
    declared = tmp_path / "declared"
    declared.mkdir()
    for name in ("tiers", "chips"):
        text = (ROOT / f"qualification/declarations/{name}.toml").read_text()
        (declared / f"{name}.toml").write_text(text)
    (declared / "bugs.toml").write_text("bugs = []\n")
    model = MODEL.format(mutation=mutation, folder=HERE / "mutants")
    (declared / "models.toml").write_text("shipped = false\n" + model)
    results = f"sqlite:///{tmp_path}/results.sqlite"
    options = ["--declarations", str(declared), "--results", results]
    command = [sys.executable, "-m", "pytest", "qualification/suites", "-q", "-m", "canary"]
    command += ["-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=ROOT, env=own_variables(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stdout[-3000:]
    store = Store(results)
    checks = store.results(store.latest()).checks
    failed = {check.test for check in checks if check.outcome == "failed"}
    passed = {check.test for check in checks if check.outcome == "passed"}
    assert CAUGHT_BY[mutation] <= failed, f"{sorted(failed)} failed, passed: {sorted(passed)}"
    assert "test_loads" in passed
