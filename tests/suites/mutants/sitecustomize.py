"""Breaks the mlx backend of a worker that was started with this folder on PYTHONPATH.

``MUTATION`` names the fault; a release of a library has had each of them, or could have it.
"""

import importlib
import itertools
import os

_import_module = importlib.import_module
SECTIONS = [int(x) for x in os.environ.get("SECTIONS", "0,4,4").split(",")]


def _zeroed_vision(module):
    """The vision tower's features are all zero."""

    def broken(backend):
        tower = type(backend._model.vision_tower)
        original = tower.__call__
        tower.__call__ = lambda self, *args, **kwargs: original(self, *args, **kwargs) * 0

    _after_load(module, broken)


def _shifted_image_tokens(module):
    """The image's tokens are one place behind the place that the template gave them."""

    def broken(backend):
        import mlx.core as mx

        original = backend._model.get_input_embeddings
        token = backend._model.config.image_token_id

        def shifted(ids):
            row = ids.tolist()[0]
            moved = list(row)
            for end, (current, following) in enumerate(itertools.pairwise(row)):
                if current == token and following != token:  # the end of an image
                    start = end
                    while row[start - 1] == token:
                        start -= 1
                    moved[start : end + 2] = [following, *row[start : end + 1]]
            return mx.array([moved])

        def embeddings(input_ids=None, *args, **kwargs):
            return original(shifted(input_ids), *args, **kwargs)

        backend._model.get_input_embeddings = embeddings

    _after_load(module, broken)


def _wrong_rotary_sections(module):
    """The rotary dimensions are divided differently among time, height and width."""
    original = module.Backend.load

    def load(self, request):
        import mlx_vlm.utils

        read = mlx_vlm.utils.load_config

        def config(*args, **kwargs):
            changed = read(*args, **kwargs)
            changed["rope_scaling"]["mrope_section"] = SECTIONS
            return changed

        mlx_vlm.utils.load_config = config
        return original(self, request)

    module.Backend.load = load


def _dropped_template(module):
    """The prompt is only the text behind the image's placeholder."""

    def prompt(self, messages, _images, _options):
        text = " ".join(p.value for m in messages for p in m.parts if p.kind == "text")
        places = sum(p.kind == "image" for m in messages for p in m.parts)
        return "<|vision_start|><|image_pad|><|vision_end|>" * places + text

    module.Backend._prompt = prompt


def _reused_cache(module):
    """The key/value cache of the first request serves all later requests."""
    import mlx_vlm

    original = mlx_vlm.stream_generate
    caches = []

    def stream_generate(model, *args, **kwargs):
        from mlx_vlm.models import cache

        if not caches:
            caches.append(cache.make_prompt_cache(model.language_model))
        return original(model, *args, prompt_cache=caches[0], **kwargs)

    mlx_vlm.stream_generate = stream_generate


def _after_load(module, broken):
    original = module.Backend.load

    def load(self, request):
        report = original(self, request)
        broken(self)
        return report

    module.Backend.load = load


_MUTATIONS = {
    "zeroed_vision": _zeroed_vision,
    "shifted_image_tokens": _shifted_image_tokens,
    "wrong_rotary_sections": _wrong_rotary_sections,
    "dropped_template": _dropped_template,
    "reused_cache": _reused_cache,
}


def _broken_import(name, package=None):
    module = _import_module(name, package)
    if name == "qualification.backends.mlx.backend":
        from qualification.backends.shims.torchvision import install_if_needed

        install_if_needed()
        _MUTATIONS[os.environ["MUTATION"]](module)
    return module


importlib.import_module = _broken_import
