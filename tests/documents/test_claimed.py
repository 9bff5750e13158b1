"""What is claimed of a deployment, to be read beside measured figures."""

from __future__ import annotations

from functools import cache

from qualification.core.paths import published_claims
from qualification.documents.model import plain_text
from qualification.documents.published.claimed import PublishedClaim, claims_about
from qualification.models.loading import load_registry
from qualification.models.published_claims import contradictions, read_published

SEVEN, THREE = "qwen2.5-vl-7b-4bit@mlx", "qwen2.5-vl-3b-4bit@mlx"
PHI = "phi-3.5-vision-4bit@mlx"


@cache
def claimed(*deployments: str) -> list[PublishedClaim]:
    """Return the claims about these deployments in the documents that ship."""
    documents = read_published(published_claims())
    return claims_about(deployments, documents, contradictions(documents, load_registry()))


def about(deployment: str, metric: str) -> dict[tuple[str, str], PublishedClaim]:
    """Return (as printed, place) -> claim of one metric."""
    return {
        (plain_text(claim.printed), claim.place): claim
        for claim in claimed(deployment)
        if claim.metric == metric
    }


def test_a_speed_that_is_impossible_on_the_machine_says_why() -> None:
    """It is one claim on three lines, with both rules that contradict it."""
    claim = about(SEVEN, "decode_tps")[("94 tok/s", "air_m4")]
    assert claim.document == "Vision-Language Model (VLM) Recommendations, 2025-12-29"
    assert claim.lines == (17, 126, 441)
    assert "takes 374 GB/s and it has 120 GB/s" in claim.wrong
    assert "lies outside of the document's own runs" in claim.wrong
    assert claim.wrong.count("374 GB/s") == 1


def test_a_claim_that_nothing_contradicts_has_no_sentence() -> None:
    """The mean of the runs, and the runs as one claim."""
    speeds = about(SEVEN, "decode_tps")
    assert speeds[("95.40 tok/s", "M4 Max (128GB)")].wrong == ""
    runs = speeds[("94.58 tok/s, 95.37 tok/s, 96.26 tok/s", "M4 Max (128GB)")]
    assert (runs.wrong, runs.lines) == ("", (36, 37, 38))


def test_load_times_memory_and_accuracies_are_claims_too() -> None:
    """By the names of our metrics; settings and ratios are none."""
    assert {claim.metric for claim in claimed(PHI)} == {
        "load_s",
        "peak_memory_bytes",
        "vqa_accuracy",
        "simple_accuracy",
    }
    assert ("5.80s", "M4 Max (128GB)") in about(SEVEN, "load_s")
    assert ("5.79 GB", "M4 Max (128GB)") in about(SEVEN, "peak_memory_bytes")
    mixed = about(PHI, "vqa_accuracy")[("42.5%", "MacBook Air M3 (16GB RAM)")]
    assert "at place 3" in mixed.wrong
    difference = about(PHI, "peak_memory_bytes")[("0.28GB", "MacBook Air M3 (16GB RAM)")]
    assert "less than the weights" in difference.wrong


def test_a_figure_of_a_column_has_the_unit_of_its_head() -> None:
    """The unit stands beside what is printed, and every claim has a published figure."""
    assert ("8.37 tok/s", "air_m4") in about(THREE, "decode_tps")
    for claim in claimed(SEVEN, THREE, PHI):
        assert all(s.figure.origin == "published" for s in claim.printed if s.figure)
        assert any(span.figure for span in claim.printed)


def test_claims_are_in_the_order_of_the_deployments() -> None:
    """One that nobody wrote about has none."""
    assert claimed("no-such-model@mlx") == []
    order = [claim.deployment for claim in claimed(THREE, "no-such-model@mlx", SEVEN)]
    assert order == sorted(order, key=[THREE, SEVEN].index)
    assert set(order) == {THREE, SEVEN}
