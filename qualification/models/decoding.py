"""Which tensors does decoding one token read? By their names in the files' headers.

Every layer's matrices and the LM head, which is the input embedding where a model has no other.
What is not certainly read counts as nothing, so that the roofline stays a bound: norms and biases,
the vision tower, layers that only draft tokens. Where the names leave a doubt (a mixture of
experts, of which a token reads a part, or two language models) no figure is given at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qualification.models.tensor_headers import TensorInfo

_LAYER = re.compile(r"((?:.*?\.)?(?:layers|blocks|blk|h))\.(\d+)\.")
_HEAD = re.compile(r"(?:.*\.)?(?:lm_head|output)\.")
_EMBEDDING = re.compile(r"(?:.*\.)?(?:embed_tokens|token_embd|wte)\.")
_BESIDE_TEXT = re.compile(
    r"visi|visual|image|img|audio|speech|sam_model|aligner|connector|projector|resampler|perceiver"
    r"|merger|encoder|talker|predictor|lora|^(?:v|mm|a)\.|(?:^|\.)mtp\."
)
_DRAFTS = re.compile(r"nextn|eh_proj")
_IN_PART = re.compile(r"exp(?:s|ert)|switch_mlp|moe|cross_attn")
_CONVERTS = re.compile("dtype|quant|load_in", re.IGNORECASE)


def decode_bytes(tensors: Sequence[TensorInfo], options: Mapping[str, Any]) -> int:
    """Bytes of the tensors that decoding reads for each token; 0 where they are not certain.

    ``options`` are the loader's: one of a dtype or a quantisation may convert the weights.
    """
    if _CONVERTS.search(str(dict(options))):
        return 0
    text = [t for t in tensors if not _BESIDE_TEXT.search(t.name)]
    layers = [(match, t) for t in text if (match := _LAYER.match(t.name))]
    if len({match[1] for match, _ in layers}) != 1 or any(_IN_PART.search(t.name) for t in text):
        return 0
    drafts = {match[2] for match, t in layers if _DRAFTS.search(t.name)}
    read = [t for match, t in layers if match[2] not in drafts]
    outside = [t for t in text if not _LAYER.match(t.name)]
    heads = ([t for t in outside if pattern.match(t.name)] for pattern in (_HEAD, _EMBEDDING))
    read += next(filter(None, heads), [])
    return sum(tensor.bytes for tensor in read if len(tensor.shape) > 1)
