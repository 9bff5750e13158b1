"""Clips for a library: frames in their order with their times; all other parts unchanged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.backends import video_frames
from qualification.core.protocol import Message, Part

texts = st.builds(Part, st.just("text"), st.text(max_size=8))
images = st.builds(Part, st.just("image"), st.just("a.png"))
neighbours = st.lists(texts | images, max_size=4).map(tuple)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder of eleven frames, so that their order is not that of one digit."""
    folder = tmp_path_factory.mktemp("clip")
    for number in range(11):
        Image.new("L", (6, 4), number).save(folder / f"{number:03}.png")
    return folder


def test_frames_are_read_in_their_order_and_in_colour(clip):
    """Grey files become RGB; the name decides the order."""
    frames = video_frames.decoded(clip)
    assert [frame.getpixel((0, 0)) for frame in frames] == [(n, n, n) for n in range(11)]


def test_a_folder_without_frames_is_refused(tmp_path):
    """An empty clip would give a prompt without a video."""
    with pytest.raises(FileNotFoundError, match="has no frames"):
        video_frames.decoded(tmp_path)


def test_transformers_gets_each_frame_with_its_second(clip):
    """One array for the clip, in the list of its conversation, and the time of each frame."""
    arguments = video_frames.for_transformers([video_frames.decoded(clip)])
    [[array]] = arguments["videos"]
    assert array.shape == (11, 4, 6, 3)
    assert array.dtype == np.uint8
    [metadata] = arguments["video_metadata"]
    assert [place / metadata["fps"] for place in metadata["frames_indices"]] == list(range(11))
    assert metadata["duration"] == metadata["total_num_frames"] == 11


def test_without_a_clip_a_processor_is_called_as_before():
    """Processors of families without video accept none of these arguments."""
    assert video_frames.for_transformers([]) == {}


@given(before=neighbours, after=neighbours)
def test_as_images_a_clip_becomes_its_frames_and_all_else_stays(clip, before, after):
    """The parts before and after the clip stay where and as they are."""
    messages = (
        Message("user", (*before, Part("video", str(clip)), *after)),
        Message("assistant", (Part("text", "left"),)),
    )
    user, assistant = video_frames.as_images(messages)
    frames = tuple(Part("image", str(clip / f"{number:03}.png")) for number in range(11))
    assert user == Message("user", (*before, *frames, *after))
    assert assistant == messages[1]
