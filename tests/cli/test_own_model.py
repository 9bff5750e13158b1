"""A user's folder with one file of one model: pytest and every command know it."""

import json
import shutil
import subprocess
import sys

import pytest

from qualification.core.paths import canaries
from qualification.judging.baselines.storage import accept
from qualification.results.store import Store
from tests.support.toy_project import own_variables

MODEL = """
[[models]]
name = "mine"
family = "smolvlm"
parameters = 388_352
licence = "MIT"
capabilities = ["vision", "text_only", "multi_image", "multi_turn"]
context = 2048
generation = { max_tokens = 16 }

[[models.sources]]
backend = "llamacpp"
quantisation = "UD-Q9_XL"
path = "weights of mine/model.gguf"
mmproj_file = "mmproj.gguf"
options = { n_threads = 1, n_threads_batch = 1 }
"""
MINE = "mine-UD-Q9_XL@llamacpp"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which the suites have run once on a copy of a canary's files."""
    pytest.importorskip("llama_cpp")
    root = tmp_path_factory.mktemp("my own project")
    (root / "pyproject.toml").write_text('[tool.qualification]\ndeclarations = "declared"\n')
    (root / "declared").mkdir()
    (root / "declared/mine.toml").write_text(MODEL)
    shutil.copytree(canaries() / "smolvlm/gguf", root / "declared/weights of mine")
    suites = "hub and (load or consistency or memory)"
    # Whether speed repeats says something of the machine, which may have other work.
    done = run(root, "pytest", "-m", suites, "-k", "mine and not speed_repeats")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def run(root, *words):
    """A program of this environment, in the project and without the caller's variables."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=root,
        env=own_variables(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def output(root, *words):
    """What a command of ``qualify`` prints where it succeeds."""
    done = run(root, "qualification", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_suites_run_on_it_and_the_results_lie_in_the_project(project):
    """Without a path, and without a declaration of anything else."""
    assert (project / "reports/results.sqlite").is_file()
    done = run(project, "pytest", "-m", "hub", "-k", "mine", "--collect-only", "-q")
    assert done.returncode == 0
    tests = [line for line in done.stdout.splitlines() if MINE in line]
    assert len(tests) > 50
    assert not any("qwen" in line for line in tests)


def test_its_footprint_is_predicted_from_its_files(project):
    """A quantisation that nobody knows is no obstacle: the headers have the bytes."""
    (prediction,) = json.loads(output(project, "footprint", "mine", "--json"))["footprints"]
    assert prediction["deployment"] == MINE
    weights = next(part for part in prediction["parts"] if part["name"] == "weights")
    assert "tensors" in weights["how"]


def test_the_report_shows_it(project):
    """With its verdict."""
    output(project, "report")
    assert MINE in (project / "reports/latest/recommendations.md").read_text()


def test_its_session_is_accepted_and_listed(project):
    """In the baselines of the project; on a busy machine the command says why it is left out."""
    done = run(project, "qualification", "accept", MINE)
    assert done.returncode == 0, done.stderr
    if f"left out: {MINE} (unfit)" in done.stderr:
        store = Store(f"sqlite:///{project}/reports/results.sqlite")
        results = store.results(store.latest(""))
        accept(project / "baselines", results.session, results.trials)
    assert list((project / "baselines").rglob("*mine*"))
    (baseline,) = json.loads(output(project, "baseline", "list", "--json"))
    assert baseline["deployment"] == MINE
    assert "no longer declared" not in json.dumps(baseline)


def test_the_gate_asks_it(project):
    """Behaviour in two environments, here one and the same."""
    words = ("--from", "here", "--to", "here", "--models", "mine", "--weights", "hub")
    printed = output(project, "gate", *words, "--metrics", "none", "--jobs", "1")
    assert MINE in printed
    assert list((project / "reports/gates").glob("*/gate.md"))


def test_an_option_names_another_folder(project, tmp_path):
    """Anywhere on the disk, with a blank or an equals sign before it."""
    (tmp_path / "other.toml").write_text(
        MODEL.replace('"mine"', '"theirs"').replace("weights of mine", str(project / "declared"))
    )
    for option in (["--declarations", str(tmp_path)], [f"--declarations={tmp_path}"]):
        assert "theirs-UD-Q9_XL@llamacpp" in output(project, "footprint", "theirs", *option)
        words = ("-m", "hub and load", "-k", "theirs", "--collect-only", "-q", *option)
        assert "theirs-UD-Q9_XL@llamacpp" in run(project, "pytest", *words).stdout
