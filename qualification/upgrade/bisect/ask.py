"""Asks a canary with its library's own calls: the Python half of a reproduction script.

::

    python ask.py CANARY_FOLDER FACTS.json

A script contains a copy of this file and runs it in an environment without this project, so it
imports nothing but the standard library, and the library that it shows inside a function. FACTS has
the keys ``backend`` (one of :data:`ASKERS`), ``options`` of the library's loader, ``turns``
(``parts``, pairs of kind and value, and ``expected``), and for some backends ``template``,
``context``, ``max_tokens``, ``model_file`` and ``mmproj_file``. It prints a line for each turn and
writes the images into the working directory.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Facts = Mapping[str, Any]
Turn = Mapping[str, Any]
Ask = Callable[[Turn], str]


def with_mlx(folder: Path, facts: Facts) -> Ask:
    """Load with mlx-vlm."""
    from mlx_vlm import load, stream_generate
    from mlx_vlm.prompt_utils import get_chat_template

    model, processor = load(str(folder), **facts["options"])
    template = {"chat_template": facts["template"]} if facts["template"] else {}

    def ask(turn: Turn) -> str:
        prompt = get_chat_template(processor, _chat(turn), add_generation_prompt=True, **template)
        pieces = stream_generate(
            model,
            processor,
            prompt,
            image=[str(file) for file in _image_files(turn)] or None,
            max_tokens=facts["max_tokens"],
            temperature=0.0,
        )
        return "".join(piece.text for piece in pieces)

    return ask


def with_torch(folder: Path, facts: Facts) -> Ask:
    """Load with transformers."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, **facts["options"]).eval()

    def ask(turn: Turn) -> str:
        text = processor.apply_chat_template(
            _chat(turn),
            chat_template=facts["template"] or None,
            tokenize=False,
            add_generation_prompt=True,
        )
        images = [Image.open(file).convert("RGB") for file in _image_files(turn)]
        inputs = processor(text=[text], images=images or None, return_tensors="pt")
        inputs = inputs.to("cpu", dtype=model.dtype)
        with torch.inference_mode():
            ids = model.generate(
                **inputs,
                max_new_tokens=facts["max_tokens"],
                do_sample=False,
                repetition_penalty=1.0,
            )
        ids = ids[0, inputs["input_ids"].shape[1] :]
        return str(processor.tokenizer.decode(ids, skip_special_tokens=True))

    return ask


def with_llamacpp(folder: Path, facts: Facts) -> Ask:
    """Load with llama-cpp-python."""
    import llama_cpp
    from llama_cpp.llama_chat_format import MTMDChatHandler

    handler = MTMDChatHandler(clip_model_path=str(folder / facts["mmproj_file"]), verbose=False)
    llama = llama_cpp.Llama(
        str(folder / facts["model_file"]),
        chat_handler=handler,
        n_ctx=facts["context"],
        verbose=False,
        **facts["options"],
    )

    def ask(turn: Turn) -> str:
        reply = llama.create_chat_completion(
            [{"role": "user", "content": _with_data_urls(turn)}],
            max_tokens=facts["max_tokens"],
            temperature=0.0,
            repeat_penalty=1.0,
        )
        return str(reply["choices"][0]["message"]["content"])

    return ask


def with_llama_cpp(folder: Path, facts: Facts) -> Ask:
    """Serve with xllamacpp, in this process, and ask over HTTP as any client does."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(folder / facts["model_file"])
    parameters.mmproj.path = str(folder / facts["mmproj_file"]) if facts["mmproj_file"] else ""
    parameters.n_ctx = facts["context"]
    parameters.chat_template = facts["template"]
    server = xllamacpp.Server(parameters)

    def ask(turn: Turn) -> str:
        request = {
            "messages": [{"role": "user", "content": _with_data_urls(turn)}],
            "max_tokens": facts["max_tokens"],
            "temperature": 0.0,
            "cache_prompt": False,
        }
        address = f"{server.listening_address}/v1/chat/completions"
        body = json.dumps(request).encode()
        header = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, body, header)) as reply:  # noqa: S310
            return str(json.loads(reply.read())["choices"][0]["message"]["content"])

    return ask


def with_fake(_folder: Path, facts: Facts) -> Ask:
    """Import the library that the scripted backend answers with."""
    library = importlib.import_module(facts["options"]["library"])
    return lambda turn: str(library.answer(_question(turn)))


ASKERS: dict[str, Callable[[Path, Facts], Ask]] = {
    "mlx": with_mlx,
    "torch": with_torch,
    "llamacpp": with_llamacpp,
    "llama.cpp": with_llama_cpp,
    "fake": with_fake,
}
"""Engine -> how its library loads a canary and answers a turn."""


def main(folder: Path, facts: Facts) -> None:
    """Ask every turn of the facts and print the answers."""
    # The reference keeps the declared operators alive.
    library = _declare_torchvision() if facts["backend"] in ("mlx", "torch") else None
    ask = ASKERS[facts["backend"]](folder, facts)
    for turn in facts["turns"]:
        print(f"{_question(turn)}  expected {turn['expected']!r}, got {ask(turn)!r}", flush=True)
    del library


def _declare_torchvision() -> object:
    """Declare torchvision's operators, which transformers' processors only need the schemas of.

    The registry's Linux wheel is built for CUDA and has no operators beside a CPU torch. Another
    process finds out: a failed import leaves a part of it behind, and to declare them twice is
    fatal.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or importlib.util.find_spec("torch") is None:
        return None
    attempt = [sys.executable, "-c", "import torchvision"]
    if subprocess.run(attempt, capture_output=True, check=False).returncode == 0:
        return None
    import torch

    file = Path(str(spec.origin)).parent / "_meta_registrations.py"
    names = re.findall(r"""register_fake\(\s*["']torchvision::(\w+)["']""", file.read_text())
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted({"nms", *names}):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _question(turn: Turn) -> str:
    return " ".join(value for kind, value in turn["parts"] if kind == "text")


def _chat(turn: Turn) -> list[dict[str, Any]]:
    content = [
        {"type": "text", "text": value} if kind == "text" else {"type": "image"}
        for kind, value in turn["parts"]
    ]
    return [{"role": "user", "content": content}]


def _with_data_urls(turn: Turn) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": value}
        if kind == "text"
        else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{value}"}}
        for kind, value in turn["parts"]
    ]


def _image_files(turn: Turn) -> list[Path]:
    files = []
    for kind, value in turn["parts"]:
        if kind == "image":
            png = base64.b64decode(value)
            file = Path(f"{hashlib.sha256(png).hexdigest()[:16]}.png").absolute()
            file.write_bytes(png)
            files.append(file)
    return files


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
