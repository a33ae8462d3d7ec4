"""`imagePath` of a LabelMe file is never followed: nothing that reads the file opens what it names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.masks import LabelMeFile, LabelMeShape, read_labelme, write_labelme
from maskps.structures import SceneTable
from maskps_annotation import outlines_from_labelme
from maskps_annotation.checks import check_packs
from maskps_annotation.pack_record import Pack, PackedScene, PackSet, Slot

BOX = (10.0, 10.0, 40.0, 80.0)
opened: list[str] = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with s1.jpg and a link to another image; the other image is beside it, in `secret`."""
    folder, secret = tmp_path / "pack", tmp_path / "secret"
    for place, grey in ((folder, 0), (secret, 99)):
        place.mkdir()
        Image.new("L", (100, 90), grey).save(place / "s1.jpg")
    (folder / "link.jpg").symlink_to(secret / "s1.jpg")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "../secret/s1.jpg",
        "{secret}/s1.jpg",
        "..\\secret\\s1.jpg",
        "C:\\secret\\s1.jpg",
        "link.jpg",
        "\0",
        "x" * 5000,
    ],
    ids=["above", "absolute", "backslashes", "drive", "link", "NUL", "long"],
)
def test_what_image_path_names_is_not_opened(pack: Path, path: str) -> None:
    path = path.format(secret=pack.parent / "secret")
    triangle = LabelMeShape("p1", np.array([(12.0, 12.0), (38.0, 12.0), (25.0, 78.0)]))
    write_labelme(pack / "s1.json", LabelMeFile(path, 100, 90, (triangle,)))
    opened.clear()
    assert read_labelme(pack / "s1.json").image_path == path
    outlines, findings = outlines_from_labelme(
        pack,
        SceneTable(
            names=np.array(["s1.jpg"]),
            offsets=np.array([0, 1]),
            boxes=np.array([BOX], dtype=np.float32),
            pids=np.array([1]),
            is_hard=np.zeros(1, dtype=np.bool_),
        ),
        scene_rows=np.array([0]),
    )
    is_other = path in ("link.jpg", "\0", "x" * 5000)
    assert list(outlines) == ([] if is_other else [0])
    assert [one.code for one in findings if one.level == "error"] == ["wrong-image"] * is_other
    scene = PackedScene("s1.jpg", "s1.jpg", "a" * 64, (100, 90), (Slot("p1", 0, "p1", BOX),))
    check_packs(PackSet("f", 0, (Pack("pack", pack, (scene,)),), frozenset()))
    assert str(pack / "s1.jpg") in opened  # the image of the pack itself, for its checksum
    assert not [name for name in opened if "secret" in name or "link" in name]
