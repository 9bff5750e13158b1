"""The programs that serve a model over HTTP: how each is started, and its own request fields.

One table, used by the worker that starts a program and by the parent that reports what is missing.
Every program listens on 127.0.0.1 only.

======================  ==========================================================================
llama.cpp               llama.cpp's own, from the wheel ``xllamacpp`` (``servers/llama_cpp.py``)
llama-server            the same from the PATH, or built by ``make llama-tools``
llama_cpp.server        ``python -m llama_cpp.server`` of llama-cpp-python[server]
mlx_vlm.server          ``python -m mlx_vlm.server``
transformers-serve      ``transformers serve`` of transformers[serving]
url                     a server that the user runs: neither started nor stopped by us
======================  ==========================================================================
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification.core.child_variables import child_variables
from qualification.core.libraries import install_command, installed_version
from qualification.core.paths import advice, llama_tools_folder
from qualification.core.protocol import GenerateRequest, LoadRequest, Thinking
from qualification.core.servers import ServerProgram, outside_programs

HOST = "127.0.0.1"
_LAUNCH = Path(__file__).with_name("launch.py")
_SERVE_WHEEL = Path(__file__).with_name("llama_cpp.py")
_LLAMA_CPP = "llama-cpp-python"
LLAMA_SERVERS = ("llama.cpp", "llama-server")
"""Programs of llama.cpp's own sources: these report log-probabilities and the tokens so far."""

_SAMPLE_ALL = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
"""llama.cpp's defaults truncate the distribution and penalise repetition; in-process none does."""


def any_extra(request: GenerateRequest, _folder: Path) -> dict[str, Any]:
    """Fields that fix the length in llama-server, vLLM and others; some servers ignore them."""
    if not request.fixed_length:
        return {}
    return {"ignore_eos": True, "min_tokens": request.max_tokens}


def thinking_fields(thinking: Thinking) -> dict[str, Any]:
    """Fields that switch thinking on or off: of llama-server and vLLM, mlx-vlm, and Ollama."""
    if thinking == "default":
        return {}
    is_on = thinking == "on"
    switch: dict[str, Any] = {"enable_thinking": is_on}
    return {"chat_template_kwargs": switch, **switch} | (
        {} if is_on else {"reasoning_effort": "none"}
    )


def _llama_server(request: LoadRequest, folder: Path, _python: str) -> tuple[str, ...]:
    return (str(llama_server() or "llama-server"), *_llama_options(request, folder))


def _llama_wheel(request: LoadRequest, folder: Path, python: str) -> tuple[str, ...]:
    return (python, str(_SERVE_WHEEL), *_llama_options(request, folder))


def _llama_options(request: LoadRequest, folder: Path) -> list[str]:
    words = [
        *("--model", str(folder / request.model_file)),
        *(("--mmproj", str(folder / request.mmproj_file)) if request.mmproj_file else ()),
        *("--alias", folder.name, "--host", HOST, "--port", "{port}"),
        *("--ctx-size", str(request.context)),
        *(("--chat-template", request.chat_template) if request.chat_template else ()),
    ]
    if request.device != "cpu":
        words += ["--n-gpu-layers", "999"]
    return words


def _llama_server_extra(request: GenerateRequest, _folder: Path) -> dict[str, Any]:
    # Its prompt cache would answer a repeated request without computing it; the timings report how
    # many tokens each piece of the stream stands for.
    extra: dict[str, Any] = _SAMPLE_ALL | {"cache_prompt": False, "timings_per_token": True}
    if request.fixed_length:
        extra["ignore_eos"] = True
    return extra


def _llama_cpp(request: LoadRequest, folder: Path, python: str) -> tuple[str, ...]:
    projector = ("--clip_model_path", str(folder / request.mmproj_file), "--chat_format", "mtmd")
    return (
        *(python, str(_LAUNCH), "llama_cpp.server"),
        *("--model", str(folder / request.model_file)),
        *(projector if request.mmproj_file else ()),
        *("--model_alias", folder.name, "--host", HOST, "--port", "{port}"),
        *("--n_ctx", str(request.context), "--n_gpu_layers", "-1", "--verbose", "False"),
    )


def _llama_cpp_extra(request: GenerateRequest, _folder: Path) -> dict[str, Any]:
    return _SAMPLE_ALL | ({"min_tokens": request.max_tokens} if request.fixed_length else {})


def _mlx_vlm(request: LoadRequest, folder: Path, python: str) -> tuple[str, ...]:
    words = [
        *(python, str(_LAUNCH), "mlx_vlm.server"),
        *("--model", str(folder), "--host", HOST, "--port", "{port}"),
    ]
    if request.remote_code:
        words.append("--trust-remote-code")
    return tuple(words)


def _mlx_vlm_extra(request: GenerateRequest, folder: Path) -> dict[str, Any]:
    if not request.fixed_length:
        return {}
    return {"logit_bias": {str(token): -1e9 for token in end_tokens(folder)}}


def _transformers(request: LoadRequest, folder: Path, python: str) -> tuple[str, ...]:
    words = [
        *(python, str(_LAUNCH), "transformers.cli.transformers", "serve", str(folder)),
        *("--host", HOST, "--port", "{port}"),
    ]
    if request.device:
        words += ["--device", request.device]
    if request.remote_code:
        words.append("--trust-remote-code")
    return tuple(words)


