"""The official VQA 2.0 files in a user's folder: read, sampled reproducibly, or refused."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qualification.core.errors import DatasetError
from qualification.tasks.vqa.dataset import official_set, splits_in

QUESTIONS = "v2_OpenEnded_mscoco_{}_questions.json"
ANSWERS = "v2_mscoco_{}_annotations.json"


def _content(split="val2014", count=30):
    """A set of the published form: two questions to an image."""
    questions = [
        {"image_id": 458752 + n // 2, "question": f"What is {n}?", "question_id": 458752000 + n}
        for n in range(count)
    ]
    annotations = [
        {
            "question_type": "what is",
            "multiple_choice_answer": "yes",
            "answers": [
                {"answer": f"yes {n}", "answer_confidence": "maybe", "answer_id": person}
                for person in range(1, 11)
            ],
            "image_id": question["image_id"],
            "answer_type": "other",
            "question_id": question["question_id"],
        }
        for n, question in enumerate(questions)
    ]
    frame = {"info": {"version": "2.0"}, "license": {}, "data_type": "mscoco"}
    return (
        {**frame, "task_type": "Open-Ended", "data_subtype": split, "questions": questions},
        {**frame, "data_subtype": split, "annotations": annotations},
    )


def _write(folder, content, split="val2014", group=None, inside=True):
    folder.mkdir(exist_ok=True)
    questions, annotations = content
    (folder / QUESTIONS.format(split)).write_text(json.dumps(questions), encoding="utf-8")
    (folder / ANSWERS.format(split)).write_text(json.dumps(annotations), encoding="utf-8")
    group = group or split
    images = folder / group if inside else folder
    images.mkdir(exist_ok=True)
    for number in {458752 + n // 2 for n in range(30)}:
        Image.new("L", (4, 3), 99).save(images / f"COCO_{group}_{number:012d}.jpg")
    return folder


@pytest.fixture
def folder(tmp_path):
    return _write(tmp_path / "vqa", _content())


def _one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.count(";") >= 1, "what to do is missing"
    return text


@pytest.mark.parametrize("inside", [True, False])
def test_official_files_are_read(tmp_path, inside):
    """Questions, ten answers each, and images beside the files or in the split's folder."""
    folder = _write(tmp_path / "vqa", _content(), inside=inside)
    questions = official_set(folder, 100, 1)
    assert (questions.source, len(questions.items)) == ("val2014", 30)
    item = next(item for item in questions.items if item.identifier == "val2014-458752003")
    assert (item.question, item.people) == ("What is 3?", ("yes 3",) * 10)
    assert item.file.name == "COCO_val2014_000000458753.jpg"
    assert (item.image().mode, item.image().size) == ("RGB", (4, 3))
    assert questions.note == f"30 of 30 questions of val2014 in {folder}, seed 1"


def test_a_sample_is_the_same_everywhere(folder):
    """The sample is pinned: it must not change with Python, the machine or our releases."""
    numbers = [item.identifier[-3:] for item in official_set(folder, 5, 2026).items]
    assert numbers == ["018", "003", "004", "017", "007"]


@given(order=st.randoms(use_true_random=False), seed=st.integers(), sample=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_a_sample_does_not_depend_on_the_order_in_the_files(tmp_path_factory, order, seed, sample):
    """A larger sample also starts with the smaller one."""
    questions, annotations = _content()
    folder = _write(tmp_path_factory.mktemp("vqa"), (questions, annotations))
    straight = official_set(folder, sample, seed)
    order.shuffle(questions["questions"])
    order.shuffle(annotations["annotations"])
    shuffled = official_set(_write(folder, (questions, annotations)), sample, seed)
    assert shuffled == straight
    assert official_set(folder, 40, seed).items[: len(straight.items)] == straight.items
    shutil.rmtree(folder)


def test_seeds_take_different_samples(folder):
    """Ten seeds choose more than five different samples of five."""
    assert len({official_set(folder, 5, seed).items for seed in range(10)}) > 5


def test_the_validation_split_is_preferred(folder):
    """The note names the split that is not used."""
    _write(folder, _content("train2014"), "train2014")
    assert splits_in(folder) == ("val2014", "train2014")
    questions = official_set(folder, 3, 1)
    assert questions.source == "val2014"
    assert questions.note.endswith("; train2014 there not used")


def test_test_dev_has_the_images_of_test(tmp_path):
    """A user who has the answers can use them."""
    folder = _write(tmp_path / "vqa", _content("test-dev2015"), "test-dev2015", "test2015")
    assert official_set(folder, 1, 1).items[0].file.name.startswith("COCO_test2015_")


def test_a_missing_folder_is_named(tmp_path):
    """The error comes before anything is loaded."""
    with pytest.raises(DatasetError, match="is no folder") as error:
        splits_in(tmp_path / "gone")
    assert "gone" in _one_sentence(error)


def test_the_error_for_an_empty_folder_names_the_files(tmp_path):
    """It also names the place to download them."""
    with pytest.raises(DatasetError, match="v2_OpenEnded_mscoco_val2014") as error:
        splits_in(tmp_path)
    assert "visualqa.org" in _one_sentence(error)


def test_questions_without_their_answers_are_refused(folder):
    """The error names the missing file."""
    (folder / ANSWERS.format("val2014")).unlink()
    with pytest.raises(DatasetError, match=r"without v2_mscoco_val2014_annotations\.json") as error:
        splits_in(folder)
    _one_sentence(error)


def test_the_test_split_alone_has_no_answers(tmp_path):
    """Its answers were never published."""
    (tmp_path / QUESTIONS.format("test2015")).write_text("{}")
    with pytest.raises(DatasetError, match="no answers to the tests are published") as error:
        splits_in(tmp_path)
    _one_sentence(error)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"questions": [',
        b"[" * 100_000,
        b'{"a": "\\ud800"}',
        b"[1]",
        b"null",
        b"NaN",
    ],
    ids=repr,
)
def test_a_corrupt_file_is_refused(folder, text):
    """The error is one sentence with the file's name."""
    (folder / QUESTIONS.format("val2014")).write_bytes(text)
    with pytest.raises(DatasetError, match="questions") as error:
        official_set(folder, 5, 1)
    assert len(_one_sentence(error)) < 600


