"""How to run a deployment: install, download, serve, ask, and load it in Python. Pure.

The commands are those of the session that measured it; every one of them is run by a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.declarations import Deployment
from qualification.core.results import Results
from qualification.documents.figures import Figures, origin
from qualification.documents.model import (
    Block,
    Code,
    Inline,
    Items,
    Paragraph,
    Section,
    Span,
    code,
    inline,
)
from qualification.documents.sections.candidates import accuracy_interval, bounds_text
from qualification.documents.sections.recipes.python import ask_with_openai, load_in_python
from qualification.documents.sections.recipes.recipe import PICTURE, Recipe
from qualification.documents.sections.recipes.shell import ask_with_curl, download, install, serve
from qualification.machine.names import describe
from qualification.models.known_bugs import concerns, in_range
from qualification.models.registry import Registry
from qualification.results.rows import Row, rows


def guide(deployment: Deployment, results: Results, registry: Registry) -> Section:
    """How to run one deployment as this session ran it."""
    table = {row.identifier: row for row in rows(results, registry)}
    recipe = Recipe(deployment, table.get(deployment.identifier), results.session)
    figures = _figures(results)
    blocks = [
        *_install(recipe),
        *_download(recipe, figures),
        *_serve(recipe, registry),
        *_ask(recipe),
    ]
    return Section("production", f"Run {deployment.identifier}", tuple(blocks))


def loading_methods(
    deployments: Sequence[Deployment], results: Results, registry: Registry
) -> Section | None:
    """Code for each engine and family that was measured, with the figures of its deployments."""
    table = {row.identifier: row for row in rows(results, registry)}
    figures = _figures(results)
    alike: dict[tuple[str, str], list[Recipe]] = {}
    for deployment in deployments:
        row = table.get(deployment.identifier)
        if row is not None and row.load is not None:
            kind = (deployment.source.place, deployment.model.family)
            alike.setdefault(kind, []).append(Recipe(deployment, row, results.session))
    blocks: list[Block] = []
    for (place, family), recipes in alike.items():
        script = load_in_python(recipes[0])
        command = "" if script else serve(recipes[0])
        if not script and not command:
            continue
        blocks += [
            Paragraph(inline(Span(f"{family} on {place}", "strong"))),
            Items(tuple(_measured(r.row, figures) for r in recipes if r.row is not None)),
            Code(script, "python") if script else Code(command, "sh"),
        ]
        notes = dict.fromkeys(note for r in recipes if r.row for note in _notes(r.row))
        if notes:
            blocks += [
                Paragraph(inline("Notes of the load that was measured:")),
                Items(tuple(inline(Span(note, "quoted")) for note in notes)),
            ]
    return Section("loading", "Loading methods", tuple(blocks)) if blocks else None


def _figures(results: Results) -> Figures:
    session = results.session
    return Figures(f"session {session.identifier}, {describe(session.machine)}")


def _install(recipe: Recipe) -> Iterator[Block]:
    text = install(recipe)
    if not text:
        return
    yield _step(
        "Install. ",
        "A fresh environment with the releases that this session measured"
        f" (Python {recipe.session.environment.python or 'of an unknown release'}).",
    )
    yield Code(text, "sh")
    program = recipe.program
    if program is not None and program.version is not None:
        release = recipe.session.environment.versions.get(program.package, "")
        if recipe.row and recipe.row.load:
            release = recipe.row.load.versions.get(program.package, "") or release
        yield Paragraph(
            inline(
                code(program.package),
                f" is no Python package. Measured: {release or 'a release that was not recorded'}.",
            )
        )


def _download(recipe: Recipe, figures: Figures) -> Iterator[Block]:
    text = download(recipe)
    if not text:
        if recipe.deployment.source.path:
            yield _step("Weights. ", "Its files are in ", code(recipe.folder), ".")
        return
    row = recipe.row
    size: tuple[Span, ...] = ()
    if row and row.load and row.load.weights_bytes:
        weights = figures.span((float(row.load.weights_bytes),), "B", origin(row))
        size = inline("; its weights are ", weights)
    commit = "The commit that was measured" if row and row.commit else "The declared revision"
    content = inline(f"{commit}, ", code(recipe.revision), *size, ". What is there is kept.")
    yield _step("Download. ", *content)
    yield Code(text, "sh")


def _serve(recipe: Recipe, registry: Registry) -> Iterator[Block]:
    text, program = serve(recipe), recipe.program
    if program is None or not text:
        return
    source = recipe.deployment.source
    yield _step("Start a server. ", "It listens on this machine alone.")
    yield Code(text, "sh")
    notes: list[Inline] = []
    if not source.server:
        notes.append(
            inline(
                "The figures are of the library in process; ", code(program.name), " is untimed."
            )
        )
        if source.options:
            names = ", ".join(source.options)
            notes.append(inline("Not passed on to it: the options ", code(names), "."))
    if recipe.deployment.model.chat_template and "--chat-template" not in text:
        notes.append(inline("It takes the chat template of the files, not the declared one."))
    served = f"{recipe.deployment.declared_as.rpartition('@')[0]}@{program.name}"
    versions = recipe.session.environment.versions
    if recipe.row and recipe.row.load:
        versions = versions | recipe.row.load.versions
    count = sum(
        concerns(bug, served) and in_range(versions.get(bug.package, ""), bug.versions)
        for bug in registry.bugs
    )
    if count:
        notes.append(
            inline(
                f"{count} known bugs of ", code(program.name), " in these releases.", _KNOWN_BUGS
            )
        )
    if notes:
        yield Items(tuple(notes))


_KNOWN_BUGS = Span(" Those that showed.", link="#known-bugs")


def _ask(recipe: Recipe) -> Iterator[Block]:
    if recipe.program is None and recipe.deployment.source.server != "url":
        return
    image = inline(" with ", code(PICTURE), " in it") if recipe.sees else ()
    yield _step("Ask it. ", "One request", *image, ", by curl or by Python.")
    yield Code(ask_with_curl(recipe), "sh")
    yield Code(ask_with_openai(recipe), "python")


def _notes(row: Row) -> tuple[str, ...]:
    return tuple(row.load.notes) if row.load else ()


def _step(title: str, *content: str | Span) -> Paragraph:
    return Paragraph(inline(Span(title, "strong"), *content))


def _measured(row: Row, figures: Figures) -> Inline:
    """``ID: load 5.30 s, peak 3.50 GB, accuracy 94.0% (88–97 % of 100 questions)``."""
    content: list[str | Span] = [code(row.identifier), ": load ", figures.of(row, row.load_s, "s")]
    content += [", peak ", figures.peak(row)]
    content += [", accuracy ", figures.of(row, row.accuracy, "share")]
    if (interval := accuracy_interval(row)) is not None:
        content.append(f" ({bounds_text(interval)})")
    return inline(*content)
