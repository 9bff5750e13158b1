"""A whole gate on a scripted deployment: what it runs, keeps, and goes on with."""

import pytest

from qualification.core.errors import GateError
from qualification.upgrade.gate import journal as journals
from qualification.upgrade.gate.journal import NAME
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
    made = {name: gate_toy.interpreter(root / name, text) for name, text in sides.items()}
    return gate_toy.declarations(root / "declared"), made


def gate(folder, place, a, b, **changes):
    """Begin a gate and run it to its end."""
    declared, made = place
    gate_toy.begin(folder, gate_toy.plan(**changes))
    return gate_toy.run(folder, declared, made[a], made[b])


def test_equal_environments_pass(place, tmp_path):
    """Behaviour alone: everything as before, asked once of each side."""
    result = gate(tmp_path / "g", place, "good", "good")
    assert result.verdict == "pass", result.sentence
    assert [(one.side, one.attempt) for one in result.observations] == [("a", 0), ("b", 0)]
    assert not (tmp_path / "g" / "scratch").exists()


def test_a_release_that_answers_garbage_is_regressed_after_a_second_look(place, tmp_path):
    """Asked again in fresh processes of both sides."""
    result = gate(tmp_path / "g", place, "good", "bad")
    assert (result.verdict, result.exit_code) == ("regressed", 1)
    named = {one.check for one in result.behaviour if one.verdict == "regressed"}
    assert "answers" in named
    assert {one.attempt for one in result.observations} == {0, 1}


@pytest.mark.slow
def test_a_release_that_decodes_slower_is_regressed_and_confirmed(place, tmp_path):
    """Several times the time a token: six pairs, and six to confirm, in an order by coin."""
    changes = {"timed": (gate_toy.TOY,), "metrics": ("decode_tps",)}
    result = gate(tmp_path / "g", place, "quick", "slow", **changes)
    (found,) = result.metrics
    assert found.verdict == "regressed"
    assert len(result.pairs) == 12
    assert {pair.first for pair in result.pairs} == {"a", "b"}


def test_a_gate_goes_on_where_it_was(place, tmp_path):
    """Half a journal and half a line: the rest is observed, what was there is not asked again."""
    declared, made = place
    whole = tmp_path / "whole"
    result = gate(whole, place, "good", "bad")
    lines = (whole / NAME).read_bytes().splitlines(keepends=True)
    for kept in (1, 2, 4):
        folder = tmp_path / f"kept-{kept}"
        folder.mkdir()
        (folder / NAME).write_bytes(b"".join(lines[:kept]) + lines[-1][:40])
        resumed = gate_toy.run(folder, declared, made["good"], made["bad"])
        assert resumed.verdict == result.verdict
        assert [(one.check, one.verdict) for one in resumed.behaviour] == [
            (one.check, one.verdict) for one in result.behaviour
        ]
        assert (folder / NAME).read_bytes().startswith(b"".join(lines[:kept]))


def test_a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line(place, tmp_path):
    """No cut makes it unreadable, but within the first line, and then it says so."""
    gate(tmp_path / "g", place, "good", "good")
    content = (tmp_path / "g" / NAME).read_bytes()
    first = content.index(b"\n") + 1
    folder = tmp_path / "cut"
    folder.mkdir()
    for size in {*range(0, len(content), 97), first - 1, first, len(content)}:
        (folder / NAME).write_bytes(content[:size])
        if size < first:
            with pytest.raises(GateError, match="nothing to resume"):
                journals.read(folder)
        else:
            entries = journals.read(folder).entries
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
    """File, line and what is wrong."""
    folder = gate_toy.begin(tmp_path / "g", gate_toy.plan())
    with (folder / NAME).open("ab") as file:
        file.write(line)
    with pytest.raises(GateError, match=f"{NAME}:2.*{named}"):
        journals.read(folder)


def test_a_second_gate_does_not_overwrite_the_first(tmp_path):
    """It names the folder and how to go on."""
    folder = gate_toy.begin(tmp_path / "g", gate_toy.plan())
    before = (folder / NAME).read_bytes()
    with pytest.raises(GateError, match="--resume"):
        gate_toy.begin(folder, gate_toy.plan())
    assert (folder / NAME).read_bytes() == before
