"""Downloads are said before they begin, and begin only if somebody has said yes.

Yes is ``--download``, or the answer to one question on a terminal; in CI nobody is asked.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.format import bytes_text
from qualification.core.text import disarm, without_login
from qualification.models.downloads import Download, free_bytes, needs_hub, plan, without_room

CI = ("CI", "BUILD_NUMBER")
"""Variables that say that nobody sits there; pytest knows the same two."""


@dataclass(frozen=True)
class DownloadChoice:
    """Everything that was planned, and deployment -> why its weights do not come."""

    plan: tuple[Download, ...] = ()
    refusals: dict[str, str] = field(default_factory=dict)


def choose(
    deployments: Iterable[Deployment],
    *,
    is_allowed: bool,
    ask: Callable[[], bool],
    say: Callable[[Sequence[str]], object],
    command: Sequence[str],
) -> DownloadChoice:
    """Say what is to be downloaded for these deployments, and have a yes or a no to it.

    ``ask`` is called once at most, and only where ``is_allowed`` is not yes already. ``command``
    are the words of the command that was given, for the sentence on how to say yes.
    """
    planned = plan(deployment for deployment in deployments if needs_hub(deployment))
    waiting = [
        entry for entry in planned if not entry.is_whole and (entry.missing_bytes or entry.problem)
    ]
    if not waiting:
        return DownloadChoice(planned)
    full = without_room(waiting)
    say(announcement(waiting, full))
    coming = [entry for entry in waiting if entry.may_come and entry not in full]
    is_allowed = is_allowed or bool(coming and somebody_is_there() and ask())
    refusals: dict[str, str] = {}
    for entry in waiting:
        if entry in full:
            sentence = full[entry]
        elif entry.may_come or (is_allowed and not entry.is_offline):
            sentence = "" if is_allowed else _how_to_say_yes(entry, command)
        else:
            sentence = f"{entry.subject} is not whole on this machine, and {entry.problem}"
        if sentence:
            for name in entry.deployments:
                refusals.setdefault(name, sentence)
    return DownloadChoice(planned, refusals)


def somebody_is_there() -> bool:
    """Whether this is no CI; whether there is a terminal is the caller's to know."""
    return not any(os.environ.get(name) for name in CI)


def announcement(waiting: Sequence[Download], full: dict[Download, str]) -> list[str]:
    """What is to be downloaded, where from and where to, and a line for each repository."""
    lines = []
    places = {(entry.host, entry.cache): None for entry in waiting}
    for host, cache in places:
        entries = [entry for entry in waiting if (entry.host, entry.cache) == (host, cache)]
        coming = [entry for entry in entries if entry.may_come and entry not in full]
        lines.append(f"qualification: {_headline(coming, host, cache)}")
        lines += [_line(entry, full.get(entry, "")) for entry in entries]
    return [disarm(line) for line in lines]


def _headline(coming: Sequence[Download], host: str, cache: Path) -> str:
    if not coming:
        return f"what is missing is not downloaded from {host}:"
    size = bytes_text(sum(entry.missing_bytes for entry in coming))
    size += " and more" * any(entry.problem for entry in coming)
    count = "1 repository is" if len(coming) == 1 else f"{len(coming)} repositories are"
    free = bytes_text(free_bytes(cache))
    return f"{count} to be downloaded: {size} from {host} to {cache} ({free} free)"


def _line(entry: Download, refusal: str) -> str:
    missing = bytes_text(entry.missing_bytes)
    if entry.files and entry.missing_bytes < entry.total_bytes:
        missing += f" of {bytes_text(entry.total_bytes)}"
    size = missing if entry.files else "size unknown"
    line = f"  {size}  {entry.subject}, for {', '.join(entry.deployments)}"
    return f"{line}: {problem}" if (problem := refusal or entry.problem) else line


def _how_to_say_yes(entry: Download, command: Sequence[str]) -> str:
    words = [disarm(str(word)) for word in command]
    words = [without_login(word) if "//" in word else word for word in words]
    size = bytes_text(entry.missing_bytes) if entry.files else "an unknown number of bytes"
    return (
        f"{entry.subject} is not on this machine, and nobody has said yes to downloading "
        f"{size} from {entry.host}: {shlex.join([*words, '--download'])}"
    )
