"""A user's OpenAI-compatible endpoint, over the official client: never started, never stopped.

Times are taken here, when a piece of the stream arrives, so they include network time and, on a
busy machine, the pauses of this program.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qualification.core.errors import SelectionError
from qualification.core.text import disarm, without_login
from qualification.machine.monitor import own_seconds
from qualification.machine.process_tree import Tree, forwarder, is_this_machine
from qualification.servers.admin_status import StatusUnavailable, WorkerStatus, status
from qualification.servers.chat import data_url, image_part
from qualification.servers.client import bare, client
from qualification.servers.ports import listeners
from qualification.tasks.questions import SKILLS, skills_of
from qualification.watch.records import MemorySample
from qualification.watch.subject import TEXT_LIMIT, RequestFailed, TimedAnswer, memory_sample

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Deployment
    from qualification.tasks.questions import Question

MAX_TOKENS = 300
DEADLINE_S = 600.0
STATUS_TIMEOUT_S = 2.0
MAX_TEXT = 200_000
"""Characters of an answer after which the request fails."""


class ServedSubject:
    """A model at a URL. ``deployment`` describes it if known; ``pid`` names whose memory to watch.

    Raises SelectionError if the URL is not valid, or the endpoint does not answer.
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
        self._url = bare(url.rstrip("/"))
        self._deployment = deployment
        self._memory_bytes = memory_bytes
        self._tokens = tokens
        self._deadline_s = deadline_s
        self._client = client(self._url, timeout_s=deadline_s)
        self._model = model or self._first_model()
        self._tree: Tree | None = None
        self._blind = ""
        self._find_processes(host, port, pid)
        self.self_report = self._find_self_report()

    @property
    def title(self) -> str:
        """See :class:`Subject`."""
        return f"{disarm(self._model, TEXT_LIMIT)} at {self._url}"

    @property
    def revision(self) -> str:
        """See :class:`Subject`. A server does not say."""
        return ""

    @property
    def memory_of(self) -> str:
        """See :class:`Subject`."""
        if self._tree is None:
            return f"memory is not seen: {self._blind}"
        return f"{self._tree.describe() or 'a process that has ended'} and its descendants"

    @property
    def skills(self) -> tuple[str, ...]:
        """See :class:`Subject`. Clips are left out: the endpoint takes images."""
        if self._deployment is None:
            return SKILLS
        return tuple(skill for skill in skills_of(self._deployment.model) if skill != "motion")

    @property
    def is_canary(self) -> bool:
        """See :class:`Subject`. An answer of a fixed length does not stop at its end."""
        return self._knows_canary and not self._tokens

    def new_loads(self) -> tuple[float, ...]:
        """See :class:`Subject`. The loads of a user's server are not observable."""
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
                for image in question.images():
                    parts.append(image_part(data_url(_png(image))))
            hint = "" if self._knows_canary or answer else " TimedAnswer with a word or a number."
            parts.append({"type": "text", "text": prompt + hint})
            messages.append({"role": "user", "content": parts})
            if answer:
                messages.append({"role": "assistant", "content": answer})
        return messages

    def ask(self, request: list[dict[str, Any]]) -> TimedAnswer:
        """See :class:`Subject`."""
        import httpx2
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
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            limit = f"no answer within {self._deadline_s:g} s"
            raise RequestFailed("timed_out", f"{self._url}: {limit}") from error
        except openai.APIStatusError as error:
            text = f"{self._url}: status {error.status_code}: {error.message}"
            raise RequestFailed("status", text) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            if time.perf_counter() - start >= self._deadline_s:
                limit = f"no complete answer within {self._deadline_s:g} s"
                raise RequestFailed("timed_out", f"{self._url}: {limit}") from error
            kind = "refused" if "refused" in str(cause).lower() else "connection"
            text = f"{self._url}: {type(cause).__name__}: {cause}"
            raise RequestFailed(kind, text) from error
        except RequestFailed:
            raise
        # The client does not validate the response: a hostile one may raise anything.
        except Exception as error:
            text = f"not an answer of the protocol: {type(error).__name__}: {error}"
            raise RequestFailed("invalid", f"{self._url}: {text}") from error

    def sample_memory(self) -> MemorySample:
        """See :class:`Subject`."""
        return memory_sample(self._tree, self._memory_bytes)

    def own_seconds(self) -> dict[int, float]:
        """See :class:`Subject`."""
        return own_seconds() | (self._tree.cpu_seconds() if self._tree is not None else {})

    def close(self) -> None:
        """See :class:`Subject`. Only our own connections are closed."""
        self._client.close()

    @property
    def _knows_canary(self) -> bool:
        return self._deployment is not None and self._deployment.source.weights == "canary"

    @property
    def _limit(self) -> int:
        deployment = self._deployment
        return deployment.model.generation.max_tokens if deployment is not None else MAX_TOKENS

    def _first_model(self) -> str:
        import openai

        try:
            models = [model.id for model in self._client.models.list(timeout=30).data]
        except openai.OpenAIError as error:
            cause = error.__cause__ or error
            why = disarm(str(cause) or type(cause).__name__, TEXT_LIMIT)
            raise SelectionError(
                f"{self._url}/models: no answer ({why}); is the server running, and does the URL "
                "end as its documentation says, usually in /v1?"
            ) from error
        except Exception as error:  # anything may stand where the list should
            raise SelectionError(
                f"{self._url}/models: not a list of models; name one with --model"
            ) from error
        if not models or not isinstance(models[0], str):
            raise SelectionError(f"{self._url}/models: lists no model; name one with --model")
        return models[0]

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
            return tuple(listener for listener in listeners(port) if listener is not None)

        pids = served_by()
        if not pids:
            self._blind = (
                f"the process that listens on port {port} belongs to another user or container; "
                "name the server with --pid"
            )
        elif name := forwarder(pids):
            self._blind = (
                f"port {port} is held by {disarm(name, 60)}, which passes requests on; name the "
                "server with --pid"
            )
        else:
            self._tree = Tree(served_by)

    def _find_self_report(self) -> Callable[[], tuple[WorkerStatus, ...]] | None:
        def ask() -> tuple[WorkerStatus, ...]:
            return status(self._url, timeout_s=STATUS_TIMEOUT_S)

        try:
            ask()
        except StatusUnavailable:
            return None
        return ask


