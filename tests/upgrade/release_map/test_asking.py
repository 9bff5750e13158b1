"""Which releases are asked what, in which environment, and that nothing is asked twice."""

import dataclasses
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import EnvironmentFailed, GateError
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import environment_spec
from qualification.upgrade.gate.records import Behaviour, Probe
from qualification.upgrade.release_map import asking, journal
from qualification.upgrade.release_map.questions import digests_of
from qualification.upgrade.release_map.records import Place, Release, ReleaseMap, Sight
from tests.support.verdict_sample import MACHINE
from tests.upgrade.release_map.test_changes import GOOD, HALF, behaviour

RELEASES = tuple(Release(f"{n}.0", f"2026-0{n}-01") for n in range(1, 5))
BROKEN = "2.0"
NOT_BUILT = "4.0"
REGISTRY = load_registry()
CANARY = REGISTRY.with_weights("canary").deployment("smolvlm-canary-f32@llama.cpp")
DIGESTS = {CANARY.identifier: digests_of(CANARY)}
BASE = environment_spec("llama-cpp")


class Library:
    """Builds environments that are nothing but their pins, and answers as the release in them."""

    def __init__(self):
        self.asked, self.built, self.removed = [], [], []

    def ready(self, spec):
        """One environment for both sets of neighbours, as of a package without dependencies."""
        (pin,) = spec.pins
        version = pin.partition("==")[2]
        if version == NOT_BUILT:
            raise EnvironmentFailed("there is no wheel for this Python")
        self.built.append(version)
        return Built(spec, Path(version), version, {"xllamacpp": version}, "3.11.7", fresh=True)

    def observe(self, deployment, side, attempt, *, context, checks):
        """Most answers are wrong in one release."""
        self.asked.append((context.python, attempt))
        behaved = behaviour(
            HALF if context.python.partition(" ")[0] == BROKEN else GOOD, attempt=attempt
        )
        return dataclasses.replace(behaved, deployment=deployment.identifier, side=side)


@pytest.fixture
def library(monkeypatch):
    """In place of processes."""
    library = Library()
    monkeypatch.setattr(asking, "observe", library.observe)
    return library


def run(library, before, most=None):
    """The entries that are new, at most so many: then the run is killed."""
    plan = asking.Asking(
        "xllamacpp",
        BASE,
        (CANARY,),
        DIGESTS,
        RunContext(MACHINE, None, Path()),
        library.ready,
        lambda built: library.removed.append(built.key),
        lambda line: None,
    )
    survey = asking.Survey(plan, before)
    entries = itertools.chain(survey.ask(RELEASES), survey.confirm())
    return [
        entry for _, entry in zip(range(10**6 if most is None else most), entries, strict=False)
    ]


def holding(entries):
    """What holds of them."""
    return journal.holding(entries, "xllamacpp", RELEASES, DIGESTS)


NOTHING = ReleaseMap("xllamacpp", RELEASES, (), ())


def test_each_release_is_asked_once_and_neighbours_that_differ_again(library):
    """From the newest; both sets of neighbours resolved to one environment; it is removed."""
    entries = run(library, NOTHING)
    assert [python for python, attempt in library.asked if attempt == 1] == ["3.0", "2.0", "1.0"]
    again = {python for python, attempt in library.asked if attempt == 0}
    assert again == {"1.0", "2.0", "3.0"}
    assert len(library.asked) == 6
    places = [entry for entry in entries if isinstance(entry, Place)]
    assert {(place.version, place.failure) for place in places if not place.key} == {
        (NOT_BUILT, "there is no wheel for this Python")
    }
    assert sorted(set(library.removed)) == ["1.0", "2.0", "3.0"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=4))
