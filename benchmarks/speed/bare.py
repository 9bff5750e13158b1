"""Each library's own loop, bare: ``python -m benchmarks.speed.bare BACKEND FOLDER CONTEXT``.

It shares with the harness the weights and the shims without which a library does not start. For
each line of input, ``[prompt, tokens]``, it decodes and prints ``{"decode_tps": ...}``, which is
(N - 1) / (t_N - t_1).
``mlx_stats`` is no loop but mlx-vlm's self-reported speed, N over the time after the first token,
corrected by (N - 1) / N.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from qualification.backends.shims import amx_tiles
from qualification.backends.shims import torchvision as torchvision_shim

Speed = Callable[[str, int], float]


def main() -> None:
    """Load, then answer line by line."""
    name, folder, context = sys.argv[1:]
    if name == "llamacpp":
        speed = _llamacpp(Path(folder), int(context))
    else:
        speed = {"mlx": _mlx, "mlx_stats": _mlx_stats, "torch": _torch}[name](Path(folder))
    for line in sys.stdin:
        print(json.dumps({"decode_tps": speed(*json.loads(line))}), flush=True)


def _timed(steps: Iterable[Any]) -> float:
    times = []
    for _ in steps:
        times.append(time.perf_counter())
    return (len(times) - 1) / (times[-1] - times[0])


def _mlx(folder: Path) -> Speed:
    torchvision_shim.install_if_needed()
    import mlx.core as mx
    import mlx_vlm
    from mlx_vlm.generate import generate_step

    model, processor = mlx_vlm.load(str(folder))
    tokenizer = getattr(processor, "tokenizer", processor)

    def speed(prompt: str, tokens: int) -> float:
        ids = mx.array([tokenizer.encode(prompt)])
        return _timed(generate_step(ids, model, None, None, max_tokens=tokens))

    return speed


def _mlx_stats(folder: Path) -> Speed:
    torchvision_shim.install_if_needed()
    import mlx_vlm

    model, processor = mlx_vlm.load(str(folder))
    tokenizer = getattr(processor, "tokenizer", processor)
    tokenizer.stopping_criteria = lambda _token: False

    def speed(prompt: str, tokens: int) -> float:
        *_, final = mlx_vlm.stream_generate(model, processor, prompt, max_tokens=tokens)
        count = final.generation_tokens
        return float(final.generation_tps * (count - 1) / count)

    return speed


def _torch(folder: Path) -> Speed:
    torchvision_shim.install_if_needed()
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

    auto, file = AutoModelForImageTextToText, next(folder.glob("*.gguf"), None)
    options = {}
    if file is not None:
        auto, options = AutoModelForCausalLM, {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    model = auto.from_pretrained(folder, dtype="auto", **options)
    model.eval()

    class Times(list[float]):
        def put(self, _token: object) -> None:
            self.append(time.perf_counter())

        def end(self) -> None:
            pass

    def speed(prompt: str, tokens: int) -> float:
        times = Times()  # generate hands over the prompt too, before any token
        inputs = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            model.generate(
                **inputs,
                streamer=times,
                do_sample=False,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
            )
        return (len(times) - 2) / (times[-1] - times[1])

    return speed


def _llamacpp(folder: Path, context: int) -> Speed:
    amx_tiles.avoid_if_broken()
    import llama_cpp

    files = [file for file in folder.rglob("*.gguf") if "mmproj" not in file.name]
    llama = llama_cpp.Llama(str(files[0]), n_ctx=context, verbose=False)

    def speed(prompt: str, tokens: int) -> float:
        stream = llama.generate(llama.tokenize(prompt.encode()), temp=0.0, repeat_penalty=1.0)
        return _timed(islice(stream, tokens))

    return speed


if __name__ == "__main__":
    main()
