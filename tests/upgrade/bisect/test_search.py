"""The search for the package and the release that broke a check."""

import dataclasses
import math
import os
import subprocess
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import EnvironmentFailed, SelectionError
from qualification.upgrade.bisect.halving import agreed, first_bad
from qualification.upgrade.bisect.releases import Between
from qualification.upgrade.bisect.reproduction import documents, markdown, turns
from qualification.upgrade.bisect.search import Bisect, Judged, Move, differing, pinned
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec

from .sample import HOSTILE


def built(name, versions, **spec):
    """An environment that nobody built."""
    pins = tuple(f"{package}=={version}" for package, version in versions.items())
    made = EnvironmentSpec(name, "", pins, **spec)
    return Built(made, name, name, dict(versions), "3.11.7")


@st.composite
def searches(draw):
    """Any number of releases, any first bad one, any that give no answer."""
    count = draw(st.integers(0, 40))
    bad_from = draw(st.integers(1, count + 1))
    silent = draw(st.sets(st.integers(1, count))) if count else set()
    word = draw(st.sampled_from(["unavailable", "unsure"]))
    return count, bad_from, silent, word


@given(searches())
def test_the_tightest_pair_round_the_first_bad_release_is_found(search):
    """No release that answers is left between the two, in as few tests as halving takes."""
    count, bad_from, silent, word = search
    asked = []

    def test(number):
        asked.append(number)
        return word if number in silent else "bad" if number >= bad_from else "good"

    found = first_bad(0, range(1, count + 1), count + 1, test)
    answering = [number for number in range(count + 2) if number not in silent]
    assert found.last_good == max(number for number in answering if number < bad_from)
    assert found.first_bad == min(number for number in answering if number >= bad_from)
    assert found.untold == tuple((n, word) for n in range(found.last_good + 1, found.first_bad))
    assert len(set(asked)) == len(asked) == found.tests
    met = len(silent & set(asked))
    assert found.tests <= math.ceil(math.log2(count + 2)) + met


@given(st.lists(st.booleans(), min_size=2, max_size=9))
def test_an_answer_is_believed_only_with_a_lead_of_two(said):
    """Two alike settle it; one of each is asked again, up to the number of tries."""
    asked = []
    answer = agreed(lambda attempt: asked.append(attempt) or said[attempt], len(said))
    heard = said[: len(asked)]
    lead = heard.count(True) - heard.count(False)
    assert answer == {2: "good", -2: "bad"}.get(lead, "unsure")
    assert (answer == "unsure") <= (len(asked) == len(said))


def test_what_was_named_is_suspected_first():
    """Pins in their order, then the libraries, then the rest; parts of one library together."""
    good = {
        "zlib": "1",
        "mlx": "1",
        "mlx-cpu": "1",
        "torch": "2.0",
        "aaa": "1",
        "pip": "1",
        "x": "1",
    }
    bad = {
        "zlib": "2",
        "mlx": "2",
        "mlx-cpu": "2",
        "torch": "2.1",
        "aaa": "2",
        "pip": "2",
        "y": "1",
    }
    assert differing(good, bad, ["zlib", "torch"]) == (
        Move(("zlib",), "1", "2"),
        Move(("torch",), "2.0", "2.1"),
        Move(("mlx", "mlx-cpu"), "1", "2"),
        Move(("aaa",), "1", "2"),
        Move(("x",), "1", ""),
        Move(("y",), "", "1"),
    )


def test_nothing_but_the_moved_package_changes():
    """The rest is pinned as it was resolved, without local versions; what is apart stays apart."""
    base = built("a", {"torch": "2.13.0+cpu", "mlx": "1", "torchvision": "0.28.0", "pip": "26"})
    base = dataclasses.replace(
        base, spec=dataclasses.replace(base.spec, no_dependencies=("torchvision==0.28.0",))
    )
    spec = pinned(base, {"mlx": "2"})
    assert spec.pins == ("mlx==2", "torch==2.13.0")
    assert spec.no_dependencies == ("torchvision==0.28.0",)


class Index:
    """Environments by their pins: what fails is a function of them, and pip may refuse."""

    def __init__(self, fails, refuses=lambda _versions: False, versions=()):
        self.fails, self.refuses, self.versions = fails, refuses, versions
        self.said = []

    def ready(self, spec):
        versions = dict(pin.split("==") for pin in spec.pins)
        if self.refuses(versions):
            raise EnvironmentFailed("pip failed: no such thing at https://user:word@some.host/x")
        return Built(spec, spec.name, spec.name, versions, "3.11.7")

    def judge(self, one):
        bad = self.fails({name: int(version) for name, version in one.versions.items()})
        return Judged("bad" if bad else "good", HOSTILE if bad else "as before")

    def between(self, _package, good, bad):
        inside = [str(number) for number in range(int(good) + 1, int(bad))]
        return Between(tuple(inside), (("9.9", "it was withdrawn (yanked)"),))

    def search(self, good, bad, **more):
        a, b = built("a", good), built("b", bad)
        return Bisect(
            "d", "answers", a, b, self.judge, self.ready, self.between, say=self.said.append, **more
        ).run()


