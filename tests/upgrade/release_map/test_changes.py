"""What changed between neighbours of the map."""

from dataclasses import replace

from qualification.upgrade.gate.records import Answer, Behaviour, Probe
from qualification.upgrade.release_map.changes import changes, differ
from qualification.upgrade.release_map.records import SETS, Place, Release, ReleaseMap, Sight

NAME = "tiny-canary-f32@llama.cpp"
GOOD, HALF, NONE = 120, 80, 0


def behaviour(right, *, attempt=0, loads=True, of=120, word="red"):
    """So many correct answers, the first ones."""
    if not loads:
        return Behaviour(NAME, "b", attempt, (Probe("load", "error", "no such symbol", "x"),))
    answers = tuple(
        Answer(
            f"colour {attempt} {n}", "colour", "red", word if n < right else "?", (), 20, n < right
        )
        for n in range(of)
    )
    outcome = "ok" if 2 * right >= of else "wrong"
    probes = (Probe("load", "ok"), Probe("answers", "ok"), Probe("vision", outcome))
    return Behaviour(NAME, "b", attempt, probes, answers)


def release_map(*rights, neighbours=SETS, confirmed=True, yanked=()):
    """Releases 1.0, 2.0, … with so many correct answers each; None: it does not load."""
    releases = tuple(
        Release(f"{n}.0", f"2026-01-{n:02}", f"{n}.0" in yanked) for n in range(1, len(rights) + 1)
    )
    places, sights = [], []
    for release, right in zip(releases, rights, strict=True):
        places += [Place(release.version, beside, release.version) for beside in neighbours]
        for attempt in (0, 1) if confirmed else (0,):
            behaved = behaviour(right or 0, attempt=attempt, loads=right is not None)
            sights.append(Sight(release.version, "w", "q", behaved))
    return ReleaseMap("xllamacpp", releases, tuple(places), tuple(sights))


def told(*rights, **how):
    """``kind: release`` of each change."""
    return [f"{change.kind}: {change.later}" for change in changes(release_map(*rights, **how))]


def test_a_fault_has_a_first_bad_release_and_one_that_fixed_it():
    """Each once, though both sets of neighbours show it."""
    assert told(GOOD, GOOD, HALF, HALF, GOOD) == ["first bad: 3.0", "fixed in: 5.0"]
    assert told(GOOD, None, GOOD) == ["first bad: 2.0", "fixed in: 3.0"]
    assert told(GOOD, GOOD) == []
    assert told(None, None) == []


def test_a_change_is_told_with_the_figures_of_both_releases():
    """And those of the other questions, or that none were asked."""
    (change,) = changes(release_map(GOOD, HALF))
    assert change.sentence.startswith("120 of 120 correct, then 80 of 120 (other questions: ")
    (change,) = changes(release_map(GOOD, HALF, confirmed=False))
    assert change.sentence.startswith("120 of 120 correct, then 80 of 120, not repeated")


def test_what_was_not_asked_again_cannot_be_told():
    """One process is no proof."""
    assert told(GOOD, HALF, confirmed=False) == ["cannot tell: 2.0"]


def test_other_answers_that_are_as_correct_are_a_change():
    """In words only."""
    two = release_map(GOOD, GOOD)
    reworded = replace(two.sights[-2], behaviour=behaviour(GOOD, word="Red"))
    two = replace(two, sights=(*two.sights[:-2], reworded, two.sights[-1]))
    (change,) = changes(two)
    assert (change.kind, change.later) == ("changed", "2.0")
    assert change.sentence == "120 of 120 answers; 120 correct, then 120"


def test_only_what_differs_is_asked_again():
    """In either direction."""
    assert differ(behaviour(GOOD), behaviour(HALF))
    assert differ(behaviour(HALF), behaviour(GOOD))
    assert differ(behaviour(GOOD), behaviour(0, loads=False))
    assert differ(behaviour(0, loads=False), behaviour(GOOD))
    assert not differ(behaviour(GOOD), behaviour(GOOD))
