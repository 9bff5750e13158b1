"""The probe on recorded computers and on this one; tiers; library versions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from qualification.core.declarations import Chip, MemoryBudget, Tier
from qualification.core.libraries import LIBRARIES, library_versions
from qualification.core.protocol import to_json
from qualification.core.results import Accelerator, Machine
from qualification.machine.host import LocalHost
from qualification.machine.names import describe
from qualification.machine.probe import bandwidth_of, environment, probe
from qualification.machine.tiers import explain_tier, match_tier
from qualification.models.loading import load_registry
from tests.support.recorded_host import RecordedHost

GIB = 2.0**30
BUDGET = MemoryBudget(8 * GIB, 2 * GIB, 4 * GIB)
CHIPS = (
    Chip("M3", 8, 10, 100e9),
    Chip("M3 Max", 30, 30, 300e9),
    Chip("M3 Max", 40, 40, 400e9),
    Chip("M4", 8, 10, 120e9),
    Chip("M4 Max", 32, 32, 410e9),
    Chip("M4 Max", 40, 40, 546e9),
    Chip("H200", 0, 0, 4800e9),
)


def tier(name: str, low: float, high: float, **limits: object) -> Tier:
    """A tier with memory from ``low`` to ``high`` GiB."""
    facts = {"system": "macos", "accelerator": "metal", "title": name, "budget": BUDGET, **limits}
    return Tier(name=name, memory_min=low * GIB, memory_max=high * GIB, **facts)  # type: ignore[arg-type]


TIERS = (
    tier("any_mac", 8, 512),
    tier("mini_m4", 16, 16, chips=("M4",), products=("Mac mini",), vision=False),
    tier("air_m3", 16, 16, chips=("M3",), products=("MacBook Air",)),
    tier("air_m4", 32, 32, chips=("M4",), products=("MacBook Air",)),
    tier("max_m4", 64, 128, chips=("M4 Max",)),
    tier("studio", 64, 128, chips=("M4 Max",), products=("Mac Studio",)),
    tier("linux_cpu", 4, 2048, system="linux", accelerator="none"),
    tier("cuda", 16, 4096, system="linux", accelerator="cuda"),
)
STRICT = TIERS[1:]

DERIVED = "macbook_pro_m3_max_36gb"

RECORDED = (
    "air_m4_32gb",
    "mini_m4_16gb",
    "studio_m4_max_128gb",
    "pro_m3_max_30_cores_36gb",
    "air_m4_hot_on_battery",
    "linux_2_cores_24gb",
    "linux_cuda_busy",
)


@pytest.mark.parametrize(
    ("name", "chip", "product", "cores", "gpu_cores", "gib", "bandwidth", "matched"),
    [
        ("air_m4_32gb", "Apple M4", "MacBook Air", 10, 10, 32, 120e9, "air_m4"),
        ("mini_m4_16gb", "Apple M4", "Mac mini", 10, 10, 16, 120e9, "mini_m4"),
        ("studio_m4_max_128gb", "Apple M4 Max", "Mac Studio", 16, 40, 128, 546e9, "studio"),
        ("pro_m3_max_30_cores_36gb", "Apple M3 Max", "MacBook Pro", 14, 30, 36, 300e9, DERIVED),
    ],
)
def test_a_recorded_mac_is_told_with_its_tier_and_bandwidth(
    name: str,
    chip: str,
    product: str,
    cores: int,
    gpu_cores: int,
    gib: int,
    bandwidth: float,
    matched: str,
) -> None:
    """Chip, product, cores and memory as recorded; bandwidth by GPU cores; the tier."""
    machine = probe(CHIPS, STRICT, RecordedHost(name))
    assert (machine.chip, machine.product) == (chip, product)
    assert (machine.cpu_cores, machine.gpu_cores) == (cores, gpu_cores)
    assert machine.memory_bytes == gib * 2**30
    assert machine.accelerators == (Accelerator("metal", chip, gib * 2**30, gpu_cores),)
    assert (machine.bandwidth, machine.tier) == (bandwidth, matched)
    assert re.fullmatch(r"macOS \d+\.\d+ \(\w+\)", machine.os_version)


def test_the_recorded_linux_machine_is_told_without_an_accelerator() -> None:
    """No cgroup limit, no GPU: the CPU tier and an unknown bandwidth."""
    machine = probe(CHIPS, TIERS, RecordedHost("linux_2_cores_24gb"))
    assert machine.chip == "Intel(R) Xeon(R) Processor"
    assert machine.os_version == "Debian GNU/Linux 12 (bookworm), kernel 6.18.44"
    assert machine.memory_bytes == 24684084 * 1024
    assert (machine.accelerators, machine.bandwidth, machine.tier) == ((), None, "linux_cpu")


def test_a_cgroup_limit_on_the_way_to_the_root_is_the_memory_of_the_machine() -> None:
    """The parent group allows 128 GiB of 252; the group itself says "max"."""
    machine = probe(CHIPS, TIERS, RecordedHost("linux_cuda_busy"))
    assert machine.memory_bytes == 128 * 2**30


def test_a_container_with_a_limit_only_at_its_root_has_that_much_memory() -> None:
    """The path in /proc is the host's, and the container sees its own group as the root."""
    host = RecordedHost("linux_2_cores_24gb")
    host.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "4294967296\n"
    assert probe(CHIPS, TIERS, host).memory_bytes == 4 * 2**30


