"""What is explained of a metric or of all: origin, findings, what is missing, next commands."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import SelectionError
from qualification.core.format import number
from qualification.core.metrics import METRICS
from qualification.core.paths import PACKAGE
from qualification.core.protocol import LoadReport, to_json
from qualification.core.results import Check, Finding, Trial, Verdict
from qualification.documents.explain.definitions import definition
from qualification.documents.explain.lines import WIDTH, deployment_lines, metric_lines
from qualification.documents.explain.stored_deployment import StoredDeployment
from qualification.models.loading import load_registry
from tests.support.session_sample import DEPLOYMENT, HOSTILE, results, session, trials

SEVEN = "qwen2.5-vl-7b-4bit@mlx"
REGISTRY = load_registry()
AIR = {"chip": "Apple M4", "product": "MacBook Air", "bandwidth": 120e9, "tier": "air_m4"}


def stored(*recorded, verdict=None, checks=(), load=None, name=SEVEN, **machine):
    """One deployment on an Air M4 with these trials."""
    return results(
        session=session(**(AIR | machine)),
        verdicts=(verdict or Verdict(name, "no_baseline", "recommended"),),
        trials=tuple(trial for part in recorded for trial in part),
        checks=tuple(checks),
        load_reports={name: load} if load else {},
    )


def of_seven(metric, *values):
    """Trials of the 7B."""
    return trials(metric, *values, deployment=SEVEN)


def explained(metric, record, name=SEVEN, options=""):
    """The tree of one metric, and its lines as one text."""
    explanation = StoredDeployment(record, REGISTRY, name, options).metric(metric)
    return explanation, "\n".join(metric_lines(explanation))


def listed(record, name=SEVEN):
    """The tree of all metrics, and its lines as one text."""
    explanation = StoredDeployment(record, REGISTRY, name).all_metrics()
    return explanation, "\n".join(deployment_lines(explanation))


def step(explanation, name):
    """The text of one step."""
    (text,) = [step.text for step in explanation.steps if step.name == name]
    return text


def unwrapped(text):
    """A text without its line breaks."""
    return " ".join(text.split())


def test_findings_that_mention_the_metric_are_shown():
    """By name, by label, by test; others are not."""
    findings = (
        Finding("decode_tps", "pass", "Decoding runs at 21.8 tok/s."),
        Finding("consistency", "pass", "Decoding speed (throughput) has a CV of 0.5%."),
        Finding("check", "fail", "The check test_speed (throughput) failed."),
        Finding("load_s", "pass", "Loading took 4.00 s."),
        Finding("check", "fail", "The check test_speed_repeats (consistency) failed."),
    )
    verdict = Verdict(SEVEN, "failed", "not recommended", findings)
    explanation, text = explained(
        "decode_tps", stored(of_seven("decode_tps", 21.8), verdict=verdict)
    )
    assert explanation.findings == findings[:3]
    assert "pass: Decoding runs at 21.8 tok/s." in text


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        (SEVEN, "measured with the real weights"),
        (DEPLOYMENT, "measured with a canary"),
        ("qwen2.5-vl-7b-4bit-synthetic@mlx", "measured with random weights"),
        ("model-as-served@127.0.0.1:8080", "measured; the deployment is not declared"),
    ],
)
def test_the_origin_of_a_figure_is_said(name, origin):
    """And what would measure it again, where that can be."""
    record = stored(trials("ttft_s", 1.0, deployment=name), name=name)
    explanation, _ = explained("ttft_s", record, name)
    assert explanation.circumstances.origin.startswith(origin)
    again = [command for command in explanation.commands if command.startswith("pytest ")]
    assert bool(again) == ("declared" not in origin)
    assert ("--weights synthetic" in " ".join(again)) == ("random" in origin)


def test_commands_repeat_the_users_options():
    """So that they are about the same session."""
    record = stored(of_seven("ttft_s", 1.0))
    explanation, _ = explained("ttft_s", record, options=" --session s1")
    assert explanation.commands[0] == f"qualify explain {SEVEN} --session s1"
    assert explanation.commands[1] == "qualify report --session s1"


def check(outcome, detail="", test="test_speed", suite="throughput"):
    """One of the 7B."""
    return Check(SEVEN, suite, test, outcome, detail)


@pytest.mark.parametrize(
    ("checks", "metric", "reason"),
    [
        ([], "ttft_s", "the suite throughput did not run: it was not selected"),
        ([check("passed", test="test_phases")], "ttft_s", "test_speed did not run"),
        ([check("skipped", "no weights\nhere")], "ttft_s", "skipped: no weights here"),
        ([check("failed", "it hung")], "ttft_s", "test_speed failed before it was recorded: it"),
        ([check("passed")], "burst_answers", "there was none, and 0 is not recorded"),
        ([check("passed")], "e2e_s", "test_speed passed and did not record it"),
        ([], "load_cold_s", "test_loads_cold is left out without pytest --cold-load"),
    ],
)
def test_a_metric_that_is_missing_has_its_reason(checks, metric, reason):
    """From the checks; in the list, and by itself."""
    record = stored(of_seven("load_s", 4.0), checks=checks)
    (in_list,) = [part.reason for part in listed(record)[0].missing if metric in part.metrics]
    assert in_list.startswith(reason)
    explanation, text = explained(metric, record)
    assert explanation.absence == in_list
    assert "Raw trials: none" in text


def test_a_deployment_that_does_not_fit_or_was_not_tried_says_so():
    """For every metric at once."""
    refused = stored(verdict=Verdict(SEVEN, "does_not_fit", "does not fit"))
    (missing,) = listed(refused)[0].missing
    assert missing.reason == "predicted not to fit, so it was never loaded"
    record = stored()
    untried = replace(record, session=replace(record.session, untried={SEVEN: 12}))
    assert explained("ttft_s", untried)[0].absence == "12 tests of it were selected and not tried"


def test_all_metrics_are_either_in_the_table_or_missing():
    """Each once, with n, median, least, most and unit; loads of servers in short."""
    record = stored(of_seven("load_s", 4.0, 5.0, float("inf")), of_seven("accuracy", 0.5))
    explanation, text = listed(record)
    names = [line.metric for line in explanation.metrics]
    names += [metric for part in explanation.missing for metric in part.metrics]
    assert sorted(names) == sorted(METRICS)
    assert re.search(r"^load_s +2 of 3 +4\.50 s +4\.00 s +5\.00 s +s$", text, re.MULTILINE)
    assert "ttft_{1,2,4,8}_clients_s" in text


def test_a_metric_of_a_package_that_is_gone_is_still_explained():
    """Its unit is the stored one."""
    strange = (Trial(SEVEN, "joules", 3.5, "J", 0, "mine"),)
    explanation, text = explained("joules", stored(strange))
    assert explanation.statistics.printed == "3.50 J"
    assert "a metric of another package, which is not installed here" in unwrapped(text)
    assert listed(stored(strange))[0].metrics[-1].metric == "joules"


@pytest.mark.parametrize(
    ("name", "metric", "nearest"),
    [
        ("qwen2.5-vl-7b", "ttft_s", SEVEN),
        (f"{SEVEN}x", "ttft_s", SEVEN),
        (SEVEN, "speed", "decode_tps"),
        (SEVEN, "decode_tsp", "decode_tps"),
    ],
)
def test_a_wrong_name_is_one_sentence_with_the_nearest(name, metric, nearest):
    """Of what ran, and of the metrics by name or label."""
    with pytest.raises(SelectionError, match=rf"did you mean .*{re.escape(nearest)}") as caught:
        explained(metric, stored(of_seven("ttft_s", 1.0)), name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_session_without_anything_says_so():
    """No name is near."""
    with pytest.raises(SelectionError, match="nothing ran in it"):
        explained("ttft_s", results(verdicts=(), trials=(), checks=(), load_reports={}))


# ----------------------------------------------------------------------------------------- the form


HOSTILE_TEXT = st.text(max_size=60) | st.just(HOSTILE) | st.just("\x1b[2J\u202e")


@given(HOSTILE_TEXT, HOSTILE_TEXT)
def test_hostile_texts_do_not_act_on_a_terminal(text, name):
    """A chip, a version, a suite, a unit, a metric, a reason: none breaks a line or an escape."""
    base = stored(
        (
            Trial(SEVEN, text or "m", 1.0, name, 0, text),
            Trial(SEVEN, "load_s", 1.0, "s", 0, name),
        ),
        verdict=Verdict(SEVEN, "failed", "usable", (Finding("load_s", "fail", text),)),
        checks=[check("skipped", text)],
        load=LoadReport(1.0, 1.0, 1.0, name, 1, text, {}),
        chip=text,
    )
    environment = replace(base.session.environment, name=name, versions={text: name})
    record = replace(base, session=replace(base.session, started=text, environment=environment))
    for lines in (
        deployment_lines(StoredDeployment(record, REGISTRY, SEVEN).all_metrics()),
        metric_lines(StoredDeployment(record, REGISTRY, SEVEN).metric("load_s")),
        metric_lines(StoredDeployment(record, REGISTRY, SEVEN).metric(text or "m")),
    ):
        for line in lines:
            assert line.isprintable()


@pytest.mark.parametrize("metric", ["", *METRICS])
def test_no_line_is_wider_than_the_terminal(metric):
    """Of all metrics, with names and reasons that are as long as those that occur."""
    findings = (Finding(metric, "fail", "A long sentence about it. " * 9),)
    verdict = Verdict(SEVEN, "failed", "not recommended", findings)
    recorded = [of_seven(name, 0.123456789012345) for name in METRICS]
    record = stored(*recorded, checks=[check("skipped", "because " * 30)], verdict=verdict)
    name = "qwen2.5-vl-32b-4bit-synthetic@llama_cpp.server"
    record = replace(
        record,
        verdicts=(replace(verdict, deployment=name),),
        trials=tuple(replace(trial, deployment=name) for trial in record.trials),
    )
    deployment = StoredDeployment(record, REGISTRY, name, " --session 20260101T000000Z-abc123")
    lines = (
        metric_lines(deployment.metric(metric))
        if metric
        else deployment_lines(deployment.all_metrics())
    )
    assert [line for line in lines if len(line) > WIDTH] == []


def test_json_has_the_same_tree():
    """Without a number that JSON does not know."""
    record = stored(of_seven("load_s", float("inf"), float("nan"), 4.0))
    explanation, _ = explained("load_s", record)
    tree = json.loads(json.dumps(to_json(explanation), allow_nan=False))
    assert [trial["text"] for trial in tree["trials"]] == ["inf", "nan", "4"]
    assert tree["statistics"]["median"] == 4.0
    assert number(tree["statistics"]["median"]) == "4.00"


# ---------------------------------------------------------------------------------- the definitions


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_defined_as_the_page_has_it(metric):
    """On docs/measuring.md, and recorded by a test of the suite that is named."""
    meaning = definition(metric)
    page = (PACKAGE.parent / "docs/measuring.md").read_text(encoding="utf-8")
    assert f"`{re.sub(r'_[0-9]+_clients', '_n_clients', metric)}`" in page
    recorder = meaning.recorder
    suite = (PACKAGE / "suites" / f"test_{recorder.suite}.py").read_text(encoding="utf-8")
    assert f"def {recorder.test}(" in suite
    assert meaning.sentence[0].islower() or meaning.sentence[0] in "(TJ1"
    assert not meaning.sentence.endswith(".")