@given(st.integers(2, 40), st.data())
def test_the_package_and_its_first_bad_release_are_found_among_others(last, data):
    """With three that differ, whichever it is."""
    culprit = data.draw(st.sampled_from(["mlx", "torch", "zzz"]))
    broken = data.draw(st.integers(2, last))
    index = Index(lambda versions: versions[culprit] >= broken)
    good, bad = (
        dict.fromkeys(["mlx", "torch", "zzz"], "1"),
        dict.fromkeys(["mlx", "torch", "zzz"], str(last)),
    )
    found = index.search(good, bad)
    assert found.decided
    assert (found.package, found.first_bad, found.last_good) == (
        culprit,
        str(broken),
        str(broken - 1),
    )
    assert found.pins == (f"{culprit}<{broken}", f"{culprit}=={broken - 1}")
    assert found.installs <= 3 + math.ceil(math.log2(last))
    assert f"{culprit}=={broken}" in found.bad_pins


def test_one_package_that_differs_needs_no_install_to_be_named():
    """Only its releases are tried."""
    found = Index(lambda versions: versions["mlx"] >= 2).search({"mlx": "1"}, {"mlx": "2"})
    assert (found.decided, found.package, found.installs) == (True, "mlx", 0)


def test_where_pip_refuses_the_move_the_bad_environment_is_tried_without_it():
    """The releases are then searched on bad's side."""
    index = Index(
        lambda versions: versions["mlx"] >= 3,
        refuses=lambda versions: versions["mlx"] >= "2" and versions["zzz"] == "1",
    )
    found = index.search({"mlx": "1", "zzz": "1"}, {"mlx": "5", "zzz": "5"})
    assert (found.package, found.first_bad, found.refused) == ("mlx", "3", 1)
    assert [one.side for one in found.tried] == ["good", "bad", "bad", "bad"]
    assert "some.host" not in str(found)


def test_a_fault_of_two_packages_together_is_not_laid_on_one():
    """It is undecided, and the sentence names what was tried."""
    found = Index(lambda v: v["a"] + v["b"] >= 4).search({"a": "1", "b": "1"}, {"a": "2", "b": "2"})
    assert (found.decided, found.exit_code) == (False, 3)
    assert "no package alone" in found.sentence


@pytest.mark.parametrize(
    ("fails", "said"),
    [(lambda _v: True, "given as good"), (lambda _v: False, "given as bad")],
)
def test_a_check_that_does_not_tell_the_two_apart_is_said_first(fails, said):
    """Nothing is installed for it."""
    found = Index(fails).search({"mlx": "1"}, {"mlx": "5"})
    assert (found.exit_code, found.installs) == (3, 0)
    assert said in found.sentence


def test_a_package_that_is_equal_cannot_be_searched():
    """The sentence names those that differ."""
    with pytest.raises(SelectionError, match="they differ in mlx"):
        Index(lambda v: v["mlx"] > 1).search(
            {"mlx": "1", "x": "1"}, {"mlx": "2", "x": "1"}, only="x"
        )


def test_releases_that_do_not_install_are_named_round_the_answer():
    """The pin excludes them too, for nobody knows."""
    index = Index(lambda v: v["mlx"] >= 5, refuses=lambda v: v["mlx"] in ("4", "5"))
    found = index.search({"mlx": "1"}, {"mlx": "8"})
    assert (found.last_good, found.first_bad, found.decided) == ("3", "6", True)
    assert [version for version, _ in found.untold] == ["4", "5"]
    assert found.pins[0] == "mlx<4"


def test_what_a_library_said_cannot_act_in_the_report():
    """It stands in a code span without the marks that would end it."""
    index = Index(lambda v: v["mlx"] >= 2)
    text = markdown(index.search({"mlx": "1"}, {"mlx": "4"}))
    assert "\n# heading" not in text
    rows = [line for line in text.splitlines() if line.startswith("| good with")]
    assert rows
    assert all(row.count("|") == 4 and row.count("`") == 2 for row in rows)


def test_what_comes_to_the_releases_of_a_given_environment_is_not_asked_again():
    """A release may bring a package along; its move then makes all of bad, and is no install."""
    index = Index(lambda versions: versions["mlx"] >= 2)
    good, bad = built("a", {"mlx": "1"}), built("b", {"mlx": "2", "extra": "1"})
    search = Bisect("d", "answers", good, bad, index.judge, lambda _spec: bad, index.between)
    found = search.run()
    assert (found.package, found.first_bad, found.installs) == ("mlx", "2", 0)


def test_a_check_that_there_is_none_of_is_a_usage_error():
    """One sentence, before anything is built."""
    from click.testing import CliRunner

    from qualification.cli.bisect import bisect

    said = CliRunner().invoke(bisect, ["--good", "here", "--bad", "here", "--check", "speed"])
    assert said.exit_code == 2
    assert "there is no check or metric 'speed'" in said.output


