"""Image files: read as stored, and named when they are broken or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.errors import ConfigError, InputFileError
from maskps.io.images import check_image, check_images, image_size, read_image


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


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_the_upper_8_of_16_bits_are_taken(suffix: str, kind: str, tmp_path: Path) -> None:
    grey = np.array([[0, 255, 256, 300], [32768, 65279, 65280, 65535]], dtype=kind)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    pixels = read_image(tmp_path / f"a.{suffix}")
    assert pixels.dtype == np.uint8
    assert pixels[..., 1].tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_32_bits_are_refused(kind: type, tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 70_000, dtype=kind)).save(tmp_path / "a.tif")
    for reading in (read_image, check_image):
        with pytest.raises(InputFileError, match=r"mode '[FI]'.*\n.*8 bits per channel"):
            reading(tmp_path / "a.tif")
    assert image_size(tmp_path / "a.tif") == (5, 4)


def test_the_limit_of_pixels_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (15_000, 14_000)).save(path)
    assert image_size(path) == (15_000, 14_000)
    with pytest.raises(InputFileError, match=r"(?s)15000 x 14000.*MASKPS_MAX_PIXELS"):
        check_image(path)
    monkeypatch.setenv("MASKPS_MAX_PIXELS", "210000000")
    assert check_image(path) == ((15_000, 14_000), 1)
    monkeypatch.setenv("MASKPS_MAX_PIXELS", "many")
    with pytest.raises(ConfigError, match="'many'"):
        check_image(path)
    assert Image.MAX_IMAGE_PIXELS is not None


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


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_too_short_for_its_pixels_is_refused(tmp_path: Path, progressive: bool) -> None:
    """Pillow fills the rest with grey. One colour takes the fewest bytes, and is read."""
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 3000), (90, 90, 90)).save(path, quality=1, optimize=True, progressive=progressive)
    assert read_image(path).shape == (3000, 4000, 3)
    content = bytearray(path.read_bytes())
    head = content.find(b"\xff\xc2" if progressive else b"\xff\xc0")
    content[head + 5 : head + 9] = (60_000).to_bytes(2, "big") + (3_300).to_bytes(2, "big")
    path.write_bytes(content)
    for read in (read_image, check_image):
        with pytest.raises(InputFileError, match="too few for so many pixels"):
            read(path)
