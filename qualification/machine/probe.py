"""Probes this machine: chip, memory, accelerator, the tier that it belongs to, its libraries.

Everything is read through a :class:`~qualification.machine.host.Host`. No machine learning library
is imported: versions come from package metadata. Host name, serial number and user name never get
into a record; the operating system's machine id only as part of a one-way hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qualification.core.declarations import Chip, Tier
from qualification.core.libraries import library_versions
from qualification.core.results import Accelerator, Environment, Machine, MemoryLimit, metal_default
from qualification.machine.host import Host, LocalHost, first_count
from qualification.machine.names import plain_name
from qualification.machine.nvidia import nvidia_gpus
from qualification.machine.tiers import tier_name

_SYSCTL = (
    "hw.model",
    "machdep.cpu.brand_string",
    "hw.memsize",
    "hw.perflevel0.physicalcpu",
    "hw.perflevel1.physicalcpu",
    "hw.physicalcpu",
)

_WIRED_LIMIT = "iogpu.wired_limit_mb"
_WORKING_SETS = {
    "MLX": "import mlx.core as mx; "
    "print(int(mx.device_info()['max_recommended_working_set_size']))",
    "torch": "import torch; print(int(torch.mps.recommended_max_memory()))",
}


def probe(chips: Sequence[Chip], tiers: Sequence[Tier], host: Host | None = None) -> Machine:
    """This host, with its tier and its memory bandwidth (None: unknown).

    On macOS this runs ``sysctl``, ``sw_vers``, ``ioreg`` and ``system_profiler`` (the slow one,
    about a second); on Linux it reads ``/proc`` and asks NVML or ``nvidia-smi`` for GPUs.
    """
    host = host or LocalHost()
    if host.system == "macos":
        machine, machine_id = _probe_macos(host)
    else:
        machine, machine_id = _probe_linux(host)
    machine = replace(machine, bandwidth=bandwidth_of(machine, chips))
    machine = replace(machine, identifier=_identifier(machine, machine_id))
    return replace(machine, tier=tier_name(machine, tiers))


def bandwidth_of(machine: Machine, chips: Sequence[Chip]) -> float | None:
    """Bytes per second of the memory that a model is read from; None if it is not declared.

    A CUDA device comes before the processor. A name with one declared variant is enough; among
    several (M4 Max: 410 or 546 GB/s) the number of GPU cores decides, and without it the bandwidth
    is unknown.
    """
    cuda = [device.name for device in machine.accelerators if device.kind == "cuda"]
    name = plain_name(cuda[0] if cuda else machine.chip)
    variants = [chip for chip in chips if plain_name(chip.name) == name]
    if not cuda and len(variants) > 1:
        cores = machine.gpu_cores
        variants = [c for c in variants if c.gpu_cores_min <= cores <= c.gpu_cores_max]
    rates = {chip.bandwidth for chip in variants}
    return rates.pop() if len(rates) == 1 else None


def _identifier(machine: Machine, machine_id: str) -> str:
    """Twelve hexadecimal digits, stable across releases of the system and of our libraries.

    A limit that a user has changed makes another machine of it.

    The machine id enters through a keyed hash, as its manual page demands of applications.
    """
    secret = machine_id.strip().encode()
    token = hmac.new(b"qualification/machine/1", secret, "sha256").hexdigest() if secret else ""
    facts = (
        machine.chip,
        machine.product,
        str(round(machine.memory_bytes / 2**30)),
        str(machine.gpu_cores),
        *(device.name for device in machine.accelerators),
        *(f"{limit.name} {limit.bytes}" for limit in machine.limits if limit.changed),
        token,
    )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


# --------------------------------------------------------------------------- macOS


def _probe_macos(host: Host) -> tuple[Machine, str]:
    sysctl = _pairs(host.run("sysctl", *_SYSCTL))
    versions = _pairs(host.run("sw_vers"))
    profile = _profile(
        host.run("system_profiler", "SPHardwareDataType", "SPDisplaysDataType", "-json")
    )
    hardware = next(iter(profile.get("SPHardwareDataType", [])), {})
    displays = profile.get("SPDisplaysDataType", [])
    chip = sysctl.get("machdep.cpu.brand_string") or str(hardware.get("chip_type", ""))
    gpu = next((card for card in displays if "sppci_cores" in card), {})
    gpu_cores = first_count(str(gpu.get("sppci_cores", "")))
    memory = first_count(sysctl.get("hw.memsize"))
    cores = sum(first_count(sysctl.get(f"hw.perflevel{level}.physicalcpu")) for level in (0, 1))
    accelerators: tuple[Accelerator, ...] = ()
    if gpu or chip.startswith("Apple M"):
        name = str(gpu.get("sppci_model") or chip)
        accelerators = (Accelerator("metal", name, memory_bytes=memory, cores=gpu_cores),)
    version, build = versions.get("ProductVersion", ""), versions.get("BuildVersion", "")
    limits = (_metal_limit(host, memory),) if accelerators and memory else ()
    machine = Machine(
        system="macos",
        os_version=f"macOS {version} ({build})" if version else "macOS",
        chip=chip,
        product=str(hardware.get("machine_name") or sysctl.get("hw.model", "")),
        architecture=host.architecture,
        cpu_cores=cores or first_count(sysctl.get("hw.physicalcpu")) or host.cpu_cores,
        gpu_cores=gpu_cores,
        memory_bytes=memory,
        accelerators=accelerators,
        limits=limits,
    )
    platform_id = re.search(
        r'"IOPlatformUUID" = "([^"]+)"',
        host.run("ioreg", "-rd1", "-c", "IOPlatformExpertDevice") or "",
    )
    return machine, platform_id.group(1) if platform_id else ""


def _metal_limit(host: Host, memory: int) -> MemoryLimit:
    """What Metal wires for the GPU: as a user has set it, as MLX or torch report it, or as usual.

    A library is asked in a process of its own, because none is imported here.
    """
    wired = first_count(_pairs(host.run("sysctl", _WIRED_LIMIT)).get(_WIRED_LIMIT))
    if wired:
        return MemoryLimit(_WIRED_LIMIT, wired * 2**20, changed=True)
    for library, question in _WORKING_SETS.items():
        if reported := first_count(host.run(sys.executable, "-I", "-c", question)):
            return MemoryLimit(f"Metal's working set, as {library} reports it", reported)
    return metal_default(memory)


def _pairs(text: str | None) -> dict[str, str]:
    """``key: value`` lines; lines of another form are left out."""
    lines = [line.partition(":") for line in (text or "").splitlines() if ":" in line]
    return {key.strip(): value.strip() for key, _, value in lines}


def _profile(text: str | None) -> dict[str, list[dict[str, Any]]]:
    """The output of ``system_profiler -json``; {} if it is malformed."""
    try:
        parsed = json.loads(text or "")
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    return {
        key: [item for item in value if isinstance(item, dict)]
        for key, value in parsed.items()
        if isinstance(value, list)
    }


# --------------------------------------------------------------------------- Linux


def _probe_linux(host: Host) -> tuple[Machine, str]:
    cpu = _pairs(host.read("/proc/cpuinfo"))
    release = dict(
        line.split("=", 1)
        for line in (host.read("/etc/os-release") or "").splitlines()
        if "=" in line
    )
    kernel = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    named = release.get("PRETTY_NAME", "").strip("\"'") or host.system
    memory = 1024 * first_count(_pairs(host.read("/proc/meminfo")).get("MemTotal"))
    gpus, groups = nvidia_gpus(host), _cgroup_limits(host)
    limits = [MemoryLimit("the limit of this container or cgroup", least) for least in groups]
    free = [gpu.free_bytes for gpu in gpus if gpu.memory_bytes and gpu.free_bytes is not None]
    if free:
        limits.append(MemoryLimit("free on the NVIDIA GPU", sum(free)))
    machine = Machine(
        system=host.system,
        os_version=f"{named}, kernel {kernel}" if kernel else named,
        chip=cpu.get("model name") or cpu.get("Model") or cpu.get("Hardware") or "unknown",
        product=(host.read("/sys/class/dmi/id/product_name") or "").strip(),
        architecture=host.architecture,
        cpu_cores=host.cpu_cores,
        gpu_cores=0,
        memory_bytes=min([memory, *groups]) if memory else 0,
        accelerators=tuple(Accelerator("cuda", gpu.name, gpu.memory_bytes) for gpu in gpus),
        limits=tuple(limit for limit in limits if limit.bytes < memory),
    )
    return machine, host.read("/etc/machine-id") or ""


def _cgroup_limits(host: Host) -> list[int]:
    """Every memory limit in bytes from this process's group up to the root, of cgroup v2 and v1.

    "max" means no limit, as does a number near 2**63 in v1; the caller takes the least of these
    and of the machine's memory.
    """
    limits = []
    for line in (host.read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts), -1, -1):
            text = (host.read("/".join([root, *parts[:depth], name])) or "").strip()
            if text.isdigit() and int(text) > 0:
                limits.append(int(text))
    return limits


# --------------------------------------------------------------------------- libraries


def environment(name: str = "current") -> Environment:
    """The interpreter that runs this code and its libraries."""
    return Environment(name, platform.python_version(), library_versions())
