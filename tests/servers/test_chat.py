"""Messages for chat templates and requests, and images as data URLs."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.protocol import Message, Part
from qualification.servers.chat import as_chat, as_request, data_url, of_kind

IMAGE, TEXT = Part("image", "a.png"), Part("text", "What is it?")
TURNS = (Message("user", (IMAGE, TEXT)), Message("assistant", (Part("text", "A square."),)))


def test_the_parts_of_a_message_keep_their_order():
    """Texts as texts; an image or a clip as the caller encodes it."""
    message = Message("user", (TEXT, IMAGE, Part("video", "clip")))
    chat = as_chat(message, lambda part: {"type": part.kind, "of": part.value})
    assert chat == {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image", "of": "a.png"},
            {"type": "video", "of": "clip"},
        ],
    }


def test_a_request_has_images_by_url_and_text_alone_as_one_text():
    """The templates of text models, and some servers for an answer, take no list of parts."""
    user, assistant = (
        as_request(message, lambda part: f"url of {part.value}") for message in TURNS
    )
    assert user["content"] == [
        {"type": "image_url", "image_url": {"url": "url of a.png"}},
        {"type": "text", "text": "What is it?"},
    ]
    assert assistant == {"role": "assistant", "content": "A square."}
    question = as_request(Message("user", (TEXT, Part("text", " Say."))), str)
    assert question == {"role": "user", "content": "What is it? Say."}


def test_the_parts_of_one_kind_come_from_the_whole_conversation():
    """In their order, and none of another kind."""
    assert [part.value for part in of_kind(TURNS, "text")] == ["What is it?", "A square."]
    assert of_kind(TURNS, "image") == [IMAGE]
    assert of_kind(TURNS, "video") == []


@given(st.binary(max_size=99))
def test_a_data_url_holds_exactly_the_bytes(content):
    """They come back whole, as PNG unless the caller names another type."""
    head, _, encoded = data_url(content).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(encoded, validate=True) == content
    assert data_url(content, "image/webp").startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.jpg", "image/jpeg"), ("a.webp", "image/webp"), ("a", "image/png"), ("a.png", "image/png")],
)
def test_a_file_has_the_type_of_its_name(tmp_path, name, media_type):
    """PNG if the name does not tell."""
    (tmp_path / name).write_bytes(b"x")
    assert data_url(tmp_path / name) == f"data:{media_type};base64,eA=="
