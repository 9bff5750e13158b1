"""The suites vqa and diagram, run as a user runs them, on a scripted deployment of real weights."""

import json
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

import qualification.suites

MODELS = """
[[models]]
name = "toy"
family = "toy"
parameters = 1000
licence = "MIT"
capabilities = ["vision"]

[[models.sources]]
backend = "fake"
quantisation = "bf16"
weights = "{weights}"
tiers = ["linux_cpu"]
options = {options}
"""
TIERS = """
[[tiers]]
name = "linux_cpu"
title = "this kind of machine"
system = "{system}"
memory_min = "0 GB"
memory_max = "100000 GB"
budget = {{ system = "1 GB", server = "1 GB", applications = "1 GB" }}
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Run one shipped suite on a fake; returns the result and the metrics that were recorded."""
    import platform

    monkeypatch.setenv("QUALIFY_HOME", str(pytester.path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    folder = pytester.mkdir("declared")
    system = "macos" if platform.system() == "Darwin" else "linux"
    (folder / "tiers.toml").write_text(TIERS.format(system=system))
    (folder / "chips.toml").write_text("chips = []\n")
    (folder / "bugs.toml").write_text("bugs = []\n")

    def run(name, *arguments, weights="synthetic", options="{}"):
        (folder / "models.toml").write_text(MODELS.format(weights=weights, options=options))
        result = pytester.runpytest_subprocess(
            "-p", "qualification.pytest_plugin", "--declarations", str(folder), "-ra", *arguments,
            str(Path(qualification.suites.__file__).parent / f"test_{name}.py"),
        )  # fmt: skip
        database = pytester.path / "reports/results.sqlite"
        if not database.exists():
            return result, {}
        with sqlite3.connect(database) as results:
            return result, dict(results.execute("select metric, value from trials").fetchall())

    return run


@pytest.fixture
def official(tmp_path):
    """A folder with six official questions, of which a model that says "red" knows half."""
    asked = [
        {"image_id": n, "question": f"What colour is thing {n}?", "question_id": 10 * n}
        for n in range(6)
    ]
    answered = [
        {
            "image_id": n,
            "question_id": 10 * n,
            "answers": [
                {"answer": "red" if (n + p) % 10 and n < 3 else "blue", "answer_id": p}
                for p in range(10)
            ],
        }
        for n in range(6)
    ]
    for name, key, rows in (
        ("v2_OpenEnded_mscoco_val2014_questions.json", "questions", asked),
        ("v2_mscoco_val2014_annotations.json", "annotations", answered),
    ):
        (tmp_path / name).write_text(json.dumps({"data_subtype": "val2014", key: rows}))
    for n in range(6):
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"COCO_val2014_{n:012d}.jpg")
    return tmp_path


def test_real_weights_are_asked_generated_questions(suite):
    """Without a folder; what they reach is recorded and not demanded."""
    result, metrics = suite("vqa", "--vqa-sample", "12")
    result.assert_outcomes(passed=1)
    assert set(metrics) == {"generated_vqa_accuracy", "generated_simple_accuracy"}


def test_real_weights_are_asked_the_official_questions(suite, official):
    """Where their folder is named; under a metric of their own."""
    result, metrics = suite("vqa", "--vqa-dir", str(official))
    result.assert_outcomes(passed=1)
    assert metrics == {"vqa_accuracy": pytest.approx(0.5), "simple_accuracy": pytest.approx(0.5)}


def test_a_folder_without_the_files_ends_the_run_in_a_sentence(suite, tmp_path):
    """Before a model is loaded."""
    result, _ = suite("vqa", "--vqa-dir", str(tmp_path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no VQA 2.0 files; unpack *"])


def test_the_header_says_which_split_is_taken(suite, official):
    """A folder may hold more than one."""
    for name in ("v2_OpenEnded_mscoco_train2014_questions.json",
                 "v2_mscoco_train2014_annotations.json"):  # fmt: skip
        (official / name).write_text("{}")
    result, _ = suite("vqa", "--vqa-dir", str(official))
    result.stdout.fnmatch_lines(["*val2014*train2014 there not taken*"])


def test_damaged_files_are_an_error_of_each_test_that_needs_them(suite, official):
    """In one sentence with the file's name."""
    (official / "v2_mscoco_val2014_annotations.json").write_text("{")
    result, _ = suite("vqa", "--vqa-dir", str(official))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*DatasetError: *v2_mscoco_val2014_annotations.json: is not JSON*"]
    )


REPEATED = "- Corporate Support\\n" * 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("A Digital Hub.", "1 of 24 components named"),
        (f"{REPEATED}", "said 3 times: 'corporate support'"),
        ("A Data Lake.", "invented: Data Lake"),
    ],
)
def test_a_poor_description_fails_and_its_figures_are_kept(suite, answer, said):
    """Recall under the floor, as the seeds' other faults, is named in the failure."""
    result, metrics = suite("diagram", options=f'{{ default_answer = "{answer}" }}')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said}*"])
    assert set(metrics) == {
        "diagram_recall", "diagram_inventions", "diagram_repetition", "diagram_cut_off",
    }  # fmt: skip


def test_a_description_of_all_components_passes(suite):
    """Ended by itself, each name once."""
    from qualification.tasks.diagram.picture import COMPONENTS

    answer = "".join(f"- {name}\\n" for name in COMPONENTS)
    result, metrics = suite("diagram", options=f'{{ default_answer = "{answer}" }}')
    result.assert_outcomes(passed=1)
    assert metrics == {
        "diagram_recall": 1, "diagram_inventions": 0, "diagram_repetition": 1, "diagram_cut_off": 0,
    }  # fmt: skip
