"""A real published model out of a wheel, text alone: found, described, loaded by four libraries.

``make real`` puts it through every suite; here is what a suite does not ask.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

from fixtures.real_model import real_model
from qualification.core.declarations import Deployment
from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.judging.memory_growth import private_bytes
from qualification.models.loading import load_registry
from qualification.models.memory_fit import predict
from qualification.models.own.contradictions import contradictions
from qualification.models.own.inference import described
from qualification.models.own.inventory import inventory
from qualification.models.own.targets import find
from qualification.models.weights import check_files, load_request, tensors_here
from qualification.session.worker import Worker

pytestmark = pytest.mark.skipif(real_model() is None, reason="its wheel is not here: make real")

HELLO = GenerateRequest((Message("user", (Part("text", "Say hello."),)),), max_tokens=16)


def deployments():
    """Backend -> deployment."""
    model, _ = described(find(str(real_model())))
    return {source.place: Deployment(model, source) for source in model.sources}


def test_its_files_say_what_it_is():
    """The figures are those that its publisher states; nothing contradicts them."""
    model, note = described(find(str(real_model())))
    assert model.parameters == 134_515_008
    assert model.capabilities == ("text_only", "multi_turn")
    assert {source.quantisation for source in model.sources} == {"Q4_1", "f32"}
    assert "text alone: nothing with images is asked" in note
    assert list(contradictions(find(str(real_model())), model)) == []
    (listed,) = inventory([real_model().parent])
    assert (listed.model.name, listed.problem, listed.doubts) == (model.name, "", ())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["llamacpp", "torch"])
def test_it_answers_and_takes_the_predicted_memory(backend):
    """The same file in llama.cpp and in transformers; the peak within 15 %."""
    libraries = {"llamacpp": "llama_cpp", "torch": "transformers"}
    if find_spec(libraries[backend]) is None:
        pytest.skip("not installed")
    deployment = deployments()[backend]
    request = load_request(deployment)
    check_files(request)
    predicted = predict(deployment, load_registry(), tensors_here(deployment)).total_bytes
    with Worker() as worker:
        worker.load(request, deadline_s=300)
        assert "hello" in worker.generate(HELLO, deadline_s=300).text.casefold()
        peak = worker.memory().peak_memory_bytes
    assert predicted == pytest.approx(peak, rel=0.15)


@pytest.mark.slow
def test_memory_with_and_without_a_mapped_file():
    """Read into memory of its own the weights are private; mapped, the page cache holds them."""
    if find_spec("llama_cpp") is None:
        pytest.skip("not installed")
    deployment = deployments()["llamacpp"]
    reports = {}
    for mapped in (True, False):
        with Worker() as worker:
            options = {"use_mmap": mapped}
            request = replace(load_request(deployment), options=options)
            worker.load(request, deadline_s=300)
            worker.generate(HELLO, deadline_s=300)
            reports[mapped] = worker.memory()
    size = real_model().stat().st_size
    private = {mapped: private_bytes(report) for mapped, report in reports.items()}
    assert private[False] - private[True] == pytest.approx(size, rel=0.15)
    peaks = [report.peak_memory_bytes for report in reports.values()]
    assert peaks[0] == pytest.approx(peaks[1], rel=0.15)
