"""The replies of several clients of a server as figures. Pure.

==============  ==================================================================================
ttft, request   seconds of each request that did not fail, to the first text and to the end
decode          (N − 1) / (t_N − t_1) of each answer of :data:`LEAST_TOKENS` tokens or more
served          all tokens, and all requests, over the seconds from the start to the last answer
fairness        Jain's index over the requests that each client had finished while all clients still
                asked: 1 if all had equally many, 1/n if one of n clients had them all
slowest         the smallest over the largest of those counts; no fairness and no slowest if a
                request failed
==============  ==================================================================================

R. Jain, D. Chiu, W. Hawe, "A quantitative measure of fairness and discrimination for resource
allocation in shared computer systems", DEC-TR-301, 1984.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from qualification.core.metrics import CLIENTS
from qualification.servers.load import ClientReply

LEAST_TOKENS = 8
"""Tokens of an answer whose decoding speed is taken."""

LEAST_SAMPLES = 5
"""Fewer values have no percentile."""

TEXT_LIMIT = 100
"""Characters of an answer in a sentence."""

STARVED_BESIDE = 5
"""Answers of another client from which on a client without an answer has starved."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The ``share`` (0 to 1) quantile, linear between two values; None under five of them."""
    if len(values) < LEAST_SAMPLES:
        return None
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def fairness(counts: Collection[int]) -> float:
    """Jain's index of counts of 0 or more, (Σx)² / (n Σx²); 0 if all are 0."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


def decode_tps(reply: ClientReply) -> float | None:
    """Tokens per second between the first and the last text; None where they are too few."""
    begin_s, end_s = reply.first_s, reply.last_s
    if reply.tokens < LEAST_TOKENS or begin_s is None or end_s is None or end_s <= begin_s:
        return None
    return (reply.tokens - 1) / (end_s - begin_s)


def finished_together(replies: Sequence[ClientReply], clients: int) -> dict[int, int]:
    """Client -> its requests that were answered before any client stopped asking.

    After that fewer clients share the server, which says nothing about their share before.
    """
    ends = dict.fromkeys(range(1, clients + 1), 0.0)
    for reply in replies:
        ends[reply.client] = max(ends[reply.client], reply.done_s)
    until = min((end for end in ends.values() if end), default=0.0)
    counts = dict.fromkeys(ends, 0)
    for reply in replies:
        if not reply.error and reply.done_s <= until:
            counts[reply.client] += 1
    return counts


def starved(replies: Sequence[ClientReply], clients: int) -> tuple[int, ...]:
    """Clients that had no answer while another one had five or more."""
    counts = finished_together(replies, clients)
    if max(counts.values(), default=0) < STARVED_BESIDE:
        return ()
    failed = {reply.client for reply in replies if reply.error}
    return tuple(client for client, count in counts.items() if not count and client not in failed)


# --------------------------------------------------------------------------- answers


@dataclass(frozen=True)
class JudgedReply:
    """A reply, and whether it is correct (None: failed, or one client alone had no correct answer).

    ``swapped_with`` is another client's request, of the same time or earlier, for whose image the
    answer is correct although it is wrong for its own.
    """

    reply: ClientReply
    is_correct: bool | None
    swapped_with: ClientReply | None = None


def judged(
    replies: Sequence[ClientReply],
    answerable: Collection[tuple[str, bool]],
    is_correct: Callable[[str, ClientReply], bool],
) -> tuple[JudgedReply, ...]:
    """Every reply with its judgement.

    ``answerable`` are the questions to which one client alone got the correct answer, each with
    whether it is a long one; ``is_correct(question, reply)`` compares a reply's text with a
    question's answer.
    """
    return tuple(_judged(reply, replies, answerable, is_correct) for reply in replies)


def _judged(
    reply: ClientReply,
    replies: Sequence[ClientReply],
    answerable: Collection[tuple[str, bool]],
    is_correct: Callable[[str, ClientReply], bool],
) -> JudgedReply:
    if reply.error or (reply.question, reply.long) not in answerable:
        return JudgedReply(reply, None)
    if is_correct(reply.question, reply):
        return JudgedReply(reply, True)
    swappable = [
        candidate
        for candidate in replies
        if candidate.client != reply.client
        and candidate.sent_s < reply.done_s
        and is_correct(candidate.question, reply)
    ]
    # The likeliest source is a request that ran at the same time; among equals, the latest.
    swappable.sort(key=lambda candidate: (candidate.done_s > reply.sent_s, candidate.sent_s))
    return JudgedReply(reply, False, swappable[-1] if swappable else None)


def description(judgement: JudgedReply, prompts: Mapping[str, tuple[str, str]]) -> str:
    """A request in words; ``prompts`` are each question's prompt and correct answer."""
    reply, source = judgement.reply, judgement.swapped_with
    prompt, answer = prompts[reply.question]
    text = (
        f"request {reply.number} of client {reply.client}, {prompt!r} ({reply.question}) -> "
        f"{reply.text.strip()[:TEXT_LIMIT]!r}"
    )
    if reply.error:
        return f"{text}: {reply.error}"
    text += f", expected {answer!r}"
    if source is None:
        return text
    when = "asked at the same time" if source.done_s > reply.sent_s else "answered before"
    return (
        f"{text}: swapped, it is correct for the image of request {source.number} of "
        f"client {source.client} ({source.question}), {when}"
    )


# --------------------------------------------------------------------------- raw trials


def names(clients: int) -> dict[str, str]:
    """Short name -> metric of :data:`qualification.core.metrics.METRICS` for so many clients."""
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


def raw_trials(answers: Sequence[JudgedReply], clients: int) -> dict[str, tuple[float, ...]]:
    """Metric -> its raw values from one load; a metric without a value is absent."""
    replies = [answer.reply for answer in answers]
    good = [reply for reply in replies if not reply.error]
    name = names(clients)
    trials: dict[str, tuple[float, ...]] = {
        name["ttft"]: tuple(reply.ttft_s for reply in good if reply.ttft_s is not None),
        name["request"]: tuple(reply.done_s - reply.sent_s for reply in good),
        name["decode"]: tuple(speed for reply in good if (speed := decode_tps(reply)) is not None),
        name["failed"]: (float(len(replies) - len(good)),),
        name["wrong"]: (float(sum(answer.is_correct is False for answer in answers)),),
        name["swapped"]: (float(sum(answer.swapped_with is not None for answer in answers)),),
    }
    took_s = max((reply.done_s for reply in replies), default=0.0)
    tokens = sum(reply.tokens for reply in good)
    # Zero is no measurement of a rate or a ratio; a test of its own fails for a starved client.
    if took_s and tokens:
        trials[name["served_tps"]] = (tokens / took_s,)
    if took_s and good:
        trials[name["served_rps"]] = (len(good) / took_s,)
    counts = finished_together(replies, clients).values()
    # A client that stopped after failures has a small share, which is no preference of the server.
    if len(good) == len(replies) and (index := fairness(counts)):
        trials[name["fairness"]] = (index,)
        if share := min(counts) / max(counts):
            trials[name["slowest"]] = (share,)
    return {metric: values for metric, values in trials.items() if values}


@dataclass(frozen=True)
class UnderLoad:
    """One line of a report, for one number of clients; None if a figure was not measured."""

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
        latest = {short: series[-1] if series else None for short, series in of.items()}
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
                served_tps=latest["served_tps"],
                served_rps=latest["served_rps"],
                fairness=latest["fairness"],
                slowest=latest["slowest"],
            )
        )
    return tuple(lines)
