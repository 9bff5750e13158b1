"""Every frozen type that crosses a boundary: declarations, the worker's channel, stored results.

Only the standard library is imported at run time, because the worker reads this module under the
interpreter of another environment. In the parent, pydantic's ``TypeAdapter`` turns untyped input
into these types (unknown keys are errors); ``to_json`` turns them back. Times are seconds, sizes
are bytes, rates are per second.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

SCHEMA_VERSION = 1
"""Of every JSON file and database row that holds these records. Changes are listed in docs."""

Capability = Literal["vision", "text_only", "multi_image", "video", "multi_turn"]
GivenAs = Literal["path", "bytes", "data_url"]
Workaround = Literal["reload_per_picture"]
BackendName = Literal["mlx", "torch", "llamacpp", "server", "fake"]
ServerName = Literal[
    "", "llama-server", "llama_cpp.server", "mlx_vlm.server", "transformers-serve", "url"
]
ENGINES: dict[str, BackendName] = {
    "llama-server": "llamacpp",
    "llama_cpp.server": "llamacpp",
    "mlx_vlm.server": "mlx",
    "transformers-serve": "torch",
}
"""Server program -> the backend whose library does its work; of a user's URL nothing is known."""
WeightsSource = Literal["hub", "canary", "synthetic"]
Outcome = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
VerdictName = Literal[
    "pass", "regressed", "inconclusive", "unfit", "no_baseline", "does_not_fit", "failed"
]
Advice = Literal["recommended", "usable", "not recommended", "does not fit", "untested"]

_UNITS: dict[str, dict[str, float]] = {
    "time": {"ms": 1e-3, "s": 1.0, "min": 60.0},
    "memory": {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30},
    "bandwidth": {"MB/s": 1e6, "GB/s": 1e9},
    "rate": {"tok/s": 1.0},
}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z/]+)\s*\Z")


def parse_quantity(text: object, dimension: str) -> float:
    """``"10 s"`` -> 10.0, ``"32 GB"`` -> 32e9; a bare number or another unit is a ValueError."""
    units = _UNITS[dimension]
    found = _QUANTITY.match(text) if isinstance(text, str) else None
    if found is None or found.group(2) not in units:
        wanted = ", ".join(units)
        raise ValueError(f"{text!r} is not a {dimension}: write a number with one of {wanted}")
    return float(found.group(1)) * units[found.group(2)]


