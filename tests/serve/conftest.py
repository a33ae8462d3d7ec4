"""A small gallery, and the page's server for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from page_server import Served, served
from stripe_photos import StripePredictor, write_photo

from maskps.gallery import Gallery

RED, GREEN, BLUE, DARK_RED = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 20, 10)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """door/a.png: red and green; yard/b.png: dark red and blue, an hour later; not yet in the gallery."""
    return write_photos(tmp_path)


@pytest.fixture
def gallery(photos: Path) -> Iterator[Gallery]:
    """Both photos, each of the camera that its folder names."""
    with filled(photos) as opened:
        yield opened


@pytest.fixture
def server(gallery: Gallery) -> Iterator[Served]:
    with served(gallery) as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same for tests that change nothing."""
    with filled(write_photos(tmp_path_factory.mktemp("photos"))) as opened, served(opened) as running:
        yield running


def write_photos(folder: Path) -> Path:
    write_photo(folder / "door" / "a.png", [RED, GREEN])
    write_photo(folder / "yard" / "b.png", [DARK_RED, BLUE])
    return folder


@contextmanager
def filled(photos: Path) -> Iterator[Gallery]:
    with Gallery.open(photos / "people.gallery", StripePredictor()) as opened:
        opened.add([photos / "door"], camera="door", start=1_700_000_000)
        opened.add([photos / "yard"], camera="yard", start=1_700_003_600)
        yield opened
