"""Our times of a request to llama-server, compared with its own.

``python -m benchmarks.servers.timings [DEPLOYMENT ...]`` starts llama-server with the weights of
each llama.cpp deployment (random ones of the real size unless it is a canary), asks the same kind
of request a number of times, each with an image of its own, and compares the client's figures with
the ``timings`` of the very same answer. Both are of one request, so a noisy machine disturbs both
alike. Definitions (docs/measuring.md, "Time" and "Speed"): ``ttft_s`` from the start of the request
to the first piece of text, the server's is ``prompt_ms``, which begins when a slot takes the
request; ``decode_tps`` (N - 1) / (t_N - t_1), the server's is ``predicted_per_second``, (n - 1) / t
in the builds that know ``n_gen_steps`` and n / t before, so it is computed here from
``predicted_n`` and ``predicted_ms``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from qualification.backends.server.backend import Backend
from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.models.loading import load_registry
from qualification.models.synthetic.cache import ready
from qualification.models.weights import load_request
from qualification.servers.programs import llama_server_version
from qualification.tasks.questions import generate

RESULTS = Path(__file__).with_name("timings.json")
TABLE = Path(__file__).with_name("TIMINGS.md")
DEPLOYMENTS = ("smolvlm-500m-Q8_0@llamacpp", "smolvlm-canary-f32@llamacpp")
LIMIT = 0.03


def main() -> int:
    """Measure, print a table, store the raw numbers; 1 where a median is off by over 3 %."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("deployments", nargs="*", default=DEPLOYMENTS)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"llama-server": llama_server_version(), "deployments": {}}
    worst = 0.0
    lines = [
        "# Our times of llama-server compared with its own",
        "",
        "Made by `python -m benchmarks.servers.timings`; raw numbers in timings.json.",
        f"llama-server of llama-cpp-python {results['llama-server']}, {arguments.threads} threads, "
        f"{arguments.requests} requests of {arguments.tokens} tokens, each about an image of its "
        "own, after two that warm up. Ratios are of one and the same answer.",
        "",
        "| deployment | figure | ours (median) | llama-server's (median) | ratio | of each |",
        "|---|---|--:|--:|--:|---|",
    ]
    for name in arguments.deployments:
        raw = measure(name, arguments.requests, arguments.tokens, arguments.threads)
        results["deployments"][name] = raw
        for figure in ("ttft_s", "decode_tps"):
            pairs = [(times[figure], times[f"server_{figure}"]) for times in raw]
            ratios = [ours / theirs for ours, theirs in pairs]
            middle = statistics.median(ratios)
            worst = max(worst, abs(middle - 1)) if "canary" not in name else worst
            ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
            span = f"{min(ratios):.3f}-{max(ratios):.3f}"
            lines.append(
                f"| {name} | {figure} | {ours:.4g} | {theirs:.4g} | {middle:.4f} | {span} |"
            )
    lines += [
        "",
        "`ttft_s` includes HTTP, base64 and the decoding of the image, `prompt_ms` begins after "
        "them: milliseconds, which are negligible for a real model and half of a canary's time.",
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return int(worst > LIMIT)


def measure(name: str, requests: int, tokens: int, threads: int) -> list[dict[str, float]]:
    """Each request but the first two: ``ttft_s``, ``decode_tps`` and the server's own figures."""
    registry = load_registry()
    declared = registry.deployment(name)
    request = load_request(declared)
    path = request.path
    if declared.source.weights == "hub":
        path = str(ready(registry.with_weights("synthetic").deployment(synthetic(name))))
    options = {"arguments": ["--threads", str(threads), "--threads-batch", str(threads)]}
    request = type(request)(
        **{
            **vars(request),
            "backend": "server",
            "server": "llama-server",
            "path": path,
            "options": options,
        }
    )
    backend = Backend()
    raw: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="server-timings-") as folder:
        tempfile.tempdir = folder  # as in a worker: files of the server are removed with it
        try:
            backend.load(request)
            questions = generate(seed=61, count=requests + 2, split="heldout", skills=["both"])
            for number, question in enumerate(questions):
                file = Path(folder) / f"{number}.png"
                question.images()[0].save(file)
                message = Message("user", (Part("image", str(file)), Part("text", question.prompt)))
                answer = backend.generate(GenerateRequest((message,), tokens, fixed_length=True))
                theirs = backend.timings
                steps = theirs["predicted_n"] - 1
                raw.append(
                    {
                        "ttft_s": answer.ttft_s,
                        "decode_tps": answer.decode_tps,
                        "server_ttft_s": theirs["prompt_ms"] / 1e3,
                        "server_decode_tps": steps / theirs["predicted_ms"] * 1e3,
                    }
                )
        finally:
            backend.unload()
            tempfile.tempdir = None
    return raw[2:]


def synthetic(name: str) -> str:
    """The identifier of the same deployment with random weights."""
    head, _, backend = name.rpartition("@")
    return f"{head}-synthetic@{backend}"


if __name__ == "__main__":
    raise SystemExit(main())
