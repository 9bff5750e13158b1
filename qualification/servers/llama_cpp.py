"""llama.cpp's own HTTP server out of the wheel ``xllamacpp``: nothing is compiled.

``python llama_cpp.py --model FILE [--mmproj FILE] --alias NAME --host 127.0.0.1 --port N ...``,
under the interpreter of the environment to qualify; standard library and ``xllamacpp`` only. The
options are those of llama-server, and so are the endpoints: the wheel carries the same sources.
It serves until SIGTERM or SIGINT. Releases from 0.2.0 on are supported: a release names some
parameters differently, and the ones that it does not have are left at its defaults.
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Serve until a signal; ends with exit code 1 and the library's message if it cannot load."""
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != _HERE]
    words = _options().parse_args()
    import xllamacpp

    # Held back until sigwait takes it: one that came just before a pause would be slept through.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, words))
    except (RuntimeError, ValueError) as error:
        _say(f"llama.cpp cannot serve {words.model}: {error}")
        sys.exit(1)
    _say(f"listening on {server.listening_address}")
    signal.sigwait(_ENDING)
    # The server's own end waits for ever where its loop has not begun yet; the system frees it all.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="llama.cpp's server of the wheel xllamacpp.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--mmproj", default="")
    parser.add_argument("--alias", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ctx-size", type=int, default=0)
    parser.add_argument("--parallel", type=int)
    parser.add_argument("--n-gpu-layers", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--threads-batch", type=int)
    parser.add_argument("--chat-template", default="")
    return parser


def _parameters(xllamacpp: Any, words: argparse.Namespace) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = words.model
    parameters.mmproj.path = words.mmproj
    parameters.port = words.port
    parameters.n_ctx = words.ctx_size
    parameters.chat_template = words.chat_template
    if hasattr(parameters, "hostnames"):
        parameters.hostnames = [words.host]
    else:  # before 2026.10
        parameters.hostname = words.host
    # One text until 0.2.13.
    parameters.model_alias = (
        words.alias if isinstance(parameters.model_alias, str) else {words.alias}
    )
    if words.parallel is not None:
        parameters.n_parallel = words.parallel
    if words.n_gpu_layers is not None:
        parameters.n_gpu_layers = words.n_gpu_layers
    if words.threads is not None:
        parameters.cpuparams.n_threads = words.threads
    if words.threads_batch is not None:
        parameters.cpuparams_batch.n_threads = words.threads_batch
    _avoid_broken_tiles(xllamacpp, parameters)
    return parameters


def _avoid_broken_tiles(xllamacpp: Any, parameters: Any) -> None:
    """Load the weights as they are where the wheel's compiler broke Intel's AMX tiles."""
    # By its path: the project need not be installed here.
    shim = runpy.run_path(str(_HERE.parent / "backends/shims/amx_tiles.py"))
    libraries = Path(xllamacpp.__file__).parent.glob("*.so")
    if any(shim["no_repack"](library) for library in libraries):
        parameters.no_extra_bufts = True
        _say(shim["NOT_REPACKED"])


def _say(text: str) -> None:
    """Write a line of its own: the library's log has a thread, which may be within a line."""
    os.write(sys.stderr.fileno(), f"\n{text}\n".encode())


if __name__ == "__main__":
    main()
