"""A gate's documents show its observations, and the text of a model stays text."""

import io
import json
import math
import re
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from qualification.core.declarations import KnownBug
from qualification.core.errors import GateError
from qualification.core.files import write_documents
from qualification.judging.stats.sequential import Effect
from qualification.models.release_advice import Advice
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.progress import conclusion
from qualification.upgrade.gate.records import BehaviourFinding
from qualification.upgrade.gate.report import (
    NAMES,
    junit,
    read_result,
    render,
    summary,
    to_text,
)
from tests.support.gate_sample import LLAVA, QWEN, SMOL, passed, plan, refs, regressed, steps
from tests.support.session_sample import HOSTILE

anything = st.text(max_size=60) | st.sampled_from(
    [HOSTILE, "]]>", "\x00\x1b[2J", "\ud800", "\ufffe", "--><img src=x onerror=y>", "\u202eabc"]
)


class Page(HTMLParser):
    """The names of all elements, and the visible text."""

    def __init__(self, text):
        super().__init__()
        self.names, self.text = set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "src"]
        assert all(re.match("#|https://", value) for name, value in attrs if name == "href")

    def handle_data(self, data):
        self.text += data


def hostile(text):
    """A result in which all free text is ``text``."""
    result = regressed(text)
    hostile_plan = replace(
        result.plan,
        a=replace(result.plan.a, name=text, pins=(text,), versions={text: text}),
        deployments=(*result.plan.deployments, *refs(text)),
    )
    pair = replace(result.pairs[0], b=replace(result.pairs[0].b, failure=text))
    return replace(
        result,
        plan=hostile_plan,
        sentence=text,
        behaviour=(*result.behaviour, BehaviourFinding(text, "load", "unfit", text)),
        pairs=(pair, *result.pairs[1:]),
    )


@lru_cache
def harmless():
    """The documents of a text that cannot act."""
    return render(hostile("word"))


def bug_of(*deployments, versions, identifier="a-bug", **changes):
    """A declared bug of mlx-vlm."""
    declared = KnownBug(
        identifier, "the second image", "mlx-vlm", versions, deployments, ("t",), "f", "c", "s"
    )
    return replace(declared, workaround="send one", issue="mlx-vlm#1", **changes)


@pytest.mark.parametrize(
    ("versions", "deployment", "sides"),
    [
        (">=0.6.4", QWEN, "the candidate (mlx-vlm 0.6.4)"),
        ("<0.6.4", QWEN, "the baseline (mlx-vlm 0.6.3)"),
        (">=0.6", SMOL, "the baseline (mlx-vlm 0.6.3) and the candidate (mlx-vlm 0.6.4)"),
    ],
)
def test_a_known_bug_that_may_explain_a_finding_is_named_with_what_to_do(
    versions, deployment, sides
):
    """One that an environment alone has, or, for a check that fails in both, one of both."""
    bug = bug_of(deployment.replace("canary", "*"), versions=versions)
    sentence = (
        f"a-bug is in range in {sides} and concerns {deployment}: the second image; "
        "workaround: send one; see mlx-vlm#1."
    )
    assert view.known_bugs(regressed(), [bug]) == (sentence,)
    documents = render(regressed(), [bug])
    for text in (
        Page(documents["gate.html"]).text,
        documents["gate.md"].replace("\\", ""),
        summary(regressed(), [bug]).replace("\\", ""),
    ):
        assert sentence in text
    console = Console(file=io.StringIO(), width=500)
    console.print(conclusion(regressed(), [bug]))
    assert f"known bug: {sentence}" in console.file.getvalue()


def test_a_regression_is_told_with_the_release_that_a_map_pins(monkeypatch):
    """Of what moved, for the canaries that are worse."""
    pinned = Advice("mlx-vlm", QWEN, "qwen2.5-vl", "mlx", "0.7.10", "0.7.10", "2026-11-30")
    monkeypatch.setattr(view, "shipped_advice", lambda: (pinned, replace(pinned, package="torch")))
    sentence = f"mlx-vlm==0.7.10 is the newest release with nothing wrong for {QWEN}"
    assert view.pins(regressed()) == (sentence,)
    assert view.pins(passed()) == ()
    for text in (render(regressed())["gate.md"], summary(regressed())):
        assert sentence in text.replace("\\", "")
    console = Console(file=io.StringIO(), width=500)
    console.print(conclusion(regressed()))
    assert f"pin: {sentence}" in console.file.getvalue()


