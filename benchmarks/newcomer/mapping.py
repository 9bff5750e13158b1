"""What one new release of a library costs a map of releases that knows nothing of it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from benchmarks.newcomer.figures import keep
from qualification.models.loading import load_registry
from qualification.upgrade.release_map import driver
from qualification.upgrade.release_map.records import ReleaseMap

PACKAGES = ("xllamacpp", "mlx-vlm")


def release() -> None:
    """``map_release_s[PACKAGE]``: both environments built, and every canary asked in both."""
    registry = load_registry()
    nothing = mock.patch.object(
        driver, "shipped_map", lambda package, *_: ReleaseMap(package, (), (), ())
    )
    for package in PACKAGES:
        request = driver.MapRequest(package, most=1)
        with nothing, tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            driver.make_map(
                request, registry, Path(folder), lambda line: print(line, file=sys.stderr)
            )
            wall_s = time.monotonic() - start
        command = f"qualify map {package} --last 1 (of a map that does not know it)"
        keep(f"map_release_s[{package}]", wall_s, "s", command)
