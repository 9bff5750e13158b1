"""What a soak test asks: one Protocol, how a request may fail, and how memory is sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from qualification.core.errors import QualificationError
from qualification.core.text import disarm
from qualification.machine.process_tree import Tree, machine_used
from qualification.servers.admin_status import WorkerStatus
from qualification.watch.records import MemorySample

if TYPE_CHECKING:
    from qualification.tasks.questions import Question

TEXT_LIMIT = 200
"""Characters of an answer or an error that are stored."""


@dataclass(frozen=True)
class TimedAnswer:
    """One answer; ``None`` is what could not be timed. ``text`` is hostile."""

    text: str
    ttft_s: float | None
    decode_tps: float | None
    e2e_s: float
    tokens: int


class RequestFailed(QualificationError):
    """A request gave no answer. ``kind`` is a word: refused, timed_out, status, truncated, …"""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(" ".join(disarm(message, 2 * TEXT_LIMIT).split()))
        self.kind = kind


class Subject(Protocol):
    """A loaded deployment or an endpoint. ``prepare`` and ``ask`` are called from one thread."""

    @property
    def title(self) -> str:
        """The name of what is watched."""
        ...

    @property
    def revision(self) -> str:
        """That of the weights; '' where it is not known."""
        ...

    @property
    def memory_of(self) -> str:
        """Whose memory is sampled, or why it is not seen."""
        ...

    @property
    def skills(self) -> tuple[str, ...]:
        """The skills of the generated questions that it is asked."""
        ...

    @property
    def is_canary(self) -> bool:
        """Whether its answers must be correct."""
        ...

    def new_loads(self) -> tuple[float, ...]:
        """Seconds of each load since the previous call."""
        ...

    def prepare(self, question: Question) -> Any:
        """The request for a question, its images drawn; this is not timed."""
        ...

    def ask(self, request: Any) -> TimedAnswer:
        """Make the request; raises :class:`RequestFailed`."""
        ...

    def sample_memory(self) -> MemorySample:
        """Memory now; from any thread."""
        ...

    def own_seconds(self) -> dict[int, float]:
        """Processor seconds by process of this program and of the subject."""
        ...

    @property
    def self_report(self) -> Callable[[], tuple[WorkerStatus, ...]] | None:
        """How to ask the server for its self-reported figures; ``None`` if it has none."""
        ...

    def close(self) -> None:
        """End what was started for it, which for a user's server is nothing."""
        ...


def memory_sample(tree: Tree | None, memory_bytes: float) -> MemorySample:
    """Memory now: of a machine with ``memory_bytes``, and of a process tree if one is observable.

    What cannot be observed stays ``None`` and is never guessed: a server on another machine, a
    process of another user, a port that a forwarder holds for the real server.
    """
    used = machine_used(memory_bytes)
    if tree is None:
        return MemorySample(used)
    private, resident, identity = tree.held()
    return MemorySample(used, private, resident, identity)
