"""llama-cpp-python: a GGUF with its mmproj, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qualification.backends import amx_tiles, pictures
from qualification.backends.weights_files import resolve, total_bytes
from qualification.errors import BackendFailed
from qualification.libraries import library_versions
from qualification.meter import TokenClock, clock, page_cache
from qualification.records import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    Message,
    Part,
)

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


class Backend:
    """Holds one ``Llama`` with its multimodal handler."""

    def __init__(self) -> None:
        self._llama: Any = None
        self._tokens: TokenClock | None = None
        self._ids: list[int] = []
        self._prompt_tokens = 0
        self._batch = 0
        self._margins: list[float] | None = None
        self._end_ids: frozenset[int] = frozenset()

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        import llama_cpp
        from llama_cpp.llama_chat_format import MTMDChatHandler

        import_s = clock() - start
        notes = amx_tiles.avoid_if_broken()
        folder, revision = resolve(request)
        files = [folder / request.model_file, folder / request.mmproj_file]
        pages = page_cache(files)
        start = clock()
        handler = MTMDChatHandler(clip_model_path=str(files[1]), verbose=False)
        self._llama = llama_cpp.Llama(
            str(files[0]),
            chat_handler=handler,
            n_ctx=request.context,
            n_gpu_layers=-1,
            verbose=False,
            **request.options,
        )
        self._llama.generate = self._timed(self._llama.generate)
        self._batch = self._llama.n_batch
        returned = clock() - start
        self.generate(_WARM_UP)
        materialised = clock() - start
        vocabulary = self._llama._model.vocab
        self._end_ids = frozenset(
            token
            for token in range(self._llama.n_vocab())
            if llama_cpp.llama_vocab_is_eog(vocabulary, token)
        )
        offload = llama_cpp.llama_supports_gpu_offload()
        return LoadReport(
            load_s=materialised,
            load_return_s=returned,
            import_s=import_s,
            device="gpu" if offload else "cpu",
            weights_bytes=total_bytes(files),
            revision=revision,
            versions=library_versions(),
            page_cache=pages,
            notes=notes,
        )

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`."""
        self._tokens = tokens = TokenClock()
        self._ids = []
        self._margins = [] if request.margins else None
        bias = {token: float("-inf") for token in self._end_ids} if request.fixed_length else None
        text = ""
        finish = None
        self._llama.n_batch = min(self._batch, request.prefill_chunk or self._batch)
        for chunk in self._llama.create_chat_completion(
            [_as_chat(message) for message in request.messages],
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed,
            stream=True,
            # llama-cpp-python's defaults penalise repetition; the other backends do not.
            repeat_penalty=1.0,
            top_k=0,
            top_p=1.0,
            min_p=0.0,
            logit_bias=bias,
        ):
            choice = chunk["choices"][0]
            text += choice["delta"].get("content") or ""
            finish = choice.get("finish_reason") or finish
        e2e_s = tokens.elapsed_s()
        if finish not in ("stop", "length"):
            raise BackendFailed(f"llama-cpp-python ended without a finish reason: {finish!r}")
        stopped = finish == "stop"
        ids = [token for token in self._ids if token not in self._end_ids]
        images = pictures.of_kind(request.messages, "image")
        return Generation(
            text=text,
            token_times_s=tuple(tokens.times_s[: len(ids)]),
            e2e_s=e2e_s,
            prompt_tokens=self._prompt_tokens,
            image_tokens=-1 if images else 0,
            finish_reason="stop" if stopped else "length",
            token_ids=tuple(ids),
            margins=tuple((self._margins or ())[: len(ids)]),
        )

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        import gc

        gc.collect()
        if self._llama is not None:
            self._llama.reset()
            self._llama._ctx.kv_cache_clear()

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`."""
        if self._llama is not None:
            self._llama.close()
        self._llama = None

    def _timed(self, original: Any) -> Any:
        """Llama.generate with a tick per token: chunks of text may hold several tokens or none."""

        def generate(prompt: Any, *args: Any, **kwargs: Any) -> Iterator[int]:
            self._prompt_tokens = len(prompt)
            for token in original(prompt, *args, **kwargs):
                if self._tokens is not None:
                    self._tokens.tick()
                if self._margins is not None:
                    self._margins.append(self._margin())
                self._ids.append(token)
                yield token

        return generate

    def _margin(self) -> float:
        """Largest less second largest logit of those that the last token was chosen from."""
        import llama_cpp
        import numpy as np

        context = self._llama._ctx.ctx
        pointer = llama_cpp.llama_get_logits_ith(context, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),))
        second, first = np.partition(logits, -2)[-2:]
        return float(first - second)


def _as_chat(message: Message) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if part.kind == "image":
            file = Path(part.value)
            # It has no call for bytes: they are a data URL too.
            url = file.resolve().as_uri() if part.given_as == "path" else pictures.data_url(file)
            parts.append({"type": "image_url", "image_url": {"url": url}})
        else:
            parts.append({"type": "text", "text": part.value})
    return {"role": message.role, "content": parts}
