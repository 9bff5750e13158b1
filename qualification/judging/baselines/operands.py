"""The two operands of a comparison, as a user names them: deployments, files, sessions, folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qualification.core.errors import BaselineError, SelectionError
from qualification.judging.baselines.comparison import Operand
from qualification.judging.baselines.staleness import read_all
from qualification.judging.baselines.storage import Baseline, baseline_path, read_baseline


@dataclass(frozen=True)
class OperandPairs:
    """Operands to compare, and sentences on the baselines that have no counterpart."""

    pairs: tuple[tuple[Operand, Operand], ...]
    unpaired: tuple[str, ...] = ()


def operand_pairs(a: str, b: str, folder: Path, tier: str = "") -> OperandPairs:
    """The operands that two texts name; SelectionError or BaselineError where one names none.

    Two folders are paired by tier and deployment. Anything else is one pair.
    """
    folders = [Path(text).is_dir() for text in (a, b)]
    if all(folders):
        return _pairs_of_folders(Path(a), Path(b), tier)
    if any(folders):
        raise SelectionError(f"{a} and {b}: compare two folders, or two baselines, not one of each")
    return OperandPairs(((operand(a, folder, tier), operand(b, folder, tier)),))


def operand(text: str, folder: Path, tier: str = "") -> Operand:
    """``DEPLOYMENT``, ``TIER/DEPLOYMENT`` or a JSON file, with ``:SESSION`` behind or without."""
    baseline = _named(text, folder, tier)
    if baseline is not None:
        return Operand(text, baseline.sessions)
    name, colon, identifier = text.rpartition(":")
    baseline = _named(name, folder, tier) if colon else None
    if baseline is None:
        deployments = sorted(
            {
                stored.baseline.deployment
                for stored in read_all(folder)
                if stored.baseline is not None
            }
        )
        raise SelectionError(
            f"{text} is no baseline of {folder}; it has: {', '.join(deployments) or 'none'}"
        )
    chosen = tuple(session for session in baseline.sessions if session.identifier == identifier)
    if not chosen:
        names = ", ".join(session.identifier for session in baseline.sessions)
        raise SelectionError(f"{name} has no session {identifier!r}; it has: {names or 'none'}")
    return Operand(text, chosen)


def _named(text: str, folder: Path, tier: str) -> Baseline | None:
    """A whole baseline by a file or a name; SelectionError where the name is of several tiers."""
    if text.endswith(".json") and Path(text).is_file():
        return read_baseline(Path(text).resolve())
    place, _, deployment = text.rpartition("/")
    chosen_tier = place or tier
    matches = []
    for stored in read_all(folder):
        if stored.baseline is None:
            # A damaged file must not be passed over for another tier's.
            tier_folder = stored.path.parent.name
            file_name = baseline_path(folder, tier_folder, deployment).name
            if chosen_tier in ("", tier_folder) and stored.path.name == file_name:
                raise BaselineError(stored.problem)
        elif stored.baseline.deployment == deployment and chosen_tier in ("", stored.baseline.tier):
            matches.append(stored.baseline)
    if len(matches) > 1:
        tiers = ", ".join(baseline.tier for baseline in matches)
        raise SelectionError(f"{deployment} has baselines on {tiers}: name one with --tier")
    return matches[0] if matches else None


def _pairs_of_folders(a: Path, b: Path, tier: str) -> OperandPairs:
    sentences: list[str] = []
    a_baselines, b_baselines = (_by_name(folder, tier, sentences) for folder in (a, b))
    sentences += [f"{name}: only in {a}" for name in a_baselines if name not in b_baselines]
    sentences += [f"{name}: only in {b}" for name in b_baselines if name not in a_baselines]
    return OperandPairs(
        tuple(
            (
                Operand(f"{a}: {name}", a_baselines[name].sessions),
                Operand(f"{b}: {name}", b_baselines[name].sessions),
            )
            for name in a_baselines
            if name in b_baselines
        ),
        tuple(sentences),
    )


def _by_name(folder: Path, tier: str, sentences: list[str]) -> dict[str, Baseline]:
    """``TIER/DEPLOYMENT`` -> baseline, of a folder or of the checkout that holds one.

    A sentence is added for each file that cannot be read.
    """
    inner = folder / "baselines"
    baselines = {}
    for stored in read_all(inner if inner.is_dir() else folder):
        baseline = stored.baseline
        if baseline is None:
            sentences.append(f"unreadable: {stored.problem}")
        elif not tier or baseline.tier == tier:
            baselines[f"{baseline.tier}/{baseline.deployment}"] = baseline
    return baselines
