"""The report of ``qualify doctor``: a plain ``dict`` for programs, and rendered for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qualification.core.declarations import Tier
from qualification.core.extensions import BrokenExtension, broken, used
from qualification.core.format import bytes_text, installed_memory_text, rate_text
from qualification.core.protocol import to_json
from qualification.core.results import SCHEMA_VERSION, Condition, Environment, Machine
from qualification.machine.readiness import BackendReadiness
from qualification.machine.tiers import explain_tier, tier_of
from qualification.models.memory_fit import machine_allowance
from qualification.models.release_advice import installed_warnings
from qualification.servers.programs import ServerReadiness

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def doctor_report(
    machine: Machine,
    environment: Environment,
    conditions: Sequence[Condition],
    readiness: Sequence[BackendReadiness],
    tiers: Sequence[Tier] = (),
    servers: Sequence[ServerReadiness] = (),
) -> dict[str, Any]:
    """The whole report as plain JSON types: sizes in bytes, rates in bytes/s.

    ``tiers`` are the declared ones. ``allowance`` is what a model may take here, and which limit is
    the least. ``fit`` is whether every condition allows measurements now.
    """
    tier = tier_of(machine, tiers)
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": to_json(machine),
        "tier": {
            "name": machine.tier,
            "title": tier.title if tier else "",
            "derived": bool(tier) and tier not in tiers,
            "budget": to_json(tier.budget) if tier else None,
            "explanation": "" if tier in tiers else f"this is {explain_tier(machine, tiers)}",
        },
        "allowance": to_json(machine_allowance(machine, tier)) if machine.memory_bytes else None,
        "environment": to_json(environment),
        "conditions": [to_json(condition) for condition in conditions],
        "fit": all(condition.fit for condition in conditions),
        "backends": [to_json(backend) for backend in readiness],
        "servers": [to_json(server) for server in servers],
        "wrong_releases": [
            {"package": package, "sentence": sentence}
            for package, sentence in installed_warnings(environment.versions)
        ],
        "extensions": [to_json(extension) for extension in used()],
        "broken_extensions": [to_json(extension) for extension in broken()],
    }


def render_doctor(report: dict[str, Any]) -> RenderableType:
    """A report of :func:`doctor_report` for a terminal; its text is never read as markup."""
    from rich.console import Group
    from rich.text import Text

    unfit = [condition["name"] for condition in report["conditions"] if not condition["fit"]]
    if unfit:
        state = Text(f"Speed measured now would be unfit: {', '.join(unfit)}.", style="yellow")
    else:
        state = Text("No condition makes speed measured now unfit.", style="green")
    parts: list[RenderableType] = [
        _machine(report),
        _backends(report),
        _servers(report),
        *_extensions(report),
        _libraries(report),
        *_wrong_releases(report),
        _conditions(report),
        state,
    ]
    return Group(*parts)


def _machine(report: dict[str, Any]) -> Table:
    machine, tier = report["machine"], report["tier"]
    gpu_cores = f", {machine['gpu_cores']} GPU cores" if machine["gpu_cores"] else ""
    table = _table("Machine")
    for name, value in (
        ("product", machine["product"] or "unknown"),
        ("chip", f"{machine['chip']}, {machine['cpu_cores']} cores{gpu_cores}"),
        ("memory", _memory(machine["memory_bytes"])),
        ("bandwidth", _bandwidth(machine["bandwidth"])),
        ("accelerator", _accelerators(machine["accelerators"])),
        ("system", f"{machine['os_version']}, {machine['architecture']}"),
        ("python", report["environment"]["python"]),
        ("identifier", machine["identifier"]),
        ("tier", _tier(tier)),
        ("for a model", _allowed(report["allowance"])),
    ):
        _row(table, name, value)
    return table


def _tier(tier: dict[str, Any]) -> str:
    if not tier["name"]:
        return f"none: {tier['explanation']}"
    text = f"{tier['name']}: {tier['title']}" if tier["title"] else tier["name"]
    return f"{text} ({tier['explanation']})" if tier["derived"] else text


def _allowed(allowance: dict[str, Any] | None) -> str:
    if allowance is None:
        return "unknown"
    why = allowance["limited_by"] or "what system and server leave, under the critical threshold"
    budget = bytes_text(allowance["budget_bytes"])
    return f"{bytes_text(allowance['limit_bytes'])} ({why}); {budget} beside applications"


def _backends(report: dict[str, Any]) -> Table:
    table = _table("Backends")
    for backend in report["backends"]:
        if backend["ready"]:
            _row(table, backend["name"], f"ready, {backend['version'] or 'version unknown'}")
            continue
        command = f"; run: {backend['install_command']}" if backend["install_command"] else ""
        _row(table, backend["name"], f"{backend['note']}{command}", "yellow")
    return table


def _servers(report: dict[str, Any]) -> Table:
    table = _table("Servers")
    for server in report["servers"]:
        if server["ready"]:
            _row(table, server["name"], f"ready, {server['version'] or 'version unknown'}")
        else:
            _row(table, server["name"], server["note"], "yellow")
    return table


def _extensions(report: dict[str, Any]) -> list[Table]:
    """What other packages register; nothing where none does."""
    table = _table("Extensions")
    for extension in report["extensions"]:
        group = extension["group"].removeprefix("qualification.")
        _row(table, extension["name"], f"{group}, of {extension['package']}")
    for extension in report["broken_extensions"]:
        _row(table, extension["name"], BrokenExtension(**extension).sentence, "yellow")
    return [table] if table.row_count else []


def _libraries(report: dict[str, Any]) -> Table:
    table = _table("Libraries")
    for name, version in report["environment"]["versions"].items():
        _row(table, name, version or "not installed", "" if version else "dim")
    return table


def _wrong_releases(report: dict[str, Any]) -> list[Table]:
    """What the maps of releases know of the installed libraries; nothing where all is well."""
    table = _table("Known to be wrong")
    for warning in report["wrong_releases"]:
        _row(table, warning["package"], warning["sentence"], "yellow")
    return [table] if table.row_count else []


def _conditions(report: dict[str, Any]) -> Table:
    table = _table("Power and load")
    for condition in report["conditions"]:
        note = f" ({condition['note']})" if condition["note"] else ""
        style = "" if condition["fit"] else "yellow"
        _row(table, condition["name"].replace("_", " "), f"{condition['value']}{note}", style)
    return table


def _table(title: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold", no_wrap=True, min_width=16)
    table.add_column(overflow="fold")
    return table


def _row(table: Table, name: str, value: str, style: str = "") -> None:
    from rich.text import Text

    table.add_row(Text(name), Text(value, style=style))


def _memory(size: int) -> str:
    return installed_memory_text(size) if size else "unknown"


def _bandwidth(rate: float | None) -> str:
    return rate_text(rate / 1e9, "GB/s") if rate else "unknown"


def _accelerators(devices: list[dict[str, Any]]) -> str:
    descriptions = [f"{d['kind']}: {d['name']}, {_memory(d['memory_bytes'])}" for d in devices]
    return ", ".join(descriptions) or "none"