def test_a_run_that_is_killed_anywhere_ends_as_one_that_was_not(ends):
    """And asks nothing twice."""
    with pytest.MonkeyPatch.context() as patch:
        whole, library = Library(), Library()
        patch.setattr(asking, "observe", whole.observe)
        expected = holding(run(whole, NOTHING))
        patch.setattr(asking, "observe", library.observe)
        entries = []
        for most in (*ends, None):
            entries += run(library, holding(entries), most)
        assert sorted(holding(entries).sights, key=repr) == sorted(expected.sights, key=repr)
        assert sorted(library.asked) == sorted(whole.asked)


def test_what_other_weights_answered_is_asked_anew(library):
    """A sight of other weights or questions is none; its environment is one still."""
    entries = run(library, NOTHING)
    changed = [
        dataclasses.replace(entry, weights="other") if isinstance(entry, Sight) else entry
        for entry in entries
    ]
    assert holding(changed).sights == ()
    assert len(holding(changed).places) == 6


def test_what_moved_with_other_packages_is_swapped_alone(library, monkeypatch):
    """The release beside the packages of the one before it; then both attempts are asked."""
    numpy = {"1.0": "1", "2.0": "2", "3.0": "2", "4.0": "2"}
    monkeypatch.setattr(library, "ready", lambda spec: with_numpy(spec, numpy))
    entries = run(library, NOTHING)
    (alone,) = [e for e in entries if isinstance(e, Place) and e.neighbours == "as before"]
    assert (alone.version, alone.versions) == ("2.0", {"xllamacpp": "2.0", "numpy": "1"})
    assert [attempt for python, attempt in library.asked if python == "2.0 1"] == [1, 0]
    assert run(library, holding(entries)) == []


def test_an_environment_is_asked_again_as_it_was(library):
    """Exactly, whatever the index has since; the other attempt belongs to the first."""
    specs = []
    built = library.ready

    def ready(spec):
        specs.append(spec)
        return built(spec)

    library.ready = ready
    run(library, NOTHING)
    again = [spec for spec in specs if spec.base is None]
    assert sorted(spec.pins for spec in again) == [
        ("xllamacpp==1.0",),
        ("xllamacpp==2.0",),
        ("xllamacpp==3.0",),
    ]


def test_a_fault_of_the_machine_is_no_releases(library, monkeypatch):
    """It ends the command, and nothing is kept of it."""
    full = Behaviour("x", "b", 0, (Probe("load", "error", "/tmp/a is full", "disk_full"),))
    monkeypatch.setattr(asking, "observe", lambda *words, **more: full)
    entries = []
    with pytest.raises(GateError, match="full: that is no fault of a release"):
        entries.extend(run(library, NOTHING))
    assert not entries


def with_numpy(spec, numpy):
    """An environment with numpy, of the release's own or pinned."""
    pins = dict(pin.split("==") for pin in spec.pins)
    version = pins["xllamacpp"]
    versions = {"xllamacpp": version, "numpy": pins.get("numpy", numpy[version])}
    key = " ".join(versions.values())
    return Built(spec, Path(key), key, versions, "3.11.7", fresh=True)


def test_the_journal_gives_back_what_was_added(library, tmp_path):
    """But for a line that has no end; another package's, or a damaged one, is refused."""
    entries = run(library, NOTHING)
    with journal.opened(tmp_path, "xllamacpp") as (written, before):
        assert before == ()
        for entry in entries:
            written.add(entry)
    file = tmp_path / journal.NAME
    with file.open("a") as end:
        end.write('{"sight": {"ke')
    with journal.opened(tmp_path, "xllamacpp") as (_, before):
        assert list(before) == entries
    refused(tmp_path, "mlx", "is not the journal of a map of mlx")
    file.write_text(file.read_text() + '{"sight": {"key": 3}}\n')
    refused(tmp_path, "xllamacpp", r"journal.jsonl:\d+: ")


def refused(folder, package, sentence):
    """A journal that cannot be gone on with."""
    with pytest.raises(GateError, match=sentence), journal.opened(folder, package):
        pass
