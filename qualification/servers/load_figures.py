"""What several clients of a server saw, as figures. Pure.

==============  ==================================================================================
ttft, request   seconds of each request that did not fail, to the first text and to the end
decode          (N − 1) / (t_N − t_1) of each answer of :data:`LEAST_TOKENS` tokens or more
served          all tokens, and all requests, over the seconds from the start to the last answer
fairness        Jain's index over what each client had finished while all of them still asked:
                1 where all had as many, 1/n where one of n had everything
slowest         the fewest over the most of those counts; neither is given where a request failed
==============  ==================================================================================

R. Jain, D. Chiu, W. Hawe, "A quantitative measure of fairness and discrimination for resource
allocation in shared computer systems", DEC-TR-301, 1984.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from qualification.core.metrics import CLIENTS
from qualification.servers.load import Reply

LEAST_TOKENS = 8
"""Tokens of an answer whose decoding speed is taken."""

LEAST_SAMPLES = 5
"""Fewer values have no percentile."""

SHOWN = 100
"""Characters of an answer in a sentence."""

STARVED_BESIDE = 5
"""A client without an answer is starved once another one has so many."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The ``share`` (0 to 1) quantile, linear between two values; None under five of them."""
    if len(values) < LEAST_SAMPLES:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def fairness(counts: Collection[int]) -> float:
    """Jain's index of counts of 0 or more, (Σx)² / (n Σx²); 0 where nobody had anything."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


def decode_tps(reply: Reply) -> float | None:
    """Tokens per second between the first and the last text; None where they are too few."""
    first, last = reply.first_s, reply.last_s
    if reply.tokens < LEAST_TOKENS or first is None or last is None or last <= first:
        return None
    return (reply.tokens - 1) / (last - first)


def finished_together(replies: Sequence[Reply], clients: int) -> dict[int, int]:
    """Client -> requests that it had answered by the time the first client stopped asking.

    After that the others have the server to themselves, which says nothing of their share.
    """
    ends = dict.fromkeys(range(1, clients + 1), 0.0)
    for reply in replies:
        ends[reply.client] = max(ends[reply.client], reply.done_s)
    asked = [end for end in ends.values() if end]
    until = min(asked, default=0.0)
    counts = dict.fromkeys(ends, 0)
    for reply in replies:
        if not reply.error and reply.done_s <= until:
            counts[reply.client] += 1
    return counts


def starved(replies: Sequence[Reply], clients: int) -> tuple[int, ...]:
    """Clients that had no answer while another one had five or more."""
    counts = finished_together(replies, clients)
    if max(counts.values(), default=0) < STARVED_BESIDE:
        return ()
    failed = {reply.client for reply in replies if reply.error}
    return tuple(client for client, count in counts.items() if not count and client not in failed)


# --------------------------------------------------------------------------- answers


@dataclass(frozen=True)
class Judged:
    """A reply, whether it is right (None: failed, or nothing is known of its question).

    ``swapped_with`` is another client's request, of the same time or earlier, whose picture the
    answer is right for though it is wrong for its own.
    """

    reply: Reply
    right: bool | None
    swapped_with: Reply | None = None


def judged(
    replies: Sequence[Reply],
    known: Collection[tuple[str, bool]],
    is_right: Callable[[str, Reply], bool],
) -> tuple[Judged, ...]:
    """Every reply with its judgement.

    ``known`` are the questions that one client alone was answered rightly, each with whether it is
    a long one; ``is_right(question, reply)`` says whether the reply's text answers a question.
    """
    return tuple(_judged(reply, replies, known, is_right) for reply in replies)


def _judged(
    reply: Reply,
    replies: Sequence[Reply],
    known: Collection[tuple[str, bool]],
    is_right: Callable[[str, Reply], bool],
) -> Judged:
    if reply.error or (reply.question, reply.long) not in known:
        return Judged(reply, None)
    if is_right(reply.question, reply):
        return Judged(reply, True)
    others = [
        other
        for other in replies
        if other.client != reply.client
        and other.sent_s < reply.done_s
        and is_right(other.question, reply)
    ]
    # One that was asked at the same time explains more than an earlier one, a late one more.
    others.sort(key=lambda other: (other.done_s > reply.sent_s, other.sent_s))
    return Judged(reply, False, others[-1] if others else None)


def told(one: Judged, prompts: Mapping[str, tuple[str, str]]) -> str:
    """A request in words; ``prompts`` are each question's prompt and right answer."""
    reply, other = one.reply, one.swapped_with
    prompt, answer = prompts[reply.question]
    said = (
        f"request {reply.number} of client {reply.client}, {prompt!r} ({reply.question}) -> "
        f"{reply.text.strip()[:SHOWN]!r}"
    )
    if reply.error:
        return f"{said}: {reply.error}"
    said += f", expected {answer!r}"
    if other is None:
        return said
    when = "asked at the same time" if other.done_s > reply.sent_s else "answered before"
    return (
        f"{said}: swapped, it is right for the picture of request {other.number} of "
        f"client {other.client} ({other.question}), {when}"
    )


