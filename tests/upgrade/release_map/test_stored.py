"""A map as a file: it comes back as it was, and nothing of this machine is in it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import GateError
from qualification.models.loading import load_registry
from qualification.models.release_advice import SHIPPED, map_files
from qualification.upgrade.gate.records import Answer, Behaviour, Probe
from qualification.upgrade.release_map.driver import shipped_maps
from qualification.upgrade.release_map.questions import digests_of, questions_of
from qualification.upgrade.release_map.records import (
    Place,
    Release,
    ReleaseMap,
    Sight,
    without_places,
)
from qualification.upgrade.release_map.stored import from_file, schema, to_text
from tests.documents.test_render import essence

CANARY = load_registry().with_weights("canary").deployment("smolvlm-canary-f32@llama.cpp")
NAME = CANARY.identifier
DIGESTS = {NAME: ("weights", "questions")}
QUESTIONS = [questions_of(CANARY, attempt) for attempt in (0, 1)]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def observations(draw):
    """An attempt: some answers are not as expected, some questions were not asked."""
    attempt = draw(st.integers(0, 1))
    probe = st.builds(
        Probe, st.sampled_from(["load", "vision"]), st.sampled_from(["ok", "wrong", "error"]), TEXTS
    )
    answers = []
    for question in QUESTIONS[attempt][: draw(st.sampled_from([0, 3]))]:
        if draw(st.booleans()):
            text = draw(st.sampled_from([question.answer, "", "?"]))
            margin = float(f"{draw(st.floats(0, 100)):.4g}")
            answers.append(
                Answer(
                    *(question.identifier, question.skill, question.answer, text, ()),
                    prompt_tokens=draw(st.integers(1, 999)),
                    correct=draw(st.booleans()),
                    margin=margin,
                )
            )
    return Behaviour(NAME, "b", attempt, (draw(probe),), tuple(answers))


VERSIONS = st.dictionaries(st.sampled_from(["numpy", "mlx", "pillow"]), st.sampled_from("12"))


@st.composite
def maps(draw):
    """Some releases in one or two environments each."""
    releases = tuple(Release(f"{n}.0", "2026-01-01") for n in range(draw(st.integers(1, 3))))
    places = tuple(
        Place(release.version, beside, f"{release.version} {beside}", draw(VERSIONS))
        for release in releases
        for beside in draw(st.sets(st.sampled_from(["its day", "today", "as before"])))
    )
    sights = tuple(
        Sight(place.key, *DIGESTS[NAME], behaviour)
        for place in places
        for behaviour in draw(st.lists(observations(), max_size=2))
    )
    return ReleaseMap("xllamacpp", releases, places, sights, "2026-11-30")


def without_references(release_map):
    """The margins of the references, which are read with the canary."""
    sights = []
    for sight in release_map.sights:
        answers = tuple(replace(answer, references=()) for answer in sight.behaviour.answers)
        sights.append(replace(sight, behaviour=replace(sight.behaviour, answers=answers)))
    return replace(release_map, sights=tuple(sights))


@settings(max_examples=50, deadline=None)
@given(maps())
def test_a_map_comes_back_as_it_was(release_map):
    """With its releases, environments and answers."""
    with pytest.MonkeyPatch.context() as patch:
        text = to_text(release_map, {NAME: CANARY}, ())
        patch.setattr(Path, "read_bytes", lambda self: text.encode())
        again = from_file(Path("map.json"), {NAME: CANARY}, DIGESTS)
    assert without_references(again) == release_map


def one(detail, digests=DIGESTS[NAME]):
    """A map of one release that does not load."""
    behaviour = Behaviour(NAME, "b", 0, (Probe("load", "error", detail),))
    place = Place("1.0", "today", "key", failure=detail)
    sight = Sight("key", *digests, behaviour)
    return ReleaseMap("xllamacpp", (Release("1.0"),), (place,), (sight,), "2026-11-30")


def test_of_a_path_the_last_two_parts_are_kept():
    """They say which file it was; an address is none."""
    text = "no b in '/home/me/.cache/qualification/x/lib/a/__init__.py'; see https://a.b/c"
    assert without_places(text) == "no b in '…/a/__init__.py'; see https://a.b/c"


def test_what_other_weights_answered_is_not_in_it(tmp_path):
    """Nor what other questions were answered: it is asked anew."""
    file = tmp_path / "xllamacpp.json"
    file.write_text(to_text(one("?"), {NAME: CANARY}, ()))
    assert len(from_file(file, {NAME: CANARY}, DIGESTS).sights) == 1
    assert from_file(file, {NAME: CANARY}, {NAME: ("weights", "other")}).sights == ()
    assert from_file(file, {}, {}).sights == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}'])
def test_a_damaged_file_is_one_sentence(tmp_path, text):
    """With its name, and what to do."""
    file = tmp_path / "xllamacpp.json"
    file.write_text(text)
    with pytest.raises(GateError, match=r"xllamacpp.json: .*; make the map again"):
        from_file(file, {NAME: CANARY}, DIGESTS)


def opened(part):
    """Without what a class inherits of the one around it, in newer releases of pydantic only."""
    if isinstance(part, list):
        return [opened(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    return {key: opened(value) for key, value in part.items() if key != "additionalProperties"}


def test_the_schema_is_that_of_docs():
    """``docs/releases.schema.json`` is written by ``make maps``."""
    file = Path(__file__).parents[3] / "docs/releases.schema.json"
    assert opened(essence(json.loads(file.read_text()))) == opened(essence(schema()))


@pytest.mark.parametrize("file", map_files(), ids=lambda file: file.stem)
def test_a_map_that_ships_is_of_the_canaries_that_ship(file):
    """Else `qualify map` would ask them all again."""
    stored = json.loads(file.read_text())
    canaries = {c.identifier: c for c in load_registry().with_weights("canary").deployments()}
    assert {name: digests_of(canaries[name]) for name in stored["digests"]} == {
        name: tuple(digests) for name, digests in stored["digests"].items()
    }
    assert stored["advice"]


def test_what_ships_is_what_would_be_written():
    """So that a map that is made further changes only what is new."""
    maps = shipped_maps(load_registry())
    for release_map in maps.maps:
        advice = [entry for entry in maps.advice() if entry.package == release_map.package]
        file = SHIPPED / f"{release_map.package}.json"
        assert to_text(release_map, maps.deployments, advice) == file.read_text(), file.name
