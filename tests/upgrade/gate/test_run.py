"""A whole gate on a scripted deployment: its observations, its journal, and resuming."""

import os

import pytest

from qualification.core.errors import GateError
from qualification.upgrade.gate.journal import NAME, GateJournal, read
from tests.support import gate_toy

SLOW = """
    TOKEN_S = 0.0006
    def answer(question):
        return "red"
"""
QUICK = """
    TOKEN_S = 0.0001
    def answer(question):
        return "red"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The toy's declarations and interpreters: good, garbage, and two speeds."""
    root = tmp_path_factory.mktemp("gate")
    sides = {"good": gate_toy.GOOD, "bad": gate_toy.BAD, "slow": SLOW, "quick": QUICK}
    pythons = {name: gate_toy.interpreter(root / name, text) for name, text in sides.items()}
    return gate_toy.declarations(root / "declared"), pythons


def gate(folder, place, a, b, **changes):
    """Begin a gate and run it to its end."""
    declared, pythons = place
    gate_toy.begin(folder, gate_toy.plan(**changes))
    return gate_toy.run(folder, declared, pythons[a], pythons[b])


def test_equal_environments_pass(place, tmp_path):
    """Behaviour alone: everything as before, asked once of each side."""
    result = gate(tmp_path / "g", place, "good", "good")
    assert result.verdict == "pass", result.sentence
    processes = [(observation.side, observation.attempt) for observation in result.observations]
    assert processes == [("a", 0), ("b", 0)]
    assert not (tmp_path / "g" / "scratch").exists()


def test_a_release_that_answers_garbage_is_regressed_after_a_confirmation(place, tmp_path):
    """Asked again in fresh processes of both sides."""
    result = gate(tmp_path / "g", place, "good", "bad")
    assert (result.verdict, result.exit_code) == ("regressed", 1)
    named = {finding.check for finding in result.behaviour if finding.verdict == "regressed"}
    assert "answers" in named
    assert {observation.attempt for observation in result.observations} == {0, 1}


@pytest.mark.slow
def test_a_release_that_decodes_slower_is_regressed_and_confirmed(place, tmp_path):
    """Several times the time a token: six pairs, and six to confirm, in an order by coin."""
    changes = {"timed": (gate_toy.NAME,), "metrics": ("decode_tps",)}
    result = gate(tmp_path / "g", place, "quick", "slow", **changes)
    (finding,) = result.metrics
    assert finding.verdict == "regressed"
    assert len(result.pairs) == 12
    assert {pair.leader for pair in result.pairs} == {"a", "b"}


def test_a_gate_goes_on_where_it_was(place, tmp_path):
    """Half a journal and half a line: only missing observations are made."""
    declared, pythons = place
    uninterrupted = tmp_path / "uninterrupted"
    result = gate(uninterrupted, place, "good", "bad")
    lines = (uninterrupted / NAME).read_bytes().splitlines(keepends=True)
    for count in (1, 2, 4):
        folder = tmp_path / f"lines-{count}"
        folder.mkdir()
        (folder / NAME).write_bytes(b"".join(lines[:count]) + lines[-1][:40])
        resumed = gate_toy.run(folder, declared, pythons["good"], pythons["bad"])
        assert resumed.verdict == result.verdict
        assert [(finding.check, finding.verdict) for finding in resumed.behaviour] == [
            (finding.check, finding.verdict) for finding in result.behaviour
        ]
        assert (folder / NAME).read_bytes().startswith(b"".join(lines[:count]))


def test_a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line(place, tmp_path):
    """No cut makes it unreadable, but within the first line, and then it says so."""
    gate(tmp_path / "g", place, "good", "good")
    content = (tmp_path / "g" / NAME).read_bytes()
    header = content.index(b"\n") + 1
    folder = tmp_path / "cut"
    folder.mkdir()
    for size in {*range(0, len(content), 97), header - 1, header, len(content)}:
        (folder / NAME).write_bytes(content[:size])
        if size < header:
            with pytest.raises(GateError, match="nothing to resume"):
                read(folder)
        else:
            entries = read(folder).entries
            assert len(entries) == content[:size].count(b"\n") - 1


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"no json\n", "is not JSON"),
        (b"[]\n", "is not a JSON object"),
        (b'{"pear": {}}\n', "neither a behaviour nor a pair"),
        (b'{"pair": {"deployment": 3}}\n', "deployment"),
    ],
)
def test_a_damaged_journal_is_named_and_not_skipped(tmp_path, line, named):
    """File, line and fault."""
    folder = gate_toy.begin(tmp_path / "g", gate_toy.plan())
    with (folder / NAME).open("ab") as file:
        file.write(line)
    with pytest.raises(GateError, match=f"{NAME}:2.*{named}"):
        read(folder)


def test_a_second_gate_does_not_overwrite_the_first(tmp_path):
    """It names the folder and how to go on."""
    folder = gate_toy.begin(tmp_path / "g", gate_toy.plan())
    before = (folder / NAME).read_bytes()
    with pytest.raises(GateError, match="--resume"):
        gate_toy.begin(folder, gate_toy.plan())
    assert (folder / NAME).read_bytes() == before


def test_a_second_process_does_not_go_on_with_a_gate(place, tmp_path):
    """It is refused with the first one's number, and goes on when that has ended."""
    declared, pythons = place
    folder = gate_toy.begin(tmp_path / "g", gate_toy.plan())
    journal, _ = GateJournal.again(folder)
    with (folder / NAME).open("ab") as file:
        file.write(b"half a line")
    with pytest.raises(GateError, match=f"{folder}: process {os.getpid()} goes on with this gate"):
        gate_toy.run(folder, declared, pythons["good"], pythons["good"])
    assert (folder / NAME).read_bytes().endswith(b"half a line")
    journal.close()
    assert gate_toy.run(folder, declared, pythons["good"], pythons["good"]).verdict == "pass"


def test_a_gate_that_cannot_be_resumed_is_left_alone(tmp_path):
    """Nothing of it is locked when the error has been reported."""
    folder = tmp_path / "g"
    folder.mkdir()
    with pytest.raises(GateError, match="cannot be read"):
        GateJournal.again(folder)
    assert list(folder.iterdir()) == []
