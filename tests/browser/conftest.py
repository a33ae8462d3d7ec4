"""Pages that we write, in real browsers: Debian's Chromium and Firefox, both driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("MASKPS_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FIREFOX = os.environ.get("MASKPS_FIREFOX") or shutil.which("firefox-esr") or "/usr/bin/firefox-esr"

Start = Callable[[bool], Any]
"""Returns the browser that shows pages in the dark, or in light."""


@dataclass
class Visit:
    """A page that was opened.

    Attributes:
        page: playwright's.
        address: of the page.
        requests: addresses of everything it asked for, but for data inside of it; Firefox leaves out files.
        complaints: errors and warnings of its console, and exceptions.
        dialogs: what it asked the user; each was accepted.
    """

    page: Any
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What no page may do: complain, ask, load anything, or scroll sideways."""
        foreign = [one for one in self.requests if one != self.address]
        over = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return [*self.complaints, *self.dialogs, *foreign, *[f"{over} pixels too wide"] * (over > 0)]

    @property
    def is_dark(self) -> bool:
        """Whether the ground is darker than the text."""
        colours = "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        ground, ink = (
            sum(map(int, text[4:-1].split(","))) for text in self.page.evaluate(colours)
        )  # "rgb(1, 2, 3)"
        return bool(ground < ink)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright: pip install -e '.[dev]'")
    with sync_api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Any) -> Iterator[Any]:
    """A browser; the test is skipped aloud if there is no Chromium."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or set MASKPS_CHROMIUM")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def firefox(playwright: Any) -> Iterator[Start]:
    """Firefox, light or dark by its settings; the test is skipped aloud if it cannot be driven."""
    if not Path(FIREFOX).is_file():
        pytest.skip(f"no Firefox at {FIREFOX}: apt-get install firefox-esr, or set MASKPS_FIREFOX")
    running: dict[bool, Any] = {}

    def start(dark: bool) -> Any:
        if dark not in running:
            settings = {"layout.css.prefers-color-scheme.content-override": 0 if dark else 1}
            running[dark] = playwright.firefox.launch(
                channel="moz-firefox", executable_path=FIREFOX, firefox_user_prefs=settings
            )
        return running[dark]

    try:
        start(False).new_context().close()
    except Exception as error:
        if "setMediaFeaturesOverride" not in str(error):
            raise
        pytest.skip("this playwright drives newer Firefox only: pip install 'playwright<1.64'")
    yield start
    for browser in running.values():
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Opens a page in a window of Chromium: `visit(place, width=1366, height=768, dark=False, before="")`.

    `place` is the path of a file, or an address. `before` is JavaScript that runs before that of the page.
    """
    yield from _visits(lambda dark: chromium)


@pytest.fixture(params=["chromium", "firefox"])
def visit_each(request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """As `visit`; the test runs in Chromium, and again in Firefox."""
    browser = request.getfixturevalue(request.param)
    yield from _visits(browser if request.param == "firefox" else lambda dark: browser)


def _visits(start: Start) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def visit(
        place: Path | str, *, width: int = 1366, height: int = 768, dark: bool = False, before: str = ""
    ) -> Visit:
        scheme = "dark" if dark else "light"
        size = {"width": width, "height": height}
        context = start(dark).new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(15000)
        if before:
            context.add_init_script(before)
        address = place if isinstance(place, str) else place.resolve().as_uri()
        made = Visit(context.new_page(), address)

        def accept(dialog: Any) -> None:
            made.dialogs.append(dialog.type)
            dialog.accept()

        def complain(message: Any) -> None:
            if message.type in ("error", "warning"):
                made.complaints.append(message.text)

        made.page.on("dialog", accept)
        made.page.on("console", complain)
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on(
            "request",
            lambda request: request.url.startswith("data:") or made.requests.append(request.url),
        )
        made.page.goto(address)
        return made

    yield visit
    for context in contexts:
        context.close()
