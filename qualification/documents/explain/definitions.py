"""What each metric means in one sentence, which test records it, and what is made of its trials.

The sentences are those of docs/measuring.md, which says more of each; unit and limits are in
``core/metrics.py``. ``n`` stands for a number of clients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Rule = Literal["median", "sum", "latest", "earliest"]
"""What the documents print of the trials of a metric."""

_SENTENCES = {
    "load_s": "from the end of the imports until the weights are materialised, after a request of "
    "one token",
    "load_return_s": "from the end of the imports until the loader returned",
    "load_cold_s": "load_s in a fresh process after the files' pages were dropped",
    "ttft_s": "from the start of the request, before an image is opened, to the first token",
    "preprocess_s": "phase of the time to first token: the prompt is made ready for the model",
    "vision_encode_s": "phase of the time to first token: the image is encoded",
    "prefill_s": "phase of the time to first token: the prompt is computed",
    "e2e_s": "the whole request",
    "reload_s": "ending the worker and loading again in a fresh one, for models whose declared "
    "workaround is to reload for each image",
    "decode_tps": "(N − 1) / (t_N − t_1) of a request of fixed length N",
    "replayed_answers": "timed answers without a decoding speed, because they were replayed",
    "burst_answers": "timed answers without a decoding speed, because their tokens came in a burst",
    "cached_answers": "timed answers without a time to first token, because their prompt was in a "
    "cache",
    "prefill_tps": "text and image tokens of the prompt / prefill_s",
    "sustained_decode_tps": "decode_tps of the last minute of at least 5 minutes without a pause",
    "sustained_ttft_s": "ttft_s of the last minute of at least 5 minutes without a pause",
    "prompt_tokens": "tokens of the prompt, counted by the backend",
    "image_tokens": "tokens of the prompt that are its image's, counted by the backend",
    "token_drift": "median latency between tokens in the last quarter of the timed requests / in "
    "the first quarter",
    "sentinel_drift": "one request before and one after all suites: the medians of three as a "
    "ratio ≥ 1",
    "peak_memory_bytes": "absolute peak of one fresh process, nothing subtracted",
    "peak_device_bytes": "the largest amount that the driver was observed to give the process, on "
    "all GPUs",
    "growth_bytes_per_request": "Theil–Sen slope of the private memory over the last 25 of 50 "
    "requests, of a canary over the last 20 of 30",
    "growth_with_clean_up_bytes_per_request": "Theil–Sen slope of the private memory over eight "
    "requests, without the first two, with a clean-up after each",
    "accuracy": "share of correct answers to held-out questions of every declared skill",
    "accuracy_questions": "the number of the questions that accuracy is a share of",
    "vqa_accuracy": "official VQA 2.0 accuracy, by ten human answers to each question",
    "simple_accuracy": "share of answers that, normalised, equal the most frequent human answer",
    "generated_vqa_accuracy": "vqa_accuracy on generated questions",
    "generated_simple_accuracy": "simple_accuracy on generated questions",
    "context_retention": "share of correct answers two turns after the image, with the whole "
    "history",
    "context_without_image": "share of correct answers two turns after the image, which is left "
    "out of the history",
    "diagram_recall": "share of the 24 components of a drawn architecture diagram that the answer "
    "names",
    "diagram_hallucinations": "decoys named, out of a closed list of 24 names that are not in the "
    "diagram",
    "diagram_repetition": "the highest count of a repeated heading, mention, line, sentence or "
    "block; 1 is no repetition",
    "diagram_truncated": "1 if the answer was ended by its token limit or in the middle of a "
    "sentence",
    "ttft_n_clients_s": "time to the first text",
    "request_n_clients_s": "time to the end of the answer",
    "decode_n_clients_tps": "(N − 1) / (t_N − t_1) of each answer of eight tokens or more",
    "served_n_clients_tps": "all tokens over the time from the start to the last answer",
    "served_n_clients_rps": "all requests over the time from the start to the last answer",
    "fairness_n_clients": "Jain's index of what each client had finished while all of them were "
    "still asking",
    "slowest_n_clients": "the smallest of what each client had finished over the largest",
    "failed_n_clients": "requests that failed",
    "wrong_n_clients": "answers that are wrong although the same question alone is answered "
    "correctly",
    "swapped_n_clients": "wrong answers that are correct for another client's image",
}


@dataclass(frozen=True)
class Recorder:
    """A test that records metrics; without ``option`` pytest leaves it, or them, out."""

    suite: str
    test: str
    metrics: str
    option: str = ""


_RECORDERS = (
    Recorder("load", "test_loads", "load_s load_return_s"),
    Recorder("load", "test_loads_cold", "load_cold_s", "--cold-load"),
    Recorder(
        "throughput",
        "test_speed",
        "ttft_s decode_tps e2e_s token_drift burst_answers replayed_answers cached_answers",
    ),
    Recorder(
        "throughput",
        "test_phases",
        "preprocess_s vision_encode_s prefill_s prefill_tps prompt_tokens image_tokens",
    ),
    Recorder(
        "sustained",
        "test_sustained_speed",
        "sustained_decode_tps sustained_ttft_s",
        "--sustained 5",
    ),
    Recorder("drift", "test_sentinel", "sentinel_drift"),
    Recorder("state", "test_reloading_for_each_image", "reload_s"),
    Recorder("memory", "test_peak_memory_within_budget", "peak_memory_bytes peak_device_bytes"),
    Recorder("memory", "test_memory_does_not_grow", "growth_bytes_per_request"),
    Recorder(
        "memory",
        "test_memory_does_not_grow_when_cleaned_up",
        "growth_with_clean_up_bytes_per_request",
    ),
    Recorder("quality", "test_answers_held_out_questions", "accuracy accuracy_questions"),
    Recorder("context", "test_remembers_the_image_of_the_first_turn", "context_retention"),
    Recorder("context", "test_answers_with_the_image_left_out", "context_without_image"),
    Recorder("vqa", "test_vqa_accuracy", "generated_vqa_accuracy generated_simple_accuracy"),
    Recorder("vqa", "test_vqa_accuracy", "vqa_accuracy simple_accuracy", "--vqa-dir DIR"),
    Recorder(
        "diagram",
        "test_describes_an_architecture_diagram",
        "diagram_recall diagram_hallucinations diagram_repetition diagram_truncated",
    ),
    Recorder(
        "concurrency",
        "test_every_request_is_answered",
        " ".join(metric for metric in _SENTENCES if "_n_clients" in metric),
    ),
)

_NOT_HOOKED = "the backend cannot be hooked there"
_NOT_COUNTED = "the backend does not count them"
_NONE_SEEN = "there was none, and 0 is not recorded"
_NO_SPEED = "no answer has a decoding speed"
_ABSENCES = {
    "ttft_s": "every prompt was in a cache",
    "decode_tps": _NO_SPEED,
    "token_drift": _NO_SPEED,
    "sentinel_drift": _NO_SPEED,
    **dict.fromkeys(("burst_answers", "replayed_answers", "cached_answers"), _NONE_SEEN),
    **dict.fromkeys(("preprocess_s", "vision_encode_s", "prefill_s", "prefill_tps"), _NOT_HOOKED),
    **dict.fromkeys(("prompt_tokens", "image_tokens"), _NOT_COUNTED),
    "peak_device_bytes": "no driver here says what a process holds of a GPU's memory",
    "accuracy_questions": "the session is of a release that did not record it",
    **dict.fromkeys(("vqa_accuracy", "simple_accuracy"), "the questions were generated"),
    **dict.fromkeys(
        ("generated_vqa_accuracy", "generated_simple_accuracy"), "the questions were official ones"
    ),
    "decode_n_clients_tps": "no answer was long enough, or they are a canary's, read in bursts",
    "fairness_n_clients": "a request failed",
    "slowest_n_clients": "a request failed, or a client had no answer",
}
_SUMS = "burst_answers replayed_answers cached_answers failed_n_clients wrong_n_clients"
_LATEST = "served_n_clients_tps served_n_clients_rps fairness_n_clients slowest_n_clients"
_RULES: dict[str, Rule] = {
    **dict.fromkeys((*_SUMS.split(), "swapped_n_clients"), "sum"),
    **dict.fromkeys(_LATEST.split(), "latest"),
    "accuracy_questions": "earliest",
}
_PERCENTILES = {"ttft_n_clients_s": 0.95, "request_n_clients_s": 0.95, "decode_n_clients_tps": 0.05}
_JUDGED_BY_MOST = {
    "peak_memory_bytes": "the first screen, the memory fit and the verdict",
    **dict.fromkeys(("peak_device_bytes", "token_drift", "sentinel_drift"), "the verdict"),
}
_RECORDER_OF = {metric: part for part in _RECORDERS for metric in part.metrics.split()}


@dataclass(frozen=True)
class Definition:
    """``absence``: why there may be no trial although the test passed.

    ``percentile``: printed beside the median (0.95), 0 where none is. ``judged_by_most``: what
    takes the greatest trial instead of the median, '' where nothing does.
    """

    sentence: str
    recorder: Recorder
    absence: str
    rule: Rule
    percentile: float
    judged_by_most: str


def definition(metric: str) -> Definition | None:
    """What a metric that ships means; None for one that another package registers."""
    name = re.sub(r"_\d+_clients", "_n_clients", metric)
    if name not in _SENTENCES:
        return None
    return Definition(
        _SENTENCES[name],
        _RECORDER_OF[name],
        _ABSENCES.get(name, ""),
        _RULES.get(name, "median"),
        _PERCENTILES.get(name, 0.0),
        _JUDGED_BY_MOST.get(name, ""),
    )
