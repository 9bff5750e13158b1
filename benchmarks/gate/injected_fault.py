"""A release that is slower, on purpose: put into the site-packages of an environment's copy.

With ``injected_fault.pth`` beside it ("import injected_fault") every interpreter of the
environment imports it at its start, and so do the gate's workers.
``injected_fault.json`` beside it names the fault and its share:

``decode``  busy-wait for that share of each token's time, in llama-cpp-python's own sampling
``load``    read that share of the model's bytes again, for that share of the time that loading took
``memory``  touch that share of the process's peak once it is loaded, and keep it
"""

import importlib
import json
import time
from pathlib import Path

_import_module = importlib.import_module
_KEPT = []
_DONE = []


def _decode(share):
    import llama_cpp

    original = llama_cpp.Llama.sample
    ended = [0.0]

    def sample(self, *args, **kwargs):
        token = original(self, *args, **kwargs)
        now = time.perf_counter()
        token_s = now - ended[0]
        if token_s < 1.0:  # longer is another request's pause, not a token
            end = now + share * token_s
            while time.perf_counter() < end:
                pass
        ended[0] = time.perf_counter()
        return token

    llama_cpp.Llama.sample = sample


def _load(share):
    import llama_cpp

    from qualification.backends.llamacpp.backend import Backend

    original_init, generate = llama_cpp.Llama.__init__, Backend.generate
    begun = []

    def init(self, model_path, *args, **kwargs):
        begun[:] = [time.perf_counter(), model_path]
        original_init(self, model_path, *args, **kwargs)

    def materialised(self, request):
        generation = generate(self, request)
        if begun:  # the first request, which ends the loading
            started, path = begun
            begun.clear()
            end = time.perf_counter() + share * (time.perf_counter() - started)
            with open(path, "rb") as file:
                file.read(int(share * Path(path).stat().st_size))
            while time.perf_counter() < end:  # a small file is read faster than it was loaded
                pass
        return generation

    llama_cpp.Llama.__init__ = init
    Backend.generate = materialised


def _memory(share):
    from qualification.backends.llamacpp.backend import Backend
    from qualification.machine.process_memory import peak_memory

    original = Backend.generate

    def generate(self, request):
        generation = original(self, request)
        if not _KEPT:
            # Beyond the peak, not in memory that was freed after loading.
            report = peak_memory()
            freed = report.peak_memory_bytes - report.details["VmRSS"]
            _KEPT.append(b"\x01" * int(share * report.peak_memory_bytes + freed))
        return generation

    Backend.generate = generate


_FAULTS = {"decode": _decode, "load": _load, "memory": _memory}


def _faulty_import(name, package=None):
    module = _import_module(name, package)
    if name == "qualification.backends.llamacpp.backend" and not _DONE:
        _DONE.append(name)
        fault = json.loads(Path(__file__).with_suffix(".json").read_text())
        _FAULTS[fault["fault"]](fault["share"])
    return module


importlib.import_module = _faulty_import
