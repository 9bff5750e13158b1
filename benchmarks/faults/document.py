"""``FAULTS.md``, of what the runs have counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.faults.faults import KINDS_OF_HARM, Fault


def counted(faults: Sequence[Fault]) -> dict[str, Any]:
    """One run in plain types: how many of each kind, and every problem."""
    counts = Counter(f"{fault.kind}, {fault.where}" for fault in faults)
    problems = [
        f"{fault.kind}, {fault.where}: {problem}" for fault in faults for problem in fault.problems
    ]
    harms = Counter(problem.split(":")[0] for fault in faults for problem in fault.problems)
    return {
        "faults": len(faults),
        "counts": dict(counts),
        "harms": {harm: harms[harm] for harm in KINDS_OF_HARM},
        "problems": problems,
    }


def rendered(data: dict[str, Any]) -> str:
    """The whole document."""
    lines = ["# Faults that were injected", "", "Made by `make faults`; nothing here is typed in."]
    if runs := data.get("runs"):
        lines += ["", *_table(runs, data["made"])]
    if marathon := data.get("marathon"):
        lines += ["", *_marathon(marathon)]
    return "\n".join(lines) + "\n"


def _table(runs: Sequence[dict[str, Any]], date: str) -> list[str]:
    total = sum(run["faults"] for run in runs)
    harms = {harm: sum(run["harms"][harm] for run in runs) for harm in KINDS_OF_HARM}
    titles = {
        "lost": "finished tests lost",
        "doubled": "tests stored twice, or asked again",
        "left": "processes (and so ports and locks), temporary folders or drafts left",
        "hang": "commands that did not end",
        "message": "messages that are no sentence",
    }
    lines = [
        f"{total} faults in {len(runs)} runs in a row, {date}, each with another seed. After each",
        "fault the run is resumed to its end, or the command is given again; then every test must",
        "be in the results once, and nothing else.",
        "",
        "| | faults that did this |",
        "|---|--:|",
        *[f"| {titles[harm]} | {count} |" for harm, count in harms.items()],
        "",
        "| fault | " + " | ".join(f"run {number}" for number in range(1, len(runs) + 1)) + " |",
        "|---|" + "--:|" * len(runs),
    ]
    for name in dict.fromkeys(name for run in runs for name in run["counts"]):
        counts = " | ".join(str(run["counts"].get(name, 0)) for run in runs)
        lines.append(f"| {name} | {counts} |")
    problems = [f"- {problem}" for run in runs for problem in run["problems"]]
    return [*lines, *([""] if problems else []), *problems]


def _marathon(marathon: dict[str, Any]) -> list[str]:
    return [
        "## A canary run that is killed ten times",
        "",
        f"`pytest {marathon['command']}`: {marathon['deployments']} deployments,",
        f"{marathon['tests']} tests, {marathon['made']}. One run is left alone; another is killed "
        "with SIGKILL",
        f"{marathon['kills']} times at random moments, as a whole or one of its processes, and "
        "resumed each time.",
        "",
        "| | |",
        "|---|--:|",
        f"| tests that are lost | {len(marathon['lost'])} |",
        f"| tests that are there twice | {marathon['doubled']} |",
        f"| tests with another outcome than in the run that was left alone | "
        f"{len(marathon['changed'])} |",
        f"| deployments with another verdict | {len(marathon['verdicts'])} |",
        f"| tests that were asked again after they had finished | {len(marathon['asked_again'])} |",
        f"| questions of the run that was left alone | {marathon['questions_alone']} |",
        f"| questions of the run that was killed | {marathon['questions']} |",
        f"| processes left {marathon['patience_s']:.0f} s after a kill | {marathon['left']} |",
        *([""] if marathon["changed"] or marathon.get("problems") else []),
        *[f"- another outcome: {name}" for name in marathon["changed"]],
        *[f"- {problem}" for problem in marathon.get("problems", ())],
    ]
