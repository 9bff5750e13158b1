"""The worker's protocol: requests, reports and answers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

GivenAs = Literal["path", "bytes", "data_url"]
Thinking = Literal["default", "on", "off"]
"""Whether the model is told to think before it answers; ``default``: nothing is said about it."""

CANNOT_FORK = 75
"""The exit code of a template whose libraries do not outlive a fork."""

BackendName = str
"""A key of :data:`qualification.core.backends.BACKENDS`."""

ServerName = str
"""One of :func:`qualification.core.servers.server_names`, or '' where there is no server."""

WeightsSource = Literal["hub", "canary", "synthetic"]


@dataclass(frozen=True)
class LoadRequest:
    """Everything that a worker needs to load a deployment. Paths are absolute.

    ``cold`` has the files' pages dropped from the page cache first, as far as the system allows;
    the report's ``page_cache`` says what was achieved. ``python`` is the interpreter that a
    server's program runs under; a server's worker runs under the harness's own. ``module`` and
    ``package_file`` say where a backend of another package is.
    """

    backend: BackendName
    weights: WeightsSource
    family: str
    path: str = ""
    model_file: str = ""
    mmproj_file: str = ""
    repository: str = ""
    revision: str = "main"
    also_needs: tuple[str, ...] = ()
    remote_code: bool = False
    context: int = 4096
    chat_template: str = ""
    device: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    cold: bool = False
    server: ServerName = ""
    python: str = ""
    module: str = ""
    package_file: str = ""


_CACHED_SHARE = 0.05
"""Under it are a start token and a system prompt; the time to first token is as much too short."""

_TOO_FAST = 100
"""How many times faster than a token of the prompt one of an answer may be. An image whose tokens a
server does not count among the prompt takes most of the time to first token: up to thirty."""

_LEAST_REPLAYED = 8
"""Tokens of an answer that is long enough to be told from a replay."""


def _require_times(*values: float) -> None:
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise ValueError("a time is negative or not a number")


@dataclass(frozen=True)
class LoadReport:
    """``load_return_s``: the loader returned; ``load_s``: a first token could be computed.

    ``page_cache`` is ``warm``, ``cold`` or ``unknown``: where the files' pages were before.
    ``revision`` is a hub commit or a hash of files on the disk, '' where it is not known.
    ``decode_bytes`` of weights are read for each token that is decoded, by the files' headers; 0
    where that is not certain. ``address`` is a server's base URL (``http://127.0.0.1:8080/v1``) and
    ``served_as`` the model's name in requests to it; both are '' if the model is in the worker's
    own process. ``program`` is what a user's server was found to be ('' if that is not known),
    ``context`` the tokens that are in force there for a prompt and its answer (0: it does not say).
    """

    load_s: float
    load_return_s: float
    import_s: float
    device: str
    weights_bytes: int
    revision: str
    versions: dict[str, str]
    page_cache: str = "unknown"
    notes: tuple[str, ...] = ()
    address: str = ""
    served_as: str = ""
    decode_bytes: int = 0
    program: str = ""
    context: int = 0

    def __post_init__(self) -> None:
        """Refuse times that no clock gives."""
        _require_times(self.load_s, self.load_return_s, self.import_s)


@dataclass(frozen=True)
class Part:
    """One piece of a message: a text, the path of an image, or the folder of a clip's frames.

    ``given_as`` is how an image is handed to the library: its path, its file's bytes, or a data
    URL of them. Frames are ``000.png``, ``001.png`` and so on, one second apart.
    """

    kind: Literal["text", "image", "video"]
    value: str
    given_as: GivenAs = "path"


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class GenerateRequest:
    """``fixed_length``: exactly ``max_tokens`` tokens, no natural stop, so that runs compare.

    ``margins`` asks for each token's logit margin, which costs time: not for timed requests.
    ``prefill_chunk`` is the most tokens of the prompt that are computed at once (0: the library's
    default); a backend without such a setting refuses it. ``phases`` asks for the phases of the
    time to first token and the expected number of image tokens. The device is synchronised between
    phases, which costs time too, so the decoding speed and the time to first token of a request
    with ``phases`` are never recorded. ``fields`` are more of a chat completion (``tools``,
    ``response_format``), for a server alone.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    fixed_length: bool = False
    margins: bool = False
    prefill_chunk: int = 0
    phases: bool = False
    thinking: Thinking = "default"
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def template_options(self) -> dict[str, Any]:
        """What a chat template is told besides the messages."""
        if self.thinking == "default":
            return {}
        return {"enable_thinking": self.thinking == "on"}


