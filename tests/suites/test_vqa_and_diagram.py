"""The suites vqa and diagram, run as a user runs them, on a scripted deployment of real weights."""

import json
from pathlib import Path

import pytest
from PIL import Image

import qualification.suites


@pytest.fixture
def suite(toy_project):
    """Run a shipped suite on the fake backend; returns the result and the recorded metrics."""

    def run(name, *arguments, options=None):
        file = Path(qualification.suites.__file__).parent / f"test_{name}.py"
        result = toy_project.run(*arguments, file, suite="", options=options)
        return result, toy_project.metrics()

    return run


@pytest.fixture
def official(tmp_path):
    """A folder with six official questions; the answer "red" is correct for half of them."""
    questions = [
        {"image_id": n, "question": f"What colour is thing {n}?", "question_id": 10 * n}
        for n in range(6)
    ]
    annotations = [
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
        ("v2_OpenEnded_mscoco_val2014_questions.json", "questions", questions),
        ("v2_mscoco_val2014_annotations.json", "annotations", annotations),
    ):
        (tmp_path / name).write_text(json.dumps({"data_subtype": "val2014", key: rows}))
    for n in range(6):
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"COCO_val2014_{n:012d}.jpg")
    return tmp_path


def test_real_weights_are_asked_generated_questions(suite):
    """Without a folder; their accuracy is only recorded."""
    result, metrics = suite("vqa", "--vqa-sample", "12")
    result.assert_outcomes(passed=1)
    assert set(metrics) == {"generated_vqa_accuracy", "generated_simple_accuracy"}


def test_real_weights_are_asked_the_official_questions(suite, official):
    """With a folder; their accuracy has metrics of its own."""
    result, metrics = suite("vqa", "--vqa-dir", str(official))
    result.assert_outcomes(passed=1)
    assert metrics == {"vqa_accuracy": pytest.approx(0.5), "simple_accuracy": pytest.approx(0.5)}


def test_a_folder_without_the_files_ends_the_run_in_a_sentence(suite, tmp_path):
    """The run ends before a model is loaded."""
    result, _ = suite("vqa", "--vqa-dir", str(tmp_path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no VQA 2.0 files; unpack *"])


def test_the_header_names_the_split_that_is_used(suite, official):
    """A folder may have several splits."""
    (official / "v2_OpenEnded_mscoco_train2014_questions.json").write_text("{}")
    (official / "v2_mscoco_train2014_annotations.json").write_text("{}")
    result, _ = suite("vqa", "--vqa-dir", str(official))
    assert "train2014 there not used" in " ".join(str(result.stdout).split())


def test_damaged_files_are_an_error_of_each_test_that_needs_them(suite, official):
    """The error is one sentence with the file's name."""
    (official / "v2_mscoco_val2014_annotations.json").write_text("{")
    result, _ = suite("vqa", "--vqa-dir", str(official))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*DatasetError: *v2_mscoco_val2014_annotations.json: content: Invalid JSON*"]
    )


DIAGRAM_METRICS = {
    "diagram_recall",
    "diagram_hallucinations",
    "diagram_repetition",
    "diagram_truncated",
}
REPEATED = "- Corporate Support\n" * 3


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("A Digital Hub.", "1 of 24 components named"),
        (REPEATED, "'corporate support' occurs 3 times"),
        ("A Data Lake.", "hallucinated: Data Lake"),
    ],
)
def test_a_poor_description_fails_and_its_figures_are_stored(suite, answer, sentence):
    """The failure names low recall, repetition and hallucinations."""
    result, metrics = suite("diagram", options={"default_answer": answer})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{sentence}*"])
    assert set(metrics) == DIAGRAM_METRICS


def test_a_description_of_all_components_passes(suite):
    """It is complete and names each component once."""
    from qualification.tasks.diagram.drawing import COMPONENTS

    answer = "".join(f"- {name}\n" for name in COMPONENTS)
    result, metrics = suite("diagram", options={"default_answer": answer})
    result.assert_outcomes(passed=1)
    assert metrics == {
        "diagram_recall": 1,
        "diagram_hallucinations": 0,
        "diagram_repetition": 1,
        "diagram_truncated": 0,
    }
