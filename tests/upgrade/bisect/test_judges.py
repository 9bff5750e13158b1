"""How fresh processes of an environment are judged."""

from pathlib import Path
from types import SimpleNamespace

from qualification.session.context import RunContext
from qualification.upgrade.bisect import judges
from qualification.upgrade.gate.records import Answer, Behaviour, DeploymentRef, Probe
from tests.support.bisect_sample import built

DEPLOYMENT = DeploymentRef("d", "hub")


def observed(side, text, loads=True):
    """A process that answered 40 questions with that text."""
    if not loads:
        return Behaviour("d", side, 0, (Probe("load", "error", "no AudioModel", "backend_failed"),))
    answers = tuple(
        Answer(f"q{number}", "colour", "red", text, (), 9, text == "red") for number in range(40)
    )
    return Behaviour("d", side, 0, (Probe("load", "ok"), Probe("answers", "ok")), answers)


def test_a_process_is_compared_with_one_of_good():
    """Equal answers pass and others do not, whatever a gate would still have to repeat."""
    good = observed("a", "red")
    assert judges.passes(DEPLOYMENT, "answers", good, observed("b", "red"))[0]
    passed, sentence = judges.passes(DEPLOYMENT, "answers", good, observed("b", "blue"))
    assert not passed
    assert "40 of 40 differ" in sentence


def test_an_environment_that_does_not_load_says_nothing_about_answers(monkeypatch):
    """It is unavailable, as a release that does not install is; for the check load it is bad."""
    monkeypatch.setattr(
        judges,
        "observe",
        lambda _deployment, side, _attempt, **_more: observed(side, "red", loads=side == "a"),
    )
    environment = built("x", {"mlx": "1"})
    context = RunContext(None, None, Path())
    deployment = SimpleNamespace(identifier="d", source=SimpleNamespace(weights="hub"))
    for check, answer in (("answers", "unavailable"), ("load", "bad")):
        judge = judges.behaviour_judge(deployment, check, environment, context, tries=5)
        judged = judge(environment)
        assert judged.answer == answer
        assert "AudioModel" in judged.sentence
