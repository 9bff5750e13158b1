"""What is declared: models, tiers, chips, backends' memory and known bugs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from qualification.core.protocol import (
    ENGINES,
    BackendName,
    ServerName,
    WeightsSource,
)
from qualification.core.units import Bytes, BytesPerSecond, Seconds, TokensPerSecond

Capability = Literal["vision", "text_only", "multi_image", "video", "multi_turn"]

Workaround = Literal["reload_per_picture"]


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


def marks(deployment: Deployment) -> tuple[str, ...]:
    """Marker names of a deployment: its backend, its weights' source and its tiers."""
    source = deployment.source
    return (source.backend, source.weights, *source.tiers)


def answers_at_random(deployment: Deployment) -> bool:
    """Whether its weights are random, so that what it says means nothing.

    The scripted fake has no weights at all and answers as its options say.
    """
    source = deployment.source
    return source.weights == "synthetic" and source.backend != "fake"
