"""The real libraries, in ways in which the canary run does not use them."""

import dataclasses
import importlib.util
import json
import shutil

import pytest

from qualification.core.errors import BackendFailed
from qualification.core.paths import canaries
from qualification.core.protocol import GenerateRequest, LoadRequest, Message, Part
from qualification.session.worker import Worker
from qualification.tasks.questions import generate

CANARIES = canaries()
INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(library) is None, reason=f"{library} is not installed"
        ),
    )
    for name, library in (("mlx", "mlx_vlm"), ("torch", "transformers"))
]
LLAMACPP = pytest.param(
    "llamacpp",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("llama_cpp") is None, reason="llama_cpp is not installed"
    ),
)
EVERY_BACKEND = pytest.mark.parametrize("worker", [*INSTALLED, LLAMACPP], indirect=True)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """What MLX's CPU build compiles, with g++ and for seconds, is compiled once."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def worker(request, kernels):
    """A worker of a backend that has loaded the canary smolvlm; all tests of a backend share it."""
    with Worker(kernels=kernels) as worker:
        worker.load(request_for(request.param, CANARIES / "smolvlm"), deadline_s=120)
        yield worker


@pytest.fixture(scope="module")
def untouched_worker(request, kernels):
    """A worker of a backend that has loaded nothing yet."""
    with Worker(kernels=kernels) as worker:
        yield worker


@pytest.fixture
def backend(request):
    """The name of the backend of the test's worker."""
    names = request.node.callspec.params
    return names.get("worker") or names["untouched_worker"]


def request_for(backend, folder):
    """The smolvlm canary, or a copy of it."""
    return LoadRequest(
        backend,
        "canary",
        "smolvlm",
        path=str(folder),
        model_file="gguf/model.gguf" if backend == "llamacpp" else "",
        mmproj_file="gguf/mmproj.gguf" if backend == "llamacpp" else "",
        context=512,
    )


def text(words, max_tokens, **options):
    """One user turn without an image."""
    message = Message("user", (Part("text", words),))
    return GenerateRequest((message,), max_tokens=max_tokens, **options)


@pytest.mark.parametrize("untouched_worker", INSTALLED, indirect=True)
@pytest.mark.parametrize(("model_type", "loads"), [("smolvlm", True), ("evil", False)])
def test_code_in_a_models_files_is_not_run(backend, model_type, loads, tmp_path, untouched_worker):
    """Files that name classes of their own: the library's classes are used, or the load fails."""
    folder = tmp_path / "model"
    shutil.copytree(CANARIES / "smolvlm", folder)
    trap = tmp_path / "executed"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w').close()\nclass Evil: pass\n")
    for file in folder.glob("*config.json"):
        config = json.loads(file.read_text())
        named = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoImageProcessor")
        config["auto_map"] = dict.fromkeys(named, "evil.Evil") | {
            "AutoTokenizer": ["evil.Evil"] * 2
        }
        if file.name == "config.json":
            config["model_type"] = model_type
        file.write_text(json.dumps(config))
    if loads:
        untouched_worker.load(request_for(backend, folder), deadline_s=120)
    else:
        with pytest.raises(BackendFailed):
            untouched_worker.load(request_for(backend, folder), deadline_s=120)
    assert not trap.exists()


@pytest.mark.parametrize("worker", [LLAMACPP], indirect=True)
def test_llama_cpp_is_given_the_frames_of_a_clip_as_images(worker, red, tmp_path):
    """It has no clips, and models of video are declared for it all the same."""
    for number in range(2):
        red.save(tmp_path / f"{number:03}.png")
    images = [Part("image", str(file)) for file in sorted(tmp_path.glob("*.png"))]
    answers = []
    for parts in ([Part("video", str(tmp_path))], images):
        message = Message("user", (*parts, Part("text", "Which colour is the shape?")))
        request = GenerateRequest((message,), max_tokens=8)
        answers.append(worker.generate(request, deadline_s=60))
    assert answers[0].token_ids == answers[1].token_ids != ()
    assert answers[0].image_tokens == answers[1].image_tokens > 0


@EVERY_BACKEND
def test_a_fixed_length_is_exact_and_does_not_outlast_its_request(worker):
    """Exactly N tokens with N times, then a natural stop again."""
    natural = worker.generate(text("Which digit is six?", 24), deadline_s=60)
    fixed = worker.generate(text("Which digit is six?", 24, fixed_length=True), deadline_s=60)
    again = worker.generate(text("Which digit is six?", 24), deadline_s=60)
    assert natural.text.strip() == "6"
    assert natural.finish_reason == "stop"
    assert len(fixed.token_times_s) == len(fixed.token_ids) == 24
    assert fixed.finish_reason == "length"
    assert (again.text, again.token_ids) == (natural.text, natural.token_ids)
    assert list(fixed.token_times_s) == sorted(fixed.token_times_s)


