"""A server that speaks OpenAI's protocol: started here, asked over HTTP by the official client.

The program (``servers/programs.py``) runs in a process group of its own and ends with the worker;
a server at a user's URL is neither started nor stopped. Requests are chat completions, streamed,
with images as data URLs.

A time is taken when a piece of the stream arrives. A piece may stand for several tokens, and a
token may come without a piece. llama-server reports the number so far; the other servers report
the total at the end (``usage``), and the tokens between the first and the last piece are spread
evenly. The first and the last token are measured in any case, and so are ``ttft_s`` and
``decode_tps``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from qualification.backends.clocks import TokenClock, clock
from qualification.backends.page_cache import drop_pages, page_cache
from qualification.backends.server.connect import connect
from qualification.backends.server.patience import Patience
from qualification.backends.server.stream import Streamed, read, timed
from qualification.backends.server.tokens import Tokeniser, token_times
from qualification.backends.shims import amx_tiles
from qualification.backends.shims.amx_tiles import NOT_REPACKED
from qualification.backends.snapshots import resolve, total_bytes, weight_files
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
from qualification.core.servers import ServerProgram
from qualification.servers import programs
from qualification.servers.chat import as_request, data_url, of_kind
from qualification.servers.client import client
from qualification.servers.identity import identified, root_of
from qualification.servers.launch import DECLARED, DECODED
from qualification.servers.process import ServerCommand, ServerProcess

_WARM_UP = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)
_LOG_TAIL = 1000
_START_DEADLINE_S = 3600.0
"""The parent's own deadline is shorter, unless the model is very large."""


def import_libraries() -> None:
    """Import all that a load needs."""
    import httpx2  # noqa: F401
    import openai  # noqa: F401


