"""masks.json as run lengths: what other readers see."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskps.errors import AnnotationError, InputFileError, OutputExistsError
from maskps.masks.coco_rle import masks_to_coco_rle
from maskps.masks.mask_file import masks_of_scenes, read_masks, write_masks
from maskps.masks.outlines import outline_from_polygons
from maskps.masks.rasterising import outline_to_mask
from maskps.structures import Scene, SceneTable

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

SQUARE = np.array([(4.0, 6.0), (16.0, 6.0), (16.0, 30.0), (4.0, 30.0)])
HOLED = outline_from_polygons([SQUARE], holes=[SQUARE / 3 + (20 / 3, 8)], where="holed")
SLANTED = outline_from_polygons([[(20.3, 2.1), (31.9, 5.5), (28.4, 33.3)]], where="slanted")


def table() -> SceneTable:
    boxes = np.array([(4, 6, 16, 30), (20, 2, 32, 34), (0, 0, 9, 9), (1, 1, 8, 8)], dtype=np.float32)
    return SceneTable.from_scenes(
        [Scene("a.jpg", boxes, np.array([3, 1, -1, 2]), np.zeros(4, dtype=np.bool_))]
    )


def masks_file(folder: Path) -> Path:
    """Persons 0 (with a hole) and 1 have outlines, 2 needs none, that of 3 is missing."""
    path = folder / "masks.json"
    masks = masks_of_scenes(table(), np.array([0]), {0: HOLED, 1: SLANTED})
    write_masks(path, table(), masks, fingerprint="f1", sizes={0: (40, 36)})
    return path


def loaded(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def exported(folder: Path, **options: Any) -> COCO:
    masks_to_coco_rle(masks_file(folder), folder / "rle.json", **options)
    return loaded(folder / "rle.json")


def test_pycocotools_sees_the_pixels_with_the_holes(tmp_path: Path) -> None:
    coco = exported(tmp_path)
    people = coco.loadAnns(coco.getAnnIds())
    for person, outline in zip(people[:2], (HOLED, SLANTED), strict=True):
        expected = outline_to_mask(outline, 40, 36)
        np.testing.assert_array_equal(coco.annToMask(person).astype(np.bool_), expected)
        assert person["area"] == expected.sum()
        assert person["iscrowd"] == 0
    assert coco.annToMask(people[0]).sum() == 12 * 24 - 4 * 8


def test_all_other_keys_stay_as_they_were(tmp_path: Path) -> None:
    exported(tmp_path)
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("masks.json", "rle.json"))
    assert after["info"].pop("format") == "maskps-masks-rle"
    assert before["info"].pop("format") == "maskps-masks"
    for key in ("info", "images", "categories", "licenses"):
        assert after[key] == before[key]
    for one, other in zip(before["annotations"], after["annotations"], strict=True):
        one.pop("maskps_holes", None)
        assert one.keys() == other.keys()
        changed = {key for key in one if one[key] != other[key]}
        assert changed <= ({"area", "segmentation"} if one["mask_state"] == "PRESENT" else set())


def test_persons_without_a_mask_are_there_or_left_out(tmp_path: Path) -> None:
    everybody = exported(tmp_path).loadAnns([1, 2, 3, 4])
    states = ["PRESENT", "PRESENT", "NOT_APPLICABLE", "MISSING"]
    assert [person["mask_state"] for person in everybody] == states
    assert [bool(person["segmentation"]) for person in everybody] == [True, True, False, False]
    coco = exported(tmp_path, persons="present", force=True)
    assert coco.getAnnIds() == [1, 2]


def test_what_was_written_is_counted(tmp_path: Path) -> None:
    export = masks_to_coco_rle(masks_file(tmp_path), tmp_path / "rle.json")
    assert export.to_dict() == {"persons": 4, "masks": 2, "with_holes": 1}
    export = masks_to_coco_rle(masks_file(tmp_path), tmp_path / "rle.json", persons="present", force=True)
    assert export.to_dict() == {"persons": 2, "masks": 2, "with_holes": 1}


def test_an_outline_beyond_the_image_is_cut_off(tmp_path: Path) -> None:
    outside = outline_from_polygons([SQUARE - (8, 0)], where="outside")
    masks = masks_of_scenes(table(), np.array([0]), {0: outside})
    write_masks(tmp_path / "masks.json", table(), masks, fingerprint="f1", sizes={0: (40, 36)})
    masks_to_coco_rle(tmp_path / "masks.json", tmp_path / "rle.json")
    assert loaded(tmp_path / "rle.json").anns[1]["area"] == 8 * 24


def test_the_same_masks_give_the_same_bytes(tmp_path: Path) -> None:
    path = masks_file(tmp_path)
    for name in ("one.json", "two.json"):
        masks_to_coco_rle(path, tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_an_existing_file_stays_without_force(tmp_path: Path) -> None:
    (tmp_path / "rle.json").write_text("mine")
    with pytest.raises(OutputExistsError, match="another path"):
        masks_to_coco_rle(masks_file(tmp_path), tmp_path / "rle.json")
    assert (tmp_path / "rle.json").read_text() == "mine"


def test_force_replaces_an_earlier_export(tmp_path: Path) -> None:
    path = masks_file(tmp_path)
    masks_to_coco_rle(path, tmp_path / "rle.json")
    before = (tmp_path / "rle.json").read_bytes()
    (tmp_path / "rle.json").write_bytes(before + b"\n")
    masks_to_coco_rle(path, tmp_path / "rle.json", force=True)
    assert (tmp_path / "rle.json").read_bytes() == before


@pytest.mark.parametrize("name", ["masks.json", "subset.json", "linked.json"])
def test_force_never_replaces_another_file_nor_the_masks_themselves(tmp_path: Path, name: str) -> None:
    masks = masks_file(tmp_path)
    (tmp_path / "subset.json").write_text('{"format": "maskps-subset"}')
    (tmp_path / "linked.json").symlink_to(masks)
    before = (tmp_path / name).read_bytes()
    for force in (False, True):
        with pytest.raises(OutputExistsError, match="another kind"):
            masks_to_coco_rle(masks, tmp_path / name, force=force)
    assert (tmp_path / name).read_bytes() == before


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    masks = masks_file(tmp_path)
    with pytest.raises(OutputExistsError, match="a folder") as caught:
        masks_to_coco_rle(masks, tmp_path, force=True)
    assert str(caught.value).startswith(f"{tmp_path}\n")


def test_our_own_reader_does_not_take_it_for_a_masks_json(tmp_path: Path) -> None:
    exported(tmp_path)
    with pytest.raises(InputFileError, match="another kind"):
        read_masks(tmp_path / "rle.json", table(), fingerprint="f1")


@pytest.mark.parametrize("key", ["id", "width", "height"])
def test_an_image_needs_its_id_and_size(tmp_path: Path, key: str) -> None:
    path = masks_file(tmp_path)
    content = json.loads(path.read_text())
    del content["images"][0][key]
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="an image with id, width and height"):
        masks_to_coco_rle(path, tmp_path / "rle.json")


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("images", {"width": None}),
        ("images", {"width": 0}),
        ("images", {"width": "40"}),
        ("images", {"width": 10**6, "height": 10**6}),
        ("images", {"id": "1"}),
        ("annotations", {"image_id": 5}),
        ("annotations", {"image_id": [1]}),
        ("annotations", {"segmentation": [[1, 2, 3]]}),
        ("annotations", {"segmentation": [[0, 0, 9, 9, 9, 0, 0, 8]]}),
        ("annotations", {"segmentation": [[0, 0, 1e5, 0, 1e5, 1e5]], "maskps_holes": None}),
        ("annotations", {"segmentation": [[0, 0, 1e20, 0, 1e20, 1e20]]}),
        ("annotations", {"maskps_holes": 5}),
        ("annotations", {"maskps_holes": [5]}),
        ("annotations", {"maskps_holes": [[[10**400] * 6]]}),
    ],
)
def test_an_edited_file_is_one_clear_error(tmp_path: Path, where: str, keys: dict[str, Any]) -> None:
    path = masks_file(tmp_path)
    content = json.loads(path.read_text())
    content[where][0].update(keys)
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError) as caught:
        masks_to_coco_rle(path, tmp_path / "rle.json")
    assert f"{where.removesuffix('s')} 0" in caught.value.where
    assert caught.value.hint
    assert not (tmp_path / "rle.json").exists()


# --- what other readers do -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["masks.json", "rle.json"])
def test_what_detectron2_asks_of_a_coco_file_holds(tmp_path: Path, name: str) -> None:
    """Read in its load_coco_json: unique ids, boxes of 4, polygons of even length and 6 numbers or more, an
    RLE with its size, category ids from 1 on, no "ignore"; an empty segmentation is no segmentation."""
    coco = exported(tmp_path) if name == "rle.json" else loaded(masks_file(tmp_path))
    people = [person for image in coco.imgs for person in coco.imgToAnns[image]]
    assert len({person["id"] for person in people}) == len(people) == 4
    assert coco.getCatIds() == [1]
    for image in coco.imgs.values():
        assert {"file_name", "height", "width", "id"} <= image.keys()
    for person in people:
        assert len(person["bbox"]) == 4
        assert person.get("ignore", 0) == 0
        segmentation = person["segmentation"]
        if isinstance(segmentation, dict):
            assert isinstance(segmentation["counts"], list)  # taken with pycocotools.mask.frPyObjects
            assert coco_mask.frPyObjects(segmentation, *segmentation["size"])["size"] == [36, 40]
        else:
            assert all(len(ring) % 2 == 0 and len(ring) >= 6 for ring in segmentation)


@pytest.mark.parametrize("name", ["masks.json", "rle.json"])
def test_torchvision_reads_the_masks(tmp_path: Path, name: str) -> None:
    """Its wrapped CocoDetection wants a mask from every annotation; persons without one are left out here."""
    torchvision = pytest.importorskip("torchvision")
    from PIL import Image

    Image.new("RGB", (40, 36)).save(tmp_path / "a.jpg")
    if name == "rle.json":
        exported(tmp_path, persons="present")
    else:
        path = masks_file(tmp_path)
        content = json.loads(path.read_text())
        del content["annotations"][2:]
        path.write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        plain = torchvision.datasets.CocoDetection(str(tmp_path), str(tmp_path / name))
    wrapped = torchvision.datasets.wrap_dataset_for_transforms_v2(plain, target_keys=("boxes", "masks"))
    ((_, target),) = list(wrapped)
    assert target["boxes"].tolist() == [[4, 6, 16, 30], [20, 2, 32, 34]]
    first, second = np.asarray(target["masks"], dtype=np.bool_)
    filled = outline_to_mask(outline_from_polygons([SQUARE], where="filled"), 40, 36)
    np.testing.assert_array_equal(first, outline_to_mask(HOLED, 40, 36) if name == "rle.json" else filled)
    assert (second != outline_to_mask(SLANTED, 40, 36)).sum() <= (0 if name == "rle.json" else 20)
