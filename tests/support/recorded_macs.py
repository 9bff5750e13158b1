"""The Macs of recorded/macs.tsv as the probe would tell them."""

from __future__ import annotations

from dataclasses import dataclass

from qualification.core.results import Accelerator, Machine, metal_default
from qualification.machine.tiers import tier_name
from qualification.models.loading import load_registry
from tests.support.recorded_host import FOLDER


@dataclass(frozen=True)
class Row:
    """A row of the table; ``declared`` is '' where no declared tier is for it."""

    product: str
    chip: str
    gib: int
    bandwidth: float
    declared: str

    def __str__(self) -> str:
        return f"{self.product} {self.chip} {self.gib}"


def _rows() -> tuple[Row, ...]:
    lines = (FOLDER / "macs.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return tuple(
        Row(product, chip, int(gib), float(rate) * 1e9, declared.strip("-"))
        for product, chip, gib, rate, declared in rows
    )


MACS = _rows()


def mac(row: Row) -> Machine:
    """The machine of a row, with its tier and Metal's usual limit."""
    memory = row.gib * 2**30
    machine = Machine(
        system="macos",
        os_version="macOS 15.5 (24F74)",
        chip=f"Apple {row.chip}",
        product=row.product,
        architecture="arm64",
        cpu_cores=8,
        gpu_cores=8,
        memory_bytes=memory,
        accelerators=(Accelerator("metal", f"Apple {row.chip}", memory, 8),),
        bandwidth=row.bandwidth,
        limits=(metal_default(memory),),
    )
    tiers = load_registry().tiers
    return Machine(**(vars(machine) | {"tier": tier_name(machine, tiers)}))
