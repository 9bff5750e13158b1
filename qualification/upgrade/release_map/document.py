"""The maps as one document: what to pin and to avoid, release by canary, and what changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from qualification.core.declarations import Deployment, KnownBug
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
from qualification.models.release_advice import Advice, WrongReleases
from qualification.upgrade.release_map.advice import Causes, advice_of
from qualification.upgrade.release_map.causes import explained
from qualification.upgrade.release_map.drafts import contradictions
from qualification.upgrade.release_map.evidence import evidence_sections
from qualification.upgrade.release_map.records import Change, Kind, Neighbours, ReleaseMap
from qualification.upgrade.release_map.states import State, correct, states

_TONES: dict[Kind, Tone] = {
    "first bad": "bad",
    "fixed in": "good",
    "changed": "open",
    "cannot tell": "open",
}
_CELLS: dict[State, tuple[str, Tone]] = {
    "good": ("", "good"),
    "wrong": ("wrong ", "bad"),
    "shifted": ("shifted ", "open"),
    "no answer": ("no answer", "bad"),
    "does not load": ("does not load", "bad"),
    "before": ("not yet", ""),
}
"""What a state is called before the share of correct answers, and its tone."""

_MOST_LINES = 12
"""Faults that have a line on the first screen."""


@dataclass(frozen=True)
class Maps:
    """The maps of one document, with the canaries by name, and what is declared of faults."""

    maps: tuple[ReleaseMap, ...]
    deployments: Mapping[str, Deployment]
    causes: Causes

    @property
    def days(self) -> dict[tuple[str, str], str]:
        """Package and release -> its day."""
        return {
            (release_map.package, release.version): release.day
            for release_map in self.maps
            for release in release_map.releases
        }

    def advice(self) -> tuple[Advice, ...]:
        """Of every canary of every map."""
        return tuple(
            entry
            for release_map in self.maps
            for entry in advice_of(release_map, self.deployments, self.causes)
        )


def map_document(maps: Maps, name: str = "releases") -> Document:
    """The document of one map or of several."""
    advice = maps.advice()
    packages = [release_map.package for release_map in maps.maps]
    title = "Which release to pin for which model"
    if len(packages) == 1:
        title = f"Which release of {packages[0]} sees with which model"
    return Document(
        name=name,
        title=title,
        subject=inline(
            " · ".join(
                f"{each_map.package} {releases[0].version} to {releases[-1].version} "
                f"({len(releases)} releases, {each_map.day})"
                for each_map in maps.maps
                if (releases := each_map.releases)
            )
        ),
        lines=tuple(_lines(advice, maps.days)),
        overview=(_pins(advice),),
        sections=tuple(_sections(maps)),
        evidence=(
            inline(
                "A canary is a tiny trained model of a real architecture. It was asked 24 held-out "
                "questions of each skill under each release, in a fresh process, at temperature 0; "
                "where two neighbours differ, both were asked other questions. The rule is that of "
                "the upgrade gate."
            ),
        ),
    )


def _lines(advice: Sequence[Advice], days: Mapping[tuple[str, str], str]) -> Iterator[Line]:
    pins: dict[tuple[str, str], list[Advice]] = {}
    for entry in advice:
        pins.setdefault((entry.package, entry.pin), []).append(entry)
    for (package, version), entries in sorted(
        pins.items(), key=lambda item: (item[0][0], not item[0][1])
    ):
        names = _names(entries)
        if version:
            pinned = code(f"{package}=={version}")
            yield Line("pin", inline(pinned, f": the newest with nothing wrong for {names}"))
        else:
            yield Line(
                "no pin", inline(code(package), f": no release here answers as {names} should")
            )
    spans: dict[tuple[str, str, str], list[tuple[Advice, WrongReleases]]] = {}
    for entry in advice:
        for wrong in entry.wrong:
            spans.setdefault((entry.package, wrong.since, wrong.until), []).append((entry, wrong))
    newest_first = sorted(
        spans.items(), key=lambda item: (days[item[0][:2]], Version(item[0][1])), reverse=True
    )
    for (package, since, until), cases in newest_first[:_MOST_LINES]:
        end = f" to before {until}" if until else " and every later one here"
        names = _names([entry for entry, _ in cases])
        evidence = "; ".join(dict.fromkeys(wrong.evidence for _, wrong in cases))
        why = Span("why", link="#changes")
        yield Line("avoid", inline(code(f"{package} {since}"), f"{end}: {names}, {evidence} ", why))
    if (more := len(newest_first) - _MOST_LINES) > 0:
        yield Line("avoid", inline(f"and {more} more ", Span("older ones", link="#changes")))


def _names(entries: Sequence[Advice]) -> str:
    """Families, with the precisions where not all of a family are among them."""
    return ", ".join(
        dict.fromkeys(
            entry.deployment.partition("@")[0].replace("-canary-f32", "").replace("-canary-", " ")
            for entry in entries
        )
    )


def _pins(advice: Sequence[Advice]) -> Table:
    packages = list(dict.fromkeys(entry.package for entry in advice))
    names = dict.fromkeys(_names([entry]) for entry in advice)
    cells: dict[tuple[str, str], Inline] = {}
    for entry in advice:
        newest = entry.pin == entry.newest
        cells[_names([entry]), entry.package] = inline(
            Span(entry.pin or "none", "word", "good" if newest else "open" if entry.pin else "bad")
        )
    return Table(
        "The newest release with nothing wrong, by canary and library; green is the newest of all",
        columns("model", *packages),
        tuple(
            (inline(code(name)), *(cells.get((name, package), inline("–")) for package in packages))
            for name in names
        ),
    )


def _sections(maps: Maps) -> Iterator[Section]:
    for release_map in maps.maps:
        yield Section(
            f"map-{release_map.package}",
            f"{release_map.package}: release by canary",
            (_grid(release_map, "today"),),
            is_folded=len(maps.maps) > 1,
        )
    changed = [
        (release_map, change) for release_map in maps.maps for change in explained(release_map)
    ]
    blocks: tuple[Block, ...] = (Paragraph(inline("None.")),)
    if changed:
        blocks = (_changes(maps, changed),)
    yield Section("changes", "What changed, in which release, and whose change it is", blocks)
    contradicted = [
        entry
        for release_map in maps.maps
        for entry in contradictions(release_map, maps.causes.bugs)
    ]
    if contradicted:
        yield _contradicted(contradicted)
    for release_map in maps.maps:
        yield from evidence_sections(release_map, maps.deployments)
    for release_map in maps.maps:
        title = f"{release_map.package}: as of each release's own day"
        grid = _grid(release_map, "its day")
        yield Section(f"day-{release_map.package}", title, (grid,), is_folded=True)
    failed = [
        (release_map, place)
        for release_map in maps.maps
        for place in release_map.places
        if place.failure
    ]
    if failed:
        rows = tuple(
            (
                inline(code(f"{release_map.package} {place.version}")),
                inline(_beside(place.neighbours)),
                inline(Span(place.failure, "quoted")),
            )
            for release_map, place in failed
        )
        untried = Table("No environment", columns("release", "beside", "why"), rows)
        yield Section("untried", "What could not be tried", (untried,), is_folded=True)


def _contradicted(entries: Sequence[tuple[KnownBug, str, str]]) -> Section:
    rows = tuple(
        (
            inline(code(bug.identifier)),
            inline(code(f"{bug.package} {bug.versions}")),
            inline(code(name)),
            inline(f"answers well under {versions}"),
        )
        for bug, name, versions in entries
    )
    table = Table("Of the two, one is wrong", columns("bug", "declared", "canary", "map"), rows)
    return Section("contradicted", "Declared bugs that a map contradicts", (table,))


def _changes(maps: Maps, changed: Sequence[tuple[ReleaseMap, Change]]) -> Table:
    return Table(
        "Neighbours that differ",
        columns("canary", "kind", "release", "after", "whose", "public cause", "evidence"),
        tuple(
            (
                inline(code(change.deployment)),
                inline(Span(change.kind, "word", _TONES[change.kind])),
                inline(code(f"{release_map.package} {change.later}")),
                inline(code(change.earlier)),
                inline(change.whose or "–"),
                inline(_cause(maps, release_map, change)),
                inline(
                    Span(change.sentence, "quoted"),
                    f" (beside {_beside(change.neighbours)})",
                    *(f"; {step}" for step in change.tried),
                    *(f"; {text}" for text in _elsewhere(maps, release_map, change)),
                ),
            )
            for release_map, change in changed
        ),
    )


def _elsewhere(maps: Maps, release_map: ReleaseMap, change: Change) -> Iterator[str]:
    """What the same weights answer under the other libraries, at best."""
    if change.kind not in ("first bad", "fixed in"):
        return
    model = maps.deployments[change.deployment].model.name
    for library in maps.maps:
        names = [name for name in library.deployments if maps.deployments[name].model.name == model]
        if library.package == release_map.package or not names:
            continue
        observations = [entry for name in names for entry in states(library, name)]
        release, best, _ = max(observations, key=lambda entry: correct(entry[1]))
        counts = f"{correct(best)} of {len(best.answers)}"
        yield f"elsewhere the same weights: {counts} under {library.package} {release.version}"


def _cause(maps: Maps, release_map: ReleaseMap, change: Change) -> str:
    if change.kind not in ("first bad", "fixed in") or change.whose == "the layout's":
        return "–"
    bad, good = change.later, change.earlier
    if change.kind == "fixed in":
        bad, good = good, bad
    return maps.causes.of(release_map.package, change.deployment, bad, good) or "cause unknown"


def _grid(release_map: ReleaseMap, neighbours: Neighbours) -> Table:
    names = release_map.deployments
    cells = {
        (release.version, name): _cell(len(behaviour.answers), correct(behaviour), state)
        for name in names
        for release, behaviour, state in states(release_map, name, neighbours)
    }
    return Table(
        f"Correct answers, by release and canary; beside it {_beside(neighbours)}",
        columns("release", "of", *names, numeric=names),
        tuple(
            (
                inline(code(release.version), " (yanked)" if release.is_yanked else ""),
                inline(release.day or "–"),
                *(cells.get((release.version, name), inline("–")) for name in names),
            )
            for release in reversed(release_map.releases)
        ),
    )


def _beside(neighbours: Neighbours) -> str:
    return {
        "today": "today's packages",
        "its day": "the packages of its own day",
        "as before": "the packages of the release before it",
    }[neighbours]


def _cell(questions: int, right: int, state: State) -> Inline:
    words, tone = _CELLS[state]
    counts = f"{right}/{questions}" if questions else ""
    return inline(Span(f"{words}{counts}", "word", tone))
