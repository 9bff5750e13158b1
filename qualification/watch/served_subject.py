"""A user's OpenAI-compatible endpoint, over the official client: never started, never stopped.

Its times are taken here, when a piece of the stream arrives, so they have the connection in them
and, on a busy machine, this program's own pauses.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qualification.core.errors import SelectionError
from qualification.core.text import disarm
from qualification.machine.monitor import own_seconds
from qualification.machine.process_tree import Tree, forwarder, is_this_machine
from qualification.servers.admin_status import StatusUnavailable, WorkerStatus, status
from qualification.servers.client import client
from qualification.servers.ports import listeners
from qualification.tasks.questions import SKILLS, skills_of
from qualification.watch.look import look
from qualification.watch.records import Look
from qualification.watch.subject import TEXT_LIMIT, Answer, RequestFailed

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Deployment
    from qualification.tasks.questions import Question

MAX_TOKENS = 300
DEADLINE_S = 600.0
STATUS_TIMEOUT_S = 2.0
MAX_TEXT = 200_000
"""Characters of an answer after which no more is taken."""


class ServedSubject:
    """``deployment`` says what is served there, where it is known; ``pid`` whose memory to watch.

    Raises SelectionError where the URL is none, or the endpoint does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        pid: int | None = None,
        deployment: Deployment | None = None,
        memory_bytes: float = 0.0,
        tokens: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        host, port = address(url)
        self._url = url.rstrip("/")
        self._deployment = deployment
        self._memory_bytes = memory_bytes
        self._tokens = tokens
        self._deadline_s = deadline_s
        self._client = client(self._url, timeout_s=deadline_s)
        self._model = model or self._first_model()
        self._tree: Tree | None = None
        self._blind = ""
        self._find_processes(host, port, pid)
        self.server_word = self._server_word()

    @property
    def title(self) -> str:
        """See :class:`Subject`."""
        return f"{disarm(self._model, TEXT_LIMIT)} at {self._url}"

    @property
    def memory_of(self) -> str:
        """See :class:`Subject`."""
        if self._tree is None:
            return f"memory is not seen: {self._blind}"
        return f"{self._tree.describe() or 'a process that has ended'} and its descendants"

    @property
    def skills(self) -> tuple[str, ...]:
        """See :class:`Subject`. Clips are left out: the endpoint takes pictures."""
        if self._deployment is None:
            return SKILLS
        return tuple(one for one in skills_of(self._deployment.model) if one != "motion")

    @property
    def is_canary(self) -> bool:
        """See :class:`Subject`. With a fixed length an answer goes on behind its end."""
        return self._knows_canary and not self._tokens

    def new_loads(self) -> tuple[float, ...]:
        """See :class:`Subject`. What a user's server takes to load is not seen."""
        return ()

    def prepare(self, question: Question) -> list[dict[str, Any]]:
        """See :class:`Subject`."""
        turns = [*question.history, (question.prompt, "")]
        messages: list[dict[str, Any]] = []
        for number, (prompt, answer) in enumerate(turns):
            parts: list[dict[str, Any]] = []
            if number == 0:
                if question.before and self._knows_canary:
                    parts.append({"type": "text", "text": question.before})
                for picture in question.images():
                    parts.append({"type": "image_url", "image_url": {"url": data_url(picture)}})
            hint = "" if self._knows_canary or answer else " Answer with a word or a number."
            parts.append({"type": "text", "text": prompt + hint})
            messages.append({"role": "user", "content": parts})
            if answer:
                messages.append({"role": "assistant", "content": answer})
        return messages

    def ask(self, request: list[dict[str, Any]]) -> Answer:
        """See :class:`Subject`."""
        import openai

        fixed = {"ignore_eos": True} if self._tokens else {}
        create: Any = self._client.chat.completions.create  # its overloads do not take a dict
        start = time.perf_counter()
        try:
            stream = create(
                model=self._model,
                messages=request,
                temperature=0.0,
                max_tokens=self._tokens or self._limit,
                stream=True,
                stream_options={"include_usage": True},
                extra_body=fixed,
            )
            with stream:
                return _read(stream, start, self._deadline_s)
        except openai.APITimeoutError as error:
            limit = f"no answer within {self._deadline_s:g} s"
            raise RequestFailed("timed_out", f"{self._url}: {limit}") from error
        except openai.APIStatusError as error:
            said = f"{self._url}: status {error.status_code}: {error.message}"
            raise RequestFailed("status", said) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            kind = "refused" if "refused" in str(cause).lower() else "connection"
            said = f"{type(cause).__name__}: {cause}"
            raise RequestFailed(kind, f"{self._url}: {said}") from error
        except RequestFailed:
            raise
        # The client does not validate what comes: a hostile answer ends in any of these.
        except Exception as error:
            said = f"not an answer of the protocol: {type(error).__name__}: {error}"
            raise RequestFailed("invalid", f"{self._url}: {said}") from error

    def look(self) -> Look:
        """See :class:`Subject`."""
        return look(self._tree, self._memory_bytes)

    def own_seconds(self) -> dict[int, float]:
        """See :class:`Subject`."""
        return own_seconds() | (self._tree.cpu_seconds() if self._tree is not None else {})

    def close(self) -> None:
        """See :class:`Subject`: only our connections."""
        self._client.close()

    @property
    def _knows_canary(self) -> bool:
        return self._deployment is not None and self._deployment.source.weights == "canary"

    @property
    def _limit(self) -> int:
        known = self._deployment
        return known.model.generation.max_tokens if known is not None else MAX_TOKENS

    def _first_model(self) -> str:
        import openai

        try:
            found = [one.id for one in self._client.models.list(timeout=30).data]
        except openai.OpenAIError as error:
            cause = error.__cause__ or error
            said = disarm(str(cause) or type(cause).__name__, TEXT_LIMIT)
            raise SelectionError(
                f"{self._url}/models: no answer ({said}); is the server running, and does the URL "
                "end as its documentation says, usually in /v1?"
            ) from error
        except Exception as error:  # anything may stand where the list should
            raise SelectionError(
                f"{self._url}/models: not a list of models; name one with --model"
            ) from error
        if not found or not isinstance(found[0], str):
            raise SelectionError(f"{self._url}/models: lists no model; name one with --model")
        return found[0]

    def _find_processes(self, host: str, port: int, pid: int | None) -> None:
        if pid is not None:
            self._tree = Tree(lambda: (pid,))
            if not self._tree.describe():
                raise SelectionError(f"--pid {pid}: there is no such process on this machine")
            return
        if not is_this_machine(host):
            self._blind = f"{host} is another machine"
            return

        def served_by() -> tuple[int, ...]:
            return tuple(one for one in listeners(port) if one is not None)

        found = served_by()
        if not found:
            self._blind = (
                f"whoever listens on port {port} is not this user's process, or is in another "
                "container; name it with --pid"
            )
        elif name := forwarder(found):
            self._blind = (
                f"port {port} is held by {disarm(name, 60)}, which passes requests on; name the "
                "server with --pid"
            )
        else:
            self._tree = Tree(served_by)

    def _server_word(self) -> Callable[[], tuple[WorkerStatus, ...]] | None:
        def ask() -> tuple[WorkerStatus, ...]:
            return status(self._url, timeout_s=STATUS_TIMEOUT_S)

        try:
            ask()
        except StatusUnavailable:
            return None
        return ask


