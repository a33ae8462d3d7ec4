"""Holes in JPEG files are found, and flat pictures are not taken for holes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.errors import InputFileError
from maskps.io.images import check_image, read_image
from maskps.io.jpeg import hole_in_jpeg

SAVED: list[dict[str, Any]] = [
    {},
    {"quality": 30, "optimize": True},
    {"quality": 50, "subsampling": 0, "optimize": True},
    {"progressive": True},
    {"restart_marker_blocks": 7},
]


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG", **options)
    return stream.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def photo() -> np.ndarray:
    """Smooth shapes with a little noise, as a camera gives them."""
    y, x = np.mgrid[:600, :800] / 40
    smooth = 128 + 60 * np.sin(x) * np.cos(y) + 30 * np.sin(3 * x + y)
    return np.clip(smooth[..., None] + noise(600, 800, 3) / 16, 0, 255)


@pytest.mark.parametrize("options", SAVED)
@pytest.mark.parametrize("at", [0.3, 0.5, 0.8])
def test_a_hole_is_found(options: dict[str, Any], at: float) -> None:
    for pixels in (noise(300, 300, 3), noise(300, 300), photo()):
        data = bytearray(jpeg(pixels, **options))
        assert hole_in_jpeg(bytes(data)) == ""
        place = int(len(data) * at)
        data[place : place + 4096] = bytes(4096)
        assert "zero bytes in the middle" in hole_in_jpeg(bytes(data))


def test_a_file_whose_second_half_was_never_written_is_found() -> None:
    data = jpeg(photo())
    assert hole_in_jpeg(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


@pytest.mark.parametrize("options", SAVED)
def test_whole_pictures_have_no_hole(options: dict[str, Any]) -> None:
    y, x = np.mgrid[:1200, :1600]
    flat = np.full((1200, 1600, 3), 90)
    half = np.where(x[..., None] < 800, 0, noise(1200, 1600, 3))
    pictures = (flat, flat[..., 0], half, np.zeros_like(flat), x / 8, y / 8, 255 * ((x // 8 + y // 8) % 2))
    for number, pixels in enumerate(pictures):
        assert hole_in_jpeg(jpeg(pixels, **options)) == "", number


def test_zeros_after_the_picture_and_in_its_notes_are_no_hole() -> None:
    data = jpeg(photo(), comment=bytes(5000))
    assert hole_in_jpeg(data + bytes(5000)) == ""


def test_reading_refuses_a_hole(tmp_path: Path) -> None:
    data = bytearray(jpeg(photo()))
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    (tmp_path / "a.jpg").write_bytes(data)
    for reading in (read_image, check_image):
        with pytest.raises(InputFileError, match=r"(?s)a\.jpg.*zero bytes.*copy it again"):
            reading(tmp_path / "a.jpg")


def test_damaged_heads_end_in_no_error_of_ours() -> None:
    rng = np.random.default_rng(2)
    data = jpeg(photo()[:100, :100])
    for _ in range(300):
        damaged = bytearray(data[: int(rng.integers(1, len(data)))])
        for place in rng.integers(0, min(700, len(damaged)), 8):
            damaged[place] = rng.integers(256)
        assert isinstance(hole_in_jpeg(bytes(damaged)), str)
