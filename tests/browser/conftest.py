"""Pages that we write, in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("MASKPS_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@dataclass
class Visit:
    """A page that was opened from disk.

    Attributes:
        page: playwright's.
        requests: addresses of everything it asked for, but for data inside of it.
        complaints: errors and warnings of its console, and exceptions.
        dialogs: what it asked the user; each was accepted.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped aloud if there is no Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright: pip install -e '.[dev]'")
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or set MASKPS_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Opens a file in a window of its own: `visit(path, width=1366, height=768, dark=False, before="")`.

    `before` is JavaScript that runs before that of the page.
    """
    contexts = []

    def open_file(
        path: Path, *, width: int = 1366, height: int = 768, dark: bool = False, before: str = ""
    ) -> Visit:
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(5000)
        if before:
            context.add_init_script(before)
        made = Visit(context.new_page())

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
        made.page.goto(path.resolve().as_uri())
        return made

    yield open_file
    for context in contexts:
        context.close()
