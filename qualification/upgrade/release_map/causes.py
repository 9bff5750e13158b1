"""Whose change it is: the library's, a dependency's of that day, or the model files' layout. Pure.

Between two releases all packages may have moved, so what changed is accused of nothing until it was
swapped alone. The causes are tried in this order, and what came of each is kept:

1. Do the two environments differ in the library alone? Then the change is the library's. What came
   or went while no other package moved is what the library requires: part of its own change.
2. Is the same change there beside other packages, which are the same on both sides?
3. The library alone is swapped (an environment of its own, :func:`to_swap`).
4. A model that loads under no earlier release is in a layout that is newer than they are; that is
   no fault of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from qualification.upgrade.environments.spec import FOLLOWS
from qualification.upgrade.release_map.changes import between, changes
from qualification.upgrade.release_map.records import (
    SETS,
    Change,
    Neighbours,
    Place,
    ReleaseMap,
    Whose,
)
from qualification.upgrade.release_map.states import loads

_ACCUSES = ("first bad", "fixed in")


def explained(release_map: ReleaseMap) -> tuple[Change, ...]:
    """The changes of a map, each fault and mending with whose it is."""
    return tuple(
        _explained(release_map, change) if change.kind in _ACCUSES else change
        for change in changes(release_map)
    )


def to_swap(release_map: ReleaseMap) -> Iterator[tuple[Change, Place]]:
    """Changes for which the library has to be swapped alone, each with the place it had before."""
    for change in explained(release_map):
        earlier = release_map.place(change.earlier, change.neighbours)
        is_open = change.kind in _ACCUSES and change.whose == "cannot tell"
        if is_open and earlier and not release_map.place(change.later, "as before"):
            yield change, earlier


def moved_besides(release_map: ReleaseMap, change: Change, neighbours: Neighbours) -> list[str]:
    """What both environments of a change have beside the library, and moved: ``name 1.0 → 2.0``."""
    before = release_map.place(change.earlier, neighbours)
    after = release_map.place(change.later, neighbours)
    if before is None or after is None:
        return []
    return _moved(release_map.package, before, after)


def _explained(release_map: ReleaseMap, change: Change) -> Change:
    tried: list[str] = []
    if change.kind == "fixed in" and _loaded_nowhere_before(release_map, change):
        tried.append("under no earlier release does it load")
        return replace(change, whose="the layout's", tried=tuple(tried))
    for neighbours in (change.neighbours, *(n for n in SETS if n != change.neighbours)):
        moved = moved_besides(release_map, change, neighbours)
        if neighbours != change.neighbours:
            if _between(release_map, change, neighbours) != change.kind:
                continue
            beside = "today's packages" if neighbours == "today" else "the packages of its day"
            tried.append(f"beside {beside} the same")
        if not moved:
            tried.append(_alone(release_map, change, neighbours))
            return replace(change, whose="the library's", tried=tuple(tried))
        tried.append(f"with it moved {_few(moved)}")
    return _swapped(release_map, change, tried)


def _swapped(release_map: ReleaseMap, change: Change, tried: list[str]) -> Change:
    earlier = release_map.place(change.earlier, change.neighbours)
    alone = release_map.place(change.later, "as before")
    if earlier is None or alone is None:
        return replace(change, whose="cannot tell", tried=tuple(tried))
    if alone.failure or _moved(release_map.package, earlier, alone):
        why = alone.failure or f"it takes {_few(_moved(release_map.package, earlier, alone))} along"
        tried.append(f"swapped alone it cannot be: {why}")
        return replace(change, whose="cannot tell", tried=tuple(tried))
    attempts = {
        place.key: release_map.attempts(place.key, change.deployment) for place in (earlier, alone)
    }
    if not attempts[alone.key] or not attempts[earlier.key]:
        return replace(change, whose="cannot tell", tried=tuple(tried))
    outcome = between((change.earlier, attempts[earlier.key]), (change.later, attempts[alone.key]))
    kind = outcome[0] if outcome else "no change"
    tried.append(f"{release_map.package} alone swapped: {kind}")
    whose: Whose = "the library's" if kind == change.kind else "a dependency's"
    return replace(
        change, whose="cannot tell" if kind == "cannot tell" else whose, tried=tuple(tried)
    )


def _alone(release_map: ReleaseMap, change: Change, neighbours: Neighbours) -> str:
    """That a library differs alone, with what it requires now and what it did."""
    before = release_map.place(change.earlier, neighbours)
    after = release_map.place(change.later, neighbours)
    text = f"between both environments only {release_map.package} differs"
    if before is None or after is None:
        return text
    came = sorted({*after.versions} - {*before.versions})
    went = sorted({*before.versions} - {*after.versions})
    text += f", which now requires {_few(came)}" if came else ""
    return text + (
        f"{' and' if came else ', which'} no longer requires {_few(went)}" if went else ""
    )


def _loaded_nowhere_before(release_map: ReleaseMap, change: Change) -> bool:
    for release, attempts in release_map.asked(change.deployment, change.neighbours):
        if release.version == change.later:
            return True
        if loads(attempts[0]):
            return False
    return False


def _between(release_map: ReleaseMap, change: Change, neighbours: Neighbours) -> str:
    attempts = {
        release.version: attempts
        for release, attempts in release_map.asked(change.deployment, neighbours)
    }
    if change.earlier not in attempts or change.later not in attempts:
        return ""
    outcome = between(
        (change.earlier, attempts[change.earlier]), (change.later, attempts[change.later])
    )
    return outcome[0] if outcome else ""


def _moved(package: str, before: Place, after: Place) -> list[str]:
    own = {package, FOLLOWS.get(package, package)}
    names = sorted(({*before.versions} & {*after.versions}) - own)
    pairs = ((name, before.versions[name], after.versions[name]) for name in names)
    return [f"{name} {old} → {new}" for name, old, new in pairs if old != new]


def _few(moved: Sequence[str]) -> str:
    more = len(moved) - 3
    return ", ".join(moved[:3]) + (f" and {more} more" if more > 0 else "")
