"""llama-cpp-python: a GGUF with its mmproj, in this process.

Two roads lead through the library. Requests that end by themselves take the one of its users,
``create_chat_completion`` streamed, whose Python makes the text anew for every token. Requests of
a fixed length, which are the timed ones, take it as far as the prefill; their tokens then come
from the library's own ``Llama.generate`` (evaluate, sample) and their text is made at the end. So
a decoding speed is that of ``Llama.generate``, a time to first token is that of both roads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qualification.backends import expected_tokens as image_arithmetic
from qualification.backends import pictures
from qualification.backends.clocks import PhaseClock, TokenClock, clock
from qualification.backends.llamacpp.mtmd_calls import Counted
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.shims import amx_tiles
from qualification.backends.snapshots import resolve, total_bytes
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

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


class Backend:
    """Holds one ``Llama`` with its multimodal handler."""

    def __init__(self) -> None:
        self._llama: Any = None
        self._tokens: TokenClock | None = None
        self._ids: list[int] = []
        self._batch = 0
        self._margins: list[float] | None = None
        self._end_ids: frozenset[int] = frozenset()
        self._calls: Any = None
        self._fixed: GenerateRequest | None = None
        self._folder = Path()

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        import llama_cpp
        from llama_cpp.llama_chat_format import MTMDChatHandler

        import_s = clock() - start
        notes = amx_tiles.avoid_if_broken()
        folder, revision = resolve(request)
        self._folder = folder
        files = [folder / request.model_file, folder / request.mmproj_file]
        if request.cold:
            drop_pages(files)
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
        self._calls = handler._mtmd_cpp = Counted(handler._mtmd_cpp)
        self._llama.generate = self._timed(self._llama.generate)
        self._batch = self._llama.n_batch
        self._llama.eval = self._evaluated(self._llama.eval)
        self._llama.create_completion = self._completed(self._llama.create_completion)
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
        import llama_cpp

        self._tokens = tokens = TokenClock()
        self._ids = []
        self._margins = [] if request.margins else None
        self._fixed = request if request.fixed_length else None
        self._calls.phases = None
        if request.phases:
            context = self._llama._ctx.ctx
            self._calls.phases = PhaseClock(
                tokens.started, lambda: llama_cpp.llama_synchronize(context)
            )
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
        ):
            choice = chunk["choices"][0]
            text += choice["delta"].get("content") or ""
            finish = choice.get("finish_reason") or finish
        if self._fixed is not None:
            text = self._llama.detokenize(self._ids).decode("utf-8", errors="replace")
            finish = "length"
        e2e_s = tokens.elapsed_s()
        if finish not in ("stop", "length"):
            raise BackendFailed(f"llama-cpp-python ended without a finish reason: {finish!r}")
        stopped = finish == "stop"
        ids = [token for token in self._ids if token not in self._end_ids]
        phases = self._calls.phases
        return Generation(
            text=text,
            token_times_s=tuple(tokens.times_s[: len(ids)]),
            e2e_s=e2e_s,
            prompt_tokens=self._calls.prompt_tokens,
            image_tokens=self._calls.image_tokens,
            finish_reason="stop" if stopped else "length",
            token_ids=tuple(ids),
            margins=tuple((self._margins or ())[: len(ids)]),
            phases=phases.phases() if phases is not None else None,
            image_tokens_expected=image_arithmetic.expected(
                self._folder, request, image_arithmetic.LLAMA_CPP
            ),
        )

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`. The library tells nothing of its own."""
        return {}

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
            for token in original(prompt, *args, **kwargs):
                if self._tokens is not None:
                    self._tokens.tick()
                if self._margins is not None:
                    self._margins.append(self._margin())
                self._ids.append(token)
                yield token

        return generate

    def _evaluated(self, original: Any) -> Any:
        """Llama.eval of the prompt's text counts as prefill where phases were asked for."""

        def evaluate(tokens: Sequence[int]) -> None:
            # Of generate, the first evaluation finds its prompt evaluated: nothing is left to do.
            if self._calls.phases is None or self._ids or not tokens:
                original(tokens)
                return
            with self._calls.phases.span("prefill_s"):
                original(tokens)

        return evaluate

    def _completed(self, original: Any) -> Any:
        """What the handler calls after its prefill; a fixed length is decoded here, see above."""

        def complete(*args: Any, **kwargs: Any) -> Any:
            request = self._fixed
            if request is None:
                return original(*args, **kwargs)
            llama = self._llama
            llama.set_seed(request.seed)
            made = llama._init_sampler
            llama._init_sampler = self._endless(made)
            try:
                tokens = llama.generate(
                    kwargs["prompt"],
                    temp=request.temperature,
                    top_k=0,
                    top_p=1.0,
                    min_p=0.0,
                    repeat_penalty=1.0,
                )
                for _ in itertools.islice(tokens, request.max_tokens):
                    pass
            finally:
                del llama._init_sampler
            return iter(())

        return complete

    def _endless(self, made: Any) -> Any:
        """Llama's sampler behind a bias of −∞ on every token that ends an answer.

        As a sampler of llama.cpp it touches those tokens only; the ``logit_bias`` of
        llama-cpp-python is a pass of numpy over the vocabulary for each token.
        """
        import llama_cpp
        from llama_cpp._internals import LlamaSampler

        def sampler(*args: Any, **kwargs: Any) -> Any:
            chain = LlamaSampler()
            bias = {token: float("-inf") for token in self._end_ids}
            chain.add_logit_bias(self._llama.n_vocab(), bias)
            inner = made(*args, **kwargs)
            llama_cpp.llama_sampler_chain_add(chain.sampler, inner.sampler)
            inner.sampler = None  # the chain owns it now and frees it
            return chain

        return sampler

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
