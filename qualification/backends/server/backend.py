"""A server that speaks OpenAI's protocol: started here, asked over HTTP by the official client.

The program (``server_programs``) runs in a process group of its own and ends with the worker; one
that a user's URL names is neither started nor stopped. Requests are chat completions, streamed,
pictures as data URLs.

Times are taken where a piece of the stream arrives. A piece may stand for several tokens, or a
token for none: llama-server tells how many came so far, of the others the number of all is known
at the end (``usage``) and tokens between the first and the last piece are spread evenly. The time
to the first token and to the last are measured in any case, so ``ttft_s`` and ``decode_tps`` are.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from qualification.backends import pictures
from qualification.backends.clocks import TokenClock, clock
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.server.stream import read, timed
from qualification.backends.server.tokens import Tokeniser, token_times
from qualification.backends.shims import amx_tiles
from qualification.backends.shims.amx_tiles import NOT_REPACKED
from qualification.backends.snapshots import resolve, total_bytes
from qualification.core.errors import BackendFailed, BackendUnavailable, WeightsUnavailable
from qualification.core.libraries import LIBRARIES
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    MemoryReport,
    Message,
    Part,
    Phases,
)
from qualification.servers import programs as server_programs
from qualification.servers.client import client
from qualification.servers.launch import DECLARED, DECODED
from qualification.servers.process import ServerCommand, ServerProcess

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)
_LOG_TAIL = 1000
_START_DEADLINE_S = 3600.0
"""The parent's own deadline is shorter, or the model is very large."""