@EVERY_BACKEND
def test_a_damaged_image_fails_and_the_next_request_is_answered(worker, tmp_path):
    """It is reported as a failure of the library; the worker lives on."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is no image")
    parts = (Part("image", str(broken)), Part("text", "Which shape is it?"))
    with pytest.raises(BackendFailed):
        worker.generate(GenerateRequest((Message("user", parts),), 8), deadline_s=60)
    answer = worker.generate(text("Which digit is six?", 24), deadline_s=60)
    assert answer.text.strip() == "6"


@EVERY_BACKEND
def test_a_worker_loads_again_after_it_has_freed_the_weights(worker, backend):
    """Unloaded, it refuses requests; loaded again, it answers as before."""
    worker.unload()
    with pytest.raises(BackendFailed, match="before load"):
        worker.generate(text("Which digit is six?", 24), deadline_s=60)
    worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
    assert worker.generate(text("Which digit is six?", 24), deadline_s=60).text.strip() == "6"


@pytest.fixture
def image(tmp_path):
    """A held-out image of 84 x 84 pixels."""
    (question,) = generate(seed=19, count=1, split="heldout", skills=["both"])
    file = tmp_path / "image.png"
    question.images()[0].save(file)
    return file


def about(file, max_tokens, **options):
    """A request for colour and shape of one image."""
    parts = (Part("image", str(file)), Part("text", "Name the colour and the shape."))
    return GenerateRequest((Message("user", parts),), max_tokens, **options)


@EVERY_BACKEND
def test_the_time_to_first_token_has_phases_only_on_request(worker, image):
    """Each phase is positive, their sum less than the whole; no answer changes."""
    plain = worker.generate(about(image, 24), deadline_s=60)
    timed = worker.generate(about(image, 24, phases=True), deadline_s=60)
    words = worker.generate(text("Which digit is six?", 24, phases=True), deadline_s=60)
    again = worker.generate(about(image, 24), deadline_s=60)
    assert plain.phases is None
    phases = timed.phases
    assert min(phases.preprocess_s, phases.vision_encode_s, phases.prefill_s) > 0
    assert phases.preprocess_s + phases.vision_encode_s + phases.prefill_s <= timed.ttft_s
    assert timed.prefill_tps == pytest.approx(timed.prompt_tokens / phases.prefill_s)
    assert words.phases.vision_encode_s is None, "the request has no image"
    assert words.phases.prefill_s > 0
    assert timed.token_ids == plain.token_ids == again.token_ids
    assert again.phases is None


@EVERY_BACKEND
def test_image_tokens_are_counted_and_expected_alike(worker, image):
    """84 x 84 pixels are five tiles of four tokens in every library."""
    assert_image_tokens(worker, image, 20)


@EVERY_BACKEND
def test_image_tokens_of_merged_patches_are_counted_and_expected_alike(worker, backend, image):
    """84 x 84 pixels are nine merged patches in every library."""
    worker.unload()
    worker.load(request_for(backend, CANARIES / "qwen2_5_vl"), deadline_s=120)
    try:
        assert_image_tokens(worker, image, 9)
    finally:
        worker.unload()
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)


def assert_image_tokens(worker, image, count):
    """An image has so many, and words have none."""
    counted = worker.generate(about(image, 1, phases=True), deadline_s=60)
    words = worker.generate(text("Which digit is six?", 1), deadline_s=60)
    assert counted.image_tokens == counted.image_tokens_expected == count
    assert counted.prompt_tokens > count
    assert words.image_tokens == 0


def test_a_text_model_of_llama_cpp_answers_without_a_projector_as_with_one(image):
    """The same tokens, margins and counts; phases without an encoder; an image is one sentence."""
    pytest.importorskip("llama_cpp")
    whole = request_for("llamacpp", CANARIES / "smolvlm")
    alone = dataclasses.replace(whole, mmproj_file="")
    answers = []
    for request in (whole, alone):
        with Worker() as worker:
            report = worker.load(request, deadline_s=120)
            for name in ("six", "two", "two"):  # the last one finds its prompt computed already
                words = text(f"Which digit is {name}?", 24, margins=True)
                answers.append(worker.generate(words, deadline_s=60))
            fixed = worker.generate(
                text("Which digit is six?", 9, fixed_length=True), deadline_s=60
            )
            timed = worker.generate(text("Which digit is six?", 9, phases=True), deadline_s=60)
            if request is alone:
                with pytest.raises(BackendFailed, match="declare its mmproj_file"):
                    worker.generate(about(image, 8), deadline_s=60)
            answers += [fixed, timed]
    with_projector, without = answers[:5], answers[5:]
    for a, b in zip(with_projector, without, strict=True):
        assert (a.token_ids, a.text, a.prompt_tokens) == (b.token_ids, b.text, b.prompt_tokens)
        assert (a.finish_reason, b.image_tokens) == (b.finish_reason, 0)
        assert b.margins == pytest.approx(a.margins, rel=1e-3)
    assert [answer.text.strip() for answer in without[:3]] == ["6", "2", "2"]
    assert without[4].phases.prefill_s > 0
    assert without[4].phases.vision_encode_s is None
    assert report.weights_bytes == (CANARIES / "smolvlm/gguf/model.gguf").stat().st_size


@pytest.mark.parametrize("worker", [LLAMACPP], indirect=True)
def test_a_fixed_length_of_llama_cpp_samples_as_its_natural_one(worker, image):
    """Up to the first end token, greedy or with a seed; an end token never appears."""
    natural = worker.generate(about(image, 24), deadline_s=60)
    fixed = worker.generate(about(image, 24, fixed_length=True), deadline_s=60)
    warm = [
        worker.generate(
            about(image, 24, fixed_length=True, temperature=3.0, seed=seed), deadline_s=60
        )
        for seed in (1, 1, 2)
    ]
    assert fixed.token_ids[: len(natural.token_ids)] == natural.token_ids
    assert len(fixed.token_ids) == 24
    assert natural.finish_reason == "stop"
    assert warm[0].token_ids == warm[1].token_ids != warm[2].token_ids
    assert [len(answer.token_ids) for answer in warm] == [24] * 3


@pytest.mark.parametrize("worker", INSTALLED, indirect=True)
def test_the_librarys_self_reported_memory_stands_beside_the_peak(worker, backend):
    """MLX reports three figures; torch on a CPU reports none."""
    report = worker.memory()
    names = {name for name in report.details if name.startswith(("mlx_", "torch_"))}
    assert names == ({"mlx_peak", "mlx_active", "mlx_cache"} if backend == "mlx" else set())
