"""The real libraries, asked what the canary run does not ask."""

import importlib.util
import json
import shutil

import pytest

from qualification.core.errors import BackendFailed
from qualification.core.paths import home
from qualification.core.protocol import GenerateRequest, LoadRequest, Message, Part
from qualification.session.worker import Worker
from qualification.tasks.questions import generate

CANARIES = home() / "fixtures/canaries"
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


def request_for(backend, folder):
    """The smolvlm canary, or a copy of it."""
    return LoadRequest(
        backend,
        "canary",
        "smolvlm",
        path=str(folder),
        model_file="gguf/model.gguf",
        mmproj_file="gguf/mmproj.gguf",
        context=512,
    )


def text(words, max_tokens, **options):
    """One user turn without a picture."""
    message = Message("user", (Part("text", words),))
    return GenerateRequest((message,), max_tokens=max_tokens, **options)


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize(("model_type", "loads"), [("smolvlm", True), ("evil", False)])
def test_code_in_a_models_files_is_not_run(backend, model_type, loads, tmp_path):
    """Files that name classes of their own: the library's are used, or it does not load."""
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
    with Worker() as worker:
        if loads:
            worker.load(request_for(backend, folder), deadline_s=120)
        else:
            with pytest.raises(BackendFailed):
                worker.load(request_for(backend, folder), deadline_s=120)
    assert not trap.exists()


@pytest.mark.parametrize("backend", [*INSTALLED, LLAMACPP])
def test_a_fixed_length_is_exact_and_does_not_outlast_its_request(backend):
    """Exactly N tokens with N times, then a natural stop again."""
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        natural = worker.generate(text("Which digit is six?", 24), deadline_s=60)
        fixed = worker.generate(text("Which digit is six?", 24, fixed_length=True), deadline_s=60)
        again = worker.generate(text("Which digit is six?", 24), deadline_s=60)
    assert natural.text.strip() == "6"
    assert natural.finish_reason == "stop"
    assert len(fixed.token_times_s) == len(fixed.token_ids) == 24
    assert fixed.finish_reason == "length"
    assert (again.text, again.token_ids) == (natural.text, natural.token_ids)
    assert list(fixed.token_times_s) == sorted(fixed.token_times_s)


@pytest.mark.parametrize("backend", [*INSTALLED, LLAMACPP])
def test_a_picture_that_is_none_fails_and_the_next_request_is_answered(backend, tmp_path):
    """A damaged picture is the library's failure, told as such; the worker lives on."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is no picture")
    parts = (Part("image", str(broken)), Part("text", "Which shape is it?"))
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        with pytest.raises(BackendFailed):
            worker.generate(GenerateRequest((Message("user", parts),), 8), deadline_s=60)
        answer = worker.generate(text("Which digit is six?", 24), deadline_s=60)
    assert answer.text.strip() == "6"


@pytest.mark.parametrize("backend", [*INSTALLED, LLAMACPP])
def test_a_worker_loads_again_after_it_has_given_the_weights_back(backend):
    """Unloaded, there is nothing to ask; loaded again, it answers as before."""
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        worker.unload()
        with pytest.raises(BackendFailed, match="before load"):
            worker.generate(text("Which digit is six?", 24), deadline_s=60)
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        assert worker.generate(text("Which digit is six?", 24), deadline_s=60).text.strip() == "6"


@pytest.fixture
def picture(tmp_path):
    """A held-out picture of 84 x 84 pixels."""
    (question,) = generate(seed=19, count=1, split="heldout", skills=["both"])
    file = tmp_path / "picture.png"
    question.images()[0].save(file)
    return file


def shown(file, max_tokens, **options):
    """The question for colour and shape of one picture."""
    parts = (Part("image", str(file)), Part("text", "Name the colour and the shape."))
    return GenerateRequest((Message("user", parts),), max_tokens, **options)


@pytest.mark.parametrize("backend", [*INSTALLED, LLAMACPP])
def test_the_time_to_first_token_is_told_in_parts_and_only_where_asked(backend, picture):
    """Each part positive, together less than the whole; the answer is the same, later ones too."""
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        plain = worker.generate(shown(picture, 24), deadline_s=60)
        asked = worker.generate(shown(picture, 24, phases=True), deadline_s=60)
        words = worker.generate(text("Which digit is six?", 24, phases=True), deadline_s=60)
        again = worker.generate(shown(picture, 24), deadline_s=60)
    assert plain.phases is None
    parts = asked.phases
    assert min(parts.preprocess_s, parts.vision_encode_s, parts.prefill_s) > 0
    assert parts.preprocess_s + parts.vision_encode_s + parts.prefill_s <= asked.ttft_s
    assert asked.prefill_tps == pytest.approx(asked.prompt_tokens / parts.prefill_s)
    assert words.phases.vision_encode_s is None, "no picture was given"
    assert words.phases.prefill_s > 0
    assert asked.token_ids == plain.token_ids == again.token_ids
    assert again.phases is None


@pytest.mark.parametrize("backend", [*INSTALLED, LLAMACPP])
@pytest.mark.parametrize(("folder", "count"), [("smolvlm", 20), ("qwen2_5_vl", 9)])
def test_image_tokens_are_counted_and_expected_alike(backend, folder, count, picture):
    """Five tiles of four, or nine merged patches, as every library makes of 84 x 84 pixels."""
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / folder), deadline_s=120)
        asked = worker.generate(shown(picture, 1, phases=True), deadline_s=60)
        words = worker.generate(text("Which digit is six?", 1), deadline_s=60)
    assert asked.image_tokens == asked.image_tokens_expected == count
    assert asked.prompt_tokens > count
    assert words.image_tokens == 0


def test_a_fixed_length_of_llama_cpp_samples_as_its_natural_one(picture):
    """Until the first token that would have ended it, greedy or with a seed; never one of those."""
    pytest.importorskip("llama_cpp")
    with Worker() as worker:
        worker.load(request_for("llamacpp", CANARIES / "smolvlm"), deadline_s=120)
        natural = worker.generate(shown(picture, 24), deadline_s=60)
        fixed = worker.generate(shown(picture, 24, fixed_length=True), deadline_s=60)
        warm = [
            worker.generate(
                shown(picture, 24, fixed_length=True, temperature=3.0, seed=seed), deadline_s=60
            )
            for seed in (1, 1, 2)
        ]
    assert fixed.token_ids[: len(natural.token_ids)] == natural.token_ids
    assert len(fixed.token_ids) == 24
    assert natural.finish_reason == "stop"
    assert warm[0].token_ids == warm[1].token_ids != warm[2].token_ids
    assert [len(one.token_ids) for one in warm] == [24] * 3


@pytest.mark.parametrize("backend", INSTALLED)
def test_what_a_library_says_of_its_memory_stands_beside_the_peak(backend):
    """MLX tells its own; torch on a CPU has nothing to tell."""
    with Worker() as worker:
        worker.load(request_for(backend, CANARIES / "smolvlm"), deadline_s=120)
        report = worker.memory()
    names = {name for name in report.details if name.startswith(("mlx_", "torch_"))}
    assert names == ({"mlx_peak", "mlx_active", "mlx_cache"} if backend == "mlx" else set())
