"""What the numbers of answers show, whatever their words: pure; '' where they show nothing.

Thinking that leaves no room for an answer, a usage that is not what was given, turns that are not
told apart, a prompt that is cut in silence, an answer that is kept from an earlier request.
"""

from __future__ import annotations

from collections.abc import Sequence

from qualification.see.series import Look

_EATEN = 3
"""Of the first six answers, of which a sound deployment thinks none away."""

_HEADERS = 3
"""The most tokens that two further turns take as line ends alone; headers take two each or more."""

_MARKERS = ("<|im_", "<|end", "<start_of_turn>", "<end_of", "[INST]", "[/INST]", "<|user", "</s>")
_FEW_TOKENS, _FASTER = 8, 10
"""An answer of as many tokens that is there, whole, in a tenth of the time that its decoding took
was not decoded again. A reader that another process holds up has the whole longer, too."""


def thinking(colours: Sequence[Look]) -> str:
    """Answers that ended within a thought."""
    eaten = [look for look in colours if look.thought and not look.answer and look.is_cut]
    if len(eaten) < _EATEN:
        return ""
    return f"{len(eaten)} of {len(colours)} end within the thought (try --thinking off)"


def usage(pictured: Sequence[Look], without: Sequence[Look], again: Sequence[Look]) -> str:
    """A count of tokens that is the same with and without an image, or not what was generated."""
    tokens = {look.question: look.prompt_tokens for look in pictured}
    pairs = [
        (tokens[look.question], look.prompt_tokens)
        for look in without
        if look.question in tokens and look.prompt_tokens >= 0
    ]
    if pairs and all(pictured <= plain for pictured, plain in pairs):
        count, plain = pairs[0]
        return f"a prompt has {plain} tokens without its image and {count} with it"
    cut = [look for look in again if look.is_cut and look.completion_tokens >= 0]
    wrong = [n for look in cut if (n := look.completion_tokens) < look.request.max_tokens - 1]
    if cut and len(wrong) == len(cut):
        return f"{wrong[0]} tokens are reported of an answer cut at {cut[0].request.max_tokens}"
    return ""


def template(turns: Sequence[Look], answers: Sequence[Look]) -> str:
    """Three turns that take as many tokens as one, or answers that have a template's markers."""
    leaking = [look for look in answers if any(mark in look.answer for mark in _MARKERS)]
    if 2 * len(leaking) > len(answers):
        return f"{len(leaking)} of {len(answers)} answers contain its markers"
    tokens = [look.prompt_tokens for look in turns]
    if len(tokens) < 2 or min(tokens) < 0 or not 0 <= tokens[0] - tokens[1] <= _HEADERS:
        return ""
    if {look.prompt_tokens for look in answers} <= set(tokens):
        return ""  # every prompt has that many: a count that means nothing
    return f"three turns have {tokens[0]} tokens, and the same words in one turn {tokens[1]}"


def cut(long: Sequence[Look]) -> str:
    """A prompt of more words than the tokens that were read of it."""
    for look in long:
        words = len(look.request.texts[0].split())
        if not look.failure and 0 <= look.prompt_tokens < words:
            return (
                f"of a prompt of {words:,} words {look.prompt_tokens:,} tokens were read, and "
                "nothing says so"
            )
    return ""


def replayed(again: Sequence[Look]) -> str:
    """Answers to repeated requests that have the id of the first one, or come at once."""
    pairs = list(zip(again[::2], again[1::2], strict=False))
    if len(again) < 4 or any(look.failure for look in again):
        return ""
    if all(a.reply_id and a.reply_id == b.reply_id for a, b in pairs):
        return "a repeated request gets the reply of the first one, with its id"
    long = all(min(a.completion_tokens, b.completion_tokens) >= _FEW_TOKENS for a, b in pairs)
    if long and all(0 < b.e2e_s * _FASTER < a.decode_s for a, b in pairs):
        earlier, later = pairs[0]
        return (
            f"a repeated request is answered in {1000 * later.e2e_s:.1f} ms, at first the decoding "
            f"alone took {1000 * earlier.decode_s:.1f} ms"
        )
    return ""