# --------------------------------------------------------------------------- the two judges


def observed(side, text, loads=True):
    """A process in which one question was answered."""
    from qualification.upgrade.gate.records import Asked, Behaviour, Probe

    asked = tuple(
        Asked(f"q{number}", "colour", "red", text, (), 9, text == "red") for number in range(40)
    )
    if not loads:
        return Behaviour("d", side, 0, (Probe("load", "error", "no AudioModel", "backend_failed"),))
    return Behaviour("d", side, 0, (Probe("load", "ok"), Probe("answers", "ok")), asked)


def test_one_process_is_held_against_one_of_good():
    """Equal answers pass, others do not, whatever a gate would still have to repeat."""
    from qualification.upgrade.bisect.judges import held_against

    assert held_against("answers", observed("a", "red"), observed("b", "red"))[0]
    passed, sentence = held_against("answers", observed("a", "red"), observed("b", "blue"))
    assert not passed
    assert "40 of 40 differ" in sentence


def test_what_does_not_load_says_nothing_about_answers(monkeypatch):
    """It is unavailable, as a release that does not install is; for the check load it is bad."""
    from qualification.upgrade.bisect import judges as bisect_judges

    monkeypatch.setattr(
        bisect_judges,
        "observe",
        lambda _deployment, side, _attempt, **_more: observed(side, "red", loads=side == "a"),
    )
    one = built("x", {"mlx": "1"})
    for check, answer in (("answers", "unavailable"), ("load", "bad")):
        judged = bisect_judges.behaviour_judge(None, check, one, None, tries=5)(one)
        assert judged.answer == answer
        assert "AudioModel" in judged.sentence


# --------------------------------------------------------------------------- real environments


def wheel(folder, version, code):
    """A wheel of one module, written by hand."""
    name = f"fakelib-{version}-py3-none-any.whl"
    info = f"fakelib-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("fakelib.py", code)
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: fakelib\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"fakelib.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return name


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A PEP 503 index in a folder: ``index(code_of)`` writes twelve releases, 1.4 withdrawn."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)

    def made(code_of):
        folder = tmp_path / "index" / "fakelib"
        folder.mkdir(parents=True)
        links = []
        for number in range(12):
            name = wheel(folder, f"1.{number}", code_of(number))
            yanked = ' data-yanked="it was wrong"' if number == 4 else ""
            links.append(f'<a href="{name}"{yanked}>{name}</a>')
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links))
        return folder.parent.as_uri()

    return made


def fake_deployment():
    """The scripted backend, answering with what the library of its environment says."""
    from qualification.core.declarations import Deployment, Model, Source

    source = Source("fake", "f32", "synthetic", options={"library": "fakelib"})
    model = Model("fakelib-demo", "fake", 1, "MIT", ("vision", "text_only"), (source,))
    return Deployment(model, source)


def searched(index, tmp_path, check):
    """The whole way, from pins to a result."""
    from qualification.upgrade.bisect import driver as bisect_driver

    good, bad = (
        EnvironmentSpec(name, "", (f"fakelib=={version}",), index=index)
        for name, version in (("old", "1.0"), ("new", "1.11"))
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    question = bisect_driver.Question(good, bad, check, fake_deployment())
    return bisect_driver.answer(question, scratch, root=tmp_path / "environments")


@pytest.mark.long
def test_the_release_that_answers_otherwise_is_found_in_an_index_of_twelve(index, tmp_path):
    """In no more than five installs, and the script shows both answers."""
    address = index(
        lambda n: f"TOKEN_S = 0.0\ndef answer(q): return {'blue' if n >= 7 else 'red'!r}\n"
    )
    found, seen = searched(address, tmp_path, "answers")
    assert (found.package, found.last_good, found.first_bad) == ("fakelib", "1.6", "1.7")
    assert found.installs <= 5
    assert ("1.4", "it was withdrawn (yanked)") in found.left_out
    assert turns(fake_deployment(), seen)[0].bad == "blue"
    script = documents(fake_deployment(), found, seen)["reproduce.sh"]
    said = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_INDEX_URL": address},
        check=True,
    ).stdout
    good, _, bad = said.partition("== bad-fakelib-1.7")
    assert good.count("got 'red'") == bad.count("got 'blue'") == 3


@pytest.mark.long
def test_the_release_that_is_slower_is_found_in_an_index_of_twelve(index, tmp_path):
    """By pairs of fresh processes against the good one."""
    address = index(
        lambda n: f"TOKEN_S = {0.004 if n >= 3 else 0.002}\ndef answer(q): return 'red'\n"
    )
    found, _ = searched(address, tmp_path, "decode_tps")
    assert (found.package, found.last_good, found.first_bad) == ("fakelib", "1.2", "1.3")
    assert found.installs <= 5
