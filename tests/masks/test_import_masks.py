"""Masks of other sources find their persons, and what cannot be used is said."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from maskps.errors import InputFileError, MaskpsError
from maskps.masks.assignment import AssignedMasks
from maskps.masks.imports.png import read_numbers
from maskps.masks.imports.scenes import ImportScenes
from maskps.masks.imports.sources import import_outlines
from maskps.masks.mask_file import masks_of_scenes, write_masks
from maskps.masks.outlines import outline_from_polygons
from maskps.masks.rasterising import outline_to_mask
from maskps.masks.rle import mask_to_rle
from maskps.structures import Scene, SceneTable

W, H = 60, 40
BOXES = np.array([(2, 4, 14, 36), (20, 3, 34, 37), (40, 8, 55, 38)], dtype=np.float32)
Mask = NDArray[np.bool_]


def table() -> SceneTable:
    """a.jpg: identities p3, p1 and an unlabeled person; b.jpg: p2 twice; c.jpg is not in the subset."""

    def scene(name: str, pids: list[int]) -> Scene:
        return Scene(name, BOXES[: len(pids)], np.array(pids), np.zeros(len(pids), dtype=np.bool_))

    return SceneTable.from_scenes([scene("a.jpg", [3, 1, -1]), scene("b_1.jpg", [2, 2]), scene("c.jpg", [3])])


def scenes(**changes: Any) -> ImportScenes:
    known: dict[str, Any] = {
        "train": table(),
        "rows": np.array([0, 1]),
        "ids": np.array(["p1", "p2", "p3"]),
        "sizes": {0: (W, H), 1: (W, H)},
        "fingerprint": "f1",
        "images": {7: 0, 8: 1},
    }
    return ImportScenes(**(known | changes))


def person_mask(box: int) -> Mask:
    """An ellipse with a hole in the box, and a foot apart from it that touches it at a corner."""
    x0, y0, x1, y1 = BOXES[box]
    y, x = np.mgrid[:H, :W] + 0.5
    radius = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2
    mask = (radius < 1) & (radius > 0.1)
    last = np.flatnonzero(mask.any(axis=1))[-1]
    mask[last + 1, np.flatnonzero(mask[last])[-1] + 1] = True
    return mask


def instances(*boxes: int) -> NDArray[np.uint8]:
    numbers = np.zeros((H, W), dtype=np.uint8)
    for number, box in enumerate(boxes, start=1):
        numbers[person_mask(box)] = number
    return numbers


def saved(path: Path, numbers: NDArray[Any], mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def coco(folder: Path, *annotations: dict[str, Any], **content: Any) -> Path:
    """A COCO file with a.jpg as image 1 and b_1.jpg as image 2."""
    images = [
        {"id": 1, "file_name": "a.jpg", "width": W, "height": H},
        {"id": 2, "file_name": "train/b_1.jpg", "width": W, "height": H},
        {"id": 3, "file_name": "c.jpg", "width": W, "height": H},
    ]
    path = folder / "source.json"
    path.write_text(json.dumps({"images": images, "annotations": list(annotations)} | content))
    return path


def entry(box: int, image: int = 1, **keys: Any) -> dict[str, Any]:
    return {"image_id": image, "segmentation": mask_to_rle(person_mask(box))} | keys


def compressed(mask: Mask) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}


def codes(assigned: AssignedMasks, level: str = "error") -> list[str]:
    return [finding.code for finding in assigned.findings if finding.level == level]


def same_pixels(assigned: AssignedMasks, row: int, mask: Mask) -> bool:
    return np.array_equal(outline_to_mask(assigned.outlines[row], W, H), mask)


# --- persons ---------------------------------------------------------------------------------------------


def test_instances_of_a_png_find_their_persons_by_their_boxes(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", instances(2, 0, 1))
    assigned = import_outlines(tmp_path, scenes())
    assert list(assigned.outlines) == [0, 1]
    assert same_pixels(assigned, 0, person_mask(0))
    assert same_pixels(assigned, 1, person_mask(1))
    assert (assigned.named, assigned.fitted, assigned.unlabeled) == (0, 2, 1)
    assert assigned.findings == ()


def test_the_mask_of_an_unlabeled_person_goes_to_nobody_else(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", instances(2))
    assigned = import_outlines(tmp_path, scenes())
    assert (dict(assigned.outlines), assigned.unlabeled) == ({}, 1)


@pytest.mark.parametrize("name", ["a_p1.png", "a/p1.png", "a/a_p1.png", "deep/er/a_p1.PNG"])
def test_a_file_per_person_names_the_identity(tmp_path: Path, name: str) -> None:
    """The mask would fit the box of p3 better: its name decides, and the bad fit is a warning."""
    mask = person_mask(0)
    mask[10:12, 21:23] = True
    saved(tmp_path / name, mask.astype(np.uint8) * 200)
    assigned = import_outlines(tmp_path, scenes())
    assert same_pixels(assigned, 1, mask)
    assert assigned.named == 1
    assert codes(assigned, "warning") == ["mask-fits-badly"]


@pytest.mark.parametrize("tag", ["0", "person", "p9", "p3_extra"])
def test_any_other_name_leaves_it_to_the_boxes(tmp_path: Path, tag: str) -> None:
    saved(tmp_path / f"a_{tag}.png", person_mask(1))
    assert list(import_outlines(tmp_path, scenes()).outlines) == [1]


@pytest.mark.parametrize("tag", ["mask", "0", "instance_ids"])
def test_a_name_of_nobody_and_several_numbers_is_one_person_per_number(tmp_path: Path, tag: str) -> None:
    """As in Penn-Fudan, whose FudanPed00001_mask.png has a number for each person."""
    saved(tmp_path / f"a_{tag}.png", instances(0, 1))
    assigned = import_outlines(tmp_path, scenes())
    assert same_pixels(assigned, 0, person_mask(0)) and same_pixels(assigned, 1, person_mask(1))
    assert assigned.findings == ()


def test_an_underscore_in_the_name_of_the_image_is_understood(tmp_path: Path) -> None:
    saved(tmp_path / "b_1.png", instances(0))
    saved(tmp_path / "b_1_x.png", person_mask(1))
    assert list(import_outlines(tmp_path, scenes()).outlines) == [3, 4]


def test_an_identity_that_two_persons_have_leaves_it_to_the_boxes(tmp_path: Path) -> None:
    saved(tmp_path / "b_1_p2.png", person_mask(1))
    assigned = import_outlines(tmp_path, scenes())
    assert (list(assigned.outlines), assigned.fitted) == ([4], 1)


def test_a_mask_that_its_name_puts_on_the_wrong_person_is_an_error(tmp_path: Path) -> None:
    saved(tmp_path / "a_p1.png", person_mask(0))
    assigned = import_outlines(tmp_path, scenes())
    assert codes(assigned) == ["mask-off-box"]
    assert not assigned.outlines


def test_two_masks_of_one_person_are_an_error(tmp_path: Path) -> None:
    saved(tmp_path / "a_p3.png", person_mask(0))
    saved(tmp_path / "a" / "p3.png", person_mask(0))
    assert codes(import_outlines(tmp_path, scenes())) == ["mask-twice"]


def test_a_mask_that_fits_nobody_is_a_warning(tmp_path: Path) -> None:
    stray = np.zeros((H, W), dtype=np.uint8)
    stray[0:2, 0:9] = 1
    saved(tmp_path / "a.png", stray)
    assigned = import_outlines(tmp_path, scenes())
    assert codes(assigned, "warning") == ["mask-fits-nobody"]
    assert not assigned.outlines


def test_the_greatest_total_fit_is_found_not_the_first(tmp_path: Path) -> None:
    """The first mask fits both persons, the second only one of them."""
    wide = np.zeros((H, W), dtype=np.uint8)
    wide[5:35, 5:32] = 1
    wide[person_mask(0)] = 2
    saved(tmp_path / "a.png", wide)
    assigned = import_outlines(tmp_path, scenes())
    assert same_pixels(assigned, 0, wide == 2)
    assert same_pixels(assigned, 1, wide == 1)


# --- PNG -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "RGB", "RGBA", "LA"])
def test_numbers_are_read_from_every_kind_of_grey_png(tmp_path: Path, mode: str) -> None:
    numbers = instances(0, 1, 2)
    if mode == "I;16":
        path = saved(tmp_path / "a.png", numbers.astype(np.uint16) * 300)
        expected = numbers.astype(np.int64) * 300
    elif mode == "P":
        image = Image.fromarray(numbers).convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
        image.save(tmp_path / "a.png")
        path, expected = tmp_path / "a.png", numbers
    else:
        path, expected = saved(tmp_path / "a.png", numbers, mode), numbers
    np.testing.assert_array_equal(read_numbers(path), expected)
    assert list(import_outlines(tmp_path, scenes()).outlines) == [0, 1]


def test_black_and_white_is_one_instance(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", person_mask(0))
    with Image.open(path) as image:
        assert image.mode == "1"
    assert same_pixels(import_outlines(path, scenes()), 0, person_mask(0))


def test_void_of_a_palette_is_nobody_but_255_of_a_grey_picture_is_an_instance(tmp_path: Path) -> None:
    numbers = instances(0, 1)
    numbers[numbers == 2] = 255
    grey = saved(tmp_path / "grey" / "a.png", numbers)
    palette = saved(tmp_path / "palette" / "a.png", numbers)
    assert list(import_outlines(grey, scenes()).outlines) == [0, 1]
    image = Image.frombytes("P", (W, H), numbers.tobytes())
    image.putpalette(list(range(256)) * 3)
    image.save(palette)
    assert list(import_outlines(palette, scenes()).outlines) == [0]


def png_bomb(path: Path) -> None:
    """A PNG whose head claims 30,000 x 30,000 pixels."""
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def bad_png(kind: str, path: Path) -> None:
    colours = np.zeros((H, W, 3), dtype=np.uint8)
    colours[5:9, 5:9] = (200, 0, 0)
    if kind == "colours":
        saved(path, colours)
    elif kind == "transparent":
        saved(path, np.dstack([colours, np.full((H, W), 9, dtype=np.uint8)]))
    elif kind == "another size":
        saved(path, np.ones((H, W + 1), dtype=np.uint8))
    elif kind == "turned":
        saved(path, np.ones((W, H), dtype=np.uint8))
    elif kind == "bomb":
        png_bomb(path)
    else:
        whole = saved(path, instances(0, 1)).read_bytes()
        path.write_bytes({"cut off": whole[: len(whole) // 2], "empty": b"", "no png": b"<html>"}[kind])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("colours", "picture in colours"),
        ("transparent", "transparent"),
        ("another size", r"60 x 40 (.|\n)*61 x 40"),
        ("turned", r"60 x 40 (.|\n)*40 x 60"),
        ("bomb", "exceeds limit"),
        ("cut off", "broken or cut off"),
        ("empty", "broken or cut off"),
        ("no png", "broken or cut off"),
    ],
)
def test_a_bad_png_is_a_finding_and_the_others_are_read(tmp_path: Path, kind: str, message: str) -> None:
    bad_png(kind, tmp_path / "a.png")
    saved(tmp_path / "b_1.png", instances(0))
    assigned = import_outlines(tmp_path, scenes())
    (finding,) = assigned.findings
    assert (finding.code, finding.level, bool(finding.hint)) == ("png-unusable", "error", True)
    assert "a.png" in finding.where
    with pytest.raises(MaskpsError, match=message):
        raise MaskpsError("", expected=finding.expected, found=finding.found, hint=finding.hint)
    assert list(assigned.outlines) == [3]


def test_other_files_are_remarks_not_errors(tmp_path: Path) -> None:
    saved(tmp_path / "c.png", instances(0))
    saved(tmp_path / "zebra.png", instances(0))
    saved(tmp_path / "a.png", np.zeros((H, W), dtype=np.uint8))
    assigned = import_outlines(tmp_path, scenes())
    assert {(finding.code, finding.level) for finding in assigned.findings} == {
        ("outside-subset", "info"), ("png-unknown", "warning"), ("mask-empty", "warning"),
    }  # fmt: skip
    assert not assigned.outlines


def test_two_files_of_one_image_are_an_error(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        saved(tmp_path / folder / "a.png", instances(0))
    assigned = import_outlines(tmp_path, scenes())
    assert codes(assigned) == ["png-twice"]
    assert list(assigned.outlines) == [0]


def test_without_a_known_size_a_png_is_taken_as_it_is(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", np.pad(instances(0), ((0, 9), (0, 9))))
    assert list(import_outlines(tmp_path, scenes(sizes={})).outlines) == [0]


# --- COCO ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [mask_to_rle, compressed])
def test_run_lengths_give_the_same_pixels(tmp_path: Path, encode: Callable[[Mask], Any]) -> None:
    masks = {row: person_mask(row) for row in (0, 1)}
    annotations = [entry(row, segmentation=encode(mask)) for row, mask in masks.items()]
    assigned = import_outlines(coco(tmp_path, *annotations), scenes())
    assert assigned.findings == ()
    for row, mask in masks.items():
        assert same_pixels(assigned, row, mask)


def test_polygons_keep_their_points_and_parts_are_united(tmp_path: Path) -> None:
    triangle = [2.25, 5.0, 13.5, 5.125, 7.0, 1 / 3 + 30]
    square = [4.0, 4.0, 9.0, 4.0, 9.0, 9.0, 4.0, 9.0]
    one = {"image_id": 1, "segmentation": [triangle]}
    two = {"image_id": 2, "bbox": [2, 4, 12, 32], "segmentation": [square, [x + 3 for x in square]]}
    outlines = import_outlines(coco(tmp_path, one, two), scenes()).outlines
    assert sorted(map(tuple, outlines[0].rings[0].tolist())) == sorted(
        zip(triangle[::2], triangle[1::2], strict=True)
    )
    assert outlines[3].area == pytest.approx(25 + 25 - 4)


def test_the_box_of_the_annotation_helps_where_only_a_little_is_visible(tmp_path: Path) -> None:
    head = np.zeros((H, W), dtype=np.bool_)
    head[3:8, 22:32] = True
    for keys, found in (({}, []), ({"bbox": [20, 3, 14, 34]}, [1])):
        source = coco(tmp_path, {"image_id": 1, "segmentation": mask_to_rle(head)} | keys)
        assert list(import_outlines(source, scenes()).outlines) == found


def test_a_box_that_is_none_is_not_looked_at(tmp_path: Path) -> None:
    for bbox in (
        None,
        [1, 2],
        ["a", 1, 2, 3],
        [0, 0, 0, 0],
        [1e300, 0, 1, 1],
        [float("nan"), 0, 1, 1],
        "box",
    ):
        source = coco(tmp_path, entry(0, bbox=bbox))
        assert list(import_outlines(source, scenes()).outlines) == [0]


@pytest.mark.parametrize(
    ("keys", "content", "row", "named"),
    [
        ({"person_id": "p3"}, {}, 0, 1),
        ({"person_id": 3}, {"maskps_ids": ["p1", "p2", "p3"]}, 0, 1),
        ({"person_id": 1}, {"maskps_ids": ["p3"]}, 0, 1),
        ({"person_id": -1}, {"maskps_ids": ["p3"]}, 0, 0),
        ({"person_id": 99}, {"maskps_ids": ["p3"]}, 0, 0),
        ({"person_id": "p2"}, {}, 0, 0),  # not in this scene
        ({"person_id": None}, {}, 0, 0),
        ({"person_id": [1]}, {}, 0, 0),
        ({"person_id": True}, {}, 0, 0),
        ({"person_id": 1e300}, {}, 0, 0),
    ],
)
def test_person_id_is_the_data_sets_own_identity(
    tmp_path: Path, keys: dict[str, Any], content: dict[str, Any], row: int, named: int
) -> None:
    assigned = import_outlines(coco(tmp_path, entry(0, **keys), **content), scenes())
    assert (list(assigned.outlines), assigned.named) == ([row], named)


def test_identities_that_are_numbers_are_not_taken_for_pids(tmp_path: Path) -> None:
    """In PRW, 3 is an identity; here it is that of pid 1, the second person."""
    assigned = import_outlines(
        coco(tmp_path, entry(1, person_id=3)), scenes(ids=np.array(["3", "40", "479"]))
    )
    assert (list(assigned.outlines), assigned.named) == ([1], 1)
    for same in (479, 479.0, "479"):
        assigned = import_outlines(
            coco(tmp_path, entry(0, person_id=same)), scenes(ids=np.array(["3", "40", "479"]))
        )
        assert (list(assigned.outlines), assigned.named) == ([0], 1)


def test_a_list_of_results_has_the_image_ids_of_the_subsets_own_file(tmp_path: Path) -> None:
    results = [
        entry(0, image=7, category_id=1, score=0.9),
        entry(1, image=8, category_id=1, score=0.9),
        entry(1, image=7, category_id=18, score=0.9),
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assigned = import_outlines(tmp_path / "results.json", scenes())
    assert list(assigned.outlines) == [0, 4]
    assert codes(assigned, "info") == ["other-category"]
    results[2]["category_id"] = [1]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert list(import_outlines(tmp_path / "results.json", scenes()).outlines) == [0, 4]


def test_what_is_no_mask_of_a_person_of_the_subset_is_left_out_and_counted(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "person"}]
    source = coco(
        tmp_path,
        entry(0, category_id=2),
        entry(1, category_id=1),
        entry(1, category_id=2, iscrowd=1),
        entry(1, category_id=2, segmentation=[]),
        entry(0, image=3, category_id=2),
        categories=categories,
    )
    assigned = import_outlines(source, scenes())
    assert list(assigned.outlines) == [0]
    assert codes(assigned, "info") == ["outside-subset", "crowd", "other-category", "no-segmentation"]
    assert codes(assigned) == []


def test_our_own_mask_file_comes_back_ring_by_ring(tmp_path: Path) -> None:
    """The two persons of b_1.jpg share an identity: box_index separates them, whatever their outlines."""
    square = np.array([(21.0, 4.0), (33.0, 4.0), (33.0, 36.0), (21.0, 36.0)])
    holed = outline_from_polygons([square], holes=[square / 3 + 10], where="square")
    masks = masks_of_scenes(table(), np.array([0, 1]), {1: holed, 3: holed})
    write_masks(tmp_path / "masks.json", table(), masks, fingerprint="f1", sizes={0: (W, H), 1: (W, H)})
    assigned = import_outlines(tmp_path / "masks.json", scenes())
    assert codes(assigned) == ["mask-off-box"]  # person 3 stands elsewhere
    (row,) = assigned.outlines
    assert row == 1
    for ring, again in zip(holed.rings, assigned.outlines[1].rings, strict=True):
        np.testing.assert_array_equal(ring, again)

    elsewhere = import_outlines(tmp_path / "masks.json", scenes(fingerprint="f2"))
    assert codes(elsewhere, "warning") == ["other-data-set"]
    assert (list(elsewhere.outlines), elsewhere.named, elsewhere.fitted) == ([1, 4], 0, 2)


def test_an_edited_row_in_our_own_file_is_an_error(tmp_path: Path) -> None:
    info = {"format": "maskps-masks-rle", "version": 1, "fingerprint": "f1"}
    for keys in (
        {"box_index": 1, "person_id": 3},
        {"box_index": 9, "person_id": 3},
        {"box_index": "0"},
        {"box_index": 0, "person_id": []},
    ):
        assigned = import_outlines(coco(tmp_path, entry(0, **keys), info=info), scenes())
        assert codes(assigned) == ["annotation-unusable"]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("person", "image_id"),
        ({"image_id": 9, "segmentation": [[1]]}, "image_id"),
        ({"image_id": [1], "segmentation": [[1]]}, "image_id"),
        ({"segmentation": [[1]]}, "image_id"),
        ({"image_id": 1, "segmentation": "RLE"}, "polygons or an RLE"),
        ({"image_id": 1, "segmentation": [[1, 2, 3, 4]]}, "box of 4 numbers"),
        ({"image_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "3 points"),
        ({"image_id": 1, "segmentation": [[1, 2, 3, 4, 5, "x"]]}, "3 points"),
        ({"image_id": 1, "segmentation": [5]}, "3 points"),
        ({"image_id": 1, "segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "in pixels"),
        ({"image_id": 1, "segmentation": [[0, 0, 9, 0, 9, 1e155]]}, "in pixels"),
        ({"image_id": 1, "segmentation": [[0, 0, 9, 9, 9, 0, 0, 9]]}, "crossing at"),
        ({"image_id": 1, "segmentation": [[0, 0, 5, 5, 9, 9]]}, "area"),
        ({"image_id": 1, "segmentation": {"size": [W, H], "counts": [W * H]}}, "image's size"),
        ({"image_id": 1, "segmentation": {"size": [H, W], "counts": [W * H]}}, "empty"),
        ({"image_id": 1, "segmentation": {"size": [H, W], "counts": [7]}}, "add up"),
        ({"image_id": 1, "segmentation": {"size": [H, W], "counts": "PP"}}, "ends within"),
        ({"image_id": 1, "segmentation": {"size": [H, W]}}, "'counts'"),
    ],
)
def test_a_bad_annotation_is_a_finding_and_the_others_are_read(
    tmp_path: Path, annotation: Any, message: str
) -> None:
    assigned = import_outlines(coco(tmp_path, annotation, entry(1)), scenes())
    (finding,) = assigned.findings
    assert (finding.code, finding.level) == ("annotation-unusable", "error")
    assert "annotation 0" in finding.where
    assert message in f"{finding}"
    assert finding.hint
    assert list(assigned.outlines) == [1]


def test_without_sizes_in_the_file_a_mask_must_have_the_size_of_the_scene(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}]
    other = {"image_id": 1, "segmentation": mask_to_rle(np.pad(person_mask(1), 1))}
    (finding,) = import_outlines(coco(tmp_path, other, entry(0), images=images), scenes()).findings
    assert (finding.code, "annotation 0" in finding.where) == ("annotation-unusable", True)
    assert "image's size" in f"{finding}"


@pytest.mark.parametrize(
    "image",
    [
        "a.jpg",
        {"id": 1},
        {"id": None, "file_name": "a.jpg"},
        {"id": 1, "file_name": 5},
        {"id": 1, "file_name": "a.jpg", "width": W, "height": H - 1},
    ],
)
def test_a_bad_image_entry_is_a_finding(tmp_path: Path, image: Any) -> None:
    source = coco(tmp_path, images=[image, {"id": 2, "file_name": "b_1.jpg"}])
    assert codes(import_outlines(source, scenes())) == ["image-unusable"]


def test_an_image_id_twice_is_a_finding(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b_1.jpg"}]
    assert codes(import_outlines(coco(tmp_path, images=images), scenes())) == ["image-unusable"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"images": []}', "5", '{"images": {}, "annotations": []}', "\x00"]
)
def test_another_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "source.json").write_text(text)
    with pytest.raises(InputFileError, match=r"source\.json"):
        import_outlines(tmp_path / "source.json", scenes())


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    source = coco(tmp_path, entry(0))
    source.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(InputFileError, match="cut off"):
        import_outlines(source, scenes())


@pytest.mark.parametrize("name", ["nothing.json", "masks.tif", "empty"])
def test_a_source_of_another_kind_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "masks.tif").write_bytes(b"II")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFileError) as caught:
        import_outlines(tmp_path / name, scenes())
    assert caught.value.hint


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1, 7, W, H]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=12,
)
_KEYS = (
    "image_id",
    "segmentation",
    "bbox",
    "person_id",
    "box_index",
    "iscrowd",
    "category_id",
    "maskps_holes",
)
_HEADS = (
    {},
    {"info": {"format": "maskps-masks", "fingerprint": "f1"}},
    {"info": {"format": "maskps-masks-rle", "fingerprint": "f1"}},
    {"maskps_ids": [5, None, []]},
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.dictionaries(st.sampled_from(_KEYS), anything),
    st.dictionaries(st.sampled_from(["id", "file_name", "width", "height", "maskps_size"]), anything),
    anything,
    st.sampled_from(_HEADS),
)
def test_whatever_the_file_holds_is_a_finding_or_one_clear_error(
    tmp_path: Path, annotation: dict[str, Any], image: dict[str, Any], categories: Any, head: dict[str, Any]
) -> None:
    annotations = [annotation, {"image_id": 1, "segmentation": [[3.0, 5, 12, 5, 9, 30]]} | annotation]
    images = [{"id": 1, "file_name": "a.jpg"} | image, {"id": 2, "file_name": "b_1.jpg"}]
    source = coco(tmp_path, *annotations, images=images, categories=categories, **head)
    import_outlines(source, scenes())
    source.write_text(json.dumps(annotations))
    import_outlines(source, scenes())