def address(url: str) -> tuple[str, int]:
    """Host and port of an http(s) URL; raises SelectionError where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SelectionError(f"--url {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise SelectionError(f"--url {url!r}: write it as http://127.0.0.1:8080/v1")
    return host, port or (443 if parts.scheme == "https" else 80)


def data_url(picture: Image.Image) -> str:
    """A picture as a data URL with PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _read(stream: Iterable[Any], start: float, deadline_s: float) -> Answer:
    """Take the stream to its end; raises RequestFailed where it has none."""
    pieces: list[str] = []
    first = last = None
    usage = finish = None
    characters = 0
    for chunk in stream:
        now = time.perf_counter() - start
        if now > deadline_s:
            raise RequestFailed("timed_out", f"the answer was not complete after {deadline_s:g} s")
        if getattr(chunk, "usage", None) is not None:
            usage = chunk.usage.completion_tokens
        for choice in chunk.choices or ():
            piece = choice.delta.content or getattr(choice.delta, "reasoning_content", None)
            if piece:
                first = now if first is None else first
                last = now
                pieces.append(choice.delta.content or "")
                characters += len(piece)
            finish = choice.finish_reason or finish
        if characters > MAX_TEXT:
            raise RequestFailed("invalid", f"an answer of more than {MAX_TEXT} characters")
    if finish is None:
        raise RequestFailed("cut", "the stream ended without a finish reason")
    tokens = _tokens(len(pieces), usage)
    speed = None
    if first is not None and last is not None and last > first and tokens > 1:
        speed = (tokens - 1) / (last - first)
    return Answer("".join(pieces).strip(), first, speed, time.perf_counter() - start, tokens)


def _tokens(pieces: int, usage: object) -> int:
    """Tokens between the first piece and the last.

    The pieces, unless the server counted more than one end-of-generation token beside them: then
    several tokens come in one piece, and its count is the better one.
    """
    if isinstance(usage, int) and usage > pieces + 1:
        return usage
    return pieces
