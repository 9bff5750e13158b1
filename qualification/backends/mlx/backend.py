"""mlx-vlm: MLX on Metal, on CUDA or on the CPU, through the loader that its users call."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qualification.backends import expected_tokens as image_arithmetic
from qualification.backends import pictures, video_frames
from qualification.backends.clocks import PhaseClock, TokenClock, clock
from qualification.backends.mlx import (
    moondream2_canary,
    phi3_v_canary,
    phi3_v_chat,
)
from qualification.backends.mlx import (
    releases as mlx_releases,
)
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.shims import remote_code
from qualification.backends.snapshots import resolve, total_bytes
from qualification.core.libraries import library_versions
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    Message,
    Part,
)

_ONE_TEXT = ("phi3_v", "moondream1", "moondream2")
"""Model types whose chat template takes a turn as one text."""

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


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
        from qualification.backends.shims.torchvision import install_if_needed

        start = clock()
        notes: tuple[str, ...] = ()
        if install_if_needed():
            notes += ("torchvision operators declared by us",)
        if not request.remote_code:
            remote_code.forbid()
        import mlx.core as mx
        import mlx_vlm

        import_s = clock() - start
        folder, revision = resolve(request)
        self._folder = folder
        notes += mlx_releases.run_without_metal(mx)
        notes += phi3_v_canary.resize_if_canary(folder)
        notes += moondream2_canary.resize_if_canary(folder)
        if request.chat_template:
            self._template = {"chat_template": request.chat_template}
        files = sorted(folder.glob("*.safetensors"))
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        start = clock()
        options = dict(request.options)
        if request.remote_code:
            options["trust_remote_code"] = True
        self._model, self._processor = mlx_vlm.load(str(folder), **options)
        returned = clock() - start
        if hasattr(self._model, "get_input_embeddings"):
            self._model.get_input_embeddings = self._seen(self._model.get_input_embeddings)
        self.generate(_WARM_UP)
        return LoadReport(
            load_s=clock() - start,
            load_return_s=returned,
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
        from mlx_vlm import stream_generate

        tokens = TokenClock()  # a token at the yield is on the host: mlx-vlm has waited for it
        self._phases = PhaseClock(tokens.started, mx.synchronize) if request.phases else None
        self._prompt_seen, self._image_tokens, self._prefill_since = False, -1, 0.0
        messages = request.messages
        more: dict[str, Any] = {}
        if clips := pictures.of_kind(messages, "video"):
            if video_frames.taken_by_mlx(self._processor):
                more["video"] = [video_frames.decoded(Path(clip.value)) for clip in clips]
            else:
                messages = video_frames.as_pictures(messages)
        images = [_handed_over(part) for part in pictures.of_kind(messages, "image")]
        prompt = self._prompt(messages, len(images))
        mx.random.seed(request.seed)
        if request.prefill_chunk:
            more["prefill_step_size"] = request.prefill_chunk
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        text, finish, prompt_tokens = "", "length", 0
        ids: list[int] = []
        margins: list[float] = []
        with mlx_releases.stopping(tokenizer, never=request.fixed_length) as stops:
            for piece in stream_generate(
                self._model,
                self._processor,
                prompt,
                image=images or None,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
                **more,
            ):
                prompt_tokens = piece.prompt_tokens
                text += piece.text
                if piece.token is None:
                    continue
                # The last piece repeats the last token, or carries the one that ended the answer.
                if stops(piece.token):
                    finish = "stop"
                elif piece.generation_tokens > len(ids):
                    tokens.tick()
                    if not ids and self._prefill_since and self._phases is not None:
                        # Without waiting: the device is at work on the second token already.
                        self._phases.add(
                            "prefill_s", self._prefill_since, tokens.started + tokens.times_s[0]
                        )
                    ids.append(int(piece.token))
                    if request.margins:
                        margins.append(_margin(mx, piece.logprobs))
        return Generation(
            text=text,
            token_times_s=tuple(tokens.times_s),
            e2e_s=tokens.elapsed_s(),
            prompt_tokens=prompt_tokens,
            image_tokens=self._image_tokens if images or clips else 0,
            finish_reason="stop" if finish == "stop" else "length",
            token_ids=tuple(ids),
            margins=tuple(margins),
            phases=self._phases.phases() if self._phases is not None else None,
            image_tokens_expected=image_arithmetic.expected(self._folder, request),
        )

    def _seen(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The model's own call that turns a prompt into embeddings, looked at once a request.

        Everything before it is preprocessing; it runs the vision tower and the projector; what
        follows until the first token is the language model over the prompt. A release whose
        generation does not come through here has no phases and no count.
        """

        @functools.wraps(original)
        def seen(input_ids: Any, pixel_values: Any = None, *args: Any, **kwargs: Any) -> Any:
            import mlx.core as mx

            if self._prompt_seen:  # some models come here for each token: nothing may wait for it
                return original(input_ids, pixel_values, *args, **kwargs)
            self._prompt_seen = True
            ids = input_ids.flatten().tolist()
            self._image_tokens = _image_tokens(self._model.config, ids, pixel_values is not None)
            phases = self._phases
            if phases is None:
                return original(input_ids, pixel_values, *args, **kwargs)
            phases.preprocessed()
            since = phases.begin()
            output = original(input_ids, pixel_values, *args, **kwargs)
            mx.eval(getattr(output, "inputs_embeds", output))  # MLX is lazy
            shown = (pixel_values, kwargs.get("pixel_values_videos"))
            if any(value is not None for value in shown):
                phases.add("vision_encode_s", since)
            self._prefill_since = phases.begin()
            return output

        return seen

    def _prompt(self, messages: tuple[Message, ...], pictures: int) -> str:
        """The chat template applied as mlx-vlm's users do it.

        A template that takes parts gets them in their order. mlx-vlm's own call for one question
        would put the pictures of some such families (Qwen2-VL, LLaVA) behind it, and given parts,
        0.3.9 wrote a picture's tokens twice. That call is for the families whose template takes
        one text: it knows how each marks its pictures in it.
        """
        from mlx_vlm.prompt_utils import apply_chat_template, get_chat_template

        kinds = [part.kind for part in messages[0].parts]
        single = len(messages) == 1 and kinds == ["image"] * pictures + ["text"]
        if single and self._model.config.model_type in _ONE_TEXT:
            question = messages[0].parts[-1].value
            prompt = apply_chat_template(
                self._processor,
                self._model.config,
                question,
                num_images=pictures,
                **self._template,
            )
        else:
            chat: list[Any] = [_as_chat(message) for message in messages]
            if self._model.config.model_type == phi3_v_chat.MODEL_TYPE:
                chat = list(phi3_v_chat.as_texts(messages))
            prompt = get_chat_template(
                self._processor, chat, add_generation_prompt=True, **self._template
            )
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


