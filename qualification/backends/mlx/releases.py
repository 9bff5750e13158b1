"""Adapts old releases of mlx-vlm so that they run here, and supplies what they lack.

They run so that an upgrade can be compared with the releases before it. Nothing here changes what a
release computes.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from qualification.core.errors import BackendFailed

NOTE = "mlx-vlm's wired memory limit left out by us: this release asks Metal for it everywhere"


def run_without_metal(mx: Any) -> tuple[str, ...]:
    """Let releases before 0.3.2 generate on Linux; return notes for the record.

    Their ``stream_generate`` sets a limit from the size that Metal recommends, and raises without
    Metal. Later releases check for Metal and are left as they are.
    """
    if mx.metal.is_available():
        return ()
    changed = False
    for name in ("mlx_vlm.utils", "mlx_vlm.generate"):
        module: Any = sys.modules.get(name)  # the package also has a function `generate`
        code = getattr(getattr(module, "wired_limit", None), "__wrapped__", None)
        if code is not None and "is_available" not in code.__code__.co_names:
            module.wired_limit = _no_limit
            changed = True
    return (NOTE,) if changed else ()


@contextlib.contextmanager
def stopping(tokenizer: Any, *, never: bool) -> Iterator[Callable[[Any], bool]]:
    """Yield the test whether a token ends the answer; with ``never`` none does, inside the block.

    The public option for that changed its name between releases; the attribute did not. Before
    about 0.1.22 there was neither, and the tokenizer's one end token ended an answer.

    Raises:
        BackendFailed: ``never`` with such an old release.

    """
    criteria = getattr(tokenizer, "stopping_criteria", None)
    if criteria is None:
        if never:
            raise BackendFailed("this release of mlx-vlm cannot be told not to stop")
        yield lambda token: bool(token == tokenizer.eos_token_id)
        return
    if never:
        tokenizer.stopping_criteria = _never_stop
    try:
        yield tokenizer.stopping_criteria
    finally:
        tokenizer.stopping_criteria = criteria


@contextlib.contextmanager
def _no_limit(*_arguments: object) -> Iterator[None]:
    yield


def _never_stop(_token: object) -> bool:
    return False
