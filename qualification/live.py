"""A picture in the terminal, drawn again twice a second; nothing where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


def live(console: Console, picture: Callable[[], RenderableType]) -> Live | None:
    """Start drawing what ``picture`` gives; None where lines must do.

    A terminal that was only asked for (FORCE_COLOR in CI) cannot be drawn over.
    """
    if not (console.is_interactive and console.file.isatty()):
        return None
    from rich.live import Live

    drawn = Live(
        get_renderable=picture, console=console, refresh_per_second=2,
        transient=True, vertical_overflow="ellipsis",
    )  # fmt: skip
    drawn.start()
    return drawn
