"""The last words of a soak test, as plain sentences, and its exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.format import (
    bytes_text,
    change_text,
    duration_text,
    percent_text,
    rate_text,
    revision_text,
    seconds_text,
)
from qualification.servers.admin_status import WorkerStatus
from qualification.watch.records import Alert, Ended, Figures, Header, LeakSlope, Summary
from qualification.watch.tally import MIN_DRIFT, MIN_GROWTH, MIN_TOKENS, WARM_REQUESTS

NOTHING_FOUND, FOUND, TOO_LITTLE = 0, 1, 3

_ENDED: dict[Ended, str] = {
    "time": "the time was over",
    "requests": "all its requests were made",
    "critical memory": "critical memory: stopped before the machine swaps",
    "interrupted": "it was interrupted",
    "failures": "too many requests failed one after the other",
    "not yet": "the log ends without a summary: it still runs, or the watch was killed",
}
_SHOWN_ALERTS = 12


def exit_code(summary: Summary) -> int:
    """0 nothing was found, 1 an alert was raised, 3 too little was observed to say either."""
    if summary.alerts:
        return FOUND
    figures = summary.figures
    has_growth = figures.growth is not None or figures.resident_peak_bytes is None
    return NOTHING_FOUND if figures.requests >= MIN_GROWTH and has_growth else TOO_LITTLE


def sentences(header: Header, summary: Summary, alerts: Sequence[Alert]) -> Iterator[str]:
    """A line for each thing that was watched; texts in them are disarmed already."""
    figures = summary.figures
    elapsed = duration_text(figures.elapsed_s)
    yield f"Watched {header.subject} for {elapsed}; {_ENDED[summary.ended]}."
    yield f"weights    revision {revision_text(header.revision)}"
    yield f"on         {header.machine}, tier {header.levels.tier or 'none'}"
    yield f"requests   {requests(header, figures)}"
    yield f"TTFT       {ttft(figures)}"
    yield f"decode     {decode(header, figures)}"
    yield f"memory     {memory(header, figures)}"
    yield f"growth     {growth(header, figures)}"
    yield f"drift      {drifts(header, figures)}"
    if figures.load_s:
        loads = ", ".join(seconds_text(load_s) for load_s in figures.load_s)
        yield f"load       {loads} (limit {seconds_text(header.levels.load_limit_s)})"
    yield f"restarts   {figures.restarts}"
    if figures.minutes_of_other_work:
        yield (
            f"other work ran in {figures.minutes_of_other_work} of {figures.minutes} minutes:"
            " speed was not judged in them"
        )
    for worker in figures.workers[:5]:
        yield f"self-reported   {worker_text(worker)}"
    total = sum(summary.alerts.values())
    kinds = ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in summary.alerts.items())
    yield f"alerts     {f'{total} ({kinds})' if total else 'none'}"
    for alert in alerts[-_SHOWN_ALERTS:]:
        yield f"  {alert.level} at {duration_text(alert.at_s)}: {alert.sentence}"


def requests(header: Header, figures: Figures) -> str:
    """The number of requests, and their outcomes."""
    text = f"{figures.requests:,}: {figures.ok:,} ok, {figures.wrong:,} wrong, "
    text += f"{figures.failed:,} failed"
    answered = figures.ok + figures.wrong
    if not header.answers_checked and answered:
        share = percent_text(figures.named_answer / answered, digits=0)
        text += f" (every answer is ok: this is no canary; {share} contain the expected answer)"
    return text


def ttft(figures: Figures) -> str:
    """Time to first token and the whole request."""
    times, requests = figures.ttft_s, figures.e2e_s
    return (
        f"p50 {seconds_text(times.p50)}, p95 {seconds_text(times.tail)} (n = {times.count:,});"
        f" whole request p50 {seconds_text(requests.p50)}, p95 {seconds_text(requests.tail)}"
    )


def decode(header: Header, figures: Figures) -> str:
    """Decoding speed and its floor."""
    speed, thresholds = figures.decode_tps, header.levels
    text = f"p50 {rate_text(speed.p50)}, p5 {rate_text(speed.tail)} (n = {speed.count:,})"
    floor = rate_text(thresholds.floor_tps) if thresholds.floor_tps else "none"
    text += f"; floor {floor}: {thresholds.floor_why}"
    if figures.tokens_p50 is not None and figures.tokens_p50 < MIN_TOKENS:
        text += (
            f"; not judged, because an answer has {figures.tokens_p50:.0f} tokens"
            " (--tokens 64 asks for longer ones)"
        )
    return text


def memory(header: Header, figures: Figures) -> str:
    """Memory of the subject and of the machine, with the machine's thresholds."""
    thresholds, peak = header.levels, figures.machine_peak_bytes
    total = thresholds.memory_bytes
    share = f" ({percent_text(peak / total, digits=0)} of {bytes_text(total)})" if total else ""
    machine = (
        f"machine {bytes_text(figures.machine_used_bytes)} in use, peak {bytes_text(peak)}{share};"
        f" thresholds {bytes_text(thresholds.warning_bytes)} and"
        f" {bytes_text(thresholds.critical_bytes)}"
    )
    if figures.resident_peak_bytes is None:
        return f"{header.memory_of}; {machine}"
    return (
        f"{bytes_text(figures.held_bytes)} private, {bytes_text(figures.resident_bytes)} resident,"
        f" peak {bytes_text(figures.resident_peak_bytes)} ({header.memory_of}; sampled right after"
        f" each request); {machine}"
    )


def growth(header: Header, figures: Figures) -> str:
    """The slope in words, or why there is none."""
    if figures.growth is None:
        if figures.resident_peak_bytes is None:
            return "not known, because memory is not seen"
        count = MIN_GROWTH + WARM_REQUESTS
        return f"not known: it takes {count} requests or more since the last start"
    limit = bytes_text(header.levels.growth_limit)
    return f"{slope(figures.growth)}; limit {limit} per request"


def slope(growth: LeakSlope) -> str:
    """The slope with its interval, per request and per hour, and the forecast."""
    text = (
        f"{bytes_text(growth.per_request)} per request ({bytes_text(growth.lower)} to"
        f" {bytes_text(growth.upper)}, 95 %, Theil-Sen of {growth.samples} samples of"
        f" {growth.requests:,} requests), {bytes_text(growth.per_hour)} per hour"
    )
    if growth.reached_in_s is not None:
        when = duration_text(growth.reached_in_s)
        text += f"; at this rate the critical threshold is reached in {when}"
    return text


def drifts(header: Header, figures: Figures) -> str:
    """The last quarter compared with the first."""
    ratios = (("TTFT", figures.ttft_drift), ("seconds per token", figures.decode_drift))
    changes = [f"{name} {change_text(ratio)}" for name, ratio in ratios if ratio is not None]
    if not changes:
        return f"not known: it takes {MIN_DRIFT} answers"
    limit = header.levels.drift_limit
    judged = (
        f"limit +{percent_text(limit - 1, digits=0)}" if limit else "recorded, not judged: a canary"
    )
    return f"last quarter over the first: {', '.join(changes)} ({judged})"


def worker_text(worker: WorkerStatus) -> str:
    """One worker of a server, as the server reports it."""
    return f"{worker.model}: {rate_text(worker.decode_tps)}, {bytes_text(worker.memory_bytes)}"