class _Dimension:
    """Annotation for a field that is declared as text with a unit and held as an SI float."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            lambda value: parse_quantity(value, self.name), handler(source)
        )


Seconds = Annotated[float, _Dimension("time")]
Bytes = Annotated[float, _Dimension("memory")]
BytesPerSecond = Annotated[float, _Dimension("bandwidth")]
TokensPerSecond = Annotated[float, _Dimension("rate")]

# --------------------------------------------------------------------------- declared


@dataclass(frozen=True)
class Shape:
    """Dimensions of the language model, as in its published ``config.json`` (counts).

    Of a mixture of experts ``intermediate_size`` is what one token reads: experts per token times
    the width of one. ``Model.parameters`` still counts all of them, for memory.
    """

    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    mlp_matrices: int = 3


@dataclass(frozen=True)
class GenerationSettings:
    """How a request to this model is made unless a suite says otherwise."""

    max_tokens: int = 300
    temperature: float = 0.0


@dataclass(frozen=True)
class Source:
    """Where one backend gets the weights of a model, and on which tiers that is meant to run.

    ``also_needs`` names repositories that its loader reads besides (a tokenizer's, say).
    ``options`` go to the library's own loader as they are, ``environment`` to the worker's
    environment variables. ``workarounds`` are ways of running it that its documents describe; they
    are tried and measured beside the ordinary one. ``speculative``: tokens are drafted by another
    model, so several come of one reading of the weights and no roofline holds.
    ``server`` names the program that serves a source of the backend ``server``; its ``options``
    are ``arguments`` (words for its command line) and ``port`` (a wish), or of a ``url``: ``url``
    and ``model``.
    """

    backend: BackendName
    quantisation: str
    server: ServerName = ""
    weights: WeightsSource = "hub"
    repository: str = ""
    revision: str = "main"
    path: str = ""
    model_file: str = ""
    mmproj_file: str = ""
    also_needs: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    fallback_of: str = ""
    remote_code: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    speed_floors: dict[str, TokensPerSecond] = field(default_factory=dict)
    workarounds: tuple[Workaround, ...] = ()
    speculative: bool = False

    @property
    def engine(self) -> BackendName:
        """The backend whose library does the work: its own, or that of the server's program."""
        return ENGINES.get(self.server, self.backend)

    @property
    def place(self) -> str:
        """What stands behind the ``@``: the backend, or the server's program."""
        return self.server or self.backend


@dataclass(frozen=True)
class Model:
    """A vision-language model as declared. ``parameters`` counts all of them, vision included.

    ``chat_template`` (Jinja) stands in for that of the files where they have none that takes
    pictures. ``skills`` are the generated questions that it is asked; none means all that its
    capabilities speak of.
    """

    name: str
    family: str
    parameters: int
    licence: str
    capabilities: tuple[Capability, ...]
    sources: tuple[Source, ...]
    shape: Shape | None = None
    context: int = 4096
    chat_template: str = ""
    skills: tuple[str, ...] = ()
    generation: GenerationSettings = GenerationSettings()


@dataclass(frozen=True)
class Deployment:
    """Model × backend × quantisation × weights: the thing that is qualified."""

    model: Model
    source: Source

    @property
    def identifier(self) -> str:
        """For example ``qwen2.5-vl-7b-4bit@mlx``; unique within a registry.

        ``qwen2.5-vl-7b-4bit-synthetic@mlx`` has random weights: no result of it, no baseline and
        no report can be taken for one of the real model.
        """
        random = "-synthetic" if self.source.weights == "synthetic" else ""
        return f"{self.model.name}-{self.source.quantisation}{random}@{self.source.place}"

    @property
    def declared_as(self) -> str:
        """The identifier of the deployment that synthetic weights stand for; else its own."""
        return f"{self.model.name}-{self.source.quantisation}@{self.source.place}"


@dataclass(frozen=True)
class MemoryBudget:
    """What a tier's memory is set aside for besides the model; marks are shares of all of it."""

    system: Bytes
    server: Bytes
    applications: Bytes
    warning_share: float = 0.75
    critical_share: float = 0.87


@dataclass(frozen=True)
class Tier:
    """The class that a machine belongs to, with its budgets.

    ``load_limit`` is for a 7B; a larger model gets proportionally more. ``speed_floor_share`` is
    the share of the machine's roofline under which decoding is judged too slow.
    """

    name: str
    title: str
    system: Literal["macos", "linux"]
    memory_min: Bytes
    memory_max: Bytes
    budget: MemoryBudget
    chips: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    accelerator: Literal["metal", "cuda", "none"] = "none"
    vision: bool = True
    load_limit: Seconds = 10.0
    speed_floor_share: float = 0.45


@dataclass(frozen=True)
class Chip:
    """A chip and its memory bandwidth; GPU cores tell variants of one name apart."""

    name: str
    gpu_cores_min: int
    gpu_cores_max: int
    bandwidth: BytesPerSecond


@dataclass(frozen=True)
class BackendMemory:
    """What a backend's process holds besides one copy of weights and cache, as ``source`` measured.

    ``process``: the libraries imported and a model of no size loaded. ``weights_copies``: how
    often the bytes of all weights count; ``repacked_copies``: how often those of block-quantised
    weights count again, because the backend packs them anew. ``tile_by_tile``: the tiles of a
    picture are encoded one after the other.
    """

    name: BackendName
    process: Bytes
    weights_copies: float
    activations_per_1000_image_tokens: Bytes
    source: str
    repacked_copies: float = 0.0
    tile_by_tile: bool = False


@dataclass(frozen=True)
class Together:
    """Deployments that are meant to run at the same time on one machine, each in its process."""

    name: str
    deployments: tuple[str, ...]


@dataclass(frozen=True)
class KnownBug:
    """A defect held as data: where it applies and the failure that it must show.

    ``versions`` is a PEP 440 specifier of ``package``; ``deployments`` and ``tests`` are shell
    patterns of deployment identifiers and of test function names; ``failure`` is a regular
    expression that the failure's text must contain; anything else stays a failure. ``may_fail``
    are the tests that fail with it by chance, because they stand on what it makes uncertain: their
    success proves nothing. Where all of ``unless_programs`` are on the PATH the defect does not
    show.
    """

    identifier: str
    title: str
    package: str
    versions: str
    deployments: tuple[str, ...]
    tests: tuple[str, ...]
    failure: str
    cause: str
    source: str
    may_fail: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    workaround: str = ""
    issue: str = ""
    unless_programs: tuple[str, ...] = ()


# --------------------------------------------------------------------------- the worker's channel


@dataclass(frozen=True)
class LoadRequest:
    """What a worker needs to load a deployment. Paths are absolute.

    ``cold`` has the files' pages dropped from the page cache first, as far as the system does so;
    what was reached is the report's ``page_cache``. ``python`` is the interpreter that a server's
    program runs under; the worker of a server is the harness's own.
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


def _require_times(*values: float) -> None:
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise ValueError("a time is negative or no number")


@dataclass(frozen=True)
class LoadReport:
    """``load_return_s``: the loader returned; ``load_s``: a first token could be computed.

    ``page_cache`` is ``warm``, ``cold`` or ``unknown``: what the files' pages were like before.
    ``address`` is where a server can be asked (``http://127.0.0.1:8080/v1``) and ``served_as`` the
    name that requests give the model there; both are '' in a process of ours.
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

    def __post_init__(self) -> None:
        """Refuse times that no clock gives."""
        _require_times(self.load_s, self.load_return_s, self.import_s)


@dataclass(frozen=True)
class Part:
    """One piece of a message: a text, the path of a picture, or the folder of a clip's frames.

    ``given_as`` is how a picture is handed to the library: its path, its file's bytes, or a data
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

    ``margins`` asks for the logits' margin of each token, which costs time: not for timed requests.
    ``prefill_chunk`` is how many tokens of the prompt are computed at once at most (0: as the
    library does by itself); a backend that has no such setting refuses it.
    ``phases`` asks for the parts of the time to first token and the expected number of image
    tokens. To tell the parts apart the device is waited for between them, which costs time too:
    a request with ``phases`` is never one whose decoding speed or time to first token is kept.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    fixed_length: bool = False
    margins: bool = False
    prefill_chunk: int = 0
    phases: bool = False


@dataclass(frozen=True)
class Phases:
    """Parts of one request's time to first token, in seconds; ``None`` where it was not seen.

    ``preprocess_s``: the prompt rendered, pictures opened and resized, all of it tokenised.
    ``vision_encode_s``: pictures to embeddings, vision tower and projector. ``prefill_s``: the
    language model over the prompt, text and picture tokens. What lies between (sampling, merging)
    belongs to none, so their sum is less than the time to first token. A backend that cannot be
    hooked at a place leaves that part out; no part is had by subtracting.
    """

    preprocess_s: float | None = None
    vision_encode_s: float | None = None
    prefill_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse times that no clock gives."""
        seen = (self.preprocess_s, self.vision_encode_s, self.prefill_s)
        _require_times(*(value for value in seen if value is not None))


@dataclass(frozen=True)
class Generation:
    """One answer. ``token_times_s[i]`` is when token *i* came, from the start of the request.

    The first element is the time to first token. ``prompt_tokens`` counts text and picture tokens
    as the backend does (−1: a server did not say), ``image_tokens`` of them stand for pictures
    (−1: the backend cannot say); ``image_tokens_expected`` is what the settings in the model's
    files make of those pictures (−1: not asked for, or the arithmetic is not known).
    ``token_ids`` is empty where they are not known. ``margins[i]`` is the largest logit less the
    second largest where token *i* was chosen; empty where it was not asked for, as ``phases``.
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

    def __post_init__(self) -> None:
        """Refuse times that no clock gives, and those that run backwards."""
        _require_times(self.e2e_s, *self.token_times_s)
        if list(self.token_times_s) != sorted(self.token_times_s):
            raise ValueError("token_times_s run backwards")

    @property
    def ttft_s(self) -> float:
        """Seconds from the request's start, before a picture is decoded, to the first token."""
        return self.token_times_s[0] if self.token_times_s else float("nan")

    @property
    def decode_tps(self) -> float:
        """(N − 1) / (t_N − t_1), the inverse of TPOT as vLLM and MLPerf define it."""
        times = self.token_times_s
        if len(times) < 2 or times[-1] <= times[0]:
            return float("nan")
        return (len(times) - 1) / (times[-1] - times[0])

    @property
    def prefill_tps(self) -> float:
        """Text and picture tokens of the prompt over the prefill's seconds; NaN where not seen."""
        took = None if self.phases is None else self.phases.prefill_s
        return self.prompt_tokens / took if took else float("nan")


@dataclass(frozen=True)
class MemoryReport:
    """``peak_memory_bytes`` is the platform's asserted metric; ``details`` stand beside it.

    ``peak_device_bytes`` is the most that the driver (NVML) was seen to have given the process on
    all GPUs; 0 where there is no such GPU, or the driver does not say.
    """

    peak_memory_bytes: int
    metric: str
    details: dict[str, int] = field(default_factory=dict)
    peak_device_bytes: int = 0


# --------------------------------------------------------------------------- results


@dataclass(frozen=True)
class Accelerator:
    """A GPU that the probe found."""

    kind: Literal["metal", "cuda"]
    name: str
    memory_bytes: int = 0
    cores: int = 0


@dataclass(frozen=True)
class Machine:
    """This host as probed. ``tier`` is '' where none matches; sizes in bytes, rates in bytes/s."""

    system: str
    os_version: str
    chip: str
    product: str
    architecture: str
    cpu_cores: int
    gpu_cores: int
    memory_bytes: int
    accelerators: tuple[Accelerator, ...] = ()
    bandwidth: float | None = None
    tier: str = ""
    identifier: str = ""


@dataclass(frozen=True)
class Environment:
    """An interpreter with the versions of the libraries that matter ('' where not installed)."""

    name: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One precondition as seen at one moment; ``fit`` False makes a run ``unfit``."""

    name: str
    value: str
    fit: bool = True
    note: str = ""


CLIENTS = (1, 2, 4, 8)
"""How many clients ask a server at once, one load after the other."""

METRICS: dict[str, tuple[str, Literal["lower", "higher"]]] = {
    "load_s": ("s", "lower"),
    "load_return_s": ("s", "lower"),
    "load_cold_s": ("s", "lower"),
    "ttft_s": ("s", "lower"),
    "preprocess_s": ("s", "lower"),
    "vision_encode_s": ("s", "lower"),
    "prefill_s": ("s", "lower"),
    "e2e_s": ("s", "lower"),
    "prompt_tokens": ("tokens", "lower"),
    "image_tokens": ("tokens", "lower"),
    "prefill_tps": ("tok/s", "higher"),
    "decode_tps": ("tok/s", "higher"),
    "sustained_decode_tps": ("tok/s", "higher"),
    "sustained_ttft_s": ("s", "lower"),
    "token_drift": ("ratio", "lower"),
    "sentinel_drift": ("ratio", "lower"),
    "peak_memory_bytes": ("B", "lower"),
    "peak_device_bytes": ("B", "lower"),
    "reload_s": ("s", "lower"),
    "accuracy": ("share", "higher"),
    "context_retention": ("share", "higher"),
    "context_without_picture": ("share", "higher"),
    "vqa_accuracy": ("share", "higher"),
    "simple_accuracy": ("share", "higher"),
    "generated_vqa_accuracy": ("share", "higher"),
    "generated_simple_accuracy": ("share", "higher"),
    "diagram_recall": ("share", "higher"),
    "diagram_inventions": ("count", "lower"),
    "diagram_repetition": ("count", "lower"),
    "diagram_cut_off": ("share", "lower"),
    "growth_bytes_per_request": ("B/request", "lower"),
    "growth_with_clean_up_bytes_per_request": ("B/request", "lower"),
}
"""Metric -> unit and which direction is better."""

for _number in CLIENTS:
    METRICS |= {
        f"ttft_{_number}_clients_s": ("s", "lower"),
        f"request_{_number}_clients_s": ("s", "lower"),
        f"decode_{_number}_clients_tps": ("tok/s", "higher"),
        f"served_{_number}_clients_tps": ("tok/s", "higher"),
        f"served_{_number}_clients_rps": ("requests/s", "higher"),
        f"fairness_{_number}_clients": ("ratio", "higher"),
        f"slowest_{_number}_clients": ("ratio", "higher"),
        f"failed_{_number}_clients": ("count", "lower"),
        f"wrong_{_number}_clients": ("count", "lower"),
        f"swapped_{_number}_clients": ("count", "lower"),
    }


@dataclass(frozen=True)
class Trial:
    """One timed repetition: a raw number with its unit."""

    deployment: str
    metric: str
    value: float
    unit: str
    repetition: int
    suite: str


@dataclass(frozen=True)
class Check:
    """The outcome of one test for one deployment; ``detail`` may quote a model: hostile text."""

    deployment: str
    suite: str
    test: str
    outcome: Outcome
    detail: str = ""
    known_bug: str = ""


@dataclass(frozen=True)
class Session:
    """One run on one machine under one environment."""

    identifier: str
    started: str
    machine: Machine
    environment: Environment
    conditions: tuple[Condition, ...] = ()
    selection: str = ""


@dataclass(frozen=True)
class Finding:
    """One reason for a verdict: a budget or a baseline held against what was measured."""

    metric: str
    status: Literal["pass", "fail", "warn", "unknown", "suspect"]
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What is said of one deployment after one session."""

    deployment: str
    name: VerdictName
    advice: Advice
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Results:
    """Everything that one session left: what the store keeps and the report shows."""

    session: Session
    verdicts: tuple[Verdict, ...]
    trials: tuple[Trial, ...]
    checks: tuple[Check, ...]
    load_reports: dict[str, LoadReport]


def to_json(record: Any) -> Any:
    """A record as plain JSON types; tuples become lists."""
    return dataclasses.asdict(record)
