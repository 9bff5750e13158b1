"""The map's first screen: which release to pin, and which to avoid; and the evidence behind it."""

from dataclasses import replace

from qualification.documents.model import Picture
from qualification.documents.render import render, screen
from qualification.models.loading import load_registry
from qualification.upgrade.release_map.advice import Causes
from qualification.upgrade.release_map.document import Maps, map_document
from qualification.upgrade.release_map.questions import questions_of
from qualification.upgrade.release_map.records import Place
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, release_map

_SMOLVLM = load_registry().with_weights("canary").deployment("smolvlm-canary-f32@llama.cpp")
CANARY = replace(_SMOLVLM, model=replace(_SMOLVLM.model, name="tiny-canary"))


def document(sample):
    """Of one map."""
    maps = Maps((replace(sample, day="2026-11-30"),), {NAME: CANARY}, Causes())
    return map_document(maps, "releases-xllamacpp")


def lines(*rights, **how):
    """``WORD  text`` of the first screen's lines."""
    text = screen(document(release_map(*rights, **how)), 200)
    return [line for line in text if line.startswith(("PIN", "NO PIN", "AVOID"))]


def test_it_says_what_to_pin_and_what_to_avoid():
    """With the range of a fault, and its end if it has one."""
    assert lines(GOOD, HALF, HALF, GOOD) == [
        "PIN  xllamacpp==4.0: the newest with nothing wrong for tiny",
        "AVOID  xllamacpp 2.0 to before 4.0: tiny, wrong: 80 of 120 correct",
    ]
    assert lines(GOOD, HALF) == [
        "PIN  xllamacpp==1.0: the newest with nothing wrong for tiny",
        "AVOID  xllamacpp 2.0 and every later one here: tiny, wrong: 80 of 120 correct",
    ]
    assert lines(HALF, HALF) == ["NO PIN  xllamacpp: no release here answers as tiny should"]


def test_a_release_that_is_too_old_for_the_files_is_not_avoided():
    """It is no fault, and the grid says so."""
    assert lines(None, GOOD) == ["PIN  xllamacpp==2.0: the newest with nothing wrong for tiny"]
    assert "not yet" in render(document(release_map(None, GOOD)))["releases-xllamacpp.md"]


def test_a_release_has_a_row_and_what_could_not_be_tried_its_reason():
    """A yanked one is marked; one that does not load is no zero."""
    sample = release_map(GOOD, None, GOOD, yanked=("3.0",))
    failed = Place("1.0", "its day", failure="no wheel of numpy as of that day")
    sample = replace(sample, places=(*sample.places[1:], failed))
    markdown = render(document(sample))["releases-xllamacpp.md"]
    assert "120/120" in markdown
    assert "does not load" in markdown
    assert "(yanked)" in markdown
    assert "no wheel of numpy as of that day" in markdown


def test_a_fault_shows_its_skills_and_three_outputs_beside_their_images():
    """Those of the first release of the fault."""
    sample = release_map(GOOD, HALF)
    questions = [q for q in questions_of(CANARY, 0) if len(q.scenes) == 1]
    sights = []
    for sight in sample.sights:
        answers = [
            replace(answer, question=question.identifier, skill=question.skill)
            for answer, question in zip(sight.behaviour.answers, questions[::-1], strict=False)
        ]
        sights.append(replace(sight, behaviour=replace(sight.behaviour, answers=tuple(answers))))
    (section,) = [
        section
        for section in document(replace(sample, sights=tuple(sights))).sections
        if section.anchor.startswith("skills")
    ]
    assert sum(isinstance(block, Picture) for block in section.blocks) == 3
    assert section.is_folded