def test_a_cuda_device_is_found_through_nvidia_smi_where_nvml_is_missing() -> None:
    """Also with a driver that only knows the old field name; its bandwidth is the GPU's."""
    machine = probe(CHIPS, TIERS, RecordedHost("linux_cuda_busy"))
    assert machine.accelerators == (Accelerator("cuda", "NVIDIA H200", 143771 * 2**20),) * 2
    assert (machine.bandwidth, machine.tier) == (4800e9, "cuda")


def test_nvml_comes_before_nvidia_smi_and_may_lack_functions() -> None:
    """Names come as bytes from old releases; what is not supported is left out."""
    host = RecordedHost("linux_cuda_busy")
    host.library = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"NVIDIA L4",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=24 * 2**30),
    )
    machine = probe(CHIPS, TIERS, host)
    assert machine.accelerators == (Accelerator("cuda", "NVIDIA L4", 24 * 2**30),)
    assert not any("nvidia-smi" in reading for reading in host.asked)


@pytest.mark.parametrize("name", RECORDED)
def test_no_serial_number_and_no_machine_id_reaches_a_record(name: str) -> None:
    """Neither as they are nor in the identifier, which is a hash of twelve digits."""
    machine = probe(CHIPS, TIERS, RecordedHost(name))
    text = json.dumps(to_json(machine))
    for secret in ("SERIALMUSTNOTSHOW", "BEEF", "00000000-0000", "0123456789abcdef"):
        assert secret not in text
    assert re.fullmatch(r"[0-9a-f]{12}", machine.identifier)


def test_the_identifier_is_stable_and_differs_between_machines() -> None:
    """The hot Air is the same machine as the cool one; all others are others."""
    identifiers = {name: probe((), (), RecordedHost(name)).identifier for name in RECORDED}
    assert identifiers["air_m4_32gb"] == identifiers["air_m4_hot_on_battery"]
    assert len(set(identifiers.values())) == len(RECORDED) - 1


def test_two_machines_of_one_model_have_two_identifiers() -> None:
    """Only the hashed machine id tells them apart."""
    host, twin = RecordedHost("air_m4_32gb"), RecordedHost("air_m4_32gb")
    key = "ioreg -rd1 -c IOPlatformExpertDevice"
    twin.commands[key] = twin.commands[key].replace("0001", "0009")
    assert probe((), (), host).identifier != probe((), (), twin).identifier


@pytest.mark.parametrize("name", RECORDED)
def test_a_computer_that_answers_nothing_is_probed_without_an_error(name: str) -> None:
    """Every command and file missing: unknown facts, no tier, no exception."""
    host = RecordedHost(name)
    host.commands.clear()
    host.files.clear()
    machine = probe(CHIPS, STRICT, host)
    assert (machine.memory_bytes, machine.bandwidth, machine.tier) == (0, None, "")
    assert describe(machine)


@pytest.mark.parametrize("text", ["", "null", "[1]", '{"SPDisplaysDataType": 3}', "{"])
def test_a_damaged_profile_leaves_what_sysctl_says(text: str) -> None:
    """system_profiler may be slow, localised or broken; the chip and the memory are still known."""
    host = RecordedHost("air_m4_32gb")
    host.commands["system_profiler SPHardwareDataType SPDisplaysDataType -json"] = text
    machine = probe(CHIPS, TIERS, host)
    assert (machine.chip, machine.product, machine.gpu_cores) == ("Apple M4", "Mac16,12", 0)
    assert machine.memory_bytes == 32 * 2**30
    assert machine.accelerators[0].kind == "metal"


