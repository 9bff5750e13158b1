"""llama.cpp's multimodal calls as llama-cpp-python's handler makes them, counted and timed.

The handler reaches the calls through one attribute, a module. :class:`Counted` stands in for that
module and changes two of its names. After ``mtmd_tokenize`` the tokens are counted by chunk, for
every request. ``mtmd_helper_eval_chunk_single`` is changed only if phases are requested: the two
calls that it consists of are then made one by one, as llama.cpp documents them, to see where the
encoder ends and the language model begins.
"""

from __future__ import annotations

import ctypes
from typing import Any

from qualification.backends.clocks import PhaseClock


class Counted:
    """A stand-in for ``llama_cpp.mtmd_cpp``.

    ``prompt_tokens`` and ``image_tokens`` are those of the latest request. With rotary positions in
    two dimensions (Qwen2-VL) an image has fewer positions than tokens, so the prompt length that
    the library continues with is no count of tokens.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.prompt_tokens = 0
        self.image_tokens = 0
        self.phases: PhaseClock | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def mtmd_tokenize(self, context: Any, chunks: Any, *arguments: Any) -> Any:
        """Tokenise as the module does, then count."""
        result = self._module.mtmd_tokenize(context, chunks, *arguments)
        self.prompt_tokens = self.image_tokens = 0
        if result == 0:
            for number in range(self._module.mtmd_input_chunks_size(chunks)):
                chunk = self._module.mtmd_input_chunks_get(chunks, number)
                count = int(self._module.mtmd_input_chunk_get_n_tokens(chunk))
                self.prompt_tokens += count
                kind = self._module.mtmd_input_chunk_get_type(chunk)
                if kind == self._module.MTMD_INPUT_CHUNK_TYPE_IMAGE:
                    self.image_tokens += count
        if self.phases is not None:
            self.phases.preprocessed()
        return result

    def mtmd_helper_eval_chunk_single(self, *arguments: Any) -> Any:
        """Encode an image and run the language model over it; the arguments are the C call's."""
        module, phases = self._module, self.phases
        if phases is None:
            return module.mtmd_helper_eval_chunk_single(*arguments)
        context, llama, chunk, past, sequence, batch, _logits_last, new_past = arguments
        with phases.span("vision_encode_s"):
            result = module.mtmd_encode_chunk(context, chunk)
        if result != 0:
            return result
        embeddings = module.mtmd_get_output_embd(context)
        nothing = module.mtmd_helper_post_decode_callback()
        with phases.span("prefill_s"):
            return module.mtmd_helper_decode_image_chunk(
                context,
                llama,
                chunk,
                embeddings,
                past,
                sequence,
                batch,
                new_past,
                nothing,
                ctypes.c_void_p(None),
            )
