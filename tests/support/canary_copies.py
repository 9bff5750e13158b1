"""A project whose models are copies of a canary on the engines that load it, run as a user does."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries
from qualification.core.results import Results
from qualification.results.store import Store
from tests.support.forked_pytest import run_forked
from tests.support.toy_project import CHIPS, TIERS

CANARY = canaries() / "smolvlm"
FOLDER, GGUF = ("mlx", "torch"), ("llamacpp", "llama.cpp")
EVERYWHERE = (*FOLDER, *GGUF)
SUITE = "def test_text(deployed): deployed.ask('Hello')\n"


def weights_of(backend: str) -> str:
    """The file that a fault is made in."""
    return "model.safetensors" if backend in FOLDER else "model.gguf"


def write_model(folder: Path, backend: str) -> None:
    """The files of a canary as a user has them: a folder, or a GGUF with its projector."""
    if backend in FOLDER:
        shutil.copytree(CANARY, folder, ignore=shutil.ignore_patterns("gguf"))
    else:
        folder.mkdir(parents=True)
        for name in ("model.gguf", "mmproj.gguf"):
            shutil.copy(CANARY / "gguf" / name, folder)


@dataclass
class Project:
    """A project in an empty folder whose declarations are written one by one."""

    folder: Path
    models: list[str] = field(default_factory=list)

    def declare(self, name: str, backend: str, **source: object) -> None:
        """Declare a model of one source; strings, or a table of them."""
        engine = {"server": "llama.cpp"} if backend == "llama.cpp" else {}
        engine["backend"] = "server" if engine else backend
        values = {**engine, "quantisation": "f32", "weights": "hub", **source}
        if backend in GGUF:
            values = {"model_file": "model.gguf", "mmproj_file": "mmproj.gguf"} | values
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        self.models.append(
            f'[[models]]\nname = "{name}"\nfamily = "smolvlm"\nparameters = 1000\n'
            'licence = "MIT"\ncapabilities = ["vision", "text_only"]\ncontext = 2048\n'
            "generation = { max_tokens = 8, temperature = 0.0 }\n"
            f"[[models.sources]]\n{chr(10).join(lines)}\n"
            'tiers = ["linux_cpu", "air_m4"]\n'
        )

    def run(self, suite: str = SUITE) -> tuple[pytest.RunResult, Results]:
        """Run the suite on every model; what was printed, and what was stored."""
        declared = self.folder / "declared"
        declared.mkdir()
        (declared / "models.toml").write_text("shipped = false\n" + "\n".join(self.models))
        (declared / "tiers.toml").write_text(TIERS)
        (declared / "chips.toml").write_text(CHIPS)
        (self.folder / "test_suite.py").write_text(suite)
        words = ("--download", "--declarations", declared, "-p", "no:cacheprovider")
        result = run_forked(self.folder, *words, "test_suite.py")
        assert (self.folder / "reports").is_dir(), result.stdout.str() + result.stderr.str()
        store = Store(f"sqlite:///{self.folder}/reports/results.sqlite")
        return result, store.results(store.latest())

    def report(self) -> str:
        """The document that ``qualify report`` writes."""
        words = ["report", "--results", f"{self.folder}/reports/results.sqlite"]
        words += ["--declarations", f"{self.folder}/declared", "--output", f"{self.folder}/out"]
        result = CliRunner().invoke(main, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return (self.folder / "out/recommendations.md").read_text()


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {json.dumps(value[key])}" for key in value) + " }"
    return json.dumps(value)
