"""The conformance table of the servers."""

from dataclasses import replace

from qualification.core.results import Check
from qualification.models.known_bugs import remedy
from qualification.models.loading import load_registry
from qualification.results.conformance_table import (
    REQUIREMENTS,
    Footnote,
    RequirementCell,
    conformance,
)
from qualification.suites.support.bad_requests import BAD_REQUESTS
from tests.support.session_sample import recommended, results

LLAMA, QWEN, MLX = (
    "smolvlm-canary-f32@llama-server",
    "qwen2.5-vl-canary-f32@llama-server",
    "smolvlm-canary-f32@mlx_vlm.server",
)
REGISTRY = load_registry()


def table(*checks):
    """The table of checks of the suite, each (deployment, test, outcome[, known bug])."""
    return conformance(
        [
            Check(deployment, "conformance", test, outcome, "", *bug)
            for deployment, test, outcome, *bug in checks
        ],
        REGISTRY.deployments(),
        REGISTRY.bugs,
    )


def test_nothing_is_shown_where_no_server_was_run():
    """No table, rather than an empty one; other suites have no row in it."""
    check = Check(LLAMA, "load", "test_loads", "passed")
    assert conformance([check], REGISTRY.deployments(), REGISTRY.bugs) is None
    for text in recommended(results(), REGISTRY).values():
        assert "Server conformance" not in text


def test_deployments_that_agree_share_a_column():
    """A server is one column where all its deployments fared alike."""
    test = "test_refuses[no_body]"
    result = table((LLAMA, test, "passed"), (QWEN, test, "passed"), (MLX, test, "failed"))
    assert result.columns == ("llama-server", "mlx_vlm.server")
    ((heading, rows),) = result.sections
    assert "Refused" in heading
    assert rows == (("no body", (RequirementCell("yes"), RequirementCell("no"))),)


def test_deployments_that_differ_have_a_column_each():
    """What one of them could not be asked is no difference."""
    test, pair = "test_refuses[no_body]", "test_answers_about_two_images"
    result = table((LLAMA, test, "passed"), (QWEN, test, "failed"))
    assert set(result.columns) == {LLAMA, QWEN}
    result = table((LLAMA, test, "passed"), (QWEN, test, "passed"), (QWEN, pair, "passed"))
    assert result.columns == ("llama-server",)


def test_a_known_bug_has_a_footnote_with_title_workaround_and_issue():
    """Each bug has one number, however many cells name it."""
    bug = next(bug for bug in REGISTRY.bugs if bug.identifier == "llama-server-500")
    result = table(
        (LLAMA, "test_refuses[no_body]", "xfailed", bug.identifier),
        (LLAMA, "test_refuses[bad_json]", "xfailed", bug.identifier),
        (MLX, "test_refuses[no_body]", "passed"),
    )
    assert result.notes == (Footnote(bug.identifier, bug.title, remedy(bug)),)
    ((_, rows),) = result.sections
    assert rows[0] == ("no body", (RequirementCell("known bug", 1), RequirementCell("yes")))
    assert rows[1] == ("bad JSON", (RequirementCell("known bug", 1), RequirementCell("undeclared")))


def test_a_footnote_leads_to_the_issue_and_says_where_no_workaround_is_known():
    """A bug that is no longer declared has its name alone."""
    bugs = [
        replace(REGISTRY.bugs[0], identifier="tracked", workaround="", issue="library#1"),
        replace(REGISTRY.bugs[0], identifier="untracked", workaround="", issue=""),
    ]
    checks = tuple(
        Check(LLAMA, "conformance", test, "xfailed", "", identifier)
        for test, identifier in (
            ("test_refuses[no_body]", "tracked"),
            ("test_refuses[bad_json]", "untracked"),
            ("test_refuses[no_content]", "gone"),
        )
    )
    for text in recommended(results(checks=checks), replace(REGISTRY, bugs=tuple(bugs))).values():
        assert "; no workaround is known; see library" in text
        assert text.count("no workaround is known") == 2
        assert "gone" in text


def test_the_worst_outcome_of_a_test_counts():
    """A call that passed and an end that failed is no yes."""
    test = "test_health_is_answered"
    for checks in (
        [(LLAMA, test, "passed"), (LLAMA, test, "error")],
        [(LLAMA, test, "error"), (LLAMA, test, "passed")],
    ):
        ((_, rows),) = table(*checks).sections
        assert rows[0][1] == (RequirementCell("no"),)


def test_both_documents_have_the_table():
    """With the headings, the marks and the notes."""
    checks = (
        Check(LLAMA, "conformance", "test_refuses[bad_json]", "xfailed", "", "llama-server-500"),
        Check(LLAMA, "conformance", "test_refuses[<b>|x]", "passed"),
    )
    for text in recommended(results(checks=checks), REGISTRY).values():
        section = text.split("Server conformance")[-1].partition("Weights and revisions")[0]
        assert "bad JSON" in section
        assert "known bug" in section
        assert "llama-server-500" in section
        assert "<b>" not in section
    document = recommended(results(checks=checks), REGISTRY)["recommendations.md"].splitlines()
    assert [line for line in document if line.startswith("| bad JSON")] == [
        "| bad JSON | **known bug** 1 |"
    ]
    (note,) = [line for line in document if line.startswith("- 1: [`llama-server-500`]")]
    assert "; workaround: do not retry a request" in note


def test_every_test_of_the_suite_has_a_row():
    """A test that is added or renamed gets a sentence of its own."""
    from qualification.core.paths import PACKAGE

    suite = (PACKAGE.parent / "qualification/suites/test_conformance.py").read_text()
    rows = {test for texts in REQUIREMENTS.values() for test in texts}
    assert {row.partition("[")[0] for row in rows} == {
        line.removeprefix("def ").partition("(")[0]
        for line in suite.splitlines()
        if line.startswith("def test_")
    }
    refused = {f"test_refuses[{case.name}]" for case in BAD_REQUESTS}
    assert refused == {row for row in rows if row.startswith("test_refuses[")}
