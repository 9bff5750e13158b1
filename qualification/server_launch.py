"""Run a server's module as ``python -m MODULE`` does, in an environment that can import it.

``python server_launch.py MODULE [ARGUMENTS]``, under the interpreter of the environment to qualify.
The worker's backends declare torchvision's missing operators before they import a library
(``backends/torchvision_shim.py``); a server is another process and needs the same. Where
torchvision is whole this does nothing else than ``-m``.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def main() -> None:
    """Declare what is missing, then become the module."""
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != _HERE]
    sys.argv = sys.argv[1:]
    spec = importlib.util.spec_from_file_location(
        "torchvision_shim", _HERE / "backends" / "torchvision_shim.py"
    )
    assert spec is not None
    assert spec.loader is not None
    shim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    if shim.install_if_needed():
        print("torchvision operators declared by us", file=sys.stderr, flush=True)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
