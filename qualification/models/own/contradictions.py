"""What the files of a model contradict: pure reading, nothing is rendered or run.

Each doubt is a sentence. A model with doubts can be tried all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qualification.core.declarations import Model
from qualification.core.weight_files import gguf_parts
from qualification.models.own.reading import (
    chat_template,
    file_type,
    part,
    quantisation_in_name,
)
from qualification.models.own.targets import Target
from qualification.models.tensor_headers import TensorInfo, read_file, read_keys
from qualification.models.tensor_headers import read_folder as tensors_of

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blk)\.(\d+)\.")
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|tok_embeddings)\.weight$|^token_embd\.weight$"
)
_VISION = re.compile(r"visual|vision|image|^v\.|mm_|connector|projector|mtp", re.IGNORECASE)


def contradictions(target: Target, model: Model, *, quick: bool = False) -> Iterator[str]:
    """The doubts about a model; ``quick`` leaves out what lies behind a GGUF's vocabulary."""
    if target.model_file:
        yield from _of_gguf(target, model, quick)
    else:
        yield from _of_folder(target.folder, model)


# --------------------------------------------------------------------------- GGUF


def _of_gguf(target: Target, model: Model, quick: bool) -> Iterator[str]:
    file = target.folder / target.model_file
    beside = chat_template(target.folder)
    keys = read_keys(file, until="tokenizer.ggml.tokens" if quick and not beside else "")
    named = quantisation_in_name(target.name)
    written = file_type(keys)
    if named and written and _plain(named) != _plain(written):
        yield f"its name says {named}, its metadata {written}"
    inside = keys.get("tokenizer.chat_template")
    if beside and isinstance(inside, str) and inside.strip() != beside.strip():
        yield "its chat template is not the one that lies beside it"
    if not quick:
        tensors = (tensor for piece in gguf_parts(file) for tensor in read_file(piece))
        architecture = keys.get("general.architecture", "")
        yield from _against_tensors(
            tensors,
            layers=keys.get(f"{architecture}.block_count"),
            hidden=keys.get(f"{architecture}.embedding_length"),
            vocabulary=keys.get("tokenizer.ggml.tokens"),
        )
    if target.mmproj_file and model.shape is not None:
        yield from _of_projector(target.folder / target.mmproj_file, model.shape.hidden_size)


def _of_projector(file: Path, hidden: int) -> Iterator[str]:
    """A projector is as wide as the text model, or a multiple where it feeds several layers."""
    width = read_keys(file).get("clip.vision.projection_dim")
    if isinstance(width, int) and width > 0 and width % hidden:
        yield (
            f"{file.name} projects to {width:,} numbers, the model reads {hidden:,}: it belongs to "
            "another model"
        )


def _plain(name: str) -> str:
    """Q4_K_M, Q4_K_S, Q4_K_XL and UD-Q4_K_L are mixtures round one format."""
    return re.sub(r"^UD-|_(XXS|XS|S|M|L|XL|NL|MOE)$", "", name.upper())


# --------------------------------------------------------------------------- folders


def _of_folder(folder: Path, model: Model) -> Iterator[str]:
    config = _read(folder / "config.json")
    text = part(config, "text_config", "llm_config") or config
    if not config.get("quantization"):  # MLX packs a row's numbers
        yield from _against_tensors(
            (tensor for tensor in tensors_of(folder) if not _VISION.search(tensor.name)),
            layers=text.get("num_hidden_layers") or text.get("n_layers"),
            hidden=text.get("hidden_size"),
            vocabulary=None,  # embeddings are often padded
        )
    if "vision" in model.capabilities:
        yield from _of_placeholder(folder, config)
    yield from _of_stop_tokens(folder, config, text)


def _of_placeholder(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Whether a prompt can say where an image stands."""
    tokens = _added_tokens(folder)
    for key in ("image_token_id", "image_token_index"):
        number = config.get(key)
        if tokens and isinstance(number, int) and number not in tokens:
            yield f"config.json marks an image by token {number}, which its tokeniser does not have"
            return
    template = chat_template(folder)
    takes_parts = re.search(r"\btype\b", template)  # else the library marks images in one text
    if takes_parts and not re.search("image|img|media", template, re.IGNORECASE):
        yield "its chat template writes no placeholder for an image"


def _of_stop_tokens(
    folder: Path, config: Mapping[str, Any], text: Mapping[str, Any]
) -> Iterator[str]:
    """Whether an answer can end: the tokeniser's end of turn must stop, and must be allowed."""
    generation = _read(folder / "generation_config.json")
    stops = _numbers(
        generation.get("eos_token_id") or config.get("eos_token_id") or text.get("eos_token_id")
    )
    suppressed = set(_numbers(generation.get("suppress_tokens")))
    suppressed.update(
        words[0] for words in _lists(generation.get("bad_words_ids")) if len(words) == 1
    )
    if forbidden := sorted(suppressed & set(stops)):
        yield f"generation_config.json suppresses the token that ends an answer ({forbidden[0]})"
    end = _read(folder / "tokenizer_config.json").get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    numbers = [number for number, content in _added_tokens(folder).items() if content == end]
    if stops and numbers and numbers[0] not in stops:
        yield (
            f"its tokeniser ends a turn with {end} ({numbers[0]}), its configuration with "
            f"{', '.join(map(str, stops))}: answers may not end"
        )


# --------------------------------------------------------------------------- both


def _against_tensors(
    tensors: Iterable[TensorInfo], *, layers: object, hidden: object, vocabulary: object
) -> Iterator[str]:
    """What the metadata says of the language model against the tensors that are there."""
    numbers: set[int] = set()
    embedding: tuple[int, ...] = ()
    for tensor in tensors:
        if match := _LAYER.search(tensor.name):
            numbers.add(int(match[1]))
        if _EMBEDDING.search(tensor.name) and len(tensor.shape) == 2:
            embedding = tensor.shape
    if isinstance(layers, int) and numbers and len(numbers) < layers:
        yield f"its metadata says {layers} layers, its weights have {len(numbers)}"
    if isinstance(hidden, int) and embedding and embedding[1] != hidden:
        yield f"its metadata says a width of {hidden:,}, its embeddings have {embedding[1]:,}"
    if isinstance(vocabulary, int) and embedding and embedding[0] < vocabulary:
        yield f"its tokeniser has {vocabulary:,} words, its embeddings {embedding[0]:,}"


def _added_tokens(folder: Path) -> dict[int, str]:
    """Number -> text of the tokens that tokenizer_config.json lists."""
    listed = _read(folder / "tokenizer_config.json").get("added_tokens_decoder")
    if not isinstance(listed, dict):
        return {}
    return {
        int(number): str(token.get("content"))
        for number, token in listed.items()
        if str(number).isdigit() and isinstance(token, dict)
    }


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int)]


def _lists(value: Any) -> list[list[int]]:
    values = value if isinstance(value, list) else []
    return [_numbers(inner) for inner in values if isinstance(inner, list)]


def _read(file: Path) -> dict[str, Any]:
    """A JSON object, {} where there is none: what is unreadable is said elsewhere."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
