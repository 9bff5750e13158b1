"""Moondream2 in the worker: another size for its canary, and its tokenizer from the folder."""

import json
from types import SimpleNamespace

import pytest

from qualification.backends.mlx import moondream2_canary
from qualification.core.errors import BackendFailed

SHARED = "mlx_vlm.models.moondream3.processing_moondream3"
OWN = "mlx_vlm.models.moondream2.processing_moondream2"
CONFIG = {
    "model_type": "moondream1",
    "vision_config": {"crop_size": 126, "max_crops": 12, "overlap_margin": 1, "patch_size": 14},
}


@pytest.fixture
def library(monkeypatch):
    """A stand-in for mlx-vlm's two modules."""

    class Processor:
        def __init__(self, tokenizer, crop_size=378, max_crops=12, overlap_margin=4):
            self.sizes = (crop_size, max_crops, overlap_margin)

    modules = {
        SHARED: SimpleNamespace(NUM_VISION_TOKENS=729, Moondream3Processor=Processor),
        OWN: SimpleNamespace(TOKENIZER_REPO="moondream/starmie-v1"),
    }
    monkeypatch.setattr(moondream2_canary, "import_module", modules.__getitem__)
    return modules


def _folder(tmp_path, config, *, tokenizer=True):
    (tmp_path / "config.json").write_text(json.dumps(config))
    if tokenizer:
        (tmp_path / moondream2_canary.TOKENIZER).mkdir(parents=True, exist_ok=True)
    return tmp_path


def test_the_processor_has_the_canarys_sizes_and_tokenizer(library, tmp_path):
    """Crops, image tokens and tokenizer are those of the folder; a second time changes nothing."""
    folder = _folder(tmp_path, CONFIG)
    for _ in range(2):
        notes = moondream2_canary.resize_if_canary(folder)
        assert notes == ("moondream2 with crops of 126 px instead of 378, set by us",)
        assert library[SHARED].NUM_VISION_TOKENS == 81
        assert library[SHARED].Moondream3Processor(None).sizes == (126, 12, 1)
        tokenizer = library[OWN].TOKENIZER_REPO
        assert tokenizer == str(tmp_path / "moondream" / "starmie-v1")


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [(CONFIG, False), ({**CONFIG, "model_type": "moondream3"}, True)],
)
def test_other_models_are_left_alone(tmp_path, monkeypatch, config, tokenizer):
    """Nothing is imported or changed for the published model or for another one."""
    monkeypatch.setattr(moondream2_canary, "import_module", None)
    assert moondream2_canary.resize_if_canary(tmp_path) == ()
    assert moondream2_canary.resize_if_canary(_folder(tmp_path, config, tokenizer=tokenizer)) == ()


def test_a_release_that_is_written_in_another_way_is_refused(library, tmp_path):
    """Without the constants it cannot be resized, which is an error and not ignored."""
    del library[SHARED].NUM_VISION_TOKENS
    with pytest.raises(BackendFailed, match="written in another way"):
        moondream2_canary.resize_if_canary(_folder(tmp_path, CONFIG))


@pytest.mark.parametrize("size", ["__import__('os')", 126.5, True, 0, None])
def test_sizes_that_are_no_whole_numbers_are_refused(library, tmp_path, size):
    """A model's files are hostile input: only whole numbers go into the library."""
    config = {**CONFIG, "vision_config": {**CONFIG["vision_config"], "crop_size": size}}
    with pytest.raises(BackendFailed, match="no whole numbers"):
        moondream2_canary.resize_if_canary(_folder(tmp_path, config))
