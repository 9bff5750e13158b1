"""A clip of a request in the forms in which libraries accept it without decoding a file.

A clip is a folder of frames: ``000.png``, ``001.png`` and so on, all of one size, one second apart.

- transformers' processors take decoded frames with the metadata of their video. One form works in
  4.57 and 5 for SmolVLM, Qwen2-VL and Qwen2.5-VL; see :func:`for_transformers`.
- mlx-vlm takes a list of frames (``video=`` of ``stream_generate``) if its processor of the model
  has a part for video, as those of Qwen have. For all other models, SmolVLM among them, its command
  line and its server send the frames as images in their order, and so does :func:`as_images`.
  Releases before 0.6.14 do not distinguish the two; with them every clip becomes images.
- llama.cpp has no clips: its backend sends the frames as images too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.core.protocol import Message, Part

FRAMES_PER_SECOND = 1.0


def paths(folder: Path) -> list[Path]:
    """The files of a clip's frames in their order; FileNotFoundError if there is none."""
    frames = sorted(folder.glob("*.png"))
    if not frames:
        raise FileNotFoundError(f"{folder} has no frames (000.png, 001.png and so on)")
    return frames


def decoded(folder: Path) -> list[Any]:
    """The frames of a clip as RGB images of Pillow."""
    from PIL import Image

    frames = []
    for path in paths(folder):
        with Image.open(path) as image:
            frames.append(image.convert("RGB"))
    return frames


def for_transformers(clips: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The arguments of a transformers processor for clips of RGB images; {} without a clip.

    A clip becomes an array [frames, height, width, 3]. The clips are in one more list, for the one
    conversation: 4.57's SmolVLM expects it, and the other processors flatten it. Without metadata
    SmolVLM assumes 24 frames a second and writes one time for all of them.
    """
    import numpy as np

    if not clips:
        return {}
    return {
        "videos": [[np.stack([np.asarray(frame) for frame in clip]) for clip in clips]],
        "video_metadata": [_metadata(len(clip)) for clip in clips],
        "do_sample_frames": False,
    }


def taken_by_mlx(processor: Any) -> bool:
    """Whether mlx-vlm reports that its processor takes clips."""
    try:
        from mlx_vlm.generate.video import processor_handles_video
    except ImportError:
        return False
    return bool(processor_handles_video(processor))


def as_images(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same messages with each clip's frames as images, in their order."""
    return tuple(
        replace(message, parts=tuple(piece for part in message.parts for piece in _split(part)))
        for message in messages
    )


def _split(part: Part) -> list[Part]:
    if part.kind != "video":
        return [part]
    return [Part("image", str(path)) for path in paths(Path(part.value))]


def _metadata(frames: int) -> dict[str, Any]:
    return {
        "total_num_frames": frames,
        "fps": FRAMES_PER_SECOND,
        "frames_indices": list(range(frames)),
        "duration": frames / FRAMES_PER_SECOND,
    }
