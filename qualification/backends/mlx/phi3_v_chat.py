"""Conversations as Phi-3.5-vision's own chat template takes them: a turn's content is one text.

Images are ``<|image_1|>``, ``<|image_2|>`` and so on in that text, numbered through the whole
conversation, each followed by a line feed (the model card's usage). mlx-vlm 0.7.10 writes these
tags for a single question; in a conversation it starts at 1 again in every turn, which its
processor refuses.
"""

from __future__ import annotations

from itertools import count

from qualification.core.protocol import Message

MODEL_TYPE = "phi3_v"


def as_texts(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Return the messages with their images as numbered tags in the text, in their order."""
    numbers = count(1)
    return [
        {
            "role": message.role,
            "content": "".join(
                f"<|image_{next(numbers)}|>\n" if part.kind == "image" else part.value
                for part in message.parts
            ),
        }
        for message in messages
    ]
