"""The lines that answer: which model, why, does it fit, what to avoid."""

from dataclasses import replace

import pytest

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Condition, Finding, Verdict
from qualification.documents.context import Context
from qualification.documents.first_screen import first_screen, picks
from qualification.documents.model import plain_text
from qualification.documents.recommendations import recommendations
from qualification.documents.session_view import session_view
from qualification.models.loading import load_registry
from qualification.results.rows import rows
from tests.documents.air_sample import AIR
from tests.support.session_sample import REVISION, recommended, results, session, trials

LARGE, QUICK, WRONG = (
    "qwen2.5-vl-7b-4bit@mlx",
    "qwen2-vl-2b-4bit@mlx",
    "smolvlm-500m-Q8_0@llamacpp",
)
FIGURES = {
    LARGE: {"accuracy": 0.94, "decode_tps": 21.8, "peak_memory_bytes": 6.8e9},
    QUICK: {"accuracy": 0.84, "decode_tps": 60.0, "peak_memory_bytes": 3.0e9},
    WRONG: {"accuracy": 0.20, "decode_tps": 90.0, "peak_memory_bytes": 1.1e9},
}


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


def measured(verdicts=(), checks=(), figures=None, count=100):
    """A session on an Air M4, of so many questions each."""
    figures = FIGURES if figures is None else figures
    names = {verdict.deployment for verdict in verdicts}
    values = [
        trial
        for name, of_one in figures.items()
        for metric, value in {**of_one, "accuracy_questions": count, "load_s": 4.2}.items()
        for trial in trials(metric, value, deployment=name)
    ]
    passed = [Verdict(name, "no_baseline", "usable") for name in figures if name not in names]
    return results(
        session=session(**AIR),
        verdicts=(*passed, *verdicts),
        trials=tuple(values),
        checks=(*[Check(name, "load", "test_loads", "passed") for name in figures], *checks),
        load_reports={
            name: LoadReport(4.2, 4.0, 1.0, "gpu", 10**9, REVISION, {}) for name in figures
        },
    )


def lines(session_results, registry):
    """``word: text`` of each."""
    table = rows(session_results, registry)
    choice = picks(session_results, table, registry)
    screen = first_screen(session_results, table, registry, choice)
    return [f"{line.word}: {line.text}" for line in screen]


def test_the_pick_says_why_it_is_one_and_what_is_left(registry):
    """Accuracy with its interval and questions, speed with its share, memory, load."""
    run, *below = lines(measured(), registry)
    assert run.startswith(
        f"run: {LARGE}: 94% correct (88–97 % of 100 questions), the best that fits"
    )
    assert "21.8 tok/s = 7" in run
    assert "6.80 GB peak" in run
    assert "loads in 4.20 s" in run
    assert f"as accurate: {QUICK} (84%): their intervals overlap with its own" in below
    assert f"smallest: {WRONG}, 90.0 tok/s, 20% correct, 1.10 GB" in below


def test_wrong_answers_for_a_known_reason_are_avoided_with_the_way_out(registry):
    """Whatever its figures are."""
    check = Check(LARGE, "quality", "test_answers", "xfailed", "", "llava-next-mlx-packing")
    run, *below = lines(measured(checks=(check,)), registry)
    assert run.startswith(f"run: {QUICK}: ")
    (avoid,) = (line for line in below if line.startswith("avoid"))
    assert avoid.startswith(f"avoid: {LARGE}: answers wrongly (llava-next-mlx-packing) → ")


def test_a_failed_verdict_is_avoided(registry):
    """With its first reason and the next command."""
    verdict = Verdict(
        QUICK, "failed", "not recommended", (Finding("load_s", "fail", "Loading took 35.4 s."),)
    )
    avoid = next(line for line in lines(measured((verdict,)), registry) if "avoid" in line)
    assert avoid == f"avoid: {QUICK}: Loading took 35.4 s. → qualify see {QUICK}"


def test_a_speed_that_physics_forbids_is_avoided_and_not_shown(registry):
    """94 tok/s of a 7B on an Air M4."""
    figures = {LARGE: {**FIGURES[LARGE], "decode_tps": 94.13}}
    text = "\n".join(lines(measured(figures=figures), registry))
    assert f"avoid: {LARGE}: " in text
    assert "rejected" in text
    assert text.startswith("run: nothing can be recommended yet\n")