def test_this_computer_is_probed() -> None:
    """The real host: memory, cores and an identifier, the same twice."""
    machine = probe(CHIPS, TIERS)
    assert machine.memory_bytes > 2**28
    assert machine.cpu_cores >= 1
    assert machine == probe(CHIPS, TIERS)


# ------------------------------------------------------------------- bandwidth and tiers


def bare(**facts: object) -> Machine:
    """An Air M4 with 32 GB, changed."""
    return replace(probe(CHIPS, STRICT, RecordedHost("air_m4_32gb")), **facts)  # type: ignore[arg-type]


def test_a_chip_with_two_bandwidths_has_none_when_its_gpu_cores_are_unknown() -> None:
    """M4 Max is 410 or 546 GB/s; M4 has one."""
    assert bandwidth_of(bare(chip="Apple M4 Max", gpu_cores=0), CHIPS) is None
    assert bandwidth_of(bare(chip="Apple M4", gpu_cores=0), CHIPS) == 120e9
    assert bandwidth_of(bare(chip="Apple M9"), CHIPS) is None


def test_the_most_specific_tier_wins_whatever_the_order() -> None:
    """Chip and product over chip over memory alone."""
    studio = probe((), (), RecordedHost("studio_m4_max_128gb"))
    assert match_tier(studio, TIERS) == match_tier(studio, TIERS[::-1]) == "studio"
    assert match_tier(replace(studio, product="MacBook Pro"), TIERS) == "max_m4"
    assert match_tier(bare(product="iMac"), TIERS) == "any_mac"


@pytest.mark.parametrize("gib", [16, 24])
def test_an_air_m4_with_less_memory_has_a_derived_tier_and_is_told_why(gib: int) -> None:
    """One phrase that names the machine, its tier, the nearest declared one and the difference."""
    machine = bare(memory_bytes=gib * 2**30, tier="")
    assert match_tier(machine, STRICT) == ""
    assert explain_tier(machine, STRICT) == (
        f"MacBook Air, Apple M4 with 10 GPU cores, {gib} GiB, which belongs to "
        f"macbook_air_m4_{gib}gb (derived; the nearest declared one, air_m4, is for 32 GiB of "
        "memory)"
    )


def test_a_machine_that_matches_is_explained_with_its_tier() -> None:
    """The plugin says it to who asks for another machine's tier."""
    assert explain_tier(bare(), STRICT).endswith("32 GiB, which belongs to air_m4")


@pytest.mark.parametrize("name", RECORDED)
def test_the_explanation_is_one_phrase_for_every_machine(name: str) -> None:
    """Also where no tier is declared at all, or the memory is not known."""
    machine = probe(CHIPS, (), RecordedHost(name))
    for tiers in ((), STRICT[:1], STRICT[-1:]):
        phrase = explain_tier(machine, tiers)
        assert phrase.startswith(describe(machine))
        assert "which belongs to" in phrase
        assert "\n" not in phrase
    assert "has no tier" in explain_tier(replace(machine, memory_bytes=0), ())


def test_a_machine_with_a_gpu_is_not_in_the_tier_without_one() -> None:
    """Its figures would be the GPU's."""
    assert match_tier(probe(CHIPS, (), RecordedHost("linux_cuda_busy")), TIERS[6:7]) == ""


@pytest.mark.parametrize(("gib", "name"), [(15, "mini_m4"), (17, "mini_m4"), (18, ""), (14, "")])
def test_memory_is_held_to_the_declared_span(gib: int, name: str) -> None:
    """Both ends belong to it."""
    wide = replace(TIERS[1], chips=(), products=(), memory_min=15 * GIB, memory_max=17 * GIB)
    assert match_tier(bare(memory_bytes=gib * 2**30), (wide,)) == name


@pytest.mark.parametrize(
    ("name", "matched"),
    [
        ("air_m4_32gb", "air_m4"),
        ("mini_m4_16gb", "mini_m4"),
        ("studio_m4_max_128gb", "studio"),
        ("pro_m3_max_30_cores_36gb", DERIVED),
        ("linux_2_cores_24gb", "linux_cpu"),
        ("linux_cuda_busy", "cuda"),
    ],
)
def test_recorded_machines_belong_to_the_tiers_that_the_project_declares(
    name: str, matched: str
) -> None:
    """Chip names, products and sizes in tiers.toml are those that the probe reads."""
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers, RecordedHost(name))
    assert machine.tier == matched
    assert (machine.bandwidth is None) == (machine.system == "linux")