def address(url: str) -> tuple[str, int]:
    """Host and port of an http(s) URL; raises SelectionError for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text may hold a part of a password
        raise SelectionError(
            f"--url {without_login(url)!r}: its host, or its port from 0 to 65535, cannot be read"
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise SelectionError(f"--url {without_login(url)!r}: write it as http://127.0.0.1:8080/v1")
    return host, port or (443 if parts.scheme == "https" else 80)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _read(stream: Iterable[Any], start: float, deadline_s: float) -> TimedAnswer:
    """Read the stream to its end; raises RequestFailed if it has none."""
    pieces: list[str] = []
    first_s = latest_s = None
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
                first_s = now if first_s is None else first_s
                latest_s = now
                pieces.append(choice.delta.content or "")
                characters += len(piece)
            finish = choice.finish_reason or finish
        if characters > MAX_TEXT:
            raise RequestFailed("invalid", f"an answer of more than {MAX_TEXT} characters")
    if finish is None:
        raise RequestFailed("truncated", "the stream ended without a finish reason")
    tokens = _tokens(len(pieces), usage)
    speed = None
    if first_s is not None and latest_s is not None and latest_s > first_s and tokens > 1:
        speed = (tokens - 1) / (latest_s - first_s)
    return TimedAnswer("".join(pieces).strip(), first_s, speed, time.perf_counter() - start, tokens)


def _tokens(pieces: int, usage: object) -> int:
    """Tokens of an answer: its pieces, or the server's count if that is larger by more than one.

    A count that is larger by one includes the end-of-generation token, which comes in no piece. A
    count that is larger than that means that several tokens come in one piece.
    """
    if isinstance(usage, int) and usage > pieces + 1:
        return usage
    return pieces
