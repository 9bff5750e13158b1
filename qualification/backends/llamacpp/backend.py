"""llama-cpp-python: a GGUF in this process, with its mmproj or as a model of text alone.

There are two code paths through the library. A request that ends by itself takes the path of its
users, ``create_chat_completion`` streamed, whose Python decodes the whole text again for every
token. A request of a fixed length, which is the timed kind, takes that path as far as the prefill;
its tokens then come from the library's own ``Llama.generate`` (evaluate, sample), and its text is
decoded at the end. So decoding speed is that of ``Llama.generate``; the time to first token is the
same on both paths. Without a projector the library reuses what a prompt has in common with the one
before it; here every request starts from nothing, as with one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.backends import expected_tokens, video_frames
from qualification.backends.clocks import PhaseClock, TokenClock, clock
from qualification.backends.llamacpp.mtmd_calls import Counted
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.shims import amx_tiles
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
from qualification.servers.chat import as_chat, as_text, data_url, image_part

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)


def import_libraries() -> None:
    """Import all that a load needs."""
    from llama_cpp.llama_chat_format import MTMDChatHandler  # noqa: F401


class Backend:
    """Holds one ``Llama``, with its multimodal handler where there is a projector."""

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
        self._is_text_only = False

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`."""
        start = clock()
        import llama_cpp
        from llama_cpp.llama_chat_format import MTMDChatHandler

        import_s = clock() - start
        notes = amx_tiles.avoid_if_broken()
        folder, revision = resolve(request)
        self._folder = folder
        files = weight_files(request, folder)
        self._is_text_only = not request.mmproj_file
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        start = clock()
        handler = None
        if not self._is_text_only:
            handler = MTMDChatHandler(clip_model_path=str(files[-1]), verbose=False)
        self._llama = llama_cpp.Llama(
            str(files[0]),
            chat_handler=handler,
            n_ctx=request.context,
            n_gpu_layers=-1,
            verbose=False,
            **request.options,
        )
        self._calls = Counted(handler and handler._mtmd_cpp)
        if handler is not None:
            handler._mtmd_cpp = self._calls
        self._llama.generate = self._timed(self._llama.generate)
        self._batch = self._llama.n_batch
        self._llama.eval = self._evaluated(self._llama.eval)
        self._llama.create_completion = self._completed(self._llama.create_completion)
        returned_s = clock() - start
        self.generate(_WARM_UP)
        load_s = clock() - start
        vocabulary = self._llama._model.vocab
        self._end_ids = frozenset(
            token
            for token in range(self._llama.n_vocab())
            if llama_cpp.llama_vocab_is_eog(vocabulary, token)
        )
        offload = llama_cpp.llama_supports_gpu_offload()
        return LoadReport(
            load_s=load_s,
            load_return_s=returned_s,
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

        if request.template_options:
            raise BackendFailed("llama-cpp-python tells a chat template nothing of thinking")
        # llama.cpp has no clips: it sees the frames as images, in their order.
        request = replace(request, messages=video_frames.as_images(request.messages))
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
            [self._chat(message) for message in request.messages],
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
            image_tokens_expected=expected_tokens.expected(
                self._folder, request, in_llama_cpp=True
            ),
        )

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`. The library reports nothing."""
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
        """Llama.generate with a tick per token: a chunk of text may be several tokens or none."""

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
        """Llama.eval, whose time over the prompt's text is prefill if phases are requested."""

        def evaluate(tokens: Sequence[int]) -> None:
            # Llama.generate first evaluates a prompt that is already evaluated: no tokens, no time.
            if self._calls.phases is None or self._ids or not tokens:
                original(tokens)
                return
            with self._calls.phases.span("prefill_s"):
                original(tokens)

        return evaluate

    def _completed(self, original: Any) -> Any:
        """Llama.create_completion, which the multimodal handler calls after its prefill.

        A fixed length is decoded here and not by the original, whose Python would be timed too.
        """

        def complete(*args: Any, **kwargs: Any) -> Any:
            if self._is_text_only:
                self._begin_text(kwargs["prompt"])
            request = self._fixed
            if request is None:
                return original(*args, **kwargs)
            llama = self._llama
            llama.set_seed(request.seed)
            # An attribute of the instance hides the method of the class until it is deleted.
            llama._init_sampler = self._endless(llama._init_sampler)
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
                    pass  # the wrapped Llama.generate has recorded the token and its time
            finally:
                del llama._init_sampler
            # No chunk of text for the handler: generate() decodes the recorded tokens.
            return iter(())

        return complete

    def _begin_text(self, prompt: Sequence[int]) -> None:
        """What the multimodal handler does before a prefill: count, forget the prompt before."""
        self._calls.prompt_tokens = len(prompt)
        if self._calls.phases is not None:
            self._calls.phases.preprocessed()
        self._llama.reset()
        self._llama._ctx.kv_cache_clear()

    def _chat(self, message: Message) -> dict[str, Any]:
        """A message as the chat template takes it: one of a text model takes texts, no parts."""
        if not self._is_text_only:
            return as_chat(message, _image)
        return as_text(message)

    def _endless(self, original: Any) -> Any:
        """Llama's sampler after a bias of −∞ on every token that ends an answer.

        llama.cpp's own sampler touches those tokens only. llama-cpp-python's ``logit_bias`` would
        be a pass of numpy over the vocabulary for each token.
        """
        import llama_cpp
        from llama_cpp._internals import LlamaSampler

        def sampler(*args: Any, **kwargs: Any) -> Any:
            chain = LlamaSampler()
            bias = {token: float("-inf") for token in self._end_ids}
            chain.add_logit_bias(self._llama.n_vocab(), bias)
            inner = original(*args, **kwargs)
            llama_cpp.llama_sampler_chain_add(chain.sampler, inner.sampler)
            inner.sampler = None  # the chain owns it now and will free it
            return chain

        return sampler

    def _margin(self) -> float:
        """The logit margin of the latest token: its largest logit less the second largest."""
        import llama_cpp
        import numpy as np

        context = self._llama._ctx.ctx
        pointer = llama_cpp.llama_get_logits_ith(context, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),))
        second, best = np.partition(logits, -2)[-2:]
        return float(best - second)


def _image(part: Part) -> dict[str, Any]:
    file = Path(part.value)
    # The library takes no bytes: they become a data URL too.
    return image_part(file.resolve().as_uri() if part.given_as == "path" else data_url(file))