def _transformers_extra(request: GenerateRequest, folder: Path) -> dict[str, Any]:
    # A generation configuration replaces the request's own fields, so it must be complete.
    settings: dict[str, Any] = {
        "max_new_tokens": request.max_tokens,
        "do_sample": request.temperature > 0,
        "eos_token_id": end_tokens(folder),
    }
    if request.temperature > 0:
        settings["temperature"] = request.temperature
    if request.fixed_length:
        settings["min_new_tokens"] = request.max_tokens
    return {"generation_config": json.dumps(settings)}


def llama_tool(name: str, release: str = "") -> Path | None:
    """A program of llama.cpp: built for the installed release, else from the PATH, or None."""
    release = release or installed_version(_LLAMA_CPP)
    built = llama_tools_folder(release) / name
    if release and built.is_file():
        return built
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None


def llama_server() -> Path | None:
    """The llama-server that is used here."""
    return llama_tool("llama-server")


@functools.cache
def llama_server_version() -> str:
    """A version that can be compared; '' if there is none.

    A binary built by ``make llama-tools`` has the release of llama-cpp-python whose sources it is
    made of (they do not know their own build number), any other the build number that it prints.
    """
    program = llama_server()
    if program is None:
        return ""
    release = installed_version(_LLAMA_CPP)
    if release and program.parent == llama_tools_folder(release):
        return release
    try:
        output = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env=child_variables("library"),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    build = re.search(r"version: (\d+)", output.stdout + output.stderr)
    return build.group(1) if build else ""


def _no_llama_server() -> str:
    if llama_server() is not None:
        return ""
    remedy = advice(
        "build it once with `make llama-tools` (about 10 minutes)",
        "install a release of https://github.com/ggml-org/llama.cpp and add it to the PATH",
    )
    return (
        f"llama-server is not on the PATH and was not built; {remedy}, "
        "or on a Mac: brew install llama.cpp"
    )


_WEB = ("fastapi", "uvicorn")
_SHIPPED = (
    ServerProgram(
        "llama.cpp",
        "xllamacpp",
        "/health",
        _llama_wheel,
        _llama_server_extra,
        needs=("xllamacpp",),
    ),
    ServerProgram(
        "llama-server",
        "llama-server",
        "/health",
        _llama_server,
        _llama_server_extra,
        absent=_no_llama_server,
        version=llama_server_version,
    ),
    ServerProgram(
        "llama_cpp.server",
        _LLAMA_CPP,
        "/v1/models",
        _llama_cpp,
        _llama_cpp_extra,
        needs=(_LLAMA_CPP, *_WEB, "sse-starlette", "starlette-context", "pydantic-settings"),
    ),
    ServerProgram(
        "mlx_vlm.server",
        "mlx-vlm",
        "/health",
        _mlx_vlm,
        _mlx_vlm_extra,
        needs=("mlx-vlm", *_WEB),
        served_as=str,
    ),
    ServerProgram(
        "transformers-serve",
        "transformers",
        "/health",
        _transformers,
        _transformers_extra,
        needs=("transformers", "torch", "accelerate", *_WEB),
        served_as=str,
    ),
)

PROGRAMS = {program.name: program for program in _SHIPPED} | outside_programs()
"""Name -> program. The engines of those that ship are in ``core/servers.py``."""


def missing(name: str, versions: Mapping[str, str] | None = None) -> str:
    """'' if a program can be started, else a sentence that names what is missing.

    ``versions`` are the distributions of the environment to qualify (this one by default).
    """
    if name == "url":
        return ""
    program = PROGRAMS[name]
    absent = [package for package in program.needs if not _version(package, versions)]
    if not absent:
        return program.absent()
    words = " ".join(absent)
    command = f"pip install {words}"
    if program in _SHIPPED:
        command = install_command("llama-cpp" if program.name == "llama.cpp" else "server")
    return f"{name} needs {', '.join(absent)}; install it with: {command}"


def program_versions() -> dict[str, str]:
    """Version of each program that is no Python package, by the package that known bugs name."""
    return {
        program.package: program.version()
        for program in PROGRAMS.values()
        if program.version is not None
    }


@dataclass(frozen=True)
class ServerReadiness:
    """Whether a program can be started here; ``note`` names what is missing and how to get it."""

    name: str
    ready: bool
    version: str
    note: str


def server_readiness() -> tuple[ServerReadiness, ...]:
    """Every program of :data:`PROGRAMS`, under this interpreter."""
    readiness = []
    for program in PROGRAMS.values():
        note = missing(program.name)
        version = program.version() if program.version else installed_version(program.package)
        readiness.append(ServerReadiness(program.name, not note, version, note))
    return tuple(readiness)


def _version(package: str, versions: Mapping[str, str] | None) -> str:
    if versions is None:
        return installed_version(package)
    by_name = {name.replace("_", "-").lower(): version for name, version in versions.items()}
    return by_name.get(package.replace("_", "-").lower(), "")


def versions_under(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Version of each distribution under another interpreter, '' if absent."""
    if python in ("", sys.executable):
        return {name: installed_version(name) for name in packages}
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def v(n):\n"
        "    try: return m.version(n)\n"
        "    except m.PackageNotFoundError: return ''\n"
        "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    )
    output = subprocess.run(
        [python, "-c", code, *packages],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=child_variables(),
    )
    versions: dict[str, str] = json.loads(output.stdout)
    return versions


def end_tokens(folder: Path) -> list[int]:
    """Ids of the tokens that end an answer, of a folder in the layout of the hub."""
    tokens: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        try:
            ids = json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id")
        except (OSError, ValueError):
            continue
        tokens.update(ids if isinstance(ids, list) else [ids] if isinstance(ids, int) else [])
    return sorted(tokens)