@pytest.mark.parametrize(
    "bug",
    [
        bug_of(QWEN, versions=">=0.6"),  # of both, and no check of it fails in both
        bug_of(QWEN, versions="<0.6"),
        bug_of("x@mlx", versions=">=0.6.4"),
        bug_of(QWEN, versions=">=0.6.4", tiers=("air_m4",)),
        bug_of(QWEN, versions=">=0", package="llama-server"),
    ],
)
def test_a_known_bug_that_explains_nothing_is_not_named(bug):
    """Of other versions, deployments, tiers or packages."""
    assert view.known_bugs(regressed(), [bug]) == ()
    assert view.known_bugs(passed(), [bug_of("*", versions=">=0.6.4")]) == ()
    assert "known bug" not in render(regressed(), [bug])["gate.md"].casefold()


def test_a_bug_of_a_real_deployment_explains_one_with_random_weights_too():
    """It is declared under the real identifier."""
    name = "qwen2.5-vl-7b-4bit-synthetic@mlx"
    finding = BehaviourFinding(name, "load", "regressed", "load: failed")
    result = regressed(
        plan=plan(deployments=refs(name, weights="synthetic")), behaviour=(finding,), metrics=()
    )
    (sentence,) = view.known_bugs(result, [bug_of("qwen2.5-vl-7b-4bit@mlx", versions=">=0.6.4")])
    assert f"concerns {name}:" in sentence


def test_the_first_line_has_the_verdict_and_both_environments():
    """One line answers whether to move, and from where to where."""
    documents = render(regressed())
    assert set(documents) == set(NAMES)
    expected = "regressed: current → current + mlx-vlm==0.6.4"
    assert documents["gate.md"].splitlines()[0] == f"# {expected}"
    assert f"<title>{expected}</title>" in documents["gate.html"]
    assert expected in summary(regressed()).splitlines()[0]


def test_what_differs_is_named_with_both_versions_the_pinned_first():
    """Under one name, however a package spells itself; what is equal is not listed."""
    moves = [(move.package, move.a, move.b) for move in view.differences(plan())]
    assert moves == [
        ("mlx-vlm", "0.6.3", "0.6.4"),
        ("numpy", "2.4.6", "2.4.7"),
        ("outlines", "", "1.0"),
    ]
    same = replace(plan(), b=replace(plan().a, name="again"))
    assert view.differences(same) == ()
    assert "no package differs" in render(regressed(plan=same))["gate.md"]
    other_build = replace(plan(), b=replace(plan().a, key="other"))
    assert "no package differs" not in render(regressed(plan=other_build))["gate.md"]


def row_of(text, deployment, begin):
    """The row of a Markdown table about a deployment whose second cell begins so."""
    (row,) = [row for row in text.splitlines() if row.startswith(f"| `{deployment}` | {begin}")]
    return row


@pytest.mark.parametrize("name", ["gate.md", "gate.html"])
def test_the_pins_that_moved_with_a_candidate_are_listed(name):
    """Beside the table of all that differs."""
    sentence = "The pins of the candidate moved along: numpy 2.4.6 → 2.4.7."
    assert sentence in render(passed())[name]


def test_each_metric_is_shown_with_its_figures_and_units():
    """Verdict, factor, interval, pairs, MDE80 and both medians, in one line of the table."""
    text = render(regressed())["gate.md"]
    cells = [cell.strip() for cell in row_of(text, SMOL, "decode").strip("|").split("|")]
    figures = ["1.080", "1.071–1.089", "12", "2.0%", "61.5 tok/s", "56.9 tok/s"]
    assert cells[2:] == ["**regressed**", *figures]
    assert "0.000–∞" in row_of(text, LLAVA, "decode")


