"""The documents show stored figures only, and the answer of a model stays text."""

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.files import write_documents
from qualification.core.results import Check, Verdict
from qualification.models.loading import load_registry
from qualification.results.markdown import plain
from qualification.results.rows import Row, rows
from tests.support.session_sample import DEPLOYMENT, HOSTILE, recommended, results, session, trials


@pytest.fixture(scope="module")
def registry():
    """The declarations that ship."""
    return load_registry()


class Elements(HTMLParser):
    """Collects the names of all elements and the visible text."""

    def __init__(self):
        super().__init__()
        self.names = set()
        self.text = ""
        self.scripts = 0

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.scripts += tag == "script"
        assert not [name for name, _ in attrs if name.startswith("on")]
        assert all(re.match("#|https://", value) for name, value in attrs if name == "href")

    def handle_data(self, data):
        self.text += data


def test_both_documents_carry_the_figures(registry):
    """The median, the range and the variation of the raw trials are record."""
    documents = recommended(results(), registry)
    for text in documents.values():
        assert DEPLOYMENT in text
        assert "95.4" in text
        assert "94.6–96.3" in text
        assert "0.9%" in text


def test_both_documents_have_the_revision_of_the_weights(registry):
    """Twelve digits of it, and a commit of the hub in full; a hostile one stays text."""
    report = results().load_reports[DEPLOYMENT]
    for revision, digits in (("0123456789abcdef" * 2, "0123456789ab"), ("", "unknown")):
        load = {DEPLOYMENT: replace(report, revision=revision)}
        documents = recommended(results(load_reports=load), registry)
        assert f"| `{DEPLOYMENT}` | 1.00 KB | `{digits}` | " in documents["recommendations.md"]
        assert f"<td><code>{digits}</code>" in documents["recommendations.html"]
    commit = "0123456789abcdef0123456789abcdef01234567"
    load = {DEPLOYMENT: replace(report, revision=commit)}
    for text in recommended(results(load_reports=load), registry).values():
        assert commit in text
    load = {DEPLOYMENT: replace(report, revision="<b>|`\x1b[2J")}
    documents = recommended(results(load_reports=load), registry)
    assert "<b>" not in documents["recommendations.html"]
    assert "`<b>\\|'\\x1b[2J`" in documents["recommendations.md"], "a code span holds no markup"


def test_html_escapes_the_answer_of_a_model(registry):
    """No element or handler comes from a hostile answer; the text is still legible."""
    parser = Elements()
    parser.feed(recommended(results(), registry)["recommendations.html"])
    assert parser.scripts == 1, "our own, for sorting"
    assert "<script>alert('x')</script>" in parser.text


def test_markdown_disarms_the_answer_of_a_model(registry):
    """No tag, link, table cell or heading comes from a hostile answer."""
    text = recommended(results(), registry)["recommendations.md"]
    assert "<script>" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    assert not [line for line in text.splitlines() if line.startswith("# heading")]
    assert plain(HOSTILE) in text


def test_the_phases_of_a_request_are_shown_where_they_were_measured(registry):
    """Each in its unit; a dash where a backend could not be hooked; no table without any."""
    measured = (
        trials("preprocess_s", 0.0351)
        + trials("prefill_tps", 1715.0, 1725.0)
        + trials("image_tokens", 972)
        + trials("token_drift", 1.12)
        + trials("sustained_decode_tps", 61.5)
    )
    (row,) = rows(results(trials=measured), registry)
    assert row.phases["prefill_tps"] == (1715.0, 1725.0)
    assert "vision_encode_s" not in row.phases
    documents = recommended(results(trials=measured), registry)
    for text in documents.values():
        for figure in ("Phases and details", "35.1 ms", "1,720", "972", "+12.0%", "61.5"):
            assert figure in text
    for text in recommended(results(), registry).values():
        assert "Phases and details" not in text


@given(st.text(max_size=300))
def test_plain_text_is_one_line_without_markup(text):
    """Whatever the text, no raw bracket, pipe or line break is left."""
    line = plain(text)
    assert len(line.splitlines()) <= 1
    assert "<" not in line
    for position, character in enumerate(line):
        if character in "|`*[]":
            assert line[position - 1] == "\\"


def test_nothing_measured_is_a_dash_and_not_a_zero(registry):
    """A figure that was not measured is not invented."""
    (row,) = rows(results(trials=(), load_reports={}), registry)
    assert row.variation is None
    assert row.share_of_roofline is None
    text = recommended(results(trials=(), load_reports={}), registry)["recommendations.md"]
    (line,) = [line for line in text.splitlines() if line.startswith(f"| [`{DEPLOYMENT}`]")]
    assert line.count("| – ") == 7, "image, text, load, first token, speed, memory, accuracy"


def test_a_share_of_zero_is_shown_and_an_invalid_figure_is_not(registry):
    """An accuracy of 0 % is a figure; -5 s and NaN are none."""
    recorded = trials("accuracy", 0.0) + trials("load_s", -5.0, float("nan"))
    (row,) = rows(results(trials=recorded), registry)
    assert row.accuracy == (0.0,)
    assert row.load_s == ()