# --------------------------------------------------------------------------- raw trials


def names(clients: int) -> dict[str, str]:
    """Short name -> metric of :data:`qualification.core.results.METRICS` for so many clients."""
    return {
        "ttft": f"ttft_{clients}_clients_s",
        "request": f"request_{clients}_clients_s",
        "decode": f"decode_{clients}_clients_tps",
        "served_tps": f"served_{clients}_clients_tps",
        "served_rps": f"served_{clients}_clients_rps",
        "fairness": f"fairness_{clients}_clients",
        "slowest": f"slowest_{clients}_clients",
        "failed": f"failed_{clients}_clients",
        "wrong": f"wrong_{clients}_clients",
        "swapped": f"swapped_{clients}_clients",
    }


def raw_trials(answers: Sequence[Judged], clients: int) -> dict[str, tuple[float, ...]]:
    """Metric -> its raw numbers of one load, for those that were seen."""
    replies = [one.reply for one in answers]
    good = [reply for reply in replies if not reply.error]
    name = names(clients)
    found: dict[str, tuple[float, ...]] = {
        name["ttft"]: tuple(reply.ttft_s for reply in good if reply.ttft_s is not None),
        name["request"]: tuple(reply.done_s - reply.sent_s for reply in good),
        name["decode"]: tuple(speed for reply in good if (speed := decode_tps(reply)) is not None),
        name["failed"]: (float(len(replies) - len(good)),),
        name["wrong"]: (float(sum(one.right is False for one in answers)),),
        name["swapped"]: (float(sum(one.swapped_with is not None for one in answers)),),
    }
    took_s = max((reply.done_s for reply in replies), default=0.0)
    tokens = sum(reply.tokens for reply in good)
    # Nought is no measurement of a rate or a ratio; who had nothing fails in a test of its own.
    if took_s and tokens:
        found[name["served_tps"]] = (tokens / took_s,)
    if took_s and good:
        found[name["served_rps"]] = (len(good) / took_s,)
    counts = finished_together(replies, clients).values()
    # A client that gives up has a small share whoever was preferred.
    if len(good) == len(replies) and (index := fairness(counts)):
        found[name["fairness"]] = (index,)
        if share := min(counts) / max(counts):
            found[name["slowest"]] = (share,)
    return {metric: values for metric, values in found.items() if values}


@dataclass(frozen=True)
class UnderLoad:
    """One line of a report: so many clients at once; None where nothing was measured."""

    clients: int
    requests: int
    failed: int
    wrong: int
    swapped: int
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    request_p50_s: float | None
    request_p95_s: float | None
    decode_p50_tps: float | None
    decode_p5_tps: float | None
    timed: int
    """Answers long enough for a decoding speed."""
    served_tps: float | None
    served_rps: float | None
    fairness: float | None
    slowest: float | None


def under_load(values: Callable[[str], Sequence[float]]) -> tuple[UnderLoad, ...]:
    """A line for each number of clients that was tried; ``values`` gives a metric's raw trials."""
    lines = []
    for clients in CLIENTS:
        of = {short: values(metric) for short, metric in names(clients).items()}
        if not of["failed"]:
            continue
        last = {short: seen[-1] if seen else None for short, seen in of.items()}
        failed = round(sum(of["failed"]))
        lines.append(
            UnderLoad(
                clients=clients,
                requests=len(of["request"]) + failed,
                failed=failed,
                wrong=round(sum(of["wrong"])),
                swapped=round(sum(of["swapped"])),
                ttft_p50_s=percentile(of["ttft"], 0.5),
                ttft_p95_s=percentile(of["ttft"], 0.95),
                request_p50_s=percentile(of["request"], 0.5),
                request_p95_s=percentile(of["request"], 0.95),
                decode_p50_tps=percentile(of["decode"], 0.5),
                decode_p5_tps=percentile(of["decode"], 0.05),
                timed=len(of["decode"]),
                served_tps=last["served_tps"],
                served_rps=last["served_rps"],
                fairness=last["fairness"],
                slowest=last["slowest"],
            )
        )
    return tuple(lines)
