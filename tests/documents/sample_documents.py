"""A session whose documents have every kind of line; its figures mean nothing."""

from dataclasses import replace

from qualification.core.results import Answer, Check, Finding, Verdict
from tests.documents.air_sample import EIGHT, LARGE, SMALL, air

QUICK, WRONG = "qwen2-vl-2b-4bit@mlx", "llava-1.6-mistral-7b-4bit@mlx"


def session(text="blue"):
    """An Air M4 with a pick, one to avoid for its speed, one for its answers; ``text`` is said."""
    figures = {
        LARGE: {"decode_tps": (21.2, 21.8, 22.0), "vqa_accuracy": 0.8, "prefill_s": 0.7},
        SMALL: {"accuracy": 0.8, "decode_tps": (8.4, 9.1, 12.0), "load_s": 35.0},
        QUICK: {"accuracy": 0.84, "decode_tps": (58.0, 60.0, 61.0), "peak_memory_bytes": 3e9},
        EIGHT: {"accuracy": 0.93, "decode_tps": (11.0, 11.2, 11.3)},
        WRONG: {"accuracy": 0.3, "decode_tps": (20.0, 21.0, 22.0)},
    }
    bug = Check(WRONG, "quality", "test_answers", "xfailed", text, "llava-next-mlx-packing")
    failed = Check(SMALL, "quality", "test_says_what_it_sees[colour]", "failed", text)
    sample = air(figures, checks=(bug, failed))
    finding = Finding("decode_tps", "fail", "Decoding reached 14% of the roofline.")
    verdicts = tuple(
        Verdict(SMALL, "failed", "not recommended", (finding, Finding("x", "warn", text)))
        if verdict.deployment == SMALL
        else verdict
        for verdict in sample.verdicts
    )
    answers = tuple(
        Answer(LARGE, f"heldout-7-0000{n}-colour", "colour", "What colour?", "red", text, n > 0)
        for n in range(4)
    )
    return replace(sample, verdicts=verdicts, answers=answers)
