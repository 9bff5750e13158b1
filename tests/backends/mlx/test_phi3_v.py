"""Phi-3.5-vision in the worker: another size for its canary, and its own form of a conversation."""

import importlib.util
import json
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.backends.mlx import phi3_v_canary, phi3_v_chat, phi3_v_processor
from qualification.core.errors import BackendFailed
from qualification.core.protocol import Message, Part

VISION = """
from types import SimpleNamespace

class VisionModel:
    CLIP_VIT_LARGE_PATCH14_336_CONFIG = SimpleNamespace(hidden_size=1024, image_size=336)

    def __init__(self):
        super().__init__()
        self.width = 1024 * 4

    def __call__(self, size, high, wide):
        assert size // 336 == high * wide
        return (high * wide + 1) * 144 + 1 + (high + 1) * 12
"""
PROCESSING = """
def _calc_padded_size(width, padding_unit=336):
    return -(-width // padding_unit) * padding_unit

def _calc_hd_transform_size(scale):
    return int(scale * 336)

def _pad_to_336(width):
    return -(-width // 336) * 336

class Phi3VImageProcessor:
    def __init__(self, num_img_tokens=144):
        self.num_img_tokens = num_img_tokens
        self.img_size = 336

    def rows(self):
        return 12
"""
CONFIG = {
    "model_type": "phi3_v",
    "canary_vision_config": {"hidden_size": 64, "image_size": 84, "patch_size": 14},
}


def _module(folder, name, source):
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"sample_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A stand-in for mlx-vlm's package, with the literals of the real one."""
    tower = _module(tmp_path, "vision", VISION)
    family = SimpleNamespace(
        vision=tower,
        processing_phi3_v=_module(tmp_path, "processing", PROCESSING),
        phi3_v=SimpleNamespace(),
    )
    modules = {"mlx_vlm.models.phi3_v": family, "mlx_vlm.models.phi3_v.vision": tower}
    monkeypatch.setattr(phi3_v_canary, "import_module", modules.__getitem__)
    return family


def _folder(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_librarys_own_code_runs_with_the_canarys_sizes(library, tmp_path):
    """Model and processor of the canary's folder count in its crops, tokens and widths."""
    notes = phi3_v_canary.resize_if_canary(_folder(tmp_path, CONFIG))
    assert notes == ("phi3_v with crops of 84 px instead of 336, set by us",)
    tower = library.phi3_v.VisionModel()
    assert tower.width == 64 * 4
    assert tower(84 * 2, 1, 2) == 3 * 9 + 1 + 2 * 3
    assert tower.CLIP_VIT_LARGE_PATCH14_336_CONFIG.hidden_size == 64
    processor = library.Phi3VImageProcessor()
    assert (processor.num_img_tokens, processor.img_size, processor.rows()) == (9, 84, 3)
    assert library.processing_phi3_v._calc_padded_size(100) == 168
    assert library.processing_phi3_v._pad_to_336(85) == 168


def test_a_release_without_a_processor_of_its_own_gets_ours(library, tmp_path, monkeypatch):
    """Else it would take one from the model's repository, as remote code; the record has a note."""
    del library.processing_phi3_v
    utils = SimpleNamespace(AutoProcessor=None)
    modules = {
        "mlx_vlm.models.phi3_v": library,
        "mlx_vlm.models.phi3_v.vision": library.vision,
        "mlx_vlm.utils": utils,
    }
    monkeypatch.setattr(phi3_v_canary, "import_module", modules.__getitem__)
    notes = phi3_v_canary.resize_if_canary(_folder(tmp_path, CONFIG))
    assert notes[1] == phi3_v_processor.NOTE
    assert utils.AutoProcessor is phi3_v_processor.Processor


def test_resizing_twice_is_resizing_once(library, tmp_path):
    """The literals are looked up in the library's files and not in the changed code."""
    folder = _folder(tmp_path, CONFIG)
    assert phi3_v_canary.resize_if_canary(folder) == phi3_v_canary.resize_if_canary(folder)
    assert library.phi3_v.VisionModel().width == 256


@pytest.mark.parametrize(
    "config", [None, {"model_type": "phi3_v"}, {**CONFIG, "model_type": "qwen2_5_vl"}]
)
def test_other_models_are_left_alone(tmp_path, config, monkeypatch):
    """Nothing is imported or changed for another folder."""
    monkeypatch.setattr(phi3_v_canary, "import_module", None)
    if config is not None:
        _folder(tmp_path, config)
    assert phi3_v_canary.resize_if_canary(tmp_path) == ()


def test_a_release_that_is_written_in_another_way_is_refused(library, tmp_path):
    """Without the literals it cannot be resized, which is an error and not ignored."""
    (tmp_path / "vision.py").write_text(VISION.replace("144", "self.tokens"))
    with pytest.raises(BackendFailed, match="VisionModel has not all of the literals"):
        phi3_v_canary.resize_if_canary(_folder(tmp_path, CONFIG))


def test_sizes_that_are_no_numbers_are_refused(library, tmp_path):
    """A model's files are hostile input: only numbers go into the code."""
    config = {**CONFIG, "canary_vision_config": {"image_size": "__import__('os')"}}
    with pytest.raises(BackendFailed, match="no numbers"):
        phi3_v_canary.resize_if_canary(_folder(tmp_path, config))


_PARTS = st.lists(
    st.one_of(
        st.just(Part("image", "image.png")),
        st.text(st.characters(exclude_characters="<"), max_size=9).map(lambda t: Part("text", t)),
    ),
    max_size=4,
)


@given(st.lists(_PARTS, max_size=4))
def test_images_are_numbered_through_the_conversation(turns):
    """Tag n stands where the n-th image was, and no text is lost or moved."""
    messages = tuple(Message("user", tuple(parts)) for parts in turns)
    turned = phi3_v_chat.as_texts(messages)
    tags = re.findall(r"<\|image_(\d+)\|>\n", "".join(turn["content"] for turn in turned))
    images = sum(part.kind == "image" for parts in turns for part in parts)
    assert tags == [str(number) for number in range(1, images + 1)]
    for turn, parts in zip(turned, turns, strict=True):
        expected = "".join("*" if part.kind == "image" else part.value for part in parts)
        assert re.sub(r"<\|image_\d+\|>\n", "*", turn["content"]) == expected
