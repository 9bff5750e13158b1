"""Twenty-two planted faults, each at a deployment that has it: before a server or in a worker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.see.proxy import planted
from benchmarks.see.stand_ins import MODEL, Behaviour, serving
from qualification.cli.see import known_here
from qualification.core.declarations import Deployment
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.loading import load_registry
from qualification.see.run import Sight, see
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request

ROOT = Path(__file__).resolve().parents[2]
LLAMA_CPP = "smolvlm-canary-f32@llama.cpp"
SERVE = "smolvlm-canary-f32@transformers-serve"
TORCH = "smolvlm-canary-f32@torch"
OLLAMA = "stand-in of Ollama"
LM_STUDIO = "stand-in of LM Studio"

_CONCATENATED = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% endfor %}"
)
"""A chat template that says nothing of turns."""


@dataclass(frozen=True)
class Plant:
    """A fault, where it is planted, and the verdict with a word of its sentence."""

    fault: str
    where: str
    verdict: str
    word: str = ""


PLANTS: tuple[Plant, ...] = (
    Plant("blind", LLAMA_CPP, "blind"),
    Plant("stale by prompt", LLAMA_CPP, "stale"),
    Plant("stale by file name", TORCH, "stale", "file name"),
    Plant("two permuted", LLAMA_CPP, "permuted", "two images"),
    Plant("three permuted", OLLAMA, "permuted", "three images"),
    Plant("four permuted", OLLAMA, "permuted", "four images"),
    Plant("first image only", LLAMA_CPP, "permuted", "only the first"),
    Plant("last image only", LLAMA_CPP, "permuted", "only the second"),
    Plant("shrunk", OLLAMA, "low resolution"),
    Plant("channels swapped", LLAMA_CPP, "wrong colours", "exchanged"),
    Plant("grey", LLAMA_CPP, "wrong colours"),
    Plant("alpha ignored", OLLAMA, "wrong colours", "transparent"),
    Plant("EXIF ignored", SERVE, "rotated"),
    Plant("16 bits clipped", LLAMA_CPP, "wrong colours", "16 bits"),
    Plant("history dropped", LLAMA_CPP, "forgets"),
    Plant("template missing", LLAMA_CPP, "no chat template"),
    Plant("thinking cut off", LLAMA_CPP, "thinking eats the answer"),
    Plant("images dropped with tools", LLAMA_CPP, "text breaks it", "tools"),
    Plant("images dropped with a schema", LLAMA_CPP, "text breaks it", "schema"),
    Plant("usage lying", LLAMA_CPP, "miscounts"),
    Plant("context cut", LLAMA_CPP, "context cut"),
    Plant("replayed from a cache", LLAMA_CPP, "replayed"),
)
IN_WORKERS: tuple[Plant, ...] = tuple(
    replace(plant, where=TORCH)
    for plant in PLANTS
    if plant.fault
    in (
        *("blind", "stale by prompt", "two permuted", "first image only", "last image only"),
        *("channels swapped", "grey", "EXIF ignored", "history dropped"),
    )
)
"""The same faults as mutants of a worker, where a library's user would meet them."""


@contextlib.contextmanager
def loaded(deployment: Deployment, scratch: Path) -> Iterator[Deployed]:
    """A deployment in a worker of its own."""
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers)
    context = RunContext(machine, tier_of(machine, registry.tiers), scratch, deadline_s=120.0)
    deployed = Deployed(deployment, prepared_request(deployment, context), context, Journal())
    try:
        yield deployed
    finally:
        deployed.close()


@contextlib.contextmanager
def asked(deployment: Deployment, scratch: Path) -> Iterator[Callable[[int], Sight]]:
    """A function that runs ``see`` with a seed on the loaded deployment."""
    registry = load_registry()
    with loaded(deployment, scratch) as deployed:
        yield lambda seed: see(
            deployed,
            scratch,
            seed=seed,
            deadline_s=120.0,
            known_bugs=lambda test: known_here(registry, deployed, test),
        )


@contextlib.contextmanager
def at(where: str, scratch: Path) -> Iterator[tuple[str, str]]:
    """Address, without a path, and model of a server to plant a fault before."""
    if where in (OLLAMA, LM_STUDIO):
        with serving(Behaviour("ollama" if where == OLLAMA else "lm-studio")) as address:
            yield address, MODEL
        return
    with loaded(load_registry().deployment(where), scratch) as deployed:
        yield deployed.load_report.address.removesuffix("/v1"), deployed.load_report.served_as


def behind(address: str, where: str, model: str) -> Deployment:
    """The deployment that a user's server at an address is; a canary is asked as one."""
    registry = load_registry()
    (deployment,) = registry.with_server(f"{address}/v1", model).deployments()
    if where in (OLLAMA, LM_STUDIO):
        return deployment
    source = replace(deployment.source, weights="canary")
    return Deployment(registry.deployment(where).model, source)


@contextlib.contextmanager
def with_fault(
    plant: Plant, server: tuple[str, str], scratch: Path
) -> Iterator[Callable[[int], Sight]]:
    """``see`` on a deployment with a fault; ``server`` is of :func:`at`, not used for a worker."""
    if plant.fault == "template missing":
        deployment = load_registry().deployment(plant.where)
        model = replace(deployment.model, chat_template=_CONCATENATED)
        with asked(replace(deployment, model=model), scratch) as run:
            yield run
    elif plant.where == TORCH:
        deployment = load_registry().deployment(plant.where)
        paths = f"{Path(__file__).with_name('mutants')}:{ROOT}"
        environment = {"PYTHONPATH": paths, "SEE_FAULT": plant.fault}
        source = replace(deployment.source, environment=environment)
        with asked(replace(deployment, source=source), scratch) as run:
            yield run
    else:
        with (
            planted(plant.fault, server[0]) as proxy,
            asked(behind(proxy, plant.where, server[1]), scratch) as run,
        ):
            yield run


def is_named(plant: Plant, sight: Sight) -> bool:
    """Whether the verdict, or what was found besides, is the planted fault."""
    findings = (sight.conclusion.verdict, *sight.conclusion.also)
    return any(f.name == plant.verdict and plant.word in f.sentence for f in findings)
