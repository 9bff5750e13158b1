"""A loaded deployment as a suite uses it, on the scripted backend."""

import contextlib
import re
from dataclasses import replace

import pytest

from qualification.core.errors import WeightsUnavailable, WorkerCrashed
from qualification.models.loading import load_registry
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request
from qualification.session.worker import Worker
from qualification.tasks.questions import generate
from tests.support.session_sample import session
from tests.support.toy_project import NAME, write_declarations


@pytest.fixture
def load(tmp_path):
    """``load(**options)``: the toy in a worker; every one is closed at the end."""
    context = RunContext(session().machine, None, tmp_path / "scratch")
    loaded = []

    def start(**options):
        declared = load_registry(write_declarations(tmp_path / "declared", options=options))
        deployment = declared.deployment(NAME)
        request = prepared_request(deployment, context)
        loaded.append(Deployed(deployment, request, context, Journal()))
        return loaded[-1]

    yield start
    for deployed in loaded:
        deployed.close()


def test_recorded_values_are_numbered_for_each_metric(load):
    """In the metric's unit, under the suite that recorded them."""
    deployed = load()
    deployed.suite = "throughput"
    deployed.record("decode_tps", 10.0, 11.0)
    deployed.record("ttft_s", 0.5)
    deployed.record("decode_tps", 12.0)
    assert deployed.recorded("decode_tps") == (10.0, 11.0, 12.0)
    trials = deployed._journal.trials
    assert [(trial.metric, trial.repetition) for trial in trials] == [
        ("decode_tps", 0),
        ("decode_tps", 1),
        ("ttft_s", 0),
        ("decode_tps", 2),
    ]
    assert {(trial.unit, trial.suite) for trial in trials} == {
        ("tok/s", "throughput"),
        ("s", "throughput"),
    }


def test_only_real_weights_get_a_hint_with_a_question(load):
    """A canary knows only the exact prompts of its training."""
    (question,) = generate(1, 1, "heldout", ["count"])
    deployed = load()
    (message,) = deployed.messages(question, images=())
    assert message.parts[-1].value == f"{question.prompt} Answer with the number."
    source = replace(deployed.deployment.source, weights="canary")
    deployed.deployment = replace(deployed.deployment, source=source)
    *_, message = deployed.messages(question, images=())
    assert message.parts[-1].value == question.prompt


def test_an_earlier_answer_is_not_asked_for_again(load):
    """Only where the caller says so, and only what was asked plainly; a reload forgets nothing."""
    question, limited = generate(1, 2, "heldout", ["colour"])
    deployed = load(default_answer="blue")
    requests = []
    generate_once = Worker.generate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Worker, "generate", lambda *a, **k: requests.append(a) or generate_once(*a, **k)
        )
        assert deployed.answer(question) == "blue"
        deployed.reload()
        assert deployed.answer(question, reuse=True) == "blue"
        assert len(requests) == 1
        assert deployed.answer(question) == "blue"
        assert len(requests) == 2
        deployed.converse(*deployed.messages(limited), max_tokens=1)
        assert deployed.answer(limited, reuse=True) == "blue"
        assert len(requests) == 4


def test_an_image_is_written_once_and_leaves_no_draft(load):
    """Equal images share a file; a file of the caller's is passed on."""
    deployed = load()
    (question,) = generate(1, 1, "heldout", ["colour"])
    paths = [deployed.messages(question)[0].parts[-2].value for _ in range(2)]
    assert paths[0] == paths[1]
    assert [str(file) for file in deployed._context.images.iterdir()] == [paths[0]]


def test_a_worker_that_died_is_replaced_for_the_next_request(load):
    """The failing request names the crash, the next one is answered by a new process."""
    deployed = load(on_generate="segfault", after=1)
    assert deployed.ask("Hello") == "red"
    crashed = deployed.worker_pid
    with pytest.raises(WorkerCrashed):
        deployed.ask("Hello")
    assert deployed.worker_pid is None
    assert deployed.ask("Hello") == "red"
    assert deployed.worker_pid not in (None, crashed)


def test_the_log_outlives_the_worker(load):
    """A gate reads the warnings of a deployment after it was closed."""
    deployed = load(prints="a warning of the library")
    deployed.close()
    assert "a warning of the library" in deployed.log()


def test_files_on_the_disk_have_a_revision_which_the_journal_keeps(load, tmp_path):
    """Of the first load; a worker's own report, a commit of the hub, comes before it."""
    deployed = load()
    assert deployed.load_report.revision == ""
    (tmp_path / "model.safetensors").write_bytes(b"w")
    request = replace(deployed._request, path=str(tmp_path))
    journal = Journal()
    with contextlib.closing(
        Deployed(deployed.deployment, request, deployed._context, journal)
    ) as own:
        revision = own.load_report.revision
        assert re.fullmatch("[0-9a-f]{12}", revision)
        assert journal.load_reports[NAME].revision == revision
        assert own.reload().revision == revision
    with pytest.MonkeyPatch.context() as patch:
        commit = replace(own.load_report, revision="0123456789abcdef" * 2)
        patch.setattr(Worker, "load", lambda *_a, **_k: commit)
        with contextlib.closing(
            Deployed(deployed.deployment, request, deployed._context, Journal())
        ) as own:
            assert own.load_report.revision == commit.revision


def test_weights_that_are_changed_under_way_are_named(load, tmp_path):
    """What was measured before is of other weights than what would be measured now."""
    deployed = load()
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"w")
    request = replace(deployed._request, path=str(tmp_path))
    own = Deployed(deployed.deployment, request, deployed._context, Journal())
    file.write_bytes(b"v")
    with pytest.raises(WeightsUnavailable, match="its weights were changed while the run went on"):
        own.reload()
    assert own.worker_pid is None


def test_an_answer_is_asked_for_once_in_a_run(load):
    """Also by a test of a run that was resumed: the journal has it."""
    journal = Journal()
    question = generate(seed=1, count=1, skills=["colour"])[0]
    loaded = load()
    own = Deployed(loaded.deployment, loaded._request, loaded._context, journal)
    answer = own.answer(question)
    own.close()
    again = Deployed(loaded.deployment, loaded._request, loaded._context, journal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "generate", lambda *_a, **_k: pytest.fail("asked again"))
        assert again.answer(question, reuse=True) == answer
    again.close()
