"""Plants a fault in the torch backend of a worker that was started with this folder on PYTHONPATH.

``SEE_FAULT`` names it: one of ``benchmarks.see.faults``, or ``stale by file name``.
"""

import base64
import dataclasses
import importlib
import os
import tempfile
from pathlib import Path

_import_module = importlib.import_module


def _planted(module):
    from benchmarks.see.faults import REQUEST_FAULTS, Memory
    from qualification.core.protocol import Message, Part
    from qualification.servers.chat import as_request, data_url

    fault, memory = os.environ["SEE_FAULT"], Memory()
    original = module.Backend.generate

    def url_of(part):
        url = data_url(Path(part.value))
        if fault == "stale by file name":
            return memory.images.setdefault(part.value, [url])[0]
        return url

    def part_of(part):
        if part["type"] == "text":
            return Part("text", part["text"])
        encoded = part["image_url"]["url"].partition(",")[2]
        _, name = tempfile.mkstemp(".png")
        Path(name).write_bytes(base64.b64decode(encoded))
        return Part("image", name)

    def generate(self, request):
        messages = [as_request(message, url_of) for message in request.messages]
        if fault in REQUEST_FAULTS:
            messages = REQUEST_FAULTS[fault](messages, memory)
        turns = []
        for message in messages:
            content = message["content"]
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            turns.append(Message(message["role"], tuple(part_of(part) for part in parts)))
        return original(self, dataclasses.replace(request, messages=tuple(turns)))

    module.Backend.generate = generate


def _patched(name, package=None):
    module = _import_module(name, package)
    if name == "qualification.backends.torch" and os.environ.get("SEE_FAULT"):
        _planted(module)
    return module


importlib.import_module = _patched
