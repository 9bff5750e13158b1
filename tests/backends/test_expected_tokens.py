"""Tokens of a request's images, by the files in a model's folder."""

import json

from PIL import Image

from qualification.backends.expected_tokens import expected
from qualification.core.protocol import GenerateRequest, Message, Part

QWEN = {"model_type": "qwen2_5_vl"}
QWEN_PUBLISHED = {
    "patch_size": 14,
    "merge_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12_845_056,
}


def test_what_is_not_known_is_not_guessed(tmp_path):
    """No files, another family, files in another form, a clip, a request that does not ask."""
    file = tmp_path / "p.png"
    Image.new("RGB", (84, 84)).save(file)
    part = Part("image", str(file))

    def ask(*parts, phases=True, **more):
        request = GenerateRequest((Message("user", parts),), 1, phases=phases)
        return expected(tmp_path, request, **more)

    assert ask(part) == -1
    (tmp_path / "config.json").write_text('{"model_type": "phi3_v"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert ask(part) == -1
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert ask(part) == -1
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(QWEN_PUBLISHED))
    assert ask(part) == 9
    assert ask(part, part) == 18
    assert ask(part, phases=False) == -1
    assert ask(part, in_llama_cpp=True) == 9
    assert ask(Part("video", str(tmp_path))) == -1
    assert ask(Part("text", "no image")) == 0