def test_a_speed_is_shown_as_share_of_the_roofline(registry):
    """With a known bandwidth the roofline is derived from the declared shape."""
    name = "qwen2.5-vl-7b-4bit@mlx"
    record = results(
        session=session(bandwidth=120e9, tier="air_m4"),
        verdicts=(results().verdicts[0].__class__(name, "pass", "recommended"),),
        trials=trials("decode_tps", 15.0, deployment=name),
        checks=(),
        load_reports={},
    )
    (row,) = rows(record, registry)
    assert row.roofline_tps == pytest.approx(30, abs=0.5)
    assert row.share_of_roofline == pytest.approx(15 / row.roofline_tps)
    text = recommended(record, registry)["recommendations.md"]
    assert "canary" not in text.split("Known bugs that did not show here")[0]


SEVEN = "qwen2.5-vl-7b-4bit@mlx"


def measured(*speeds, **machine):
    """A session of the 7B with these decoding speeds."""
    return results(
        session=session(**machine),
        verdicts=(Verdict(SEVEN, "no_baseline", "recommended"),),
        trials=trials("decode_tps", *speeds, deployment=SEVEN),
        checks=(),
        load_reports={},
    )


def test_a_speed_over_the_roofline_is_never_shown_as_a_figure(registry):
    """One impossible repetition rejects the record: a sentence instead of its speeds."""
    record = measured(20.5, 94.13, chip="Apple M4", bandwidth=120e9, tier="air_m4")
    (row,) = rows(record, registry)
    assert row.decode_tps == ()
    for text in recommended(record, registry).values():
        assert "20.5" not in text
        assert "94.1 tok/s is over 30.2 tok/s" in text
        assert "Projection, not measured" not in text


def test_a_measured_speed_is_projected_and_called_a_projection(registry):
    """To the deployment's other tiers, with the machine that was measured."""
    record = measured(95.4, chip="Apple M4 Max", bandwidth=546e9, tier="max_m4")
    for text in recommended(record, registry).values():
        section = text.split("Projected, not measured")[-1] if "<table" in text else text
        assert "~21.0" in section
        assert "95.4" in section
        assert "Apple M4 Max" in section
        assert "none was measured there" in text


def test_the_documents_show_the_memory_fit_with_the_sums(registry):
    """Every real deployment and combination; a machine of unknown memory has no column."""
    for text in recommended(results(), registry).values():
        assert "Predicted fit" in text
        assert "key/value cache" in text
        assert "this machine" in text
        assert "7B and 32B" in text
    unknown = results(session=session(memory_bytes=0))
    assert "this machine, of" not in recommended(unknown, registry)["recommendations.md"]


def test_documents_are_written_whole(tmp_path):
    """A second rendering replaces the first and leaves no draft."""
    write_documents({"recommendations.md": "one"}, tmp_path / "latest")
    (file,) = write_documents({"recommendations.md": "two"}, tmp_path / "latest")
    assert file.read_text() == "two"
    assert list(file.parent.iterdir()) == [file]


def test_results_are_plain_json():
    """Everything that is stored can be written as JSON."""
    from qualification.core.protocol import to_json

    assert json.loads(json.dumps(to_json(results())))["session"]["machine"]["cpu_cores"] == 2


def test_wrong_answers_for_a_known_reason_are_not_called_usable():
    """The summary has it in a line of its own."""
    verdict = Verdict("a@mlx", "unfit", "usable", ())
    check = Check("a@mlx", "quality", "test_answers_held_out_questions", "xfailed")
    row = Row("a@mlx", True, False, verdict, None, (), (), (), (), (), None, (check,), {})
    assert row.advice == "answers wrongly, a known bug"
    assert replace(row, checks=()).advice == "usable"


def test_a_known_bug_is_shown_with_its_workaround_and_issue(registry):
    """A reader's next question is how to avoid it; where none is known, the table says so."""
    untold = replace(registry.bugs[0], identifier="untold", workaround="")
    unreported = replace(registry.bugs[0], identifier="unreported", issue="")
    registry = replace(registry, bugs=(*registry.bugs, untold, unreported))
    for name, text in recommended(results(), registry).items():
        line = next(line for line in text.splitlines() if "llava-state-corruption" in line)
        assert "use mlx-vlm 0.4.1 or later" in line
        assert "mlx-vlm#821" in line
        line = next(line for line in text.splitlines() if "unreported" in line)
        end = '<td><span class="quiet">–</span>' if name.endswith("html") else " | – |"
        assert line.endswith(end)
        line = next(line for line in text.splitlines() if "untold" in line)
        assert "none is known" in line


def test_a_report_of_many_trials_takes_no_time(registry):
    """Its rows do not search all trials for each deployment and metric."""
    deployments = [deployment.identifier for deployment in registry.deployments()]
    record = results(
        verdicts=tuple(Verdict(name, "pass", "usable") for name in deployments),
        trials=tuple(
            trial
            for name in deployments
            for trial in trials("decode_tps", *[1.0] * 500, deployment=name)
        ),
    )
    begin = time.process_time()
    assert len(rows(record, registry)) == len(deployments)
    assert time.process_time() - begin < 5
