"""masks.json: lossless for us, plain COCO for others, and refused for another data set."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskps.errors import AnnotationError, InputFileError
from maskps.masks import (
    Outline,
    PersonMasks,
    masks_of_scenes,
    outline_from_polygons,
    read_masks,
    write_masks,
)
from maskps.masks.mask_file import points_of_polygon, read_mask_images
from maskps.masks.outlines import FARTHEST
from maskps.structures import MaskState, Scene, SceneTable

SQUARE = np.array([(0.0, 0.0), (9.0, 0.0), (9.0, 10.0), (0.0, 10.0)])


def table() -> SceneTable:
    """Three scenes: labeled + unlabeled, two labeled, unlabeled only."""

    def scene(name: str, pids: list[int]) -> Scene:
        corner = np.arange(len(pids), dtype=np.float32)[:, None] * 20 + 0.25
        boxes = np.concatenate([corner, corner, corner + 10, corner + 15], axis=1)
        return Scene(name, boxes, np.array(pids, dtype=np.int64), np.zeros(len(pids), dtype=np.bool_))

    return SceneTable.from_scenes([scene("a.jpg", [4, -1]), scene("b ü.jpg", [7, 5]), scene("c.jpg", [-1])])


def masks() -> PersonMasks:
    """Person 0 in two parts with a hole in the second; person 2 a triangle of awkward numbers; 3 missing."""
    two_parts = outline_from_polygons([SQUARE, SQUARE + 30], holes=[SQUARE / 3 + 32], where="two parts")
    awkward = outline_from_polygons([[(1 / 3, np.pi), (8 / 7, 1e-3), (9.1, 14.7)]], where="triangle")
    return masks_of_scenes(table(), np.array([0, 1]), {0: two_parts, 2: awkward})


def written(folder: Path) -> Path:
    path = folder / "masks.json"
    write_masks(path, table(), masks(), fingerprint="f1", sizes={0: (640, 480)})
    return path


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = written(folder)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def loaded_by_pycocotools(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_labeled_persons_of_the_subset_are_present_or_missing_all_others_not_applicable() -> None:
    assert [MaskState(state).name for state in masks().states] == [
        "PRESENT", "NOT_APPLICABLE", "PRESENT", "MISSING", "NOT_APPLICABLE",
    ]  # fmt: skip


@pytest.mark.parametrize("row", [1, 4, 5, -1])
def test_an_outline_of_a_person_who_needs_none_is_an_error(row: int) -> None:
    outline = outline_from_polygons([SQUARE], where="square")
    with pytest.raises(AnnotationError, match="needs none"):
        masks_of_scenes(table(), np.array([0, 1]), {row: outline})


def test_states_without_their_outlines_are_an_error() -> None:
    with pytest.raises(AnnotationError, match="PRESENT"):
        PersonMasks(masks().states, {})


def test_reading_back_is_lossless(tmp_path: Path) -> None:
    read = read_masks(written(tmp_path), table(), fingerprint="f1")
    np.testing.assert_array_equal(read.states, masks().states)
    assert list(read.outlines) == [0, 2]
    for row, outline in masks().outlines.items():
        for ring, again in zip(outline.rings, read.outlines[row].rings, strict=True):
            np.testing.assert_array_equal(ring, again)


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path).read_bytes()
    assert written(tmp_path).read_bytes() == first


def test_a_subset_without_outlines_or_scenes_is_read_back(tmp_path: Path) -> None:
    for scenes in ([], [0, 1]):
        empty = masks_of_scenes(table(), np.array(scenes, dtype=np.int64), {})
        write_masks(tmp_path / "m.json", table(), empty, fingerprint="f1")
        read = read_masks(tmp_path / "m.json", table(), fingerprint="f1")
        np.testing.assert_array_equal(read.states, empty.states)


def test_pycocotools_loads_it(tmp_path: Path) -> None:
    coco = loaded_by_pycocotools(written(tmp_path))
    assert [image["file_name"] for image in coco.loadImgs([1, 2])] == ["a.jpg", "b ü.jpg"]
    people = coco.loadAnns(coco.getAnnIds())
    assert [person["person_id"] for person in people] == [4, -1, 7, 5]
    assert [person["mask_state"] for person in people] == ["PRESENT", "NOT_APPLICABLE", "PRESENT", "MISSING"]
    assert [person["box_index"] for person in people] == [0, 1, 0, 1]
    assert people[0]["bbox"] == [0.25, 0.25, 10, 15]
    assert {person["category_id"] for person in people} == {1}
    assert coco.annToRLE(people[0])["size"] == [480, 640]


def test_the_file_is_ascii_because_pycocotools_opens_it_in_the_locales_encoding(tmp_path: Path) -> None:
    assert written(tmp_path).read_bytes().isascii()


def test_other_readers_see_the_outer_rings(tmp_path: Path) -> None:
    """Two parts of 90 px each; COCO polygons cannot say that the second has a hole."""
    coco = loaded_by_pycocotools(written(tmp_path))
    person = coco.loadAnns([1])[0]
    assert coco_mask.area(coco.annToRLE(person)) == 180
    assert person["area"] == pytest.approx(180 - 10)


def test_the_area_is_the_boxs_where_there_is_no_outline(tmp_path: Path) -> None:
    assert loaded_by_pycocotools(written(tmp_path)).loadAnns([2])[0]["area"] == 150


def test_an_unknown_image_size_is_the_extent_and_says_so(tmp_path: Path) -> None:
    known, unknown = loaded_by_pycocotools(written(tmp_path)).loadImgs([1, 2])
    assert (known["width"], known["height"], "maskps_size" in known) == (640, 480, False)
    assert (unknown["width"], unknown["height"], unknown["maskps_size"]) == (31, 36, "extent")


def test_a_file_of_another_data_set_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"f2(.|\n)*f1"):
        read_masks(written(tmp_path), table(), fingerprint="f2")


@pytest.mark.parametrize("length", [0, 1, 100, 700])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, length: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputFileError, match="cut off"):
        read_masks(path, table(), fingerprint="f1")


@pytest.mark.parametrize("text", ["[]", "{}", '{"info": {"description": "COCO 2017"}}'])
def test_another_json_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "masks.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match="another kind"):
        read_masks(tmp_path / "masks.json", table(), fingerprint="f1")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda content: content["info"].update(version=2))
    with pytest.raises(InputFileError, match="version"):
        read_masks(path, table(), fingerprint="f1")


def _person(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["annotations"][0].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        _person(person_id=5),
        _person(box_index=2),  # of two persons
        _person(box_index=7),
        _person(box_index=-1),
        _person(box_index=None),
        _person(image_id=9),
        _person(mask_state="DONE"),
        _person(mask_state=["PRESENT"]),
        _person(mask_state="NOT_APPLICABLE"),
        _person(segmentation=[]),
        _person(segmentation=None),
        _person(segmentation=[[1, 2, 3, 4, 5]]),
        _person(segmentation=[[0, 0, 1, 0, 1, 1]]),
        _person(segmentation={"counts": "abc", "size": [1, 2]}),
        _person(segmentation=[[10**400, 0, 1, 0, 1, 1]]),
        _person(box_index=float("inf")),
        _person(segmentation=[[0, 0, 1, 0, 2, 0]], maskps_holes=[[]]),  # on one line
        _person(maskps_holes=[]),
        _person(maskps_holes=5),
        _person(maskps_holes=[5, 5]),
        _person(maskps_holes=[[[0, 0, 5, 0, 5, 5]], []]),
        lambda content: content["annotations"][0].pop("person_id"),
        lambda content: content["annotations"][1].update(mask_state="MISSING"),
        lambda content: content["annotations"].append(content["annotations"][0]),
        lambda content: content["annotations"].append("person"),
        lambda content: content["annotations"].pop(1),
        lambda content: content["images"][0].update(file_name="z.jpg"),
        lambda content: content["images"].append(content["images"][0]),
        lambda content: content["images"].append({**content["images"][0], "id": 99}),
        lambda content: content["images"][1].update(id=content["images"][0]["id"]),
    ],
)
def test_an_edit_that_contradicts_the_data_set_is_an_error(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(AnnotationError):
        read_masks(edited(tmp_path, change), table(), fingerprint="f1")


def test_a_polygon_has_three_points_or_more_up_to_the_farthest_coordinate() -> None:
    far = [0.0, 0.0, FARTHEST, 0.0, 0.0, -FARTHEST]
    assert points_of_polygon(far, "test", hint="").tolist() == [[0, 0], [FARTHEST, 0], [0, -FARTHEST]]
    for wrong in (far[:4], [*far, 1.0], [*far[:4], 0.0, -FARTHEST - 1], "polygon", [far]):
        with pytest.raises(AnnotationError, match="3 points or more, in pixels"):
            points_of_polygon(wrong, "test", hint="")


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_a_missing_list_is_an_error(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputFileError, match="lists"):
        read_masks(edited(tmp_path, lambda content: content.pop(key)), table(), fingerprint="f1")


def test_images_without_names_are_an_error(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda content: content["images"][0].pop("file_name"))
    with pytest.raises(InputFileError, match="file_name"):
        read_masks(path, table(), fingerprint="f1")


@pytest.mark.parametrize("number", [float("inf"), "one", None, [1]])
def test_an_image_id_that_is_no_number_is_an_error(tmp_path: Path, number: Any) -> None:
    path = edited(tmp_path, lambda content: content["images"][0].update(id=number))
    with pytest.raises(InputFileError, match="file_name"):
        read_masks(path, table(), fingerprint="f1")


def test_the_images_alone_are_read_by_id(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read_mask_images(path, table(), fingerprint="f1") == {1: 0, 2: 1}
    with pytest.raises(AnnotationError, match="f2"):
        read_mask_images(path, table(), fingerprint="f2")


def test_an_empty_outline_is_never_present() -> None:
    with pytest.raises(AnnotationError, match="empty"):
        masks_of_scenes(table(), np.array([0]), {0: Outline(())})
