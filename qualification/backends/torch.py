"""transformers on torch: cuda, mps or cpu.

A model that sees is loaded through ``AutoModelForImageTextToText``, one of text alone through
``AutoModelForCausalLM``, which also reads a GGUF (and turns its weights into float32).
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qualification.backends import expected_tokens, video_frames
from qualification.backends.clocks import PhaseClock, TokenClock, clock
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.shims import remote_code
from qualification.backends.snapshots import resolve, total_bytes, weight_files
from qualification.core.errors import BackendFailed
from qualification.core.libraries import library_versions
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    Message,
    Part,
)
from qualification.servers.chat import as_chat, as_text, data_url, of_kind

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


def import_libraries(*, remote_code_allowed: bool = False) -> tuple[str, ...]:
    """Import all that a load needs, a model's own code kept out; returns notes for the record."""
    import torch  # noqa: F401

    from qualification.backends.shims.torchvision import install_if_needed

    notes = ("torchvision operators declared by us",) if install_if_needed() else ()
    if not remote_code_allowed:
        remote_code.forbid()
    from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: F401

    return notes


class Backend:
    """Holds one model and its processor; of a model of text alone that is its tokenizer."""

    def __init__(self) -> None:
        self._model: Any = None
        self._processor: Any = None
        self._tokenizer: Any = None
        self._device = "cpu"
        self._template: str | None = None
        self._folder = Path()

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        notes = import_libraries(remote_code_allowed=request.remote_code)
        import torch
        import transformers

        import_s = clock() - start
        folder, revision = resolve(request)
        self._folder = folder
        self._template = request.chat_template or None
        files = weight_files(request, folder)
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        self._device = request.device or _best_device(torch)
        start = clock()
        options: dict[str, Any] = {
            "trust_remote_code": request.remote_code,
            "local_files_only": True,
        }
        if request.model_file:
            options["gguf_file"] = request.model_file
        settings = {_dtype_name(transformers.__version__): "auto", **request.options, **options}
        model_class, processor_class = _classes(transformers, folder, options)
        self._processor = processor_class.from_pretrained(folder, **options)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._model = model_class.from_pretrained(folder, **settings).to(self._device).eval()
        returned_s = clock() - start
        self.generate(_WARM_UP)
        return LoadReport(
            load_s=clock() - start,
            load_return_s=returned_s,
            import_s=import_s,
            device=self._device,
            weights_bytes=total_bytes(files),
            revision=revision,
            versions=library_versions(),
            page_cache=pages,
            notes=notes,
        )

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`."""
        import torch

        if request.prefill_chunk:
            raise BackendFailed("transformers computes a prompt with images in one piece")
        tokens = TokenClock(_synchronise(torch, self._device))
        phases = None
        if request.phases:
            phases = PhaseClock(tokens.started, _synchronise(torch, self._device))
        inputs = self._inputs(request)
        if phases is not None:
            phases.preprocessed()
        prompt_ids = inputs["input_ids"]
        streamer = _Streamer(tokens)
        torch.manual_seed(request.seed)
        # A model's files may declare a repetition penalty; the other backends apply none.
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
        if request.temperature > 0:
            sampling = {"do_sample": True, "temperature": request.temperature}
        sampling["repetition_penalty"] = 1.0
        if request.fixed_length:
            sampling["min_new_tokens"] = request.max_tokens
        sampling.update(return_dict_in_generate=True, output_logits=request.margins)
        with torch.inference_mode(), _hooked(self._model, phases):
            output = self._model.generate(
                **inputs, max_new_tokens=request.max_tokens, streamer=streamer, **sampling
            )
        e2e_s = tokens.elapsed_s()
        ids = output.sequences[0, prompt_ids.shape[1] :].tolist()
        margins = [_margin(logits[0]) for logits in output.logits or ()]
        stop_ids = self._stop_ids()
        stopped = bool(ids) and ids[-1] in stop_ids and not request.fixed_length
        if stopped:  # as in the other backends, the end token is not part of the answer
            ids = ids[:-1]
        config = self._model.config
        names = ("image_token_id", "video_token_id")
        placeholders = {getattr(config, name, None) for name in names} - {None}
        return Generation(
            text=self._tokenizer.decode(ids, skip_special_tokens=True),
            token_times_s=tuple(tokens.times_s[: len(ids)]),
            e2e_s=e2e_s,
            prompt_tokens=int(prompt_ids.shape[1]),
            image_tokens=(
                sum(int((prompt_ids == token).sum()) for token in placeholders)
                if placeholders
                else -1
            ),
            finish_reason="stop" if stopped else "length",
            token_ids=tuple(ids),
            margins=tuple(margins[: len(ids)]),
            phases=phases.phases() if phases is not None else None,
            image_tokens_expected=expected_tokens.expected(self._folder, request),
        )

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        self._model = self._processor = self._tokenizer = None
        self.clean_up()

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`."""
        import torch

        if self._device == "cuda":
            return {
                "torch_max_allocated": int(torch.cuda.max_memory_allocated()),
                "torch_max_reserved": int(torch.cuda.max_memory_reserved()),
            }
        if self._device == "mps":
            return {"torch_driver_allocated": int(torch.mps.driver_allocated_memory())}
        return {}

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        import gc

        import torch

        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()
        elif self._device == "mps":
            torch.mps.empty_cache()

    def _inputs(self, request: GenerateRequest) -> Any:
        if self._processor is self._tokenizer:
            return self._text_inputs(request)
        images = [_opened(part) for part in of_kind(request.messages, "image")]
        clips = [
            video_frames.decoded(Path(part.value)) for part in of_kind(request.messages, "video")
        ]
        chat = [as_chat(message, lambda part: {"type": part.kind}) for message in request.messages]
        prompt = self._processor.apply_chat_template(
            chat,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
            **request.template_options,
        )
        inputs = self._processor(
            text=[prompt],
            images=images or None,
            return_tensors="pt",
            padding=False,
            **video_frames.for_transformers(clips),
        )
        return inputs.to(self._device, dtype=self._model.dtype)

    def _text_inputs(self, request: GenerateRequest) -> Any:
        chat = [as_text(message) for message in request.messages]
        prompt = self._tokenizer.apply_chat_template(
            chat,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
            **request.template_options,
        )
        # The template has written the special tokens.
        inputs = self._tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        return inputs.to(self._device)

    def _stop_ids(self) -> set[int]:
        declared = self._model.generation_config.eos_token_id
        ids = declared if isinstance(declared, list) else [declared]
        return {int(token) for token in ids if token is not None}


class _Streamer:
    """Receives from ``generate`` the prompt first, then each new token on the host."""

    def __init__(self, tokens: TokenClock) -> None:
        self._tokens = tokens
        self._prompt_seen = False

    def put(self, _value: Any) -> None:
        if self._prompt_seen:
            self._tokens.tick()
        self._prompt_seen = True

    def end(self) -> None:
        """Nothing to flush."""


@contextlib.contextmanager
def _hooked(model: Any, phases: PhaseClock | None) -> Iterator[None]:
    """Time the vision tower with its projector, and the language model's first pass, in the block.

    The vision tower is timed in the method in which transformers' own models call it. The first
    pass begins at the decoder that the model names and ends with the first pass of the whole model.
    A class without one of them has no such phase.
    """
    if phases is None:
        yield
        return
    inner = getattr(model, "model", model)
    wrapped = []
    for name in ("get_image_features", "get_video_features"):
        if (original := getattr(inner, name, None)) is not None:
            setattr(inner, name, _spanned(original, phases))
            wrapped.append(name)
    since: list[float] = []
    done: list[bool] = []

    def before(_module: Any, _arguments: Any) -> None:
        if not since:
            since.append(phases.begin())

    def after(_module: Any, _arguments: Any, _output: Any) -> None:
        if since and not done:
            phases.add("prefill_s", since[0])
            done.append(True)

    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    hooks = [model.register_forward_hook(after)]
    if decoder is not None and decoder is not inner:
        hooks.append(decoder.register_forward_pre_hook(before))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name in wrapped:
            delattr(inner, name)


def _spanned(original: Any, phases: PhaseClock) -> Any:
    @functools.wraps(original)  # generate reads the signature to choose the arguments
    def spanned(*args: Any, **kwargs: Any) -> Any:
        with phases.span("vision_encode_s"):
            return original(*args, **kwargs)

    return spanned


def _classes(transformers: Any, folder: Path, options: dict[str, Any]) -> tuple[Any, Any]:
    """The classes of the model and of what makes its prompts: a processor or a tokenizer.

    A class of the model's own code sees: it is declared for that.
    """
    sees = True
    if not options["trust_remote_code"]:
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        sees = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    if sees:
        return transformers.AutoModelForImageTextToText, transformers.AutoProcessor
    return transformers.AutoModelForCausalLM, transformers.AutoTokenizer


def _opened(part: Part) -> Any:
    """The image: a path or a data URL opened by transformers' own loader, bytes by Pillow."""
    from transformers.image_utils import load_image

    file = Path(part.value)
    if part.given_as == "bytes":
        from PIL import Image

        return load_image(Image.open(io.BytesIO(file.read_bytes())))
    return load_image(data_url(file) if part.given_as == "data_url" else part.value)


def _margin(logits: Any) -> float:
    best, second = logits.float().topk(2).values.tolist()
    return float(best - second)


def _dtype_name(version: str) -> str:
    """The argument's name in that release of transformers: 4.56 changed it."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _synchronise(torch: Any, device: str) -> Any:
    return {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device)
