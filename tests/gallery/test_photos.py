"""Photos of one's own: upright, with their time, in a fixed order; what cannot be read has a reason."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.errors import InputFileError
from maskps.gallery.photos import find_files, read_photo

ORIENTATION, EXIF, TAKEN, ZONE = 0x0112, 0x8769, 0x9003, 0x9011
CORNERS = np.array([[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 0)]], dtype=np.uint8)

UPRIGHT = np.kron(CORNERS, np.ones((8, 16, 1), dtype=np.uint8))
"""(16, 32, 3): red and green above blue and yellow."""

STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(UPRIGHT, -1),
}
"""The same scene as a camera stores it, by the orientation that it notes. EXIF 6: turn clockwise to view."""


def exif_of(orientation: int = 1, taken: str = "", zone: str = "") -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if taken:
        exif.get_ifd(EXIF).update({TAKEN: taken} | ({ZONE: zone} if zone else {}))
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_whatever_way_the_camera_was_held(
    orientation: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    options = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    options = {"lossless": True} if suffix == "webp" else options
    Image.fromarray(np.ascontiguousarray(STORED[orientation])).save(
        path, exif=exif_of(orientation), **options
    )
    pixels = read_photo(path).pixels
    assert pixels.dtype == np.uint8 and pixels.shape == UPRIGHT.shape
    assert np.abs(pixels.astype(int) - UPRIGHT).max() <= 12


def test_the_time_is_that_of_the_camera(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    local = datetime(2024, 5, 1, 12, 30).timestamp()  # this machine's zone
    for taken, zone, seconds in (
        ("2024:05:01 12:30:00", "+02:00", datetime(2024, 5, 1, 10, 30, tzinfo=UTC).timestamp()),
        ("2024:05:01 12:30:00", "", local),
        ("2024:05:01 12:30:00", "??", local),
        ("0000:00:00 00:00:00", "", None),
        ("", "", None),
    ):
        Image.fromarray(UPRIGHT).save(path, exif=exif_of(taken=taken, zone=zone))
        assert read_photo(path).taken_at == seconds, (taken, zone)


def test_damaged_exif_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(UPRIGHT).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(range(40)))
    photo = read_photo(path)
    assert photo.pixels.shape == UPRIGHT.shape and photo.taken_at is None


def test_modes_become_8_bits_of_rgb_and_transparent_parts_white(tmp_path: Path) -> None:
    veiled = np.dstack([UPRIGHT, np.zeros((16, 32), np.uint8)])
    Image.fromarray(veiled).save(tmp_path / "veiled.png")
    assert (read_photo(tmp_path / "veiled.png").pixels == 255).all()
    Image.fromarray(np.full((3, 4), 0x7FFF, np.uint16)).save(tmp_path / "deep.png")
    assert (read_photo(tmp_path / "deep.png").pixels == 0x7F).all()
    Image.fromarray(UPRIGHT).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_photo(tmp_path / "print.jpg").pixels[4, 4].astype(int) - CORNERS[0, 0]).max() < 20
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert read_photo(tmp_path / "moving.gif").pixels[0, 0].tolist() == [255, 0, 0]


def test_what_is_not_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(UPRIGHT).save(whole)
    for name, content, found in (
        ("empty.jpg", b"", "0 bytes"),
        ("cut.jpg", whole.read_bytes()[:-300], "truncated|cut|whole"),
        ("text.jpg", b"no picture at all", "not a picture"),
        ("phone.HEIC", b"anything", "HEIC"),
        ("renamed.jpg", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC under the name renamed.jpg"),
        ("film.mp4", b"anything", "a video, by its name"),
        ("camera.NEF", whole.read_bytes(), "raw format"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputFileError, match=found):
            read_photo(tmp_path / name)
    monkeypatch.setenv("MASKPS_MAX_PIXELS", "500")
    with pytest.raises(InputFileError, match="32 x 16 pixels"):
        read_photo(whole)


def test_a_folder_is_walked_in_one_order_and_links_do_not_loop(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name in ("b/2.JPG", "b/10.jpg", "a.png", "c.txt", ".trash/x.jpg", "clip.MP4", "p.heic", "é.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "b" / "again").symlink_to(root)
    (root / "z.jpg").symlink_to(root / "a.png")
    (root / "gallery.png").touch()
    found = find_files([root, root / "b" / "2.JPG"], leave_out=[tmp_path / "photos/../photos/gallery.png"])
    assert [str(path.relative_to(root)) for path in found.photos] == [
        "a.png", "b/10.jpg", "b/2.JPG", "z.jpg", "é.jpg",
    ]  # fmt: skip
    assert found.videos == (root / "clip.MP4",) and found.others == 1
    ((path, reason),) = found.unread
    assert path == root / "p.heic" and "HEIC" in reason


def test_paths_lose_what_makes_two_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    given = [Path("a.jpg"), Path("../link/a.jpg"), Path("."), tmp_path / "link" / ".." / "real"]
    assert find_files(given).photos == (tmp_path / "real" / "a.jpg",)


def test_a_file_that_is_named_is_tried_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "photo").touch()
    assert find_files([tmp_path / "photo"]).photos == (tmp_path / "photo",)
    with pytest.raises(InputFileError, match="no such file"):
        find_files([tmp_path / "photo", tmp_path / "other"])


def test_a_folder_without_a_photo_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputFileError) as caught:
        find_files([tmp_path])
    assert caught.value.where == str(tmp_path) and ".jpg" in caught.value.expected
    assert caught.value.found == "none, and 1 other file"
    (tmp_path / "phone.heic").touch()
    assert len(find_files([tmp_path]).unread) == 1


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    Image.fromarray(UPRIGHT).save(tmp_path / name)
    (path,) = find_files([tmp_path]).photos
    assert path.name == name and read_photo(path).pixels.shape == UPRIGHT.shape


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open.jpg").touch()
    names = os.listdir

    def refusing(path: Path) -> list[str]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return names(path)

    monkeypatch.setattr(os, "listdir", refusing)
    found = find_files([tmp_path])
    assert found.photos == (tmp_path / "open.jpg",)
    assert found.unread == ((tmp_path / "closed", "Permission denied"),)
