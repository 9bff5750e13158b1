"""The official client of OpenAI's protocol, set up so that a server sees only what is meant for it.

Key, organisation and project of the environment belong to the real service and are not sent. The
user and the password of an address are kept apart (:func:`bare`), so that no text shows them.
Proxies of the environment are not used for this machine. No request is retried, because a retry
would be part of a measured time.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from qualification.core.child_variables import API_KEY, LOGIN

if TYPE_CHECKING:
    import ssl

    import openai

KEY = API_KEY
"""Environment variable with the key of a server that asks for one; no other key is ever sent."""


def bare(address: str) -> str:
    """An address without user and password, which the clients here send to that server alone.

    They are kept in a variable of this process, which the worker of a user's server inherits.
    """
    if "@" not in urlsplit(address).netloc:
        return address
    os.environ[LOGIN] = address
    return re.sub("//[^/]*@", "//", address, count=1)


def authorization(address: str) -> str:
    """The header of that name for a server that has asked for the user's key."""
    if login := _login(address):
        return f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    return f"Bearer {os.environ.get(KEY) or 'none'}"


def _login(address: str) -> tuple[str, str] | None:
    """User and password of the server at an address."""
    owner, place = urlsplit(os.environ.get(LOGIN, "")), urlsplit(address)
    if (owner.scheme, owner.netloc.rpartition("@")[2]) != (place.scheme, place.netloc):
        return None
    return unquote(owner.username or ""), unquote(owner.password or "")


def is_loopback(address: str) -> bool:
    """Whether the host of a URL is this machine by its address: ``localhost``, 127/8 or ::1."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def certificates() -> ssl.SSLContext:
    """The certificates that every client here trusts; to read them takes a client 30 ms."""
    import httpx2

    return httpx2.create_ssl_context()


def client(address: str, *, timeout_s: float | None = None, has_key: bool = True) -> openai.OpenAI:
    """A client for the API at ``address`` (``http://127.0.0.1:8080/v1``).

    ``has_key`` False: for a server that has not yet asked for a key; it is sent none.
    """
    import openai

    options = http_options(address, timeout_s)
    http = openai.DefaultHttpxClient(**options)
    return openai.OpenAI(**_settings(address, timeout_s, has_key=has_key), http_client=http)


def http_options(address: str, timeout_s: float | None = None) -> dict[str, Any]:
    """How every synchronous client here is set up: bounded, and alone with its server.

    ``timeout_s`` is for a whole exchange, None without a limit.
    """
    import httpx2

    from qualification.servers.bounded import Bounds

    options: dict[str, Any] = {
        "verify": certificates(),
        "timeout": timeout_s,
        "follow_redirects": False,
        "auth": _login(address),
        "event_hooks": Bounds(timeout_s).hooks(),
    }
    if is_loopback(address):
        # llama-server closes a connection that it promised to keep; a new one costs nothing here.
        limits = httpx2.Limits(max_keepalive_connections=0)
        options |= {"trust_env": False, "limits": limits}
    return options


def async_client(address: str, *, timeout_s: float | None = None) -> openai.AsyncOpenAI:
    """The same for many requests at once, on connections that stay open, as users have them."""
    import openai

    from qualification.servers.bounded import Bounds

    http = openai.DefaultAsyncHttpxClient(
        trust_env=not is_loopback(address),
        timeout=timeout_s,
        verify=certificates(),
        follow_redirects=False,
        auth=_login(address),
        event_hooks=Bounds().async_hooks(),
    )
    return openai.AsyncOpenAI(**_settings(address, timeout_s), http_client=http)


def _settings(address: str, timeout_s: float | None, *, has_key: bool = True) -> dict[str, Any]:
    import openai

    key = os.environ.get(KEY) if has_key else None
    not_sent = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
    return {
        "base_url": address,
        "api_key": key or "none",
        "default_headers": not_sent,
        "max_retries": 0,
        "timeout": timeout_s,
    }
