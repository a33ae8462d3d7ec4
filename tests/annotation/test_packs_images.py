"""Image files of packs: plain names with different stems, and pixels as stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.errors import AnnotationError, InputFileError
from maskps_annotation.pack_images import pack_image, pack_image_names


def test_plain_names_stay() -> None:
    assert pack_image_names(["s1.jpg", "s2.png"]) == ["s1.jpg", "s2.png"]


def test_images_of_folders_are_distinguished_by_the_folder() -> None:
    assert pack_image_names(["a/s1.jpg", "b/s1.jpg"]) == ["a_s1.jpg", "b_s1.jpg"]
    assert pack_image_names(["a/s1.jpg", "b/s2.jpg"]) == ["s1.jpg", "s2.jpg"]


@pytest.mark.parametrize(
    "scenes",
    [
        ["s1.jpg", "s1.png"],
        ["S1.jpg", "s1.jpg"],
        ["pack.jpg", "rules.jpg", "labelmerc.png"],
        ["a b.jpg", "a_b.jpg"],
        ["../x.jpg", "/etc/x.jpg", "..\\x.jpg"],
        ["-o.jpg", ".hidden.jpg", "<script>.jpg", "\u202egpj.jpg"],
        ["s1.jpg", "s1-2.jpg", "S1.png"],
        [f"{'é' * 120}1.jpg", f"{'é' * 120}2.jpg"],
    ],
)
def test_odd_names_become_plain_ones_with_different_stems(scenes: list[str]) -> None:
    names = pack_image_names(scenes)
    stems = {Path(name).stem.casefold() for name in names}
    assert len(stems) == len(scenes)
    assert not stems & {"pack", "rules", "labelmerc"}
    assert max(len(name.encode()) for name in names) < 200
    assert not any(set(name) & set("/\\<> ") or name[0] in ".-" for name in names)


def test_an_image_is_a_copy_so_that_saving_it_in_place_leaves_the_data_set_alone(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    sha256, size = pack_image(tmp_path / "link.png", tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == before
    assert size == (8, 6)
    assert sha256 == hashlib.sha256(before).hexdigest()
    with (tmp_path / "b.png").open("r+b") as file:
        file.write(b"edited")
    assert (tmp_path / "a.png").read_bytes() == before


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_a_turned_jpeg_loses_the_mark_and_keeps_its_pixels(tmp_path: Path) -> None:
    source = turned(tmp_path / "a.jpg")
    before = source.read_bytes()
    _, size = pack_image(source, tmp_path / "b.jpg")
    with Image.open(source) as old, Image.open(tmp_path / "b.jpg") as new:
        assert old.getexif()[0x0112] == 6
        assert 0x0112 not in new.getexif()
        assert np.array_equal(np.asarray(old), np.asarray(new))
        assert size == new.size == (32, 24)
    assert source.read_bytes() == before


def test_a_turned_image_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="EXIF") as caught:
        pack_image(turned(tmp_path / "a.png"), tmp_path / "b.png")
    assert caught.value.hint


@pytest.mark.parametrize("damage", ["missing", "no image", "empty"])
def test_a_broken_image_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.jpg"
    if damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"no image")
    with pytest.raises(InputFileError):
        pack_image(path, tmp_path / "b.jpg")
