"""matplotlib, imported when the first plot is drawn: without a word, and without a trace at home.

Its list of fonts is kept in the folder of our caches; where that cannot be written, matplotlib
makes the list anew in a temporary folder. Where it was imported before, it stays as it is.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from qualification.core import paths

_FOLDER = "MPLCONFIGDIR"


@cache
def import_matplotlib() -> None:
    """Import what the drawing needs."""
    with _silence(), _own_folder():
        import matplotlib.backends.backend_svg
        import matplotlib.figure
        import matplotlib.ticker  # noqa: F401 (all are used where they are imported again)


@contextmanager
def _silence() -> Iterator[None]:
    """It warns of folders that are read-only, of slow fonts, and of settings it does not know."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _own_folder() -> Iterator[None]:
    """Name our folder, unless the user named one or has imported matplotlib."""
    before = os.environ.get(_FOLDER)
    if not before and "matplotlib" not in sys.modules:
        os.environ[_FOLDER] = str(paths.cache() / "matplotlib")
    try:
        yield
    finally:  # matplotlib too sets it, where it has to take a temporary folder
        os.environ.pop(_FOLDER, None)
        if before is not None:
            os.environ[_FOLDER] = before
