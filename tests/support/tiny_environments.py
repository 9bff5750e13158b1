"""Environments of wheels of a few hundred bytes, and what is in those wheels."""

from __future__ import annotations

from pathlib import Path

from qualification.upgrade.environments.spec import EnvironmentSpec
from tests.support.tiny_wheels import write_wheel

SPEC = EnvironmentSpec("tiny", "two wheels", ("alpha==1.0",), no_dependencies=("gamma==1.0",))

BASE = EnvironmentSpec(
    "base",
    "releases of one day",
    ("model==1.0", "tokens==1.0", "mlx==1.0", "mlx-cpu==1.0", "tensor==1.0", "other==1.0"),
    no_dependencies=("vision==1.0",),
)


def write_wheels(folder: Path) -> None:
    """alpha needs beta; delta's needs contradict alpha's; gamma needs what does not exist."""
    write_wheel(folder, "alpha", "1.0", "beta>=1")
    write_wheel(folder, "alpha", "2.0", "beta>=1")
    write_wheel(folder, "beta", "1.0")
    write_wheel(folder, "delta", "1.0", "beta<1")
    write_wheel(folder, "gamma", "1.0", "nowhere==1")
    # Releases of one day: 2.0 of each fits 2.0 of the others alone; vision comes with tensor.
    for version in ("1.0", "2.0"):
        write_wheel(folder, "model", version, f"tokens=={version}", f"mlx=={version}")
        write_wheel(folder, "vision", version, f"tensor=={version}", "nothing")
        for name in ("tokens", "mlx", "mlx-cpu", "tensor", "other"):
            write_wheel(folder, name, version)
    write_wheel(folder, "nothing", "1.0")
