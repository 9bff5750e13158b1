"""The map as a document: what to pin, release by model, and what changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from qualification.core.libraries import release_name
from qualification.documents.model import (
    Block,
    Document,
    Inline,
    Line,
    Paragraph,
    Section,
    Span,
    Table,
    Tone,
    code,
    columns,
    inline,
)
from qualification.upgrade.gate.records import Behaviour
from qualification.upgrade.release_map.changes import TRAINED, changes, correct, pin
from qualification.upgrade.release_map.records import (
    SETS,
    Change,
    Kind,
    Neighbours,
    ReleaseMap,
    behaviours,
)

_TONES: dict[Kind, Tone] = {
    "first bad": "bad",
    "fixed in": "good",
    "changed": "open",
    "cannot tell": "open",
}


def map_document(release_map: ReleaseMap, day: str) -> Document:
    """The whole document; ``day`` is when the map was made."""
    differences = changes(release_map)
    oldest, newest = release_map.releases[0], release_map.releases[-1]
    count = len(release_map.deployments)
    canaries = f"{count} {'canary' if count == 1 else 'canaries'}"
    package = release_map.package
    return Document(
        name=f"releases-{package}",
        title=f"Which release of {package} sees with which model",
        subject=inline(
            f"{len(release_map.releases)} releases, {oldest.version} to "
            f"{release_name(package, newest.version)} · {canaries} · {day}"
        ),
        lines=tuple(_lines(release_map, differences)),
        overview=(_grid(release_map, "today"),),
        sections=tuple(_sections(release_map, differences)),
        evidence=(
            inline(
                "A canary is a tiny trained model of a real architecture. It was asked 24 held-out "
                "questions of each skill under each release, in a fresh process, at temperature 0; "
                "where two neighbours differ, both were asked other questions. The rule is that of "
                "the upgrade gate."
            ),
        ),
    )


def _lines(release_map: ReleaseMap, differences: tuple[Change, ...]) -> Iterator[Line]:
    pins: dict[str, list[str]] = {}
    for deployment in release_map.deployments:
        pins.setdefault(pin(release_map, deployment), []).append(deployment)
    for version, deployments in sorted(pins.items(), key=lambda entry: -len(entry[1])):
        names = ", ".join(deployments)
        if version:
            pinned = code(f"{release_map.package}=={version}")
            yield Line("pin", inline(pinned, f": the newest with nothing wrong for {names}"))
        else:
            yield Line("pin", inline(f"none of these releases answers as {names} should"))
    spans: dict[tuple[str, str], list[str]] = {}
    for change in differences:
        if change.kind == "first bad":
            fixed = next(
                (
                    later.later
                    for later in differences
                    if later.kind == "fixed in"
                    and later.deployment == change.deployment
                    and _rank(release_map, later.later) > _rank(release_map, change.later)
                ),
                "",
            )
            spans.setdefault((change.later, fixed), []).append(change.deployment)
    for (since, fixed), deployments in spans.items():
        until = f", fixed in {fixed}" if fixed else ", and every later one here"
        yield Line(
            "avoid",
            inline(f"from {since}{until}: {', '.join(deployments)} ", Span("why", link="#changes")),
        )


def _rank(release_map: ReleaseMap, version: str) -> int:
    return [release.version for release in release_map.releases].index(version)


def _grid(release_map: ReleaseMap, neighbours: Neighbours) -> Table:
    names = release_map.deployments
    return Table(
        f"Correct answers, by release and canary; beside it {_beside(neighbours)}",
        columns("release", "of", *names, numeric=names),
        tuple(
            (
                inline(code(release.version), " (yanked)" if release.is_yanked else ""),
                inline(release.day or "–"),
                *(_cell(release_map, release.version, name, neighbours) for name in names),
            )
            for release in reversed(release_map.releases)
        ),
    )


def _beside(neighbours: Neighbours) -> str:
    return "today's packages" if neighbours == "today" else "the packages of its own day"


def _cell(release_map: ReleaseMap, version: str, deployment: str, neighbours: Neighbours) -> Inline:
    place = release_map.place(version, neighbours)
    attempts = behaviours(release_map.sights, place.key, deployment) if place else ()
    if not attempts:
        return inline("–")
    behaviour = attempts[0]
    if not behaviour.answers:
        return inline(Span("no answer" if _loads(behaviour) else "does not load", "word", "bad"))
    share = correct(behaviour) / len(behaviour.answers)
    text = f"{correct(behaviour)}/{len(behaviour.answers)}"
    return inline(Span(text, "word", "" if share >= TRAINED else "bad"))


def _loads(behaviour: Behaviour) -> bool:
    return any(probe.check == "load" and probe.outcome == "ok" for probe in behaviour.probes)


def _sections(release_map: ReleaseMap, differences: tuple[Change, ...]) -> Iterator[Section]:
    table = Table(
        "Neighbours that differ",
        columns("canary", "kind", "release", "after", "beside", "evidence"),
        tuple(
            (
                inline(code(change.deployment)),
                inline(Span(change.kind, "word", _TONES[change.kind])),
                inline(code(change.later)),
                inline(code(change.earlier)),
                inline(_beside(change.neighbours)),
                inline(Span(change.sentence, "quoted")),
            )
            for change in differences
        ),
    )
    blocks: tuple[Block, ...] = (table,) if differences else (Paragraph(inline("None.")),)
    yield Section("changes", "What changed, and in which release", blocks)
    yield Section("day", "As of its own day", (_grid(release_map, "its day"),), is_folded=True)
    failed = [place for place in release_map.places if place.failure]
    if failed:
        rows = tuple(
            (
                inline(code(place.version)),
                inline(_beside(place.neighbours)),
                inline(Span(place.failure, "quoted")),
            )
            for neighbours in SETS
            for place in failed
            if place.neighbours == neighbours
        )
        untried = Table("No environment", columns("release", "beside", "why"), rows)
        yield Section("untried", "What could not be tried", (untried,), is_folded=True)
