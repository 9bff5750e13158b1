"""A session of an Air M4 made by hand, with the figures that a test gives; they mean nothing."""

from dataclasses import replace

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Verdict
from qualification.results.rows import rows
from tests.support.session_sample import REVISION, results, session, trials

LARGE, SMALL, EIGHT = (
    "qwen2.5-vl-7b-4bit@mlx",
    "qwen2.5-vl-3b-4bit@mlx",
    "qwen2.5-vl-7b-8bit@mlx",
)
VERSIONS = {
    "mlx": "0.32.4",
    "mlx-vlm": "0.7.10",
    "transformers": "5.23.0",
    "mlx-lm": "",
    "tokenizers": "0.23.3",
    "huggingface_hub": "2.4.0",
    "torch": "2.13.0+cpu",
    "torchvision": "0.28.0",
    "numpy": "2.4.6",
    "pillow": "13.0.0",
    "llama-cpp-python": "0.3.36",
    "xllamacpp": "2026.10.11549",
}
AIR = {
    "system": "macos",
    "chip": "Apple M4",
    "product": "MacBook Air",
    "architecture": "arm64",
    "memory_bytes": 32 * 2**30,
    "bandwidth": 120e9,
    "tier": "air_m4",
}
FIGURES = {
    "accuracy": 0.94,
    "accuracy_questions": 100,
    "decode_tps": 21.8,
    "peak_memory_bytes": 6.8e9,
    "load_s": 4.2,
    "ttft_s": 1.4,
}


def air(figures, checks=(), revision=REVISION, versions=VERSIONS, **machine):
    """A session of ``{deployment: {metric: value or values}}`` over :data:`FIGURES`."""
    values = [
        trial
        for name, changes in figures.items()
        for metric, value in {**FIGURES, **changes}.items()
        for trial in trials(
            metric, *(value if isinstance(value, tuple) else (value,)), deployment=name
        )
    ]
    of_air = session(**AIR | machine)
    environment = replace(of_air.environment, python="3.12.8", versions=versions)
    device = "gpu" if (AIR | machine)["system"] == "macos" else "cpu"
    return results(
        session=replace(of_air, environment=environment),
        verdicts=tuple(Verdict(name, "no_baseline", "usable") for name in figures),
        trials=tuple(values),
        checks=(*[Check(name, "load", "test_loads", "passed") for name in figures], *checks),
        load_reports={
            name: LoadReport(4.2, 4.0, 1.0, device, 10**9, revision, {}) for name in figures
        },
    )


def row_of(identifier, sample, registry):
    """The row of a deployment in such a session."""
    return next(row for row in rows(sample, registry) if row.identifier == identifier)
