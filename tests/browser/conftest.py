"""Pages that we write, in real browsers: Debian's Chromium and Firefox, both driven by playwright."""

from __future__ import annotations

import os
import re
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

_FAINT = """() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (one) => (one <= 10.31 ? one / 3294.6 : ((one / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
    const both = [luminance(parts(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${node.textContent} ${ratio}`);
  }
  return poor;
}"""


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
        """What no page may do: complain, ask, load what is not its own, scroll sideways, show faint text."""
        own = self.address if self.address.startswith("file:") else self.address.partition("#")[0]
        foreign = [one for one in self.requests if not one.removeprefix("blob:").startswith(own)]
        root = "document.documentElement"
        over = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        wide = [f"{over} pixels too wide"] * (over > 0)
        return [*self.complaints, *self.dialogs, *foreign, *wide, *self.faint_texts()]

    def faint_texts(self) -> list[str]:
        """Texts with a contrast below 4.5 to 1 (WCAG 2.2, 1.4.3), computed from their styles."""
        return list(self.page.evaluate(_FAINT))

    @property
    def is_dark(self) -> bool:
        """Whether the ground is darker than the text."""
        colours = "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        ground, ink = (sum(map(int, re.findall(r"\d+", text))) for text in self.page.evaluate(colours))
        return ground < ink


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