def _image_tokens(config: Any, ids: list[int], shown: bool) -> int:
    """Tokens of the prompt that stand for pictures or frames; −1 where no id marks them."""
    model_type = getattr(config, "model_type", "")
    if model_type == "phi3_v":  # minus the picture's number
        return sum(token < 0 for token in ids)
    if model_type in ("moondream1", "moondream2"):  # noughts behind the first token
        end = next((n for n, token in enumerate(ids[1:]) if token), len(ids) - 1)
        return end if shown else 0
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    marks = {getattr(config, name, None) for name in names} - {None}
    return sum(token in marks for token in ids) if marks else -1


def _device(mx: Any) -> str:
    """``gpu`` or ``cpu``, where MLX prints ``Device(gpu, 0)``."""
    return "gpu" if mx.default_device() == mx.Device(mx.gpu) else "cpu"


def _handed_over(part: Part) -> Any:
    if part.given_as == "bytes":
        return io.BytesIO(Path(part.value).read_bytes())
    return pictures.data_url(Path(part.value)) if part.given_as == "data_url" else part.value


def _margin(mx: Any, logprobs: Any) -> float:
    first, second = mx.sort(logprobs.astype(mx.float32).flatten())[-2:][::-1].tolist()
    return float(first - second)


def _as_chat(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": part.value} if part.kind == "text" else {"type": part.kind}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}
