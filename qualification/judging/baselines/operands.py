"""What a user names to compare: deployments, files, sessions of one, or two folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qualification.core.errors import BaselineError, SelectionError
from qualification.judging.baselines.comparison import Side
from qualification.judging.baselines.staleness import Kept, read_all
from qualification.judging.baselines.storage import Baseline, baseline_path, read_baseline


@dataclass(frozen=True)
class Pairs:
    """Sides to compare, and sentences on the baselines that have no counterpart."""

    pairs: tuple[tuple[Side, Side], ...]
    alone: tuple[str, ...] = ()


def pairs(a: str, b: str, folder: Path, tier: str = "") -> Pairs:
    """The sides that two texts name; SelectionError or BaselineError where one names none.

    Two folders are paired by tier and deployment. Anything else is one pair.
    """
    folders = [Path(text).is_dir() for text in (a, b)]
    if all(folders):
        return _of_folders(Path(a), Path(b), tier)
    if any(folders):
        raise SelectionError(f"{a} and {b}: compare two folders, or two baselines, not one of each")
    return Pairs(((side(a, folder, tier), side(b, folder, tier)),))


def side(text: str, folder: Path, tier: str = "") -> Side:
    """``DEPLOYMENT``, ``TIER/DEPLOYMENT`` or a JSON file, with ``:SESSION`` behind or without."""
    found = _named(text, folder, tier)
    if found is not None:
        return Side(text, found.sessions)
    name, colon, session = text.rpartition(":")
    found = _named(name, folder, tier) if colon else None
    if found is None:
        known = sorted(
            {one.baseline.deployment for one in read_all(folder) if one.baseline is not None}
        )
        raise SelectionError(
            f"{text} is no baseline of {folder}; it has: {', '.join(known) or 'none'}"
        )
    chosen = tuple(one for one in found.sessions if one.identifier == session)
    if not chosen:
        names = ", ".join(one.identifier for one in found.sessions)
        raise SelectionError(f"{name} has no session {session!r}; it has: {names or 'none'}")
    return Side(text, chosen)


def _named(text: str, folder: Path, tier: str) -> Baseline | None:
    """A whole baseline by a file or a name; SelectionError where the name is of several tiers."""
    if text.endswith(".json") and Path(text).is_file():
        return read_baseline(Path(text).resolve())
    place, _, deployment = text.rpartition("/")
    wanted = place or tier
    found = []
    for one in read_all(folder):
        if one.baseline is None:
            on = one.path.parent.name
            if wanted in ("", on) and one.path.name == baseline_path(folder, on, deployment).name:
                raise BaselineError(one.problem)
        elif one.baseline.deployment == deployment and wanted in ("", one.baseline.tier):
            found.append(one.baseline)
    if len(found) > 1:
        tiers = ", ".join(one.tier for one in found)
        raise SelectionError(f"{deployment} has baselines on {tiers}: name one with --tier")
    return found[0] if found else None


def _of_folders(one: Path, other: Path, tier: str) -> Pairs:
    alone: list[str] = []
    sides = [_keyed(folder, tier, alone) for folder in (one, other)]
    for here, there, folder in ((sides[0], sides[1], one), (sides[1], sides[0], other)):
        alone += [f"{'/'.join(key)}: only in {folder}" for key in here if key not in there]
    return Pairs(
        tuple(
            (
                Side(f"{one}: {'/'.join(key)}", sides[0][key].sessions),
                Side(f"{other}: {'/'.join(key)}", sides[1][key].sessions),
            )
            for key in sides[0]
            if key in sides[1]
        ),
        tuple(alone),
    )


def _keyed(folder: Path, tier: str, said: list[str]) -> dict[tuple[str, str], Baseline]:
    """Baselines by tier and deployment, of a folder or of the checkout that holds one."""
    inner = folder / "baselines"
    found: dict[tuple[str, str], Baseline] = {}
    kept: tuple[Kept, ...] = read_all(inner if inner.is_dir() else folder)
    for each in kept:
        if each.baseline is None:
            said.append(f"unreadable: {each.problem}")
        elif not tier or each.baseline.tier == tier:
            found[each.baseline.tier, each.baseline.deployment] = each.baseline
    return found
