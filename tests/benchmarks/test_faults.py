"""What the page on killed runs counts."""

from benchmarks.faults.__main__ import Ended, document

WHOLE = Ended({"a load x": "passed", "a load y": "passed"}, {"a": "pass"}, 1, 0)


def test_a_run_that_ends_alike_has_nothing_to_count():
    """Zeros."""
    text = document(["-m", "canary"], 3, WHOLE, WHOLE, 0)
    assert text.count("| 0 |") == 5
    assert "killed with SIGKILL 3 times" in text


def test_what_is_lost_doubled_or_changed_is_counted():
    """Each in its row; a changed outcome by its name."""
    worse = Ended({"a load x": "failed"}, {"a": "failed"}, 2, 1)
    text = document(["-m", "canary"], 3, WHOLE, worse, 4)
    assert "| tests that are lost | 1 |" in text
    assert "| tests that are there twice | 1 |" in text
    assert "| deployments with another verdict | 1 |" in text
    assert "| sessions in the store | 2 |" in text
    assert "- another outcome: a load x" in text
