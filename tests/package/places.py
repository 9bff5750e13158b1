"""An environment with the wheel, apart from the checkout."""

import ctypes
import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from qualification.upgrade.environments.uv_program import uv_environment, uv_program


@dataclass
class Place:
    """An environment with the wheel, an empty folder to work in, and a home of its own.

    ``is_read_only``: whether no process that is started here may write into the environment.
    """

    root: Path
    is_read_only: bool = False

    def __post_init__(self):
        for folder in (self.work, self.home, self.temporary):
            folder.mkdir(parents=True)

    @property
    def work(self):
        return self.root / "empty"

    @property
    def home(self):
        return self.root / "home"

    @property
    def temporary(self):
        return self.root / "tmp"

    @property
    def environment(self):
        """Inside the project, as most people keep it, unless nobody may write there."""
        return self.root / "environment" if self.is_read_only else self.work / ".venv"

    @property
    def bin(self):
        return self.environment / "bin"

    @property
    def site_packages(self):
        return next((self.environment / "lib").glob("python*/site-packages"))

    def install(self, *requirements):
        """Install with uv, which links from its cache; the releases are those installed here."""
        uv = uv_program()
        _run([uv, "venv", "--quiet", "--python", sys.executable, self.environment])
        constraints = self.root / "constraints.txt"
        # With the exact builds it never takes a CUDA torch.
        releases = {d.name: d.version for d in importlib.metadata.distributions()}
        releases.pop("qualification")
        constraints.write_text("\n".join(f"{name}=={releases[name]}" for name in releases))
        install = ("pip", "install", "--quiet", "--python", self.bin / "python")
        _run([uv, *install, "--constraints", constraints, *requirements], env=uv_environment())

    def run(self, *command):
        """Start one of the environment's programs in the empty folder."""
        variables = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": self.home}
        return _run(
            [self.bin / command[0], *command[1:]],
            cwd=self.work,
            env=variables | {"TMPDIR": self.temporary, "QUALIFY_RESULTS": ""},
            preexec_fn=_obey_permissions if self.is_read_only else None,
        )


def _run(command, **more):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **more
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def _obey_permissions():
    """Let the program of this process obey modes of files even if it is root's (Linux)."""
    if sys.platform == "linux":
        drop_capability, may_override_modes = 24, 1
        ctypes.CDLL(None).prctl(drop_capability, may_override_modes, 0, 0, 0)