def _change(change):
    questions, annotations = _content()
    change(questions, annotations)
    return questions, annotations


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, a: q["questions"].pop(4), r"questions.json: has nothing on 1 .* 458752004"),
        (
            lambda q, a: a["annotations"].clear(),
            r"annotations.json: has nothing on 30 .* 458752000",
        ),
        (lambda q, a: q["questions"].clear() or a["annotations"].clear(), "questions: is empty"),
        (
            lambda q, a: q["questions"].append(q["questions"][7]),
            r"questions\[30\]: 458752007 .*twice",
        ),
        (lambda q, a: a["annotations"].insert(0, a["annotations"][3]), r"\[4\]: 458752003 .*twice"),
        (
            lambda q, a: a["annotations"][6].update(image_id=1),
            r"question_id 458752006: is about image_id 1, but about 458755",
        ),
        (
            lambda q, a: a["annotations"][2]["answers"].pop(),
            "question_id 458752002: has 9 answers with 9 numbers, not 10",
        ),
        (
            lambda q, a: a["annotations"][2]["answers"][0].update(answer_id=2),
            "question_id 458752002: has 10 answers with 9 numbers, not 10",
        ),
        (lambda q, a: q.update(data_subtype="train2014"), "data_subtype: is 'train2014', not 'val"),
        (lambda q, a: a.update(data_subtype="train2014"), "data_subtype: is 'train2014', not 'val"),
        (lambda q, a: q.pop("questions"), "questions.json: questions: "),
        (lambda q, a: q["questions"][1].pop("question"), r"questions\[1\]\.question: "),
        (lambda q, a: q["questions"][1].update(image_id="7"), r"questions\[1\]\.image_id: "),
        (lambda q, a: q["questions"][1].update(image_id=-7), r"questions\[1\]\.image_id: "),
        (lambda q, a: q["questions"][1].update(image_id=10**40), r"questions\[1\]\.image_id: "),
        (lambda q, a: q["questions"][1].update(question_id=True), r"questions\[1\]\.question_id: "),
        (
            lambda q, a: a["annotations"][1]["answers"][3].update(answer=None),
            r"annotations\[1\]\.answers\[3\]\.answer: ",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, change, message):
    """The sentence names the file, the place and what to do."""
    folder = _write(tmp_path / "vqa", _content())
    _write(folder, _change(change))
    with pytest.raises(DatasetError, match=message) as error:
        official_set(folder, 5, 1)
    assert "put" in _one_sentence(error)


def test_missing_images_are_counted_and_named(folder):
    """Only those of the sample: nobody needs all 40,504 images."""
    sample = official_set(folder, 2, 1).items
    for image in (folder / "val2014").iterdir():
        if image not in {item.file for item in sample}:
            image.unlink()
    assert official_set(folder, 2, 1).items == sample
    sample[0].file.unlink()
    with pytest.raises(DatasetError, match=rf"images .* {sample[0].file.name}") as error:
        official_set(folder, 2, 1)
    assert "1 of 2" in _one_sentence(error)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_an_image_that_cannot_be_decoded_is_named(folder, content):
    """The error comes when the image is opened."""
    item = official_set(folder, 1, 1).items[0]
    item.file.write_bytes(content)
    with pytest.raises(DatasetError, match=item.file.name) as error:
        item.image()
    _one_sentence(error)


def test_a_truncated_image_is_named(folder):
    """Half a file is not half an image."""
    item = official_set(folder, 1, 1).items[0]
    Image.effect_noise((200, 200), 50).save(item.file)
    item.file.write_bytes(item.file.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="not a whole image"):
        item.image()


@pytest.mark.parametrize("sample", [0, -1])
def test_a_sample_has_at_least_one_question(folder, sample):
    """The error comes before the files are read."""
    with pytest.raises(DatasetError, match="request 1 or more"):
        official_set(folder, sample, 1)
