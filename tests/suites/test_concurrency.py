"""The suite for several clients, run by pytest on a stand-in of a server with chosen faults."""

from pathlib import Path

import pytest

import qualification.suites
from qualification.core.metrics import CLIENTS
from tests.support.serving_stand_in import Faults, serving

SUITE = Path(qualification.suites.__file__).parent / "test_concurrency.py"
REPOSITORY = SUITE.parents[2]

MEMORY = """
[[backends]]
name = "server"
process = "1 MB"
weights_copies = 1.0
activations_per_1000_image_tokens = "0 MB"
source = "a test"
"""


@pytest.fixture
def suite(toy_project):
    """Run the suite on a stand-in; returns the result and the metrics that were recorded."""
    (toy_project.path / "fixtures").symlink_to(REPOSITORY / "fixtures")
    toy_project.declarations.mkdir()
    (toy_project.declarations / "memory.toml").write_text(MEMORY)

    def run(faults=None):
        with serving(faults) as address:
            result = toy_project.run(
                SUITE,
                suite="",
                capabilities=["vision"],
                skills=["both"],
                backend="server",
                server="url",
                quantisation="f32",
                weights="canary",
                path="canaries/smolvlm",
                options={"url": address},
            )
        return result, toy_project.metrics()

    return run


@pytest.mark.slow
def test_the_suite_passes_on_a_good_server_and_stores_its_figures(suite):
    """All four tests, and the figures of every number of clients."""
    result, metrics = suite(Faults(token_s=0.002))
    result.assert_outcomes(passed=4)
    for clients in CLIENTS:
        assert metrics[f"failed_{clients}_clients"] == 0
        assert metrics[f"fairness_{clients}_clients"] > 0.5
        assert metrics[f"served_{clients}_clients_tps"] > 0


@pytest.mark.slow
def test_the_suite_fails_on_swapped_images_in_words(suite):
    """One client alone gets correct answers, several do not: only that test fails."""
    result, metrics = suite(Faults(token_s=0.002, swap_images=True))
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*at 8 clients * of * requests were answered incorrectly: "
            "*client *swapped, it is correct for*"
        ]
    )
    assert metrics["swapped_1_clients"] == 0
    assert metrics["swapped_8_clients"] > 0


@pytest.mark.slow
def test_the_suite_fails_on_broken_streams_and_names_the_request(suite):
    """Truncated streams under load: clients at once, client, question and answer are reported."""
    result, metrics = suite(Faults(token_s=0.002, truncate_every=25))
    result.stdout.fnmatch_lines(
        ["*at * clients * failed: request * of client *Name the colour*finish_reason*"]
    )
    assert metrics["failed_8_clients"] > 0
