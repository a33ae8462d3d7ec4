"""Image files: read as stored, and named when they are broken or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.errors import InputFileError
from maskps.io.images import check_images, image_size, read_image


def test_pixels_are_taken_as_stored_whatever_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    Image.new("RGB", (20, 10), (200, 10, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (10, 20, 3)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    pixels = read_image(path)
    assert (pixels.shape, pixels.dtype) == ((3, 4, 3), np.uint8)
    assert (pixels > 250).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("kept", [0, 0.02, 0.5])
def test_a_broken_image_is_named(name: str, kept: float, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = tmp_path / name
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputFileError, match=name):
        read_image(path)


def test_the_size_is_reported_by_the_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (17, 31, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    assert image_size(path) == (31, 17)
    path.write_bytes(b"")
    with pytest.raises(InputFileError, match=r"a\.png"):
        image_size(path)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_image(tmp_path / "a.jpg")


def test_missing_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    names = [f"s{row}.jpg" for row in range(9)]
    for name in names[:2]:
        (tmp_path / name).touch()
    check_images(tmp_path, names[:2], what="test images")
    with pytest.raises(InputFileError) as caught:
        check_images(tmp_path, names, what="test images")
    assert caught.value.expected == "9 test images"
    assert caught.value.found == "7 of them are not there: s2.jpg, s3.jpg, s4.jpg, s5.jpg, s6.jpg, ..."
