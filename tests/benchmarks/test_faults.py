"""What the page on injected faults counts."""

from benchmarks.faults.document import counted, rendered
from benchmarks.faults.faults import Fault

GOOD = Fault("SIGKILL", "parent")
BAD = Fault("full disk", "while a run writes to tmp", ("lost: 2 finished tests", "left: x"))


def test_faults_and_their_harm_are_counted():
    """A fault may do more than one harm; those that are not seen are zero."""
    run = counted([GOOD, GOOD, BAD])
    assert run["faults"] == 3
    assert run["harms"] == {"lost": 1, "doubled": 0, "left": 1, "hang": 0, "message": 0}
    assert run["counts"]["SIGKILL, parent"] == 2


def test_the_page_has_every_problem_and_every_kind():
    """Of all runs, each with its column."""
    page = rendered({"runs": [counted([GOOD, BAD]), counted([GOOD])], "made": "2026-11-30"})
    assert "3 faults in 2 runs in a row, 2026-11-30" in page
    assert "| SIGKILL, parent | 1 | 1 |" in page
    assert "| full disk, while a run writes to tmp | 1 | 0 |" in page
    assert "- full disk, while a run writes to tmp: lost: 2 finished tests" in page
    assert "| finished tests lost | 1 |" in page