def test_nothing_that_was_not_observed_is_a_figure():
    """A metric without an effect and a check without a probe are dashes."""
    result = regressed()
    bare = replace(result.metrics[0], effect=None, a=(), b=())
    text = render(replace(result, metrics=(bare,)))["gate.md"]
    assert row_of(text, SMOL, "load").count("| – ") == 5
    row = row_of(text, LLAVA, "unknown | ok")
    assert row == f"| `{LLAVA}` | unknown | ok | improved | – | – | – | – | – | – |"


def test_every_finding_that_did_not_pass_is_listed_apart_from_the_notes():
    """Regressions first; improvements and new warnings stand under the notes."""
    text = render(regressed())["gate.md"]
    failed = text.split("## What did not pass")[1].split("## Metrics")[0]
    noted = text.split("## Notes")[1].split("<details")[0]
    verdicts = re.findall(r"^- \*\*(\w+)\*\*", failed, re.MULTILINE)
    assert verdicts == ["regressed", "regressed", "inconclusive", "inconclusive", "unfit"]
    for note in ("new warning", "both fail", "improved"):
        assert f"- {note}: " in noted
        assert f"- {note}: " not in failed


def test_the_receipts_have_seed_order_and_every_raw_number():
    """A reader can judge again: from the page (behind a fold), and from gate.json (complete)."""
    result = regressed()
    documents = render(result)
    page = Page(documents["gate.html"])
    for text in (documents["gate.md"], page.text):
        assert "seed 4711" in text
        assert "ABBBAAABBBAA" in text
        assert "cannot remove a constant bias" in text.replace("It cannot", "cannot").lower()
        assert "are about the libraries only" in " ".join(text.split()).replace("> ", "")
        assert "1.9 of 2 cores" in text
    assert "0.0348192" in page.text
    stored = json.loads(documents["gate.json"])["result"]
    assert len(stored["pairs"]) == len(result.pairs)
    assert stored["pairs"][3]["b"]["raw"]["decode_tps"] == list(result.pairs[3].b.raw["decode_tps"])


def test_an_unfinished_gate_says_so_and_is_not_green():
    """Whatever its findings so far, an interrupted gate has not passed."""
    interrupted = replace(passed(), finished=False, verdict="inconclusive")
    for name in ("gate.md", "gate.html"):
        assert "interrupted or is still running" in render(interrupted)[name]
        assert "interrupted or is still running" not in render(passed())[name]
    assert ElementTree.fromstring(junit(interrupted)).get("errors") == "1"


def test_a_gate_that_observed_nothing_is_rendered():
    """Every step of a running gate can be shown."""
    for result in steps():
        assert set(render(result)) == set(NAMES)
        assert summary(result)


def test_answers_that_differ_stand_side_by_side():
    """The expected answer, the baseline's and the candidate's."""
    ((a, b),) = view.answers_that_differ(regressed("blue"), QWEN)
    assert (a.text, b.text) == ("red", "blue")
    assert "| colour-1 | red | red | blue (wrong) |" in render(regressed("blue"))["gate.md"]


# --------------------------------------------------------------------------- JUnit


def test_junit_fails_for_a_regression_and_errs_where_nothing_was_decided():
    """No CI shows an inconclusive gate green, or a check that both sides fail as passed."""
    root = ElementTree.fromstring(junit(regressed()))
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"gate", QWEN, SMOL, LLAVA}

    def outcome(deployment, case):
        (element,) = [child for child in suites[deployment] if child.get("name") == case]
        return [child.tag for child in element]

    assert outcome("gate", "verdict") == ["failure"]
    assert outcome(QWEN, "answers") == ["failure"]
    assert outcome(QWEN, "state") == ["error"]
    assert outcome(QWEN, "load") == []
    assert outcome(SMOL, "multi_image") == ["skipped"]
    assert outcome(LLAVA, "load_s") == ["error"]
    cases = list(root.iter("testcase"))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(attribute)) == sum(case.find(tag) is not None for case in cases)
        assert int(root.get(attribute)) == sum(int(suite.get(attribute)) for suite in root)
    assert int(root.get("tests")) == len(cases)


def test_junit_has_an_error_for_a_deployment_that_was_not_reached():
    """A deployment of the plan without a finding is not left out."""
    root = ElementTree.fromstring(junit(replace(passed(), behaviour=(), metrics=())))
    (case,) = root.findall(f"./testsuite[@name='{SMOL}']/testcase")
    assert case.find("error").get("type") == "inconclusive"


