"""A clip of a request in the forms that libraries take one in without decoding a file.

A clip is a folder of frames: ``000.png``, ``001.png`` and so on, all of one size, one second apart.

- transformers' processors take decoded frames with the metadata of the video that they are from.
  One form of both goes through 4.57 and 5 for SmolVLM, Qwen2-VL and Qwen2.5-VL; see
  :func:`for_transformers`.
- mlx-vlm takes a list of frames (``video=`` of ``stream_generate``) where its processor of the
  model has a part for video, as those of Qwen have.  For all others, SmolVLM among them, its
  command line and its server send the frames as pictures in their order, and so do we; see
  :func:`as_pictures`.  In releases before 0.6.14, which do not tell the two apart, all go so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.core.protocol import Message, Part

FRAMES_PER_SECOND = 1.0


def paths(folder: Path) -> list[Path]:
    """The files of a clip's frames in their order; FileNotFoundError where there is none."""
    found = sorted(folder.glob("*.png"))
    if not found:
        raise FileNotFoundError(f"{folder} has no frames (000.png, 001.png and so on)")
    return found


def decoded(folder: Path) -> list[Any]:
    """The frames of a clip as RGB pictures of Pillow."""
    from PIL import Image

    frames = []
    for path in paths(folder):
        with Image.open(path) as picture:
            frames.append(picture.convert("RGB"))
    return frames


def for_transformers(clips: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What a processor of transformers is called with for clips of RGB pictures; {} for none.

    A clip becomes an array [frames, height, width, 3]. It lies in one more list, which is one
    conversation's, since 4.57's SmolVLM counts it so and all others flatten it. Without metadata
    SmolVLM takes the frames for 24 a second and writes one time before all of them.
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
    """Whether mlx-vlm itself says that its processor takes clips."""
    try:
        from mlx_vlm.generate.video import processor_handles_video
    except ImportError:
        return False
    return bool(processor_handles_video(processor))


def as_pictures(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same messages with each clip's frames as pictures, in their order."""
    return tuple(
        replace(message, parts=tuple(other for part in message.parts for other in _split(part)))
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