def test_an_unfit_machine_recommends_nothing(registry):
    """And says why."""
    verdict = Verdict(LARGE, "unfit", "untested")
    figures = {LARGE: FIGURES[LARGE]}
    text = "\n".join(lines(measured((verdict,), figures=figures), registry))
    assert f"left out: {LARGE}: was measured while the machine was not fit for timing" in text


@pytest.mark.parametrize("count", [0, -1, 1e15, float("nan"), float("inf")])
def test_a_count_that_cannot_be_leaves_the_accuracy_out(count, registry):
    """A stored session may come from anywhere."""
    figures = {LARGE: FIGURES[LARGE]}
    text = "\n".join(lines(measured(figures=figures, count=count), registry))
    assert f"left out: {LARGE}: accuracy was not measured" in text


def test_what_is_too_big_has_the_sum_and_is_told_in_a_few_lines(registry):
    """Three, and the names of the others."""
    small = replace(measured(), session=session(**AIR | {"memory_bytes": 8 * 2**30}))
    too_big = [line for line in lines(small, registry) if line.startswith("too big")]
    assert 0 < len(too_big) <= 4
    assert "more than the" in too_big[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("smolvlm-canary-f32@mlx", "run: canaries show whether the software works"),
        ("smolvlm-500m-Q8_0-synthetic@llamacpp", "run: random weights have a speed and a size"),
    ],
)
def test_what_can_tell_nothing_of_a_model_says_so(name, sentence, registry):
    """With the command that can."""
    *_, line = lines(measured(figures={name: FIGURES[WRONG]}), registry)
    assert line.startswith(sentence)
    assert "pytest -m here --download" in line


def test_nothing_measured_says_how_to_begin(registry):
    """An empty session."""
    assert lines(measured(figures={}), registry) == [
        "run: nothing was measured yet: pytest -m here --download"
    ]


def test_both_documents_begin_with_it(registry):
    """Before any table."""
    for text in recommended(measured(), registry).values():
        head = text[: text.index("Comparison")]
        assert LARGE in head
        assert "94% correct" in head


def test_what_is_stale_is_shown_so_and_not_recommended(registry):
    """Another release is installed by now, on the same machine."""
    record = measured(figures={LARGE: FIGURES[LARGE], QUICK: FIGURES[QUICK]})
    table = rows(record, registry)
    choice = picks(record, table, registry, {"mlx": "9.9"})
    screen = first_screen(record, table, registry, choice)
    text = "\n".join(f"{line.word}: {line.text}" for line in screen)
    assert text.startswith("run: nothing can be recommended yet\n")
    assert f"left out: {LARGE}: is stale: measured with mlx none (now 9.9)" in text


def test_what_is_no_longer_declared_is_not_recommended(registry):
    """Its weights and its roofline are not known."""
    name = "gone-4bit@mlx"
    text = "\n".join(lines(measured(figures={name: FIGURES[LARGE]}), registry))
    assert text.startswith("run: nothing can be recommended yet\n")
    assert f"left out: {name}: is no longer declared" in text


def test_a_canary_that_fails_beside_a_model_is_told(registry):
    """The software is broken, whatever the model does."""
    canary = "smolvlm-canary-f32@mlx"
    broken = Verdict(canary, "failed", "not recommended", (Finding("x", "fail", "It is broken."),))
    figures = {LARGE: FIGURES[LARGE], canary: FIGURES[QUICK]}
    text = "\n".join(lines(measured((broken,), figures=figures), registry))
    assert f"avoid: {canary}: It is broken." in text


def test_a_model_that_did_not_keep_its_speed_is_left_out_and_told_of(registry):
    """The machine reported a fit state; title and trust do not say that it was."""
    drift = (
        "Speed is not judged, because token drift was +39.5% (over 10%: the machine did not stay "
        "in one state)."
    )
    verdict = Verdict(LARGE, "unfit", "untested", (Finding("conditions", "unknown", drift),))
    sample = measured([verdict])
    conditions = (Condition("thermal", "nominal", fit=True),)
    sample = replace(sample, session=replace(sample.session, conditions=conditions))
    document = recommendations(session_view(sample, registry, Context()))
    screen = {f"{line.word}: {line.text}" for line in document.lines}
    reason = f"speed is not judged, {drift.partition(', ')[2].rstrip('.')}"
    assert f"left out: {LARGE}: {reason}" in screen
    (trust,) = (line for line in screen if line.startswith("trust"))
    assert "1 of 3 did not keep their speed" in trust
    assert "was fit for timing;" not in trust
    assert plain_text(document.subject).endswith("but not throughout")
