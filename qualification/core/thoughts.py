"""Tells what a model thinks from what it answers, where both are in one text. Pure."""

from __future__ import annotations

import re

_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""Beginning and end of a thought: Qwen and GLM, Kimi, Gemma, Mistral, Gemma 4, OpenThinker."""

_WRAPPER = re.compile(r"^\s*<answer>(.*?)(</answer>\s*)?$", re.DOTALL)
"""GLM-4.1V puts its answer in a tag too."""


def divided(text: str) -> tuple[str, str]:
    """(thought, answer) of a text; without a thought it is ('', the text).

    A thought that does not end takes the rest of the text. One whose beginning is missing was begun
    by the chat template: all before its end is thought.
    """
    for begin, end in _TAGS:
        before, opened, after = text.partition(begin)
        if opened and not before.strip():
            thought, _, answer = after.partition(end)
            return thought.strip(), _unwrapped(answer)
        if not opened and end in text:
            thought, _, answer = text.partition(end)
            return thought.strip(), _unwrapped(answer)
    return "", text


def _unwrapped(answer: str) -> str:
    match = _WRAPPER.match(answer)
    return (match.group(1) if match else answer).strip()
