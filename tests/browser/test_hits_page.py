"""The page of hits in a real browser: no request, no overflow, and scenes that open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stripe_photos import HEIGHT, WIDTH, StripePredictor, write_photo

from maskps.gallery import Gallery
from maskps.gallery.hits import Search
from maskps.gallery.hits_files import write_hits
from maskps.gallery.photos import read_photo

Visits = Callable[..., Any]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine hits of a camera with a long name; the photo of the last one is gone."""
    folder = tmp_path_factory.mktemp("hits")
    for number in range(9):
        write_photo(folder / "p" / f"{number}.png", [(200, 20 * number, 0), (0, 0, 0)])
    with Gallery.open(folder / "g.gallery", StripePredictor()) as gallery:
        gallery.add([folder / "p"], camera=f"<b>{'x' * 80}", start=1_700_000_000)
        pixels = read_photo(folder / "p" / "0.png").pixels
        box = np.array([0, 0, WIDTH, HEIGHT], np.float32)
        hits = gallery.search(pixels, box)
        (folder / "p" / "8.png").unlink()
        search = Search("people", folder / "p" / "0.png", pixels, box, gallery.store.network, hits)
        write_hits(folder / "hits.html", search)
    return folder / "hits.html"


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (390, True)])
def test_it_opens_without_a_request_a_complaint_or_an_overflow(
    width: int, dark: bool, page: Path, visit_each: Visits
) -> None:
    visited = visit_each(page, width=width, dark=dark)
    summaries = visited.page.locator(".crops summary")
    assert summaries.count() == 9 and summaries.nth(1).is_visible()
    summaries.nth(1).click()
    assert visited.faults() == [] and visited.is_dark == dark


def test_a_click_or_a_key_opens_the_whole_scene(page: Path, visit_each: Visits) -> None:
    opened = visit_each(page).page
    scenes = opened.locator(".crops .scene")
    assert scenes.count() == 8 and not scenes.nth(2).is_visible()
    opened.locator(".crops summary").nth(2).click()
    assert scenes.nth(2).is_visible()
    opened.locator(".crops summary").nth(3).focus()
    opened.keyboard.press("Enter")
    assert scenes.nth(3).is_visible()
    assert opened.get_by_text("the file is gone, or has changed").is_visible()
