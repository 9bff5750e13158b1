"""What an endurance run asks: one Protocol, and how a request may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from qualification.core.errors import QualificationError
from qualification.core.text import disarm
from qualification.servers.admin_status import WorkerStatus
from qualification.watch.records import Look

if TYPE_CHECKING:
    from qualification.tasks.questions import Question

TEXT_LIMIT = 200
"""Characters of an answer or an error that are kept."""


@dataclass(frozen=True)
class Answer:
    """One answer; ``None`` is what could not be timed. ``text`` is hostile."""

    text: str
    ttft_s: float | None
    decode_tps: float | None
    e2e_s: float
    tokens: int


class RequestFailed(QualificationError):
    """A request gave no answer. ``kind`` is a word: refused, timed_out, status, cut, …"""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(" ".join(disarm(message, 2 * TEXT_LIMIT).split()))
        self.kind = kind


class Subject(Protocol):
    """A loaded deployment or an endpoint. ``prepare`` and ``ask`` are called from one thread."""

    @property
    def title(self) -> str:
        """What is watched."""
        ...

    @property
    def memory_of(self) -> str:
        """Whose memory is looked at, or why it is not seen."""
        ...

    @property
    def skills(self) -> tuple[str, ...]:
        """Of the generated questions that it is asked."""
        ...

    @property
    def is_canary(self) -> bool:
        """Whether its answers must be right."""
        ...

    def new_loads(self) -> tuple[float, ...]:
        """Seconds of each load since this was asked before."""
        ...

    def prepare(self, question: Question) -> Any:
        """The request for a question, its pictures drawn; outside of what is timed."""
        ...

    def ask(self, request: Any) -> Answer:
        """Make the request; raises :class:`RequestFailed`."""
        ...

    def look(self) -> Look:
        """Memory now; from any thread."""
        ...

    def own_seconds(self) -> dict[int, float]:
        """Processor seconds by process of this program and of the subject."""
        ...

    @property
    def server_word(self) -> Callable[[], tuple[WorkerStatus, ...]] | None:
        """How to ask the server for its own word; ``None`` where it has none."""
        ...

    def close(self) -> None:
        """End what was started for it; of a user's server nothing."""
        ...
