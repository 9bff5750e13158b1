"""NVIDIA GPUs as the driver reports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qualification.machine.host import Host


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as its driver reports it; ``None`` where the driver does not say.

    ``memory_bytes`` is 0 where the GPU has none of its own: a box of unified memory.
    """

    name: str
    memory_bytes: int = 0
    free_bytes: int | None = None
    busy_percent: int | None = None
    clock_limits: int | None = None


_SMI_LIMITS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


_NO_MEMORY = ("[N/A]", "[Not Supported]")
"""The memory of a GPU in a box of unified memory, such as a DGX Spark."""


def nvidia_gpus(host: Host) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs through NVML, else through ``nvidia-smi``; empty where there is neither."""
    library = host.nvml()
    if library is not None:
        gpus = _from_nvml(library)
        if gpus:
            return gpus
    for limits in _SMI_LIMITS:  # renamed in driver 535
        query = f"--query-gpu=name,memory.total,memory.free,utilization.gpu,{limits}"
        text = host.run("nvidia-smi", query, "--format=csv,noheader,nounits")
        if text is None:
            return ()
        gpus = _from_smi(text)
        if gpus:
            return gpus
    return ()


def _from_nvml(library: Any) -> tuple[Gpu, ...]:
    def ask(function: str, handle: Any) -> Any:
        try:
            return getattr(library, function)(handle)
        except Exception:  # not supported on this GPU, or unknown to this version of NVML
            return None

    try:
        handles = [
            library.nvmlDeviceGetHandleByIndex(index)
            for index in range(library.nvmlDeviceGetCount())
        ]
    except Exception:
        return ()
    gpus = []
    for handle in handles:
        name = ask("nvmlDeviceGetName", handle)
        memory = ask("nvmlDeviceGetMemoryInfo", handle)
        use = ask("nvmlDeviceGetUtilizationRates", handle)
        limits = ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if limits is None:
            limits = ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        gpus.append(
            Gpu(
                name=name.decode() if isinstance(name, bytes) else str(name or "NVIDIA GPU"),
                memory_bytes=int(memory.total) if memory else 0,
                free_bytes=_free(memory),
                busy_percent=int(use.gpu) if use else None,
                clock_limits=None if limits is None else int(limits),
            )
        )
    return tuple(gpus)


def _from_smi(text: str) -> tuple[Gpu, ...]:
    gpus = []
    for line in text.splitlines():
        fields = [part.strip() for part in line.split(",")]
        if len(fields) != 5 or not (fields[1].isdigit() or fields[1] in _NO_MEMORY):
            continue  # "NVIDIA-SMI has failed because …", or a field that this driver lacks
        name, memory, free, use, limits = fields
        gpus.append(
            Gpu(
                name=name,
                memory_bytes=int(memory) * 2**20 if memory.isdigit() else 0,
                free_bytes=int(free) * 2**20 if free.isdigit() else None,
                busy_percent=int(use) if use.isdigit() else None,
                clock_limits=int(limits, 16) if limits.startswith("0x") else None,
            )
        )
    return tuple(gpus)


def _free(memory: Any) -> int | None:
    free = getattr(memory, "free", None)
    return int(free) if isinstance(free, int) else None
