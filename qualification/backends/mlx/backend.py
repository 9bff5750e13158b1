"""mlx-vlm: MLX on Metal, on CUDA or on the CPU, through the loader that its users call."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qualification.backends import expected_tokens, video_frames
from qualification.backends.clocks import PhaseClock, TokenClock, clock
from qualification.backends.mlx import moondream2_canary, phi3_v_canary, phi3_v_chat, releases
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.shims import remote_code
from qualification.backends.snapshots import resolve, total_bytes, weight_files
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

_ONE_TEXT = ("phi3_v", "moondream1", "moondream2")
"""Model types whose chat template takes a turn as one text."""

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


def compute() -> None:
    """Add two numbers, as a forked process must be able to."""
    import mlx.core as mx

    mx.eval(mx.ones(4) + 1)


def import_libraries(*, remote_code_allowed: bool = False) -> tuple[str, ...]:
    """Import all that a load needs, a model's own code kept out; returns notes for the record."""
    from qualification.backends.shims.torchvision import install_if_needed

    notes = ("torchvision operators declared by us",) if install_if_needed() else ()
    if not remote_code_allowed:
        remote_code.forbid()
    import mlx.core  # noqa: F401
    import mlx_vlm  # noqa: F401

    return notes


class Backend:
    """Holds one model and its processor."""

    def __init__(self) -> None:
        self._model: Any = None
        self._processor: Any = None
        self._template: dict[str, str] = {}
        self._folder = Path()
        self._image_tokens = -1
        self._prompt_seen = False
        self._phases: PhaseClock | None = None
        self._prefill_since = 0.0

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        notes = import_libraries(remote_code_allowed=request.remote_code)
        import mlx.core as mx
        import mlx_vlm

        import_s = clock() - start
        folder, revision = resolve(request)
        self._folder = folder
        notes += releases.run_without_metal(mx)
        notes += phi3_v_canary.resize_if_canary(folder)
        notes += moondream2_canary.resize_if_canary(folder)
        if request.chat_template:
            self._template = {"chat_template": request.chat_template}
        files = weight_files(request, folder)
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        start = clock()
        options = dict(request.options)
        if request.remote_code:
            options["trust_remote_code"] = True
        self._model, self._processor = mlx_vlm.load(str(folder), **options)
        returned_s = clock() - start
        if hasattr(self._model, "get_input_embeddings"):
            self._model.get_input_embeddings = self._observed(self._model.get_input_embeddings)
        self.generate(_WARM_UP)
        return LoadReport(
            load_s=clock() - start,
            load_return_s=returned_s,
            import_s=import_s,
            device=_device(mx),
            weights_bytes=total_bytes(files),
            revision=revision,
            versions=library_versions(),
            page_cache=pages,
            notes=notes,
        )

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`."""
        import mlx.core as mx

        tokens = TokenClock()  # a yielded token is on the host: mlx-vlm has waited for it
        self._phases = PhaseClock(tokens.started, mx.synchronize) if request.phases else None
        self._prompt_seen, self._image_tokens, self._prefill_since = False, -1, 0.0
        messages = request.messages
        options: dict[str, Any] = {}
        if clips := of_kind(messages, "video"):
            if video_frames.taken_by_mlx(self._processor):
                options["video"] = [video_frames.decoded(Path(clip.value)) for clip in clips]
            else:
                messages = video_frames.as_images(messages)
        images = [_as_given(part) for part in of_kind(messages, "image")]
        options["image"] = images or None
        prompt = self._prompt(messages, len(images), self._template | request.template_options)
        mx.random.seed(request.seed)
        if request.prefill_chunk:
            options["prefill_step_size"] = request.prefill_chunk
        answer = self._stream(prompt, options, request, tokens)
        return Generation(
            text=answer.text,
            token_times_s=tuple(tokens.times_s),
            e2e_s=tokens.elapsed_s(),
            prompt_tokens=answer.prompt_tokens,
            image_tokens=self._image_tokens if images or clips else 0,
            finish_reason="stop" if answer.stopped else "length",
            token_ids=tuple(answer.ids),
            margins=tuple(answer.margins),
            phases=self._phases.phases() if self._phases is not None else None,
            image_tokens_expected=expected_tokens.expected(self._folder, request),
        )

    def _stream(
        self, prompt: str, options: dict[str, Any], request: GenerateRequest, tokens: TokenClock
    ) -> _Answer:
        import mlx.core as mx
        from mlx_vlm import stream_generate

        answer = _Answer()
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        with releases.stopping(tokenizer, never=request.fixed_length) as stops:
            for piece in stream_generate(
                self._model,
                self._processor,
                prompt,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
                **options,
            ):
                answer.prompt_tokens = piece.prompt_tokens
                answer.text += piece.text
                if piece.token is None:
                    continue
                # The last piece repeats the last token, or has the token that ended the answer.
                if stops(piece.token):
                    answer.stopped = True
                elif piece.generation_tokens > len(answer.ids):
                    tokens.tick()
                    if not answer.ids and self._prefill_since and self._phases is not None:
                        # No synchronisation: the device already computes the second token.
                        self._phases.add(
                            "prefill_s", self._prefill_since, tokens.started + tokens.times_s[0]
                        )
                    answer.ids.append(int(piece.token))
                    if request.margins:
                        answer.margins.append(_margin(mx, piece.logprobs))
        return answer

    def _observed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The model's own call that turns a prompt into embeddings, observed once in a request.

        Everything before it is preprocessing; it runs the vision tower and the projector; from its
        end to the first token the language model computes the prompt. A release whose generation
        does not use this call has no phases and no count of image tokens.
        """

        @functools.wraps(original)
        def observed(input_ids: Any, pixel_values: Any = None, *args: Any, **kwargs: Any) -> Any:
            import mlx.core as mx

            if self._prompt_seen:  # some models call this for each token, which must not wait
                return original(input_ids, pixel_values, *args, **kwargs)
            self._prompt_seen = True
            ids = input_ids.flatten().tolist()
            self._image_tokens = _image_tokens(
                self._model.config, ids, with_image=pixel_values is not None
            )
            phases = self._phases
            if phases is None:
                return original(input_ids, pixel_values, *args, **kwargs)
            phases.preprocessed()
            since = phases.begin()
            output = original(input_ids, pixel_values, *args, **kwargs)
            mx.eval(getattr(output, "inputs_embeds", output))  # MLX is lazy
            pixels = (pixel_values, kwargs.get("pixel_values_videos"))
            if any(value is not None for value in pixels):
                phases.add("vision_encode_s", since)
            self._prefill_since = phases.begin()
            return output

        return observed

    def _prompt(
        self, messages: tuple[Message, ...], image_count: int, options: dict[str, Any]
    ) -> str:
        """The chat template, applied as mlx-vlm's users apply it.

        A template that takes parts gets them in their order. mlx-vlm's own call for one question is
        used only for families whose template takes one text: the call knows how each of them marks
        its images in the text. For some other families (Qwen2-VL, LLaVA) it would put the images
        behind the question, and with parts 0.3.9 wrote the tokens of an image twice.
        """
        from mlx_vlm.prompt_utils import apply_chat_template, get_chat_template

        kinds = [part.kind for part in messages[0].parts]
        single = len(messages) == 1 and kinds == ["image"] * image_count + ["text"]
        if single and self._model.config.model_type in _ONE_TEXT:
            question = messages[0].parts[-1].value
            prompt = apply_chat_template(
                self._processor,
                self._model.config,
                question,
                num_images=image_count,
                **options,
            )
        else:
            chat: list[Any] = [
                as_chat(message, lambda part: {"type": part.kind}) for message in messages
            ]
            if _is_text_only(self._model.config):
                chat = [as_text(message) for message in messages]
            if self._model.config.model_type == phi3_v_chat.MODEL_TYPE:
                chat = list(phi3_v_chat.as_texts(messages))
            prompt = get_chat_template(self._processor, chat, add_generation_prompt=True, **options)
        return str(prompt)

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`."""
        import mlx.core as mx

        return {
            "mlx_peak": int(mx.get_peak_memory()),
            "mlx_active": int(mx.get_active_memory()),
            "mlx_cache": int(mx.get_cache_memory()),
        }

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        import gc

        import mlx.core as mx

        gc.collect()
        mx.clear_cache()

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        self._model = self._processor = None
        self.clean_up()


@dataclass
class _Answer:
    text: str = ""
    ids: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    stopped: bool = False


def _is_text_only(config: Any) -> bool:
    """Whether a model of mlx-vlm reads text alone, so that its template takes no parts."""
    sees = getattr(config, "vision_config", None) is not None
    return not sees and getattr(config, "model_type", "") not in _ONE_TEXT


def _image_tokens(config: Any, ids: list[int], *, with_image: bool) -> int:
    """Tokens of the prompt that stand for images or frames; −1 if no id marks them."""
    model_type = getattr(config, "model_type", "")
    if model_type == "phi3_v":  # an image's tokens are minus its number
        return sum(token < 0 for token in ids)
    if model_type in ("moondream1", "moondream2"):  # zeros after the first token
        end = next((n for n, token in enumerate(ids[1:]) if token), len(ids) - 1)
        return end if with_image else 0
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    placeholders = {getattr(config, name, None) for name in names} - {None}
    return sum(token in placeholders for token in ids) if placeholders else -1


def _device(mx: Any) -> str:
    """``gpu`` or ``cpu``, where MLX prints ``Device(gpu, 0)``."""
    return "gpu" if mx.default_device() == mx.Device(mx.gpu) else "cpu"


def _as_given(part: Part) -> Any:
    if part.given_as == "bytes":
        return io.BytesIO(Path(part.value).read_bytes())
    return data_url(Path(part.value)) if part.given_as == "data_url" else part.value


def _margin(mx: Any, logprobs: Any) -> float:
    second, best = mx.sort(logprobs.astype(mx.float32).flatten())[-2:].tolist()
    return float(best - second)