class Backend:
    """Holds one server, or the address of one."""

    def __init__(self) -> None:
        self._request: LoadRequest | None = None
        self._folder = Path()
        self._process: ServerProcess | None = None
        self._client: Any = None
        self._address = ""
        self._model = ""
        self._program = ""
        self._has_key = True
        self._extra: Callable[[GenerateRequest, Path], dict[str, Any]] = lambda *_: {}
        self._tokeniser: Tokeniser | None = None
        self._logged = 0
        self._port = 0
        self._end_is_reported = False
        self._patience = Patience()
        self.timings: dict[str, Any] = {}
        """llama.cpp's self-reported times of its last answer; see benchmarks."""

    def load(self, request: LoadRequest) -> LoadReport:
        """See :class:`qualification.backends.Backend`. From the start of the program."""
        self._request = request
        if request.server == "url":
            return self._connect(request)
        program = programs.PROGRAMS[request.server]
        needs, python = program.needs, request.python
        installed = programs.versions_under(python, needs) if needs else None
        if missing := programs.missing(program.name, installed):
            raise BackendUnavailable(missing)
        folder, revision = resolve(request)
        self._folder = folder
        python = python or sys.executable
        process, notes = self._prepare(program, request, python)
        files = weight_files(request, folder)
        if request.cold:
            drop_pages(files)
        pages = page_cache(files)
        start = clock()
        process.start()
        self._port = process.port  # a restart keeps the address
        returned_s = clock() - start
        self._open(f"{process.url}/v1")
        self._ask(_WARM_UP)
        load_s = clock() - start
        self._tokeniser = Tokeniser(folder, process.url)
        self._print_log()
        versions = programs.versions_under(python, (*LIBRARIES, program.package))
        if program.version is not None:
            versions[program.package] = program.version()
        log = process.log()
        printed = (note for note in (DECLARED, DECODED, NOT_REPACKED) if note in log)
        return LoadReport(
            load_s=load_s,
            load_return_s=returned_s,
            import_s=0.0,
            device=request.device,
            weights_bytes=total_bytes(files),
            revision=revision,
            versions=versions,
            page_cache=pages,
            notes=(*notes, *process.notes, *printed),
            address=self._address,
            served_as=self._model,
        )

    def generate(self, request: GenerateRequest) -> Generation:
        """See :class:`qualification.backends.Backend`; a server that has ended is started again.

        If it ended between two requests, that is a failure too: the failure of this request.
        """
        if self._has_ended() and self._request is not None:
            unnoticed = "" if self._end_is_reported else self._ended("since its last answer")
            self.unload()
            self.load(self._request)
            if unnoticed:
                raise BackendFailed(f"{unnoticed}; it was started again")
        try:
            return self._ask(request)
        except BackendFailed:
            # The server may be about to close the connection over which its failure came.
            self._open(self._address)
            raise
        finally:
            self._print_log()

    def memory(self) -> dict[str, int]:
        """See :class:`qualification.backends.Backend`. A server reports nothing."""
        return {}

    def peak_memory(self) -> MemoryReport:
        """The memory of the program that we started, read from outside."""
        if self._process is None:
            raise BackendUnavailable(
                f"the memory of the server at {self._address} cannot be read from here"
            )
        return self._process.peak_memory()

    def peak_device_bytes(self) -> int:
        """The most that the driver was seen to have given the server's processes, in bytes."""
        return self._process.sample_device() if self._process is not None else 0

    def clean_up(self) -> None:
        """See :class:`qualification.backends.Backend`. The protocol has no request for it."""

    def unload(self) -> None:
        """See :class:`qualification.backends.Backend`: the program ends."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _prepare(
        self, program: ServerProgram, request: LoadRequest, python: str
    ) -> tuple[ServerProcess, tuple[str, ...]]:
        """The process of a program, not started yet, and notes for the record."""
        words = program.command(request, self._folder, python)
        notes: tuple[str, ...] = ()
        if program.name == "llama-server" and (switch := amx_tiles.no_repack(Path(words[0]))):
            words += switch
            notes = (f"{switch[0]}: the AMX tiles of this build are broken",)
        words += tuple(request.options.get("arguments", ()))
        self._extra, self._model = program.extra, program.served_as(self._folder)
        self._program = program.name
        self._logged, self._end_is_reported = 0, False
        self._process = ServerProcess(
            ServerCommand(program.name, words, dict(os.environ), program.health),
            scratch=Path(tempfile.gettempdir()),
            requested_port=int(request.options.get("port", 0)) or self._port,
            deadline_s=_START_DEADLINE_S,
        )
        return self._process, notes

    def _connect(self, request: LoadRequest) -> LoadReport:
        address = str(request.options.get("url", "")).rstrip("/")
        start = clock()
        connected = connect(address, str(request.options.get("model", "")), self._patience)
        identity, self._has_key, self._model = (
            connected.identity,
            connected.has_key,
            connected.model,
        )
        self._open(connected.address)
        self._program = identity.program
        # Of a program that is not known, these fields fix the length in most cases.
        is_llama_server = identity.program in programs.LLAMA_SERVERS
        self._extra = (
            programs.PROGRAMS[identity.program].extra if is_llama_server else programs.any_extra
        )
        returned_s = clock() - start
        try:
            self._ask(_WARM_UP)
        except BackendFailed as error:
            raise WeightsUnavailable(f"{self._address} cannot be asked: {error}") from error
        load_s = clock() - start
        self._tokeniser = Tokeniser(None, root_of(self._address))
        # The model is loaded now, with its context.
        identity = identified(address, has_key=self._has_key)
        context = identity.context(self._model)
        room = (f"room for {context:,} tokens is in force",) if context else ()
        return LoadReport(
            load_s=load_s,
            load_return_s=returned_s,
            import_s=0.0,
            device="",
            weights_bytes=0,
            revision="",
            versions={identity.program: identity.version} if identity.version else {},
            notes=(
                "the server was running: nothing was loaded",
                *room,
                *self._patience.notes,
            ),
            address=self._address,
            served_as=self._model,
            program=identity.program,
            context=context,
        )

    def _open(self, address: str) -> None:
        if self._client is not None:
            self._client.close()
        self._client = client(address, has_key=self._has_key)
        self._address = address

    def _ask(self, request: GenerateRequest) -> Generation:
        if of_kind(request.messages, "video"):
            raise BackendFailed("a clip cannot be sent to a server: the protocol has no video")
        body, extra = self._fields(request)
        answer, e2e_s = self._stream(body, extra)
        self.timings = answer.timings
        if answer.error:
            raise BackendFailed(f"{self._name} broke off its answer: {answer.error}")
        if answer.finish_reason not in ("stop", "length"):
            raise BackendFailed(
                f"{self._name} ended its stream after {len(answer.pieces)} pieces of text with "
                f"finish_reason {answer.finish_reason!r}{self._unstreamed(body | extra)}"
            )
        ids: tuple[int, ...] = ()
        if self._tokeniser is not None and not answer.thinking:
            ids = self._tokeniser.ids(answer.text)
        reported = answer.completion_tokens
        if not request.fixed_length:
            count = len(ids) or reported or len(answer.pieces)
        elif reported in (None, request.max_tokens):
            count = request.max_tokens
        else:
            raise BackendFailed(
                f"{self._name} gave {reported} tokens where exactly {request.max_tokens} were "
                "asked for"
            )
        return Generation(
            text=answer.text,
            token_times_s=token_times(answer.pieces, count),
            e2e_s=e2e_s,
            prompt_tokens=-1 if answer.prompt_tokens is None else answer.prompt_tokens,
            image_tokens=-1,
            finish_reason="stop" if answer.finish_reason == "stop" else "length",
            token_ids=ids if not request.fixed_length else (),
            margins=tuple(answer.margins[:count]),
            phases=Phases() if request.phases else None,
            thinking=answer.thinking,
            cached_tokens=-1 if answer.cached_tokens is None else answer.cached_tokens,
            completion_tokens=-1 if reported is None else reported,
            reply_id=answer.identifier,
        )

    def _fields(self, request: GenerateRequest) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields of the protocol, and those of this program only."""
        body = {
            "model": self._model,
            "messages": [
                as_request(message, lambda part: data_url(Path(part.value)))
                for message in request.messages
            ],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            **request.fields,
        }
        extra = self._extra(request, self._folder) | programs.thinking_fields(request.thinking)
        if request.margins and self._program in programs.LLAMA_SERVERS:
            extra |= {"logprobs": True, "top_logprobs": 2}
        return body, extra

    def _stream(self, body: dict[str, Any], extra: dict[str, Any]) -> tuple[Streamed, float]:
        """Ask; return the answer and the seconds to its end, of the try that was answered."""
        import httpx2
        import openai

        body = body | {"stream": True, "stream_options": {"include_usage": True}}

        def ask() -> tuple[list[tuple[float, str]], float]:
            tokens = TokenClock()
            with self._client.chat.completions.with_streaming_response.create(
                **self._patience.fields(body), extra_body=self._patience.fields(extra)
            ) as response:
                return timed(response.iter_lines(), tokens), tokens.elapsed_s()

        try:
            events, e2e_s = self._patience.ask(ask)
        except openai.APIStatusError as error:
            raise BackendFailed(
                f"{self._name} answered {error.status_code}: {error.message}"
            ) from error
        except (openai.APIError, httpx2.HTTPError, OSError) as error:
            raise BackendFailed(self._broken(error)) from error
        try:
            return read(events), e2e_s
        except BackendFailed as error:
            raise BackendFailed(f"{self._name}: {error}") from error

    def _unstreamed(self, body: dict[str, Any]) -> str:
        """The answer to the same request unstreamed, when the server can still set a status.

        Some servers end a failing stream without a reason, after a status of 200.
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

    @property
    def _name(self) -> str:
        ours = self._request is not None and self._request.server != "url"
        return self._request.server if ours and self._request else self._address

    def _ended(self, when: str) -> str:
        log = self._process.log()[-_LOG_TAIL:] if self._process is not None else ""
        return f"{self._name} has ended {when}; its log says: {log}"

    def _has_ended(self) -> bool:
        """Whether a managed server is gone; its guard may not have reported it yet."""
        process = self._process
        return process is not None and not (process.alive and psutil.pid_exists(process.pid))

    def _broken(self, error: BaseException) -> str:
        if self._has_ended():
            self._end_is_reported = True
            return self._ended("while it answered")
        cause = error.__cause__ or error
        return f"{self._name} broke off its answer: {type(cause).__name__}: {cause}"

    def _print_log(self) -> None:
        """Copy what the server printed since the last call to the worker's log."""
        if self._process is not None:
            text = self._process.log()
            sys.stderr.write(text[self._logged :])
            sys.stderr.flush()
            self._logged = len(text)