@dataclass(frozen=True)
class Phases:
    """Phases of one request's time to first token, in seconds; ``None`` if it was not observed.

    ``preprocess_s``: the prompt rendered, images opened and resized, all of it tokenised.
    ``vision_encode_s``: images to embeddings, vision tower and projector. ``prefill_s``: the
    language model over the prompt, text and image tokens. The work between them (sampling,
    merging) belongs to no phase, so their sum is less than the time to first token. A backend
    without a hook for a phase leaves it out; no phase is derived by subtraction.
    """

    preprocess_s: float | None = None
    vision_encode_s: float | None = None
    prefill_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse times that no clock gives."""
        phases = (self.preprocess_s, self.vision_encode_s, self.prefill_s)
        _require_times(*(value for value in phases if value is not None))


@dataclass(frozen=True)
class Generation:
    """One answer. ``token_times_s[i]`` is when token *i* came, from the start of the request.

    The first element is the time to first token. ``prompt_tokens`` counts text and image tokens
    as the backend does (−1: a server did not say), ``image_tokens`` those that stand for images
    (−1: the backend cannot say); ``image_tokens_expected`` is computed from the settings in the
    model's files (−1: not requested, or the arithmetic is not known). ``token_ids`` is empty if
    they are not known. ``margins[i]`` is the largest logit minus the second largest where token
    *i* was chosen; empty if not requested, and ``phases`` is None then.

    ``thinking`` is what came before the answer and is no part of ``text``. Of a server's reply:
    ``cached_tokens`` of the prompt it had computed for an earlier request, ``completion_tokens`` it
    says that it generated (both −1: it did not say), and ``reply_id`` is the reply's own id.
    """

    text: str
    token_times_s: tuple[float, ...]
    e2e_s: float
    prompt_tokens: int
    image_tokens: int
    finish_reason: Literal["stop", "length"]
    token_ids: tuple[int, ...] = ()
    margins: tuple[float, ...] = ()
    phases: Phases | None = None
    image_tokens_expected: int = -1
    thinking: str = ""
    cached_tokens: int = -1
    completion_tokens: int = -1
    reply_id: str = ""

    def __post_init__(self) -> None:
        """Refuse times that no clock gives, and those that run backwards."""
        _require_times(self.e2e_s, *self.token_times_s)
        if list(self.token_times_s) != sorted(self.token_times_s):
            raise ValueError("token_times_s run backwards")

    @property
    def ttft_s(self) -> float:
        """Seconds from the request's start, before an image is decoded, to the first token.

        NaN without a token, and where a server had computed the prompt for an earlier request.
        """
        return self.token_times_s[0] if self.token_times_s and not self.is_cached else float("nan")

    @property
    def is_cached(self) -> bool:
        """Whether a noticeable part of the prompt was not computed for this request."""
        return self.cached_tokens > _CACHED_SHARE * max(1, self.prompt_tokens)

    @property
    def is_replayed(self) -> bool:
        """Whether the answer came faster than its time to first token allows.

        A token is decoded no faster than one of the prompt is computed, but the time to first token
        has more in it than that: hence the factor.
        """
        times, prompt = self.token_times_s, self.prompt_tokens
        if len(times) < _LEAST_REPLAYED or prompt < 1 or self.is_cached:
            return False
        return (times[-1] - times[0]) * _TOO_FAST * prompt < times[0] * (len(times) - 1)

    @property
    def is_burst(self) -> bool:
        """Whether three tokens or more came in one or two moments, which is no speed."""
        return len(self.token_times_s) > 2 >= len(set(self.token_times_s))

    @property
    def has_speed(self) -> bool:
        """Whether its tokens came one after the other as they were made."""
        return not self.is_burst and not self.is_replayed

    @property
    def decode_tps(self) -> float:
        """(N − 1) / (t_N − t_1), the inverse of TPOT as vLLM and MLPerf define it.

        NaN if there are fewer than two tokens, or if they came in a burst or are a replay.
        """
        times = self.token_times_s
        if len(times) < 2 or times[-1] <= times[0] or not self.has_speed:
            return float("nan")
        return (len(times) - 1) / (times[-1] - times[0])

    @property
    def prefill_tps(self) -> float:
        """Text and image tokens of the prompt over the prefill's seconds; NaN if not observed."""
        prefill_s = None if self.phases is None else self.phases.prefill_s
        return self.prompt_tokens / prefill_s if prefill_s else float("nan")


@dataclass(frozen=True)
class MemoryReport:
    """``peak_memory_bytes`` is judged, by the platform's ``metric``; ``details`` are only shown.

    ``peak_device_bytes`` is the most memory of all GPUs that the driver (NVML) reported for the
    process; 0 if there is no such GPU, or the driver does not say.
    """

    peak_memory_bytes: int
    metric: str
    details: dict[str, int] = field(default_factory=dict)
    peak_device_bytes: int = 0


def to_json(record: Any) -> Any:
    """A record as plain JSON types; tuples become lists."""
    return dataclasses.asdict(record)
