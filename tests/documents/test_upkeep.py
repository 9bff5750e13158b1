"""The line of a report on newer releases, and on one that is known to be wrong."""

from dataclasses import replace

from qualification.core.results import Environment
from qualification.documents.model import plain_text
from qualification.documents.sections.upkeep import upgrade
from qualification.models import release_advice
from qualification.models.loading import load_registry
from qualification.models.release_advice import Advice, WrongReleases
from tests.support.session_sample import DEPLOYMENT, results, session

CANARY = load_registry().with_weights("canary").deployment(DEPLOYMENT)


def test_a_release_that_is_known_to_be_wrong_for_a_model_that_was_tried_is_named(monkeypatch):
    """With the pin, before anything newer; of another release nothing is said."""
    environment = Environment("current", "3.11", {"mlx-vlm": "0.6.4"})
    sample = results(session=replace(session(), environment=environment))
    for since, is_told in (("0.6.4", True), ("0.6.5", False)):
        wrong = WrongReleases(since, "", "wrong: 1 of 9 correct")
        advice = Advice("mlx-vlm", DEPLOYMENT, "smolvlm", "mlx", "0.1", "999.0", "", (wrong,))
        monkeypatch.setattr(release_advice, "shipped_advice", lambda entry=advice: (entry,))
        line = upgrade(sample, (), {}, [CANARY])
        text = plain_text(line.content) if line else ""
        assert ("is known to be wrong for smolvlm" in text) == is_told
        assert ("pin mlx-vlm==0.1" in text) == is_told
