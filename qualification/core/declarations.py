"""The types of declarations: models, tiers, chips, backends' memory and known bugs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from qualification.core.protocol import BackendName, ServerName, WeightsSource
from qualification.core.servers import server_engine
from qualification.core.units import Bytes, BytesPerSecond, Seconds, TokensPerSecond

Capability = Literal["vision", "text_only", "multi_image", "video", "multi_turn"]

Workaround = Literal["reload_per_image"]


@dataclass(frozen=True)
class Shape:
    """Dimensions of the language model, as in its published ``config.json`` (counts).

    For a mixture of experts, ``intermediate_size`` is the width that one token reads: experts per
    token times the width of an expert. ``Model.parameters`` still counts all experts, for memory.
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
class ImageBudget:
    """How many tokens an image becomes: at least ``least``, at most ``most``.

    Between the two one for every ``pixels`` pixels; 0: it is ``most`` whatever its size.
    """

    most: int
    pixels: int = 0
    least: int = 0

    def tokens(self, width: int, height: int) -> int:
        """Tokens of an image of this size in pixels."""
        by_size = -(-width * height // self.pixels) if self.pixels > 0 else self.most
        return min(self.most, max(self.least, by_size))


@dataclass(frozen=True)
class GenerationSettings:
    """How a request to this model is made unless a suite says otherwise."""

    max_tokens: int = 300
    temperature: float = 0.0


@dataclass(frozen=True)
class Source:
    """Where one backend gets the weights of a model, and on which tiers they are meant to run.

    ``path`` is a local folder of weights, absolute once it is loaded; a declaration may also name a
    ``.gguf`` file, and a path relative to its own file.
    ``also_needs`` names further repositories that the loader reads (a tokenizer's, for example).
    ``options`` go to the library's own loader unchanged, ``environment`` to the worker's
    environment variables. ``workarounds`` are ways of running it that its documents describe; they
    are measured beside the ordinary one. ``speculative``: another model drafts tokens, so several
    tokens come from one pass over the weights and no roofline holds. ``options`` and
    ``environment`` may hold a key or a password, so no traceback shows them.
    ``server`` names the program that serves a source of the backend ``server``; its ``options``
    are ``arguments`` (for its command line) and ``port`` (preferred). The options of the program
    ``url`` are ``url`` and ``model``.
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
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    speed_floors: dict[str, TokensPerSecond] = field(default_factory=dict)
    workarounds: tuple[Workaround, ...] = ()
    speculative: bool = False

    @property
    def engine(self) -> BackendName:
        """What does the work, a key of ``core.backends.ENGINES``: the backend, or the program's."""
        return server_engine(self.server) or self.backend

    @property
    def is_its_own_engine(self) -> bool:
        """Whether its backend or program is its engine; a gate asks no other source."""
        return self.engine == self.place

    @property
    def place(self) -> str:
        """The part behind the ``@``: the backend, or the server's program."""
        return self.server or self.backend


@dataclass(frozen=True)
class Model:
    """A vision-language model as declared. ``parameters`` counts all of them, vision included.

    ``chat_template`` (Jinja) replaces that of the files if theirs takes no images. ``skills`` are
    the kinds of generated questions that it is asked; none means all that its capabilities imply.
    ``image_budget`` says what an image costs where the family is not known. ``config`` is a file
    with the architecture part of its published ``config.json``; the loader fills in the
    ``configs/NAME.json`` beside the declaring file, if there is one.
    """

    name: str
    family: str
    parameters: int
    licence: str
    capabilities: tuple[Capability, ...]
    sources: tuple[Source, ...]
    shape: Shape | None = None
    image_budget: ImageBudget | None = None
    context: int = 4096
    chat_template: str = ""
    skills: tuple[str, ...] = ()
    generation: GenerationSettings = GenerationSettings()
    config: str = ""


@dataclass(frozen=True)
class Deployment:
    """Model × backend × quantisation × weights: the unit that is qualified."""

    model: Model
    source: Source

    @property
    def identifier(self) -> str:
        """For example ``qwen2.5-vl-7b-4bit@mlx``; unique within a registry.

        ``qwen2.5-vl-7b-4bit-synthetic@mlx`` has random weights: its results, baselines and reports
        cannot be mistaken for those of the real model.
        """
        random = "-synthetic" if self.source.weights == "synthetic" else ""
        return f"{self.model.name}-{self.source.quantisation}{random}@{self.source.place}"

    @property
    def declared_as(self) -> str:
        """The identifier of the real deployment, also if this one has synthetic weights."""
        return f"{self.model.name}-{self.source.quantisation}@{self.source.place}"

    @property
    def on_engine(self) -> str:
        """The identifier of the same weights on their engine: another one for most servers."""
        return f"{self.identifier.rpartition('@')[0]}@{self.source.engine}"


@dataclass(frozen=True)
class MemoryBudget:
    """Memory that a tier reserves besides the model; thresholds are shares of all its memory."""

    system: Bytes
    server: Bytes
    applications: Bytes
    warning_share: float = 0.75
    critical_share: float = 0.87


@dataclass(frozen=True)
class Tier:
    """The class that a machine belongs to, with its budgets.

    ``load_limit`` is for a 7B; a larger model gets proportionally more. Decoding below
    ``speed_floor_share`` of the machine's roofline is judged too slow.
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
    """A chip and its memory bandwidth; the number of GPU cores distinguishes variants of a name."""

    name: str
    gpu_cores_min: int
    gpu_cores_max: int
    bandwidth: BytesPerSecond


@dataclass(frozen=True)
class BackendMemory:
    """Memory of a backend's process besides one copy of weights and cache, measured in ``source``.

    ``process``: the libraries imported and a model of no size loaded. ``weights_copies``: how
    often the bytes of all weights count; ``repacked_copies``: how often those of block-quantised
    weights count again, because the backend repacks them. ``tile_by_tile``: the tiles of an image
    are encoded one after the other.
    """

    name: BackendName
    process: Bytes
    weights_copies: float
    activations_per_1000_image_tokens: Bytes
    source: str
    repacked_copies: float = 0.0
    tile_by_tile: bool = False


@dataclass(frozen=True)
class Combination:
    """Deployments that are meant to run at once on one machine, each in its own process."""

    name: str
    deployments: tuple[str, ...]


@dataclass(frozen=True)
class KnownBug:
    """A defect as data: where it applies and the failure that it must show.

    ``versions`` is a PEP 440 specifier of ``package``; ``deployments`` and ``tests`` are shell
    patterns of deployment identifiers and of test function names; ``failure`` is a regular
    expression that must match in the failure's text; any other failure stays a failure.
    ``may_fail`` are tests that the defect fails by chance: their success proves nothing. The
    defect does not show if all of ``unless_programs`` are on the PATH.
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


def marker_names(deployment: Deployment) -> tuple[str, ...]:
    """Marker names of a deployment: its backend, its weights' source and its tiers."""
    source = deployment.source
    return (source.backend, source.weights, *source.tiers)


def answers_at_random(deployment: Deployment) -> bool:
    """Whether its weights are random, so that its answers mean nothing.

    The scripted fake has no weights at all and answers as its options say.
    """
    source = deployment.source
    return source.weights == "synthetic" and source.backend != "fake"