class Backend:
    """Holds one server, or the address of one."""

    def __init__(self) -> None:
        self._request: LoadRequest | None = None
        self._folder = Path()
        self._process: ServerProcess | None = None
        self._client: Any = None
        self._address = ""
        self._model = ""
        self._extra: Callable[[GenerateRequest, Path], dict[str, Any]] = lambda *_: {}
        self._tokeniser: Tokeniser | None = None
        self._logged = 0
        self._port = 0
        self._end_is_told = False
        self.timings: dict[str, Any] = {}
        """What llama-server said of its own times in its last answer; see benchmarks."""

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`. From the start of the program."""
        self._request = request
        if request.server == "url":
            return self._connect(request)
        program = server_programs.PROGRAMS[request.server]
        if missing := server_programs.missing(
            program.name,
            server_programs.versions_under(request.python, program.needs)
            if program.needs
            else None,
        ):
            raise BackendUnavailable(missing)
        folder, revision = resolve(request)
        self._folder = folder
        python = request.python or sys.executable
        words = program.command(request, folder, python)
        notes: tuple[str, ...] = ()
        if program.name == "llama-server" and (more := amx_tiles.no_repack(Path(words[0]))):
            words += more
            notes += (f"{more[0]}: the AMX tiles of this build are broken",)
        words += tuple(request.options.get("arguments", ()))
        self._extra, self._model = program.extra, program.served_as(folder)
        files = _weights(request, folder)
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        self._process = ServerProcess(
            ServerCommand(program.name, words, health=program.health),
            scratch=Path(tempfile.gettempdir()),
            wished_port=int(request.options.get("port", 0)) or self._port,
            deadline_s=_START_DEADLINE_S,
        )
        self._logged = 0
        self._end_is_told = False
        start = clock()
        self._process.start()
        self._port = self._process.port  # where it is started again, its address stays
        returned = clock() - start
        self._open(f"{self._process.url}/v1")
        self._ask(_WARM_UP)
        load_s = clock() - start
        self._tokeniser = Tokeniser(folder, self._process.url)
        self._print_log()
        versions = server_programs.versions_under(python, LIBRARIES)
        versions["llama-server"] = server_programs.llama_server_version()
        notes += self._process.notes
        log = self._process.log()
        notes += tuple(said for said in (DECLARED, DECODED, NOT_REPACKED) if said in log)
        return LoadReport(
            load_s=load_s,
            load_return_s=returned,
            import_s=0.0,
            device=request.device,
            weights_bytes=total_bytes(files),
            revision=revision,
            versions=versions,
            page_cache=pages,
            notes=notes,
            address=self._address,
            served_as=self._model,
        )

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`; a server that has ended is started again.

        One that ended while nobody asked it anything is a failure too: that of this request.
        """
        if self._has_ended() and self._request is not None:
            silent = "" if self._end_is_told else self._ended("since its last answer")
            self.unload()
            self.load(self._request)
            if silent:
                raise BackendFailed(f"{silent}; it was started again")
        try:
            return self._ask(request)
        except BackendFailed:
            # A server may be about to close the connection that its failure came over.
            self._open(self._address)
            raise
        finally:
            self._print_log()

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`. A server tells nothing of its own."""
        return {}

    def peak_memory(self) -> MemoryReport:
        """The server's memory, from outside: of the program that we started."""
        if self._process is None:
            raise BackendUnavailable(
                f"the memory of the server at {self._address} is not seen from here"
            )
        return self._process.peak_memory()

    def peak_device_bytes(self) -> int:
        """The most that the driver was seen to have given the server's processes, in bytes."""
        return self._process.look_at_device() if self._process is not None else 0

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`. A client cannot ask for that."""

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`: the program ends."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _connect(self, request: LoadRequest) -> LoadReport:
        address = str(request.options.get("url", "")).rstrip("/")
        start = clock()
        self._open(address if address.endswith("/v1") else f"{address}/v1")
        self._model = str(request.options.get("model", "")) or self._only_model()
        returned = clock() - start
        self._ask(_WARM_UP)
        self._tokeniser = Tokeniser(None, self._address.removesuffix("/v1"))
        # Which program it is, is not known: these are the fields by which most fix a length.
        self._extra = server_programs.any_extra
        took = clock() - start
        return LoadReport(
            load_s=took,
            load_return_s=returned,
            import_s=0.0,
            device="",
            weights_bytes=0,
            revision="",
            versions={},
            notes=("the server was running: nothing was loaded",),
            address=self._address,
            served_as=self._model,
        )

    def _open(self, address: str) -> None:
        if self._client is not None:
            self._client.close()
        self._client = client(address)
        self._address = address

    def _only_model(self) -> str:
        import openai

        try:
            found = [one.id for one in self._client.models.list().data]
        except openai.OpenAIError as error:
            raise WeightsUnavailable(
                f"{self._address} does not list its models ({type(error).__name__}: {error}); "
                "is the server running there?"
            ) from error
        if len(found) != 1:
            raise WeightsUnavailable(
                f"{self._address} serves {len(found)} models; name one with --server-model: "
                + ", ".join(found[:10])
            )
        return str(found[0])

    def _ask(self, request: GenerateRequest) -> Generation:
        import httpx2
        import openai

        if any(part.kind == "video" for message in request.messages for part in message.parts):
            raise BackendFailed("a clip cannot be sent to a server: the protocol has no video")
        body = {
            "model": self._model,
            "messages": [_as_chat(message) for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        extra = self._extra(request, self._folder)
        if request.margins and self._request_is("llama-server"):
            extra |= {"logprobs": True, "top_logprobs": 2}
        clock_of_tokens = TokenClock()
        try:
            with self._client.chat.completions.with_streaming_response.create(
                **body, stream=True, stream_options={"include_usage": True}, extra_body=extra
            ) as response:
                events = timed(response.iter_lines(), clock_of_tokens)
            e2e_s = clock_of_tokens.elapsed_s()
        except openai.APIStatusError as error:
            raise BackendFailed(
                f"{self._name} answered {error.status_code}: {error.message}"
            ) from error
        except (openai.APIError, httpx2.HTTPError, OSError) as error:
            raise BackendFailed(self._broken(error)) from error
        try:
            answer = read(events)
        except BackendFailed as error:
            raise BackendFailed(f"{self._name}: {error}") from error
        self.timings = answer.timings
        if answer.error:
            raise BackendFailed(f"{self._name} broke off its answer: {answer.error}")
        if answer.finish_reason not in ("stop", "length"):
            raise BackendFailed(
                f"{self._name} ended its stream after {len(answer.pieces)} pieces of text with "
                f"finish_reason {answer.finish_reason!r}{self._said_unstreamed(body | extra)}"
            )
        said, text = answer.completion_tokens, answer.text
        ids = () if self._tokeniser is None else self._tokeniser.ids(text)
        if request.fixed_length:
            count = request.max_tokens
            if said is not None and said != count:
                raise BackendFailed(
                    f"{self._name} gave {said} tokens where exactly {count} were asked for"
                )
        else:
            count = len(ids) or said or len(answer.pieces)
        return Generation(
            text=text,
            token_times_s=token_times(answer.pieces, count),
            e2e_s=e2e_s,
            prompt_tokens=-1 if answer.prompt_tokens is None else answer.prompt_tokens,
            image_tokens=-1,
            finish_reason="stop" if answer.finish_reason == "stop" else "length",
            token_ids=ids if not request.fixed_length else (),
            margins=tuple(answer.margins[:count]),
            phases=Phases() if request.phases else None,
        )

    def _said_unstreamed(self, body: dict[str, Any]) -> str:
        """What the server says to the same request where it can still set a status.

        Some end a stream that fails without a word, after having said 200.
        """
        import httpx2
        import openai

        try:
            reply = self._client.post(
                "/chat/completions", body=body, cast_to=httpx2.Response, options={"timeout": 60}
            )
        except openai.APIStatusError as error:
            return f"; unstreamed it answers {error.status_code}: {error.response.text[:500]}"
        except openai.APIError as error:
            return f"; unstreamed, {type(error).__name__}: {error}"
        return f"; unstreamed it answers {reply.status_code}: {reply.text[:500]}"

    def _request_is(self, server: str) -> bool:
        return self._request is not None and self._request.server == server

    @property
    def _name(self) -> str:
        ours = self._request is not None and self._request.server != "url"
        return self._request.server if ours and self._request else self._address

    def _ended(self, when: str) -> str:
        log = self._process.log()[-_LOG_TAIL:] if self._process is not None else ""
        return f"{self._name} has ended {when}; its log says: {log}"

    def _has_ended(self) -> bool:
        """Whether a server of ours is gone; its guard may not have told it yet."""
        process = self._process
        return process is not None and not (process.alive and psutil.pid_exists(process.pid))

    def _broken(self, error: BaseException) -> str:
        if self._has_ended():
            self._end_is_told = True
            return self._ended("while it answered")
        cause = error.__cause__ or error
        return f"{self._name} broke off its answer: {type(cause).__name__}: {cause}"

    def _print_log(self) -> None:
        """What the server wrote since the last time goes to the worker's own log."""
        if self._process is not None:
            text = self._process.log()
            sys.stderr.write(text[self._logged :])
            sys.stderr.flush()
            self._logged = len(text)


def _weights(request: LoadRequest, folder: Path) -> list[Path]:
    if request.model_file:
        return [folder / request.model_file, folder / request.mmproj_file]
    return sorted(folder.glob("*.safetensors"))


def _as_chat(message: Message) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if part.kind == "image":
            url = pictures.data_url(Path(part.value))
            parts.append({"type": "image_url", "image_url": {"url": url}})
        else:
            parts.append({"type": "text", "text": part.value})
    if message.role == "assistant":  # some servers take an answer as text only
        return {"role": "assistant", "content": "".join(p["text"] for p in parts)}
    return {"role": message.role, "content": parts}
