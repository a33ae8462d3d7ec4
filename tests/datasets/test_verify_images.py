"""`verify` on image files."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.datasets import read_cuhk_sysu, write_cuhk_sysu
from maskps.datasets.checks.images import check_images
from maskps.datasets.verify import verify
from maskps.findings import Finding
from maskps.protocols import read_protocol

NAMES = ["s1.jpg", "s2.jpg", "s3.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three noisy JPEGs of 64 x 48 pixels."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def the_finding(folder: Path, **options: object) -> Finding:
    (finding,) = check_images(folder, NAMES, **options)[0]  # type: ignore[arg-type]
    return finding


def test_good_images_have_no_finding_and_their_sizes_are_calls(folder: Path) -> None:
    findings, sizes = check_images(folder, NAMES, sizes=np.array([(64, 48), (0, 0), (64, 48)]), jobs=2)
    assert findings == []
    assert sizes.tolist() == [[64, 48]] * 3


def test_no_images_wanted_is_fine(folder: Path) -> None:
    findings, sizes = check_images(folder, [])
    assert [one.code for one in findings] == ["images-extra"]
    assert sizes.shape == (0, 2)


def test_missing_images_are_counted(folder: Path) -> None:
    (folder / "s2.jpg").unlink()
    findings, _ = check_images(folder, NAMES)
    assert findings[0].found == "no such file; 2 of 3 images are there"
    assert "maskps-data cut" in findings[0].hint


@pytest.mark.parametrize("rename", [str.upper, lambda name: name.replace("jpg", "png")])
def test_images_under_other_names_are_named_where_none_is_there(folder: Path, rename: Any) -> None:
    for name in NAMES:
        (folder / name).rename(folder / rename(name))
    finding = the_finding(folder)
    assert finding.code == "image-folder-missing"
    assert "3 other pictures" in finding.found and rename("s1.jpg") in finding.found
    assert finding.hint.startswith("are 's1.jpg' and") and rename("s1.jpg") in finding.hint


@pytest.mark.parametrize("others", [(), ("s2.jpg",)])
def test_names_that_differ_only_in_how_accents_are_stored_are_said_to(
    folder: Path, others: tuple[str, ...]
) -> None:
    """A copy from another system may store "é" as "e" and an accent: the names look alike, but differ."""
    (folder / "s1.jpg").rename(folder / "cafe\u0301.jpg")
    findings, _ = check_images(folder, ["caf\u00e9.jpg", *others])
    (finding,) = (finding for finding in findings if finding.level == "error")
    assert "look alike" in finding.hint and "cafe\u0301.jpg" in finding.hint


def test_images_elsewhere_below_the_root_are_named_where_none_is_there(folder: Path) -> None:
    finding = the_finding(folder / "images", root=folder)
    assert "no such folder; there are 3 other pictures" in finding.found
    assert str(folder / "s1.jpg") in finding.hint


def test_an_image_behind_a_link_out_of_the_data_set_is_not_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in NAMES:
        (tmp_path / "images" / name).symlink_to(tmp_path / name)
    findings, sizes = check_images(tmp_path / "images", NAMES, root=tmp_path / "images")
    assert [one.code for one in findings] == ["image-outside"] * 3
    assert not sizes.any()
    assert check_images(tmp_path / "images", NAMES, root=tmp_path)[0] == []


def test_a_missing_image_is_calls_with_the_right_name(folder: Path) -> None:
    (folder / "s2.jpg").rename(folder / "S2.JPG")
    findings, sizes = check_images(folder, NAMES)
    assert [one.code for one in findings] == ["image-missing", "images-extra"]
    assert findings[0].where == str(folder / "s2.jpg")
    assert "'S2.JPG'" in findings[0].hint
    assert sizes.tolist() == [[64, 48], [0, 0], [64, 48]]


def test_a_missing_folder_is_one_finding(tmp_path: Path) -> None:
    finding = the_finding(tmp_path / "SSM")
    assert (finding.code, finding.level, finding.found) == ("image-folder-missing", "error", "no such folder")
    (tmp_path / "SSM").mkdir()
    assert the_finding(tmp_path / "SSM").found == "none of the images is there"


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_an_image_that_is_cut_off_is_calls(folder: Path, kept: float) -> None:
    content = (folder / "s2.jpg").read_bytes()
    (folder / "s2.jpg").write_bytes(content[: int(kept * len(content))])
    finding = the_finding(folder)
    assert (finding.code, finding.level) == ("image-unreadable", "error")
    assert finding.where == str(folder / "s2.jpg")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file-empty"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "file-lfs-pointer"),
        (b"<html></html>", "file-web-page"),
        (b"PK\x03\x04", "file-archive"),
        (b"nothing", "image-unreadable"),
        (b"\x89PNG\r\n\x1a\nnothing", "image-unreadable"),
    ],
)
def test_something_else_in_place_of_an_image_is_calls(folder: Path, content: bytes, code: str) -> None:
    (folder / "s3.jpg").write_bytes(content)
    assert the_finding(folder).code == code


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "kernel"])
def test_only_regular_files_are_read(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would wait for ever, and so would the kernel's log, a regular file of 0 bytes."""
    path = folder / "s2.jpg"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/proc/kmsg")
    finding = the_finding(folder)
    assert (finding.level, finding.where) == ("error", str(path))
    found = {"pipe": "a named pipe, not a regular file", "socket": "a socket, not a regular file"}
    found |= {"device": "a device, not a regular file", "folder": "a folder", "kernel": "an empty file"}
    assert finding.found == found[kind]
    if "not a regular file" in finding.found:
        assert finding.hint == "give a regular file"


