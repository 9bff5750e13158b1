"""The official VQA 2.0 files in a user's folder: read whole, sampled steadily, or refused."""

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
    """A set of the published form: two questions to a picture."""
    asked = [
        {"image_id": 458752 + n // 2, "question": f"What is {n}?", "question_id": 458752000 + n}
        for n in range(count)
    ]
    answered = [
        {
            "question_type": "what is",
            "multiple_choice_answer": "yes",
            "answers": [
                {"answer": f"yes {n}", "answer_confidence": "maybe", "answer_id": person}
                for person in range(1, 11)
            ],
            "image_id": one["image_id"],
            "answer_type": "other",
            "question_id": one["question_id"],
        }
        for n, one in enumerate(asked)
    ]
    frame = {"info": {"version": "2.0"}, "license": {}, "data_type": "mscoco"}
    return (
        {**frame, "task_type": "Open-Ended", "data_subtype": split, "questions": asked},
        {**frame, "data_subtype": split, "annotations": answered},
    )


def _write(folder, content, split="val2014", group=None, inside=True):
    folder.mkdir(exist_ok=True)
    asked, answered = content
    (folder / QUESTIONS.format(split)).write_text(json.dumps(asked), encoding="utf-8")
    (folder / ANSWERS.format(split)).write_text(json.dumps(answered), encoding="utf-8")
    group = group or split
    pictures = folder / group if inside else folder
    pictures.mkdir(exist_ok=True)
    for number in {458752 + n // 2 for n in range(30)}:
        Image.new("L", (4, 3), 99).save(pictures / f"COCO_{group}_{number:012d}.jpg")
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
    """Questions, ten answers each, and pictures beside the files or in the split's folder."""
    folder = _write(tmp_path / "vqa", _content(), inside=inside)
    found = official_set(folder, 100, 1)
    assert (found.source, len(found.items)) == ("val2014", 30)
    item = next(item for item in found.items if item.identifier == "val2014-458752003")
    assert (item.question, item.people) == ("What is 3?", ("yes 3",) * 10)
    assert item.picture.name == "COCO_val2014_000000458753.jpg"
    assert (item.image().mode, item.image().size) == ("RGB", (4, 3))
    assert found.note == f"30 of 30 questions of val2014 in {folder}, seed 1"


def test_a_sample_is_the_same_everywhere(folder):
    """Pinned: it must not change with the Python, the machine or a release of ours."""
    numbers = [item.identifier[-3:] for item in official_set(folder, 5, 2026).items]
    assert numbers == ["018", "003", "004", "017", "007"]


@given(order=st.randoms(use_true_random=False), seed=st.integers(), sample=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_a_sample_does_not_depend_on_the_order_in_the_files(tmp_path_factory, order, seed, sample):
    """And a larger one begins with a smaller one."""
    asked, answered = _content()
    folder = _write(tmp_path_factory.mktemp("vqa"), (asked, answered))
    straight = official_set(folder, sample, seed)
    order.shuffle(asked["questions"])
    order.shuffle(answered["annotations"])
    shuffled = official_set(_write(folder, (asked, answered)), sample, seed)
    assert shuffled == straight
    assert official_set(folder, 40, seed).items[: len(straight.items)] == straight.items
    shutil.rmtree(folder)


def test_seeds_take_different_samples(folder):
    """Of 30 questions, five."""
    assert len({official_set(folder, 5, seed).items for seed in range(10)}) > 5


def test_of_two_splits_the_validation_is_taken(folder):
    """And the note says so."""
    _write(folder, _content("train2014"), "train2014")
    assert splits_in(folder) == ("val2014", "train2014")
    found = official_set(folder, 3, 1)
    assert found.source == "val2014"
    assert found.note.endswith("; train2014 there not taken")


def test_test_dev_has_the_pictures_of_test(tmp_path):
    """Whoever has the answers can use them."""
    folder = _write(tmp_path / "vqa", _content("test-dev2015"), "test-dev2015", "test2015")
    assert official_set(folder, 1, 1).items[0].picture.name.startswith("COCO_test2015_")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """Before anything is loaded."""
    with pytest.raises(DatasetError, match="is no folder") as error:
        splits_in(tmp_path / "gone")
    assert "gone" in _one_sentence(error)


def test_an_empty_folder_is_told_what_belongs_there(tmp_path):
    """By the names of the files."""
    with pytest.raises(DatasetError, match="v2_OpenEnded_mscoco_val2014") as error:
        splits_in(tmp_path)
    assert "visualqa.org" in _one_sentence(error)


def test_a_file_without_its_other_is_missed(folder):
    """By name."""
    (folder / ANSWERS.format("val2014")).unlink()
    with pytest.raises(DatasetError, match=r"without v2_mscoco_val2014_annotations\.json") as error:
        splits_in(folder)
    _one_sentence(error)


def test_the_test_split_alone_has_no_answers(tmp_path):
    """Its answers were never published."""
    (tmp_path / QUESTIONS.format("test2015")).write_text("{}")
    with pytest.raises(DatasetError, match="no answers are published, use val2014") as error:
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
    """In one sentence with the file's name."""
    (folder / QUESTIONS.format("val2014")).write_bytes(text)
    with pytest.raises(DatasetError, match="questions") as error:
        official_set(folder, 5, 1)
    assert len(_one_sentence(error)) < 600


def _change(change):
    asked, answered = _content()
    change(asked, answered)
    return asked, answered


@pytest.mark.parametrize(
    ("change", "said"),
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
def test_files_that_do_not_fit_are_refused(tmp_path, change, said):
    """The sentence names the file, the place and what to do."""
    folder = _write(tmp_path / "vqa", _content())
    _write(folder, _change(change))
    with pytest.raises(DatasetError, match=said) as error:
        official_set(folder, 5, 1)
    assert "put" in _one_sentence(error)


def test_missing_pictures_are_counted_and_named(folder):
    """Of the sample only: nobody needs all 40,504."""
    taken = official_set(folder, 2, 1).items
    for picture in (folder / "val2014").iterdir():
        if picture not in {item.picture for item in taken}:
            picture.unlink()
    assert official_set(folder, 2, 1).items == taken
    taken[0].picture.unlink()
    with pytest.raises(DatasetError, match=rf"pictures .* {taken[0].picture.name}") as error:
        official_set(folder, 2, 1)
    assert "1 of 2" in _one_sentence(error)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_a_picture_that_cannot_be_decoded_is_named(folder, content):
    """When it is asked for."""
    item = official_set(folder, 1, 1).items[0]
    item.picture.write_bytes(content)
    with pytest.raises(DatasetError, match=item.picture.name) as error:
        item.image()
    _one_sentence(error)


def test_a_truncated_picture_is_named(folder):
    """Half a file is not half a picture."""
    item = official_set(folder, 1, 1).items[0]
    Image.effect_noise((200, 200), 50).save(item.picture)
    item.picture.write_bytes(item.picture.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="not a whole picture"):
        item.image()


@pytest.mark.parametrize("sample", [0, -1])
def test_a_sample_has_at_least_one_question(folder, sample):
    """Said before the files are read."""
    with pytest.raises(DatasetError, match="ask for 1 or more"):
        official_set(folder, sample, 1)
