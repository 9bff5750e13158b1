"""Known bugs as strict xfails: the reason, the failure that they excuse, and their end."""

import pytest

from tests.support.toy_project import TIERS, bug_toml


def test_a_known_bug_is_an_expected_failure_with_its_cause(toy_project):
    """In range, and failing as it must: xfailed, and the run is green."""
    result = toy_project.run(options={"second_image": "axis remapping"}, bugs_toml=bug_toml(">=1"))
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["XFAIL*second-image: *a parameter is overwritten*"])


def test_the_reason_of_an_expected_failure_names_the_workaround_and_the_issue(toy_project):
    """The user's next question is what to do."""
    bug = bug_toml(">=1", workaround="one image at a time", issue="https://example.org/1")
    result = toy_project.run("-v", options={"second_image": "axis remapping"}, bugs_toml=bug)
    remedy = "workaround: one image at a time; see https://example.org/1"
    text = " ".join(result.stdout.str().split())  # long lines go on indented
    assert f"warn: second-image makes test_second_image fail, as it is known to; {remedy}." in text
    result.stdout.fnmatch_lines(
        [f"XFAIL*second-image: the second image fails (a parameter is overwritten); {remedy}"]
    )


def test_a_bug_without_a_workaround_says_that_none_is_known(toy_project):
    """So nobody looks for one in the declarations."""
    result = toy_project.run(options={"second_image": "axis remapping"}, bugs_toml=bug_toml(">=1"))
    result.stdout.fnmatch_lines(["XFAIL*(a parameter is overwritten); no workaround is known"])


def test_a_known_bug_that_no_longer_fails_makes_the_run_say_so(toy_project):
    """In range, but passing: the run fails and says which entry to end."""
    result = toy_project.run(bugs_toml=bug_toml(">=1"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*known bugs that no longer fail*",
            "second-image no longer fails on toy-bf16-synthetic@fake*",
        ]
    )


def test_the_edit_is_for_the_file_that_declares_the_bug(toy_project):
    """Any file of the user's folder may, and the folder need not have a bugs.toml."""
    result = toy_project.run(tiers_toml=TIERS + bug_toml(">=1"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["--- a/tiers.toml", '-versions = ">=1"', '+versions = ">=1,<*"'])


@pytest.mark.parametrize(
    ("options", "outcomes"),
    [
        ({}, {"passed": 2}),
        ({"second_image": "axis remapping"}, {"passed": 1, "xfailed": 1}),
        ({"second_image": "out of cheese"}, {"passed": 1, "failed": 1}),
    ],
)
def test_a_test_that_may_fail_with_a_known_bug_passes_or_fails_in_its_way(
    toy_project, options, outcomes
):
    """Its success ends no range, its failure is the bug's, another failure counts."""
    bug = bug_toml(">=1", tests=["test_elsewhere"], may_fail=["test_second_image"])
    result = toy_project.run(options=options, bugs_toml=bug)
    result.assert_outcomes(**outcomes)
    result.stdout.no_fnmatch_line("*no longer fail*")


def test_a_known_bug_that_fails_in_another_way_stays_a_failure(toy_project):
    """An expected failure excuses that failure only."""
    options = {"second_image": "out of cheese"}
    result = toy_project.run("-v", options=options, bugs_toml=bug_toml(">=1"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*another failure*", "*out of cheese*"])
    assert "in another way than second-image" in " ".join(result.stdout.str().split())


def test_a_known_bug_out_of_range_is_no_excuse(toy_project):
    """Another version: the failure counts."""
    result = toy_project.run(options={"second_image": "axis remapping"}, bugs_toml=bug_toml("<1"))
    result.assert_outcomes(passed=1, failed=1)


def test_words_of_a_bug_in_an_old_log_excuse_nothing(toy_project):
    """Only the failure itself is compared with the known bug."""
    suite = """
    import pytest
    from PIL import Image

    def test_before(deployed):
        deployed.ask("one", Image.new("RGB", (8, 8), "red"))
        with pytest.raises(Exception): deployed.ask("two", Image.new("RGB", (8, 8), "blue"))

    def test_second_image(deployed): raise RuntimeError("another thing")
    """
    result = toy_project.run(
        options={"second_image": "axis remapping"}, bugs_toml=bug_toml(">=1"), suite=suite
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*another failure*"])