def test_a_hole_a_mode_and_a_name_are_findings(folder: Path) -> None:
    content = (folder / "s1.jpg").read_bytes()
    middle = len(content) // 2
    (folder / "s1.jpg").write_bytes(content[:middle] + bytes(600) + content[middle + 600 :])
    Image.fromarray(np.zeros((4, 5), np.float32)).save(folder / "s2.tif")
    names = ["s1.jpg", "s2.tif", "s3.jpg", "a" * 255 + ".jpg"]
    findings, sizes = check_images(folder, names)
    found = {Path(one.where).name[:2]: (one.code, one.found, one.hint) for one in findings[:3]}
    assert found["aa"][0] == "image-missing"
    assert found["s1"][0] == "image-unreadable" and "600 zero bytes in the middle" in found["s1"][1]
    assert found["s1"][2] == "copy it again"
    assert found["s2"][0] == "image-unreadable" and "mode 'F'" in found["s2"][1]
    assert sizes.tolist() == [[64, 48], [5, 4], [64, 48], [0, 0]]


def test_damaged_images_never_end_the_check(folder: Path) -> None:
    """Images with random bytes replaced: every one is looked at, whatever Pillow makes of it."""
    rng = np.random.default_rng(1)
    content = bytearray((folder / "s1.jpg").read_bytes())
    names = [f"d{index}.jpg" for index in range(40)]
    for name in names:
        damaged = bytearray(content)
        for place in rng.integers(2, 700, 30).tolist():
            damaged[place] = int(rng.integers(256))
        (folder / name).write_bytes(damaged)
    findings, sizes = check_images(folder, [*NAMES, *names])
    assert {one.code for one in findings} <= {"image-unreadable", "image-exif-rotated"}
    assert 0 < len(findings) <= 40
    assert len(sizes) == 43


def test_a_rotated_image_is_a_warning(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(folder / "s1.jpg") as image:
        image.save(folder / "s1.jpg", exif=exif)
    finding = the_finding(folder)
    assert (finding.code, finding.level) == ("image-exif-rotated", "warning")
    assert finding.found.startswith("its EXIF orientation is 6")


def test_another_size_than_annotated_is_an_error(folder: Path) -> None:
    sizes = np.array([(64, 48), (48, 64), (128, 96)])
    findings, _ = check_images(folder, NAMES, sizes=sizes)
    assert [(one.code, one.found) for one in findings] == [
        ("image-size-differs", "64 x 48 pixels, turned by a quarter"),
        ("image-size-differs", "64 x 48 pixels"),
    ]
    assert findings[1].expected == "128 x 96, as annotated"


def test_images_that_nothing_names_are_counted(folder: Path) -> None:
    shutil.copy(folder / "s1.jpg", folder / "s4.jpg")
    (folder / "readme.txt").touch()
    finding = the_finding(folder)
    assert (finding.code, finding.level) == ("images-extra", "info")
    assert finding.found.startswith("1 images")
    assert "s4.jpg" in finding.found


def test_images_may_lie_in_folders_of_their_own(folder: Path) -> None:
    (folder / "cam1").mkdir()
    for name in NAMES:
        (folder / name).rename(folder / "cam1" / name)
    assert check_images(folder, [f"cam1/{name}" for name in NAMES])[0] == []


def test_progress_is_calls(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    check_images(folder, NAMES, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_the_images_of_a_coco_data_set_are_those_of_both_splits(folder: Path, tmp_path: Path) -> None:
    """The annotated sizes are wrong, and the boxes fit those, but not the images."""
    (tmp_path / "images").mkdir()
    for name in NAMES:
        (folder / name).rename(tmp_path / "images" / name)
    for split, rows in (("train", [0, 1]), ("test", [2])):
        content = {
            "images": [{"id": row, "file_name": NAMES[row], "width": 70, "height": 48} for row in rows],
            "annotations": [
                {"id": row, "image_id": row, "bbox": [50, 1, 16, 40], "person_id": row + 1} for row in rows
            ],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    codes = Counter(one.code for one in verify(tmp_path, images=True) if one.where.find("images/") > 0)
    assert codes == {"image-size-differs": 3, "box-leaves-image": 3}


def test_images_are_looked_at_only_if_asked_for(own_scenes: Path) -> None:
    shutil.rmtree(own_scenes / "Image")
    assert {one.code for one in verify(own_scenes)} == {"counts-not-compared"}
    assert verify(own_scenes, images=True)[0].code == "image-folder-missing"


def test_a_data_set_with_resized_images_is_noticed(own_scenes: Path) -> None:
    """CUHK-SYSU states no sizes: boxes that leave the image show it."""
    for path in (own_scenes / "Image" / "SSM").iterdir():
        with Image.open(path) as image:
            smaller = image.resize((image.width // 3, image.height // 3))
        smaller.save(path)
    codes = Counter(one.code for one in verify(own_scenes, images=True))
    assert codes["box-leaves-image"] + codes["box-outside-image"] > 10
    assert codes["box-outside-image"] > 0


def test_a_box_over_the_left_border_is_calls_once(own_scenes: Path, tmp_path: Path) -> None:
    dataset = read_cuhk_sysu(own_scenes)
    boxes = dataset.train.boxes.copy()
    row = int(np.flatnonzero(dataset.train.pids < 0)[0])
    boxes[row] = (-3, 5, 10, 30)
    write_cuhk_sysu(
        own_scenes,
        train=replace(dataset.train, boxes=boxes),
        test=dataset.test,
        train_ids=dataset.train_ids,
        test_ids=dataset.test_ids,
        protocols={"TestG4": read_protocol(own_scenes / "annotation/test/train_test/TestG4.mat")},
    )
    findings = [one for one in verify(own_scenes, images=True) if one.code.startswith("box-")]
    assert [one.code for one in findings] == ["box-leaves-image"]
