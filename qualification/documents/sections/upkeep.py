"""Two lines of the first screen: how far to trust the figures, and what a newer release takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.version import InvalidVersion, Version

from qualification.core.declarations import Deployment
from qualification.core.format import percent_text
from qualification.core.results import Results
from qualification.documents.model import Line, Span, code, inline
from qualification.judging.library_versions import engine_of, principal_libraries
from qualification.models.release_advice import warnings
from qualification.results.rows import Row


def trust(results: Results, rows: Sequence[Row]) -> Line:
    """How often it was measured, how much it varied, in which state; '' of what does not hold."""
    unfit = [condition for condition in results.session.conditions if not condition.fit]
    timed = [row for row in rows if row.decode_tps]
    words = []
    if timed:
        runs = min(len(row.decode_tps) for row in timed)
        varied = [row.variation for row in timed if row.variation is not None]
        words.append(f"speeds from {runs} run{'s' if runs > 1 else ''} or more")
        if varied:
            words[-1] += f", which vary by {percent_text(max(varied))} at most"
    question_counts = [row.questions for row in rows if row.questions]
    if question_counts:
        span = (
            f"{min(question_counts)} to {max(question_counts)}"
            if min(question_counts) < max(question_counts)
            else str(question_counts[0])
        )
        words.append(f"accuracies from {span} questions each")
    if unfit:
        reasons = "; ".join(
            f"{condition.name.replace('_', ' ')} was {condition.value}" for condition in unfit
        )
        words.append(f"the machine was not fit for timing ({reasons}), so no speed is judged")
    elif drifted := [row for row in timed if row.drift]:
        words.append(
            f"the machine reported that it was fit for timing, but {len(drifted)} of {len(timed)} "
            "did not keep their speed, so theirs is not judged"
        )
    elif results.session.conditions:
        words.append("the machine was fit for timing")
    else:
        words.append("the machine's state was not recorded")
    return Line("trust", inline("; ".join(words), " ", Span("more", link="#machine")))


def upgrade(
    results: Results,
    rows: Sequence[Row],
    tested: Mapping[str, str],
    deployments: Sequence[Deployment] = (),
) -> Line | None:
    """What is known to be wrong in a release here; else newer ones that are tested, or how to try.

    ``tested``: library -> the release that this package was tested with. None without a library.
    ``deployments`` are those of the rows.
    """
    versions = results.session.environment.versions
    wrong = dict.fromkeys(text for case in deployments for text in warnings(case, versions))
    if wrong:
        return Line("upgrade", inline("; ".join(wrong)))
    names = list(dict.fromkeys(name for row in rows for name in principal_libraries(_engine(row))))
    installed = {
        name: version
        for name in names
        if (version := results.session.environment.versions.get(name, ""))
    }
    newer = [
        name for name, version in installed.items() if _is_older(version, tested.get(name, ""))
    ]
    if newer:
        releases = ", ".join(f"{name} {tested[name]} (here {installed[name]})" for name in newer)
        candidate = " ".join(f"{name}=={tested[name]}" for name in newer)
        return Line(
            "upgrade",
            inline(
                f"newer and tested with canaries: {releases}; before you take it: ",
                code(f"qualify gate --candidate '{candidate}'"),
            ),
        )
    if not installed:
        return None
    library = next(iter(installed))
    return Line(
        "upgrade",
        inline(
            "nothing newer is known to work; before you take another release: ",
            code(f"qualify gate --candidate '{library}==VERSION'"),
        ),
    )


def _engine(row: Row) -> str:
    return engine_of(row.identifier)


def _is_older(version: str, release: str) -> bool:
    try:
        return Version(version) < Version(release)
    except InvalidVersion:
        return False
