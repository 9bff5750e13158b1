"""Old releases of mlx-vlm: a limit removed without Metal, a stop of their own."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.backends.mlx import phi3_v_processor, releases
from qualification.backends.torch import _dtype_name
from qualification.core.errors import BackendFailed


def _mx(metal):
    return SimpleNamespace(metal=SimpleNamespace(is_available=lambda: metal))


@contextlib.contextmanager
def _asks_metal():
    raise RuntimeError("Cannot get device info without metal backend")
    yield


@contextlib.contextmanager
def _looks_first():
    if not _mx(metal=False).metal.is_available():
        yield


@pytest.fixture
def old(monkeypatch):
    """A release whose generate module sets the limit wherever it runs, and a later one's utils."""
    modules = {
        "mlx_vlm.generate": SimpleNamespace(wired_limit=_asks_metal),
        "mlx_vlm.utils": SimpleNamespace(wired_limit=_looks_first),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules


def test_a_limit_that_needs_metal_is_removed_without_metal(old):
    """Only the function that would raise is replaced, and the record has a note."""
    assert releases.run_without_metal(_mx(metal=False)) == (releases.NOTE,)
    with old["mlx_vlm.generate"].wired_limit("model", ["stream"]):
        pass
    assert old["mlx_vlm.utils"].wired_limit is _looks_first


def test_nothing_is_replaced_on_metal(old):
    """On a Mac the release is unchanged."""
    assert releases.run_without_metal(_mx(metal=True)) == ()
    assert old["mlx_vlm.generate"].wired_limit is _asks_metal


def test_a_release_with_criteria_is_told_never_to_stop_for_one_answer_only():
    """Afterwards the library's criteria apply again, even if the answer fails."""
    tokenizer = SimpleNamespace(stopping_criteria=lambda token: token == 7)
    library = tokenizer.stopping_criteria
    with contextlib.suppress(KeyError), releases.stopping(tokenizer, never=True) as stops:
        assert not stops(7)
        raise KeyError
    assert tokenizer.stopping_criteria is library
    with releases.stopping(tokenizer, never=False) as stops:
        assert stops(7)


def test_a_release_without_criteria_stops_at_its_one_token():
    """It reports the end of an answer, and refuses never to stop."""
    tokenizer = SimpleNamespace(eos_token_id=7)
    with releases.stopping(tokenizer, never=False) as stops:
        assert (stops(7), stops(8)) == (True, False)
    with (
        pytest.raises(BackendFailed, match="cannot be told not to stop"),
        releases.stopping(tokenizer, never=True),
    ):
        pass


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 16))
def test_an_image_is_stretched_to_no_more_crops_than_allowed(width, height, most):
    """The longer side has at least as many crops as the shorter; turning the image turns them."""
    across, down = phi3_v_processor.crops(width, height, most)
    assert across >= 1
    assert down >= 1
    assert across * down <= most or min(across, down) == max(across, down) == 1
    assert (across >= down) == (width >= height) or across == down
    if width != height:
        assert phi3_v_processor.crops(height, width, most) == (down, across)


class _Letters:
    """A tokenizer of one token a letter, with a first one that starts a text."""

    chat_template = ""

    def encode(self, text, add_special_tokens=True):
        return [1] * add_special_tokens + [ord(letter) for letter in text]


def test_each_image_has_as_many_tokens_in_the_prompt_as_the_model_makes(tmp_path):
    """Two images of different shapes: negative numbers in order, crops padded with zeros."""
    settings = {"num_crops": 2, "num_img_tokens": 9}
    settings |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    processor = phi3_v_processor.Processor(_Letters(), settings, 84)
    images = [Image.new("RGB", size, "white") for size in ((84, 84), (168, 84))]
    inputs = processor(text=["a<|image_1|>b<|image_2|>c"], images=images)
    ids = inputs["input_ids"][0].tolist()
    assert ids.count(-1) == (1 * 1 + 1) * 9 + 1 + (1 + 1) * 3
    assert ids.count(-2) == (1 * 2 + 1) * 9 + 1 + (1 + 1) * 3
    assert [token for token in ids if token > 0] == [1, ord("a"), ord("b"), ord("c")]
    assert inputs["attention_mask"].shape == inputs["input_ids"].shape
    assert inputs["pixel_values"].shape == (2, 3, 3, 84, 84)
    assert inputs["image_sizes"].tolist() == [[84, 84], [84, 168]]
    np.testing.assert_allclose(inputs["pixel_values"][1], 1)
    np.testing.assert_allclose(inputs["pixel_values"][0, 2], 0)


@pytest.mark.parametrize(
    ("version", "name"), [("4.54.1", "torch_dtype"), ("4.56.0", "dtype"), ("5.0.0rc1", "dtype")]
)
def test_the_precision_has_the_name_of_the_release(version, name):
    """transformers takes dtype since 4.56, and took torch_dtype before."""
    assert _dtype_name(version) == name
