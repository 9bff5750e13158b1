"""What a user's server is: found by a route that only this program has, never by its port.

The routes are asked without a key at first, each within :data:`DEADLINE_S`. What a server answers
is taken for what it is only where it has the shape that its documentation gives; anything else is
not known.

=================  =================================================================================
llama-server       ``/props`` with ``default_generation_settings``; its ``n_ctx`` is in force
ollama             ``/api/version`` and ``/api/tags``; ``/api/ps`` has the loaded models with their
                   context lengths
lm-studio          ``/api/v0/models``, with the state of each model and its loaded context length
mlx_vlm.server     ``/health`` with ``effective_context_limit``
llama_cpp.server   ``/extras/tokenize`` in ``/openapi.json``
transformers-serve ``/load_model`` in ``/openapi.json``
vllm               ``/version``, and ``/v1/models`` with ``max_model_len``
=================  =================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from qualification.servers.client import KEY, http_options

DEADLINE_S = 5.0

_FASTAPI = {"/extras/tokenize": "llama_cpp.server", "/load_model": "transformers-serve"}
"""Routes of programs that describe themselves in ``/openapi.json``."""

_Ask = Callable[[str], Any]
"""The JSON of a route of this server, None where it has none."""


@dataclass(frozen=True)
class Identity:
    """``program`` is '' where it is not known. ``contexts`` are tokens by a loaded model's name.

    The name '' stands for every model.
    """

    program: str = ""
    version: str = ""
    contexts: dict[str, int] = field(default_factory=dict)

    def context(self, model: str) -> int:
        """The tokens in force for a model; 0 where the server does not say."""
        return self.contexts.get(model, self.contexts.get("", 0))

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the models that are in its memory, where it says so."""
        return tuple(name for name in self.contexts if name)


def root_of(address: str) -> str:
    """The address without what its API adds to it: ``http://host:1234/v1`` -> ``http://host:1234``.

    >>> root_of("http://127.0.0.1:11434/api/")
    'http://127.0.0.1:11434'
    >>> root_of("https://host/llm/v1")
    'https://host/llm'
    """
    parts = urlsplit(address)
    path = parts.path.rstrip("/")
    for end in ("/v1", "/api"):
        path = path.removesuffix(end)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def identified(address: str, timeout_s: float = DEADLINE_S, *, has_key: bool = False) -> Identity:
    """What serves at an address; nothing is known of a server that has none of these routes.

    ``has_key``: it has asked for the user's key, which it gets on these routes too.
    """
    import httpx2

    root = root_of(address)
    key = os.environ.get(KEY) if has_key else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(**http_options(root, timeout_s), headers=headers) as http:

        def ask(route: str) -> Any:
            try:
                reply = http.get(root + route)
                return reply.json() if reply.status_code == 200 else None
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
                return None

        for recognise in (_llama_server, _ollama, _lm_studio, _mlx_vlm, _fastapi, _vllm):
            try:
                identity = recognise(ask)
            except (AttributeError, KeyError, TypeError, ValueError):
                continue  # another shape than this program's
            if identity is not None:
                return identity
    return Identity()


def _llama_server(ask: _Ask) -> Identity | None:
    reply = _mapping(ask("/props"))
    settings = reply.get("default_generation_settings")
    if not isinstance(settings, dict):
        return None
    return Identity("llama-server", str(reply.get("build_info", ""))[:40], _any(settings, "n_ctx"))


def _ollama(ask: _Ask) -> Identity | None:
    version = _mapping(ask("/api/version")).get("version")
    if not version or not isinstance(_mapping(ask("/api/tags")).get("models"), list):
        return None
    running = _mapping(ask("/api/ps")).get("models") or ()
    contexts = {str(model["name"]): int(model.get("context_length", 0)) for model in running}
    return Identity("ollama", str(version)[:40], contexts)


def _lm_studio(ask: _Ask) -> Identity | None:
    models = _mapping(ask("/api/v0/models")).get("data")
    if not isinstance(models, list) or not all("state" in model for model in models):
        return None
    loaded = (model for model in models if model["state"] == "loaded")
    contexts = {str(m["id"]): int(m.get("loaded_context_length", 0)) for m in loaded}
    return Identity("lm-studio", "", contexts)


def _mlx_vlm(ask: _Ask) -> Identity | None:
    health = _mapping(ask("/health"))
    if "loaded_model" not in health or "continuous_batching_enabled" not in health:
        return None
    version = _mapping(_mapping(ask("/openapi.json")).get("info")).get("version", "")
    return Identity("mlx_vlm.server", str(version)[:40], _any(health, "effective_context_limit"))


def _fastapi(ask: _Ask) -> Identity | None:
    description = _mapping(ask("/openapi.json"))
    routes = _mapping(description.get("paths"))
    program = next((name for route, name in _FASTAPI.items() if route in routes), "")
    if not program:
        return None
    info = _mapping(description.get("info"))
    version = str(info.get("version", "")) if program == "llama_cpp.server" else ""
    return Identity(program, version[:40])


def _vllm(ask: _Ask) -> Identity | None:
    version = _mapping(ask("/version")).get("version")
    models = _mapping(ask("/v1/models")).get("data") if version else None
    if not isinstance(models, list) or not models:
        return None
    contexts = {str(m["id"]): int(m["max_model_len"]) for m in models if m.get("max_model_len")}
    return Identity("vllm", str(version)[:40], contexts) if contexts else None


def _mapping(reply: Any) -> Mapping[str, Any]:
    return reply if isinstance(reply, dict) else {}


def _any(reply: Mapping[str, Any], name: str) -> dict[str, int]:
    """One context length for every model."""
    tokens = reply.get(name)
    return {"": tokens} if isinstance(tokens, int) and tokens > 0 else {}
