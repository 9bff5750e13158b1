"""What an endurance run says at its end, as plain sentences, and its exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.watch.records import Alert, Ended, Figures, Growth, Header, Summary
from qualification.watch.tally import MIN_DRIFT, MIN_GROWTH, MIN_TOKENS, WARM_REQUESTS
from qualification.watch.words import duration, rate, seconds, size

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


def exit_code(summary: Summary, memory_seen: bool) -> int:
    """0 nothing was found, 1 an alert was raised, 3 too little was seen to say either."""
    if summary.alerts:
        return FOUND
    figures = summary.figures
    enough = figures.requests >= MIN_GROWTH and (figures.growth is not None or not memory_seen)
    return NOTHING_FOUND if enough else TOO_LITTLE


def sentences(header: Header, summary: Summary, alerts: Sequence[Alert]) -> Iterator[str]:
    """A line for each thing that was watched; texts in them are disarmed already."""
    figures = summary.figures
    yield (f"Watched {header.subject} for {duration(figures.elapsed_s)}; {_ENDED[summary.ended]}.")
    yield f"on         {header.machine}, tier {header.levels.tier or 'none'}"
    yield f"requests   {requests(header, figures)}"
    yield f"TTFT       {ttft(figures)}"
    yield f"decode     {decode(header, figures)}"
    yield f"memory     {memory(header, figures)}"
    yield f"growth     {growth(header, figures)}"
    yield f"drift      {drifts(header, figures)}"
    if figures.load_s:
        loads = ", ".join(seconds(one) for one in figures.load_s)
        yield f"load       {loads} (limit {seconds(header.levels.load_limit_s)})"
    yield f"restarts   {figures.restarts}"
    if figures.minutes_of_other_work:
        yield (
            f"other work ran in {figures.minutes_of_other_work} of {figures.minutes} minutes:"
            " speed was not judged in them"
        )
    for worker in figures.workers[:5]:
        said = f"{worker.model}: {rate(worker.decode_tps)}, {size(worker.memory_bytes)}"
        yield f"the server's own word   {said}"
    total = sum(summary.alerts.values())
    kinds = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in summary.alerts.items())
    yield f"alerts     {f'{total} ({kinds})' if total else 'none'}"
    for alert in alerts[-_SHOWN_ALERTS:]:
        yield f"  {alert.level} at {duration(alert.at_s)}: {alert.sentence}"


def requests(header: Header, figures: Figures) -> str:
    """How many, and how they went."""
    text = f"{figures.requests:,}: {figures.ok:,} ok, {figures.wrong:,} wrong, "
    text += f"{figures.failed:,} failed"
    answered = figures.ok + figures.wrong
    if not header.answers_checked and answered:
        share = figures.named_answer / answered
        text += f" (ok is any answer: this is no canary; {share:.0%} named the right one)"
    return text


def ttft(figures: Figures) -> str:
    """Time to first token and the whole request."""
    first, whole = figures.ttft_s, figures.e2e_s
    return (
        f"p50 {seconds(first.p50)}, p95 {seconds(first.tail)} (n = {first.count:,}); whole request"
        f" p50 {seconds(whole.p50)}, p95 {seconds(whole.tail)}"
    )


def decode(header: Header, figures: Figures) -> str:
    """Decoding speed and its floor."""
    speed, levels = figures.decode_tps, header.levels
    text = f"p50 {rate(speed.p50)}, p5 {rate(speed.tail)} (n = {speed.count:,})"
    floor = rate(levels.floor_tps) if levels.floor_tps else "none"
    text += f"; floor {floor}: {levels.floor_why}"
    if figures.tokens_p50 is not None and figures.tokens_p50 < MIN_TOKENS:
        text += (
            f"; not judged, because an answer has {figures.tokens_p50:.0f} tokens"
            " (--tokens 64 asks for longer ones)"
        )
    return text


def memory(header: Header, figures: Figures) -> str:
    """What is held and used, of which marks."""
    levels = header.levels
    total = levels.memory_bytes
    share = f" ({figures.machine_peak_bytes / total:.0%} of {size(total)})" if total else ""
    machine = (
        f"machine {size(figures.machine_used_bytes)} in use, {size(figures.machine_peak_bytes)} at"
        f" most{share}; marks {size(levels.warning_bytes)} and {size(levels.critical_bytes)}"
    )
    if figures.resident_peak_bytes is None:
        return f"{header.memory_of}; {machine}"
    return (
        f"{size(figures.held_bytes)} of its own, {size(figures.resident_bytes)} resident,"
        f" {size(figures.resident_peak_bytes)} at most ({header.memory_of}; looked at right after"
        f" each request); {machine}"
    )


def growth(header: Header, figures: Figures) -> str:
    """The slope in words, or why there is none."""
    if figures.growth is None:
        if figures.resident_peak_bytes is None:
            return "not known, because memory is not seen"
        need = MIN_GROWTH + WARM_REQUESTS
        return f"not known: it takes {need} requests or more since the last start"
    return f"{slope(figures.growth)}; limit {size(header.levels.growth_limit)} per request"


def slope(found: Growth) -> str:
    """The slope with its interval, per request and per hour, and where it leads."""
    text = (
        f"{size(found.per_request)} per request ({size(found.lower)} to {size(found.upper)}, 95 %,"
        f" Theil-Sen of {found.samples} samples of {found.requests:,} requests),"
        f" {size(found.per_hour)} per hour"
    )
    if found.reached_in_s is not None:
        text += f"; at this rate the critical mark is reached in {duration(found.reached_in_s)}"
    return text


def drifts(header: Header, figures: Figures) -> str:
    """The end against the beginning."""
    names = (("TTFT", figures.ttft_drift), ("seconds per token", figures.decode_drift))
    told = [f"{name} {ratio - 1:+.1%}" for name, ratio in names if ratio is not None]
    if not told:
        return f"not known: it takes {MIN_DRIFT} answers"
    limit = header.levels.drift_limit
    judged = f"limit +{limit - 1:.0%}" if limit else "recorded, not judged: a canary"
    return f"last quarter over the first: {', '.join(told)} ({judged})"