@settings(max_examples=40, deadline=None)
@given(anything)
def test_junit_is_xml_whatever_the_text(text):
    """Control characters, surrogates and markup go in; a parser reads the file and its counts."""
    document = junit(hostile(text))
    root = ElementTree.fromstring(document.encode())
    assert int(root.get("tests")) == len(list(root.iter("testcase")))


# --------------------------------------------------------------------------- hostile text


@settings(max_examples=15, deadline=None)
@given(anything)
def test_no_document_lets_a_text_act(text):
    """No element, handler, heading, table cell or control character comes from hostile text."""
    documents, usual = render(hostile(text)), harmless()
    assert Page(documents["gate.html"]).names <= Page(usual["gate.html"]).names
    short = summary(hostile(text))
    for document in (documents["gate.html"], documents["gate.md"], short):
        assert all(c.isprintable() or c in "\n\t" for c in document)
        document.encode()
    for markdown in (documents["gate.md"], short):
        # In a code span, which no text can leave, nothing is markup.
        ours = r"(?<!\\)`[^`\n]*`|\[[a-z ]+\]\([#.a-z/-]+\)|</?(details|summary|strong|a)\b[^<>]*>"
        assert "<" not in (outside := re.sub(ours, "", markdown))
        assert not re.search(r"(?<!\\)\]\(", outside)
    assert len(documents["gate.md"].splitlines()) <= len(usual["gate.md"].splitlines())


def test_a_hostile_answer_is_still_legible_in_the_page():
    """Escaping keeps the text for the reader."""
    assert HOSTILE.splitlines()[0] in Page(render(regressed(HOSTILE))["gate.html"]).text


# --------------------------------------------------------------------------- gate.json


@pytest.mark.parametrize("result", [passed(), regressed(), regressed(HOSTILE), *steps()])
def test_a_result_is_read_back_as_it_was(result, tmp_path):
    """gate.json is complete; an open upper bound is null in it and infinite again."""
    (file,) = write_documents({"gate.json": to_text(result)}, tmp_path)
    assert read_result(file) == result
    assert not re.search(r"\b(NaN|Infinity)\b", file.read_text())


@given(st.floats(), st.floats(), st.floats())
def test_numbers_that_are_none_are_null(ratio, upper, mde80):
    """Strict JSON whatever the figures; finite ones survive to the last digit."""
    result = passed()
    odd = replace(result.metrics[0], effect=Effect(ratio, 0.0, upper, 3, mde80))
    text = to_text(replace(result, metrics=(odd,)))

    def refuse(constant):
        raise AssertionError(constant)

    stored = json.loads(text, parse_constant=refuse)["result"]["metrics"][0]["effect"]
    for name, value in (("ratio", ratio), ("upper", upper), ("mde80", mde80)):
        assert stored[name] == (value if math.isfinite(value) else None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-40], "is not JSON"),
        (lambda text: text.replace('"schema_version": 2', '"schema_version": 9'), "schema_version"),
        (lambda text: "[]", "schema_version"),
        (lambda text: text.replace('"seed": 4711', '"seed": "much"'), "plan.seed"),
        (lambda text: text.replace('"seed": 4711', '"seed": 4711, "new": 1'), "new"),
    ],
)
def test_a_file_that_is_not_a_whole_result_is_refused_with_its_place(change, message, tmp_path):
    """One sentence with the file and the key."""
    (file,) = write_documents({"gate.json": change(to_text(passed()))}, tmp_path)
    with pytest.raises(GateError, match=re.escape(str(file))) as caught:
        read_result(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    """Not a traceback of the operating system's."""
    with pytest.raises(GateError, match="cannot be read"):
        read_result(tmp_path / "gate.json")


# --------------------------------------------------------------------------- words and figures


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_worse_factor_lies_further_to_the_right(x, y):
    """The image keeps the order of factors, and 1 is in its middle."""
    low, high = sorted((x, y))
    assert 0 <= view.position(low, "decode_tps") <= view.position(high, "decode_tps") <= 100
    assert view.position(1.0, "decode_tps") == 50
    assert (view.position(0.0, "load_s"), view.position(math.inf, "load_s")) == (0, 100)