# ------------------------------------------------------------------- libraries


def test_versions_come_from_metadata_and_nothing_is_imported() -> None:
    """In a fresh interpreter: probing, versions and readiness import no library and no scipy."""
    code = (
        "import sys; from qualification.cli import doctor_report;"
        "from qualification.machine import conditions, probe, readiness;"
        "probe.probe((), ()); probe.environment(); readiness.backend_readiness();"
        "heavy = {'torch', 'mlx', 'mlx_vlm', 'llama_cpp', 'transformers', 'numpy', 'scipy'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_library_has_a_version_or_an_empty_string() -> None:
    """numpy is always installed beside this project."""
    versions = library_versions()
    assert tuple(versions) == LIBRARIES
    assert re.match(r"\d+\.\d+", versions["numpy"])
    assert environment().versions == versions
    assert environment("old").name == "old"


# ------------------------------------------------------------------- the real host


def test_the_real_host_answers_none_for_what_is_missing() -> None:
    """A command that does not exist, one that fails, a file that is not there."""
    host = LocalHost()
    assert host.run("no-such-command-anywhere") is None
    assert host.read("/no/such/file") is None
    assert host.run(sys.executable, "-c", "print('x'); raise SystemExit(3)") == "x\n"


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its deadline, as if it were missing."""
    monkeypatch.setattr("qualification.machine.host.COMMAND_SECONDS", 0.2)
    assert LocalHost().run(sys.executable, "-c", "import time; time.sleep(30)") is None


def test_processor_time_only_grows() -> None:
    """And no more is busy than there is."""
    host = LocalHost()
    before = host.cpu_times()
    host.pause(0.05)
    after = host.cpu_times()
    assert before is not None
    assert after is not None
    assert after.total >= before.total
    tick = 0.011  # sums of hundredths of a second, and idle time may be counted late
    assert after.busy + after.stolen >= before.busy + before.stolen - tick


# ------------------------------------------------------------------- limits


def test_what_metal_wires_is_the_users_setting_then_a_librarys_report_then_the_usual() -> None:
    """By sysctl, by MLX in its own process, else 2/3 of 32 GiB; a setting is part of the id."""
    host = RecordedHost("air_m4_32gb")
    (usual,) = probe((), (), host).limits
    assert (usual.name, usual.bytes) == ("Metal's usual working set", 32 * 2**30 * 2 // 3)
    question = next(line for line in host.asked if "max_recommended_working_set_size" in line)
    host.commands[question.removeprefix("$ ")] = "24051816858\n"
    (reported,) = probe((), (), host).limits
    assert (reported.name, reported.bytes) == (
        "Metal's working set, as MLX reports it",
        24051816858,
    )
    default = probe((), (), host)
    host.commands["sysctl iogpu.wired_limit_mb"] = "iogpu.wired_limit_mb: 28000\n"
    changed = probe((), (), host)
    (limit,) = changed.limits
    assert (limit.name, limit.bytes) == ("iogpu.wired_limit_mb", 28000 * 2**20)
    assert changed.identifier != default.identifier
    host.commands["sysctl iogpu.wired_limit_mb"] = "iogpu.wired_limit_mb: 0\n"
    assert probe((), (), host).identifier == default.identifier


@pytest.mark.parametrize("text", ["", "sysctl: unknown oid\n", "iogpu.wired_limit_mb: -\n", "\0"])
def test_a_limit_that_cannot_be_read_is_the_usual_one(text: str) -> None:
    """Whatever a release of macOS prints."""
    host = RecordedHost("air_m4_32gb")
    host.commands["sysctl iogpu.wired_limit_mb"] = text
    (limit,) = probe((), (), host).limits
    assert limit.name == "Metal's usual working set"


def test_a_container_and_what_is_free_on_the_gpu_are_limits() -> None:
    """Both H200 have 185,771 MiB free together; the group allows 128 GiB."""
    machine = probe(CHIPS, TIERS, RecordedHost("linux_cuda_busy"))
    names = {limit.name: limit.bytes for limit in machine.limits}
    assert names == {
        "the limit of this container or cgroup": 128 * 2**30,
        "free on the NVIDIA GPU": 185771 * 2**20,
    }
