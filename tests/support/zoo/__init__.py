"""Tiny models of random weights, of the families that people run now, as published folders look.

``build("qwen3_vl", folder)`` writes config, tokeniser, processor and weights of some 300,000
parameters. A module here is one family. transformers 5 makes the weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import import_module
from pathlib import Path

FAMILIES = (
    *("qwen3_5", "qwen3_vl", "gemma4", "mistral3", "lfm2_vl", "internvl", "gemma3"),
    *("minicpmv4_6", "glm4v", "paddleocr_vl"),
)
"""Of those that people run in late 2026, the ten that have no folder in ``models/families``."""

QUESTION = "What colour is the shape?"


def build(family, folder):
    """Write the tiny model of a family into ``folder``."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)  # of what is left as transformers initialises it
    import_module(f"{__name__}.{family}").build(folder)


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_tokenizer(
    folder,
    special,
    roles,
    tokenizer_class,
    chat_template,
    *,
    words=WORDS,
    processor_class=None,
    normalizer=None,
    extra=None,
    context=2048,
    plain_added=(),
    size=512,
):
    """A byte-level BPE of a few hundred entries, special tokens behind it; returns token -> id."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    lines = [
        "\n\n",
        "user\n",
        "assistant\n",
        "system\n",
        "model\n",
        "You are a helpful assistant.",
        QUESTION,
    ]
    lines += [
        "What shape is it?",
        "How many shapes are there?",
        "Which picture has the shape?",
        "Hello there.",
    ]
    for w in ["red", "green", "blue", "yellow", "black", "purple", "circle", "square", "triangle"]:
        lines += [w, " " + w]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tok.train_from_iterator(lines, trainer)
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    if plain_added:
        tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in plain_added])
    tok.save(str(folder / "tokenizer.json"))
    f = json.loads((folder / "tokenizer.json").read_text())
    f["normalizer"] = normalizer
    f["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False},
            {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": False,
                "use_regex": False,
            },
        ],
    }
    write_json(folder / "tokenizer.json", f)
    write_json(folder / "vocab.json", f["model"]["vocab"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in f["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    ids = {t: tok.token_to_id(t) for t in [*special, *plain_added]}
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(n): {"content": t, **flags, "special": t in special} for t, n in ids.items()
        },
        "additional_special_tokens": list(special),
        "chat_template": chat_template,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": context,
        "split_special_tokens": False,
        "tokenizer_class": tokenizer_class,
        **roles,
        **(extra or {}),
    }
    if processor_class:
        config["processor_class"] = processor_class
    write_json(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(chat_template)
    vocab = dict(f["model"]["vocab"])
    vocab.update(ids)
    return vocab


def gemma_tokenizer(folder, special, chat_template, config, *, size=330):
    """Gemma's: BPE over text whose spaces are \u2581, byte fallback; returns token -> id."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    lines = [
        "user",
        "model",
        "You are a helpful assistant.",
        QUESTION,
        "What shape is it?",
        "How many shapes are there?",
        "Which picture has the shape?",
        "Hello there.",
    ]
    for w in ["red", "green", "blue", "yellow", "black", "purple", "circle", "square", "triangle"]:
        lines += [w, " " + w]
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "\u2581")
    learner.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    learner.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=1,
            show_progress=False,
            initial_alphabet=["\n", "\u2581", *(chr(c) for c in range(ord("!"), ord("~") + 1))],
        ),
    )
    model = json.loads(learner.to_str())["model"]
    learnt = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    singles = [t for t in learnt if len(t) == 1]
    merged = list(dict.fromkeys(["\n\n", *(a + b for a, b in merges)]))
    merges = [("\n", "\n"), *merges]
    tokens = [*base, *special, *(f"<0x{b:02X}>" for b in range(256)), *merged, *singles]
    vocab = {t: n for n, t in enumerate(tokens)}
    tok = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tok.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tok.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    tok.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in [*base, *special]]
    )
    tok.save(str(folder / "tokenizer.json"))
    flags = {
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "added_tokens_decoder": {
                str(vocab[t]): {"content": t, **flags} for t in [*base, *special]
            },
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "chat_template": chat_template,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 2048,
            "tokenizer_class": "GemmaTokenizer",
            **config,
        },
    )
    (folder / "chat_template.jinja").write_text(chat_template)
    return vocab


def write_weights(folder, *, embed=0.5, rename=None):
    """Random weights for the configuration in ``folder``."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder)).float()
    save(randomise(model, embed=embed), folder, rename=rename)


def randomise(model, seed=1, scale=1.0, embed=0.5):
    """Weights of ordinary size: every norm, bias and table matters, logits spread by about 1."""
    import torch

    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g, dtype=torch.float32)
            low = name.lower()
            if any(k in low for k in ("a_log", "dt_bias")):
                continue
            if p.ndim <= 1 or ("norm" in low and p.ndim == 1):
                if (
                    "norm" in low
                    or low.endswith((".ln_q.weight", ".scale", "layernorm.weight"))
                    or (p.ndim == 1 and low.endswith("weight"))
                ):
                    p.add_(0.1 * r)
                else:
                    p.copy_(0.1 * r)
            elif "embed_tokens" in low or "position_embedding" in low or "pos_emb" in low:
                p.copy_(embed * r)
            else:
                fan_in = p[0].numel()
                p.copy_(scale * r / fan_in**0.5)
    return model


def save(model, folder, rename=None):
    """Write model.safetensors under published names, as save_pretrained gives them back.

    Only the weights are taken from it; the configuration stays as published.
    """
    from safetensors.torch import load_file, save_file

    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        shutil.copyfile(Path(place) / "model.safetensors", Path(folder) / "model.safetensors")
    weights = load_file(str(Path(folder) / "model.safetensors"))
    if rename:
        weights = {rename(k): v for k, v in weights.items()}
        save_file(weights, str(Path(folder) / "model.safetensors"), metadata={"format": "pt"})
