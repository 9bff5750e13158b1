"""HTML documents in a real browser, as a reader sees them: Chromium, driven by Playwright.

Nothing is loaded from anywhere: what a page asks for is refused and remembered. Its own
Content-Security-Policy stays in force; Playwright's evaluations are not subject to it.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mode
from tempfile import TemporaryDirectory

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="make test-browser installs it")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="make test-browser")
pypdf = pytest.importorskip("pypdf", reason="make test-browser installs it")

DESKTOP, TABLET, PHONE = (1440, 900), (1024, 768), (390, 844)
MARGIN_MM = 12
"""Of the paper; a document's own ``@page`` goes before it in :meth:`Page.pdf`."""
PAPER = (round((210 - 2 * MARGIN_MM) / 25.4 * 96), round((297 - 2 * MARGIN_MM) / 25.4 * 96))
"""What may be printed on of A4."""

_PROBE = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
_POINTS_PER_PIXEL = 0.75


@dataclass(frozen=True)
class Violation:
    """A rule of axe that an element breaks; its impact is serious or critical."""

    rule: str
    target: str
    summary: str


@dataclass(frozen=True)
class Printed:
    """A PDF, the text of each page, and how far most of it was shrunk to fit (1: not at all)."""

    content: bytes
    pages: tuple[str, ...]
    scale: float


class Page:
    """A document that is open; lengths are CSS pixels.

    ``requests``: the addresses that it asked for beside its own. ``errors``: what the browser's
    console calls an error, such as what the Content-Security-Policy refused.
    """

    def __init__(self, page, address: str, *, scripts: bool, paper: bool) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._address, self._scripts, self._paper = address, scripts, paper
        page.route("**/*", self._answer)
        page.on("request", self._remember)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._session = page.context.new_cdp_session(page)
        self._may_run_scripts(scripts)
        page.goto(address)
        page.emulate_media(media="print" if paper else "screen")  # loading forgets it

    def serious(self) -> list[Violation]:
        """What axe finds, all ``<details>`` open; it needs scripts, so they run for as long."""
        with self._details(is_open=True), self._scripts_for_axe():
            options = {"resultTypes": ["violations"], "preload": False}
            violations = axe.Axe().run(self.page, options=options).response["violations"]
        return [
            Violation(violation["id"], " ".join(map(str, node["target"])), node["failureSummary"])
            for violation in violations
            for node in violation["nodes"]
            if node["impact"] in ("serious", "critical")
        ]

    def overflow(self) -> int:
        """How far the page can be scrolled sideways, all ``<details>`` open."""
        with self._details(is_open=True):
            return self._ask("overflow")

    def hidden_columns(self) -> list[str]:
        """The columns of tables that are not seen whole, and why, all ``<details>`` open.

        A column in a frame that scrolls and takes the focus is seen, but not on paper. So is the
        header of cells that are stacked with labels (``::before``). An empty cell hides nothing.
        """
        with self._details(is_open=True):
            return self._ask("hiddenColumns", not self._paper)

    def height_in_screens(self, height: int = 900) -> float:
        """The length of the page, all ``<details>`` closed; at least its window's."""
        with self._details(is_open=False):
            return self._ask("height") / height

    def text_above(self, limit: int) -> str:
        """The words that are whole above ``limit``, without scrolling, all ``<details>`` closed.

        A line for each block; without what the style adds (``::before``).
        """
        with self._details(is_open=False):
            return self._ask("textAbove", limit)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows, as PNG."""
        self.page.screenshot(path=path)

    def pdf(self) -> Printed:
        """Print on A4, ``<details>`` as they are."""
        sides = dict.fromkeys(("top", "right", "bottom", "left"), f"{MARGIN_MM}mm")
        content = self.page.pdf(format="A4", margin=sides)
        scales: list[float] = []

        def measure(text, matrix, *_state):
            if text.strip():
                scales.append(matrix[0] / _POINTS_PER_PIXEL)

        sheets = pypdf.PdfReader(io.BytesIO(content)).pages
        pages = tuple(sheet.extract_text(visitor_text=measure) for sheet in sheets)
        return Printed(content, pages, round(mode(scales or [1.0]), 2))

    def _ask(self, question: str, *arguments):
        return self.page.evaluate(f"words => ({_PROBE})().{question}(...words)", list(arguments))

    @contextmanager
    def _details(self, *, is_open: bool) -> Iterator[None]:
        before = self._ask("details", is_open)
        try:
            yield
        finally:
            self._ask("details", before)

    @contextmanager
    def _scripts_for_axe(self) -> Iterator[None]:
        self._may_run_scripts(True)
        try:
            yield
        finally:
            self._may_run_scripts(self._scripts)

    def _may_run_scripts(self, may: bool) -> None:
        self._session.send("Emulation.setScriptExecutionDisabled", {"value": not may})

    def _answer(self, route) -> None:
        if route.request.url == self._address:
            route.continue_()
        else:
            route.abort()

    def _remember(self, request) -> None:
        if request.url != self._address:
            self.requests.append(request.url)

    def _listen(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)


@contextmanager
def chromium() -> Iterator:
    """Start Debian's Chromium; the test is skipped where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser,
    document: str | Path,
    *,
    size: tuple[int, int] = DESKTOP,
    dark: bool = False,
    scripts: bool = True,
    paper: bool = False,
) -> Iterator[Page]:
    """Open a file, or the text of one, in a window of this size; ``paper``: as A4 is printed."""
    with TemporaryDirectory() as folder:
        if isinstance(document, str):
            written = Path(folder, "document.html")
            written.write_text(document, encoding="utf-8")
            document = written
        width, height = PAPER if paper else size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        page = context.new_page()
        yield Page(page, document.resolve().as_uri(), scripts=scripts, paper=paper)
        context.close()
