"""Masks of YOLO labels and CVAT files, names of images in folders, and files of tools that are not read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.errors import InputFileError
from maskps.masks.assignment import AssignedMasks
from maskps.masks.imports.scenes import ImportScenes
from maskps.masks.imports.sources import import_outlines
from maskps.masks.rasterising import outline_to_mask
from maskps.structures import Scene, SceneTable

W, H = 60, 40
BOXES = np.array([(2, 4, 14, 36), (20, 3, 34, 37), (40, 8, 55, 38)], dtype=np.float32)


def scenes(
    *names: str, test: tuple[str, ...] = (), sizes: bool = True, rows: tuple[int, ...] | None = None
) -> ImportScenes:
    """Scenes with the identities p1, p2 and p3 each; by default a.jpg alone."""
    names = names or ("a.jpg",)
    table = SceneTable.from_scenes(
        [Scene(name, BOXES, np.array([1, 2, 3]), np.zeros(3, dtype=np.bool_)) for name in names]
    )
    known = {row: (W, H) for row in range(len(names))} if sizes else {}
    chosen = np.array(range(len(names)) if rows is None else rows)
    return ImportScenes(table, chosen, np.array(["p1", "p2", "p3"]), known, "f1", {}, test)


def ring(box: int, inset: float = 0.0) -> np.ndarray:
    x0, y0, x1, y1 = BOXES[box].astype(float) + (inset, inset, -inset, -inset)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def line(points: np.ndarray, label: int = 0, *more: float) -> str:
    return " ".join([str(label), *(f"{value:.9f}" for value in (points / (W, H)).ravel()), *map(str, more)])


def yolo(folder: Path, *lines: str, name: str = "a.txt") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def codes(assigned: AssignedMasks, level: str = "error") -> list[str]:
    return [finding.code for finding in assigned.findings if finding.level == level]


def text(assigned: AssignedMasks) -> str:
    return "\n".join(map(str, assigned.findings))


# --- YOLO ------------------------------------------------------------------------------------------------


def test_labels_are_shares_of_the_image(tmp_path: Path) -> None:
    source = yolo(tmp_path, line(ring(1)), "", line(ring(0)))
    for given in (source, source / "a.txt"):
        assigned = import_outlines(given, scenes())
        assert sorted(assigned.outlines) == [0, 1]
        np.testing.assert_allclose(assigned.outlines[0].bounds, BOXES[0], atol=1e-6)
        assert assigned.findings == ()


@pytest.mark.parametrize("step", [1, -1])
def test_the_parts_of_a_person_come_apart_at_the_bridge(tmp_path: Path, step: int) -> None:
    """As the writers of such labels join them: around one part, over to the other, around it and back."""
    head, legs = np.array([(20, 3), (34, 3), (34, 15), (20, 15)]), np.array([(20, 18), (34, 18), (34, 37)])
    legs = legs[::step]
    joined = np.concatenate([head, head[:1], legs, legs[:1]]).astype(float)
    (outline,) = import_outlines(yolo(tmp_path, line(joined)), scenes()).outlines.values()
    assert len(outline.rings) == 2
    assert outline.area == pytest.approx(14 * 12 + 14 * 19 / 2, abs=1e-4)


def test_scores_at_the_end_count(tmp_path: Path) -> None:
    source = yolo(tmp_path, line(ring(0), 0, 0.49), line(ring(1, 2), 0, 0.9), line(ring(1), 0, 0.6))
    assigned = import_outlines(source, scenes(), min_score=0.5)
    assert list(assigned.outlines) == [1]
    np.testing.assert_allclose(assigned.outlines[1].bounds, ring(1, 2)[[0, 2]].ravel(), atol=1e-6)
    assert (assigned.low_scores, assigned.outscored) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "car\nPerson\n"),
        ("obj.names", "car\nperson"),
        ("data.yaml", "train: images\nnames:\n  0: car  # a comment\n  1: person\nnc: 2\n"),
        ("data.yaml", "nc: 2\nnames: ['car', 'person']\n"),
        ("data.yml", "names:\n- car\n- person\n"),
        ("data.yaml", "names: {1: person, 0: car}\n"),
    ],
)
@pytest.mark.parametrize("folder", ["", "labels/train"])
def test_the_class_of_persons_is_found_by_its_name(
    tmp_path: Path, name: str, content: str, folder: str
) -> None:
    source = yolo(tmp_path / folder, line(ring(0), 0), line(ring(1), 1))
    (tmp_path / name).write_text(content)
    for given in {source, tmp_path}:
        assigned = import_outlines(given, scenes())
        assert list(assigned.outlines) == [1]
        assert codes(assigned, "info") == ["other-category"]
        assert codes(assigned) == []


def test_several_classes_without_names_are_an_error(tmp_path: Path) -> None:
    for lines in ([line(ring(0), 0), line(ring(1), 2)], [line(ring(0), 2)]):
        assigned = import_outlines(yolo(tmp_path, *lines), scenes())
        assert (dict(assigned.outlines), codes(assigned)) == ({}, ["categories"])
        assert "classes.txt" in text(assigned)
    (tmp_path / "classes.txt").write_text("dog\ncat\ncar\n")
    assert codes(import_outlines(tmp_path, scenes())) == ["categories"]


def test_boxes_are_not_outlines(tmp_path: Path) -> None:
    assigned = import_outlines(yolo(tmp_path, "0 0.5 0.5 0.1 0.2", "0 0.5 0.5 0.1 0.2 0.9"), scenes())
    assert (dict(assigned.outlines), codes(assigned, "info")) == ({}, ["no-segmentation"])
    assert "2 lines with a box" in text(assigned)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("0 a b c d e f", "labels-unusable"),
        ("0 0.1 0.2 nan 0.3 0.4 0.5", "labels-unusable"),
        ("0.5 0.1 0.2 0.3 0.4 0.5 0.6", "labels-unusable"),
        ("hello", "labels-unusable"),
        ("0 2 4 14 4 14 36", "annotation-unusable"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 7", "annotation-unusable"),
        ("0 0.1 0.1 0.2 0.2 0.2 0.1 0.1 0.2", "annotation-unusable"),
    ],
)
def test_a_bad_line_is_an_error_that_names_it(tmp_path: Path, bad: str, code: str) -> None:
    assigned = import_outlines(yolo(tmp_path, line(ring(0)), bad), scenes())
    assert codes(assigned) == [code]
    assert "a.txt line 2" in text(assigned)


def test_labels_need_the_size_of_the_image(tmp_path: Path) -> None:
    assigned = import_outlines(yolo(tmp_path, line(ring(0))), scenes(sizes=False))
    assert codes(assigned) == ["annotation-unusable"]
    assert "known size" in text(assigned)


def test_png_images_beside_labels_are_not_masks(tmp_path: Path) -> None:
    yolo(tmp_path / "labels", line(ring(0)))
    (tmp_path / "a.png").write_bytes(b"")
    assert list(import_outlines(tmp_path, scenes()).outlines) == [0]


# --- CVAT ------------------------------------------------------------------------------------------------


def points(ring: np.ndarray) -> str:
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)


def polygon(box: int, label: str = "person", inner: str = "", **keys: Any) -> str:
    more = "".join(f' {key}="{value}"' for key, value in keys.items())
    return f'<polygon label="{label}" points="{points(ring(box))}" occluded="0"{more}>{inner}</polygon>'


def cvat(folder: Path, *shapes: str, name: str = "a.jpg", labels: tuple[str, ...] = ("person",)) -> Path:
    meta = "".join(f"<label><name>{label}</name></label>" for label in labels)
    path = folder / "annotations.xml"
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><task><labels>{meta}</labels></task></meta>"
        f'<image id="0" name="{name}" width="{W}" height="{H}">{"".join(shapes)}</image></annotations>\n'
    )
    return path


def test_polygons_of_persons_are_read_others_are_counted(tmp_path: Path) -> None:
    box = '<box label="Person" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    source = cvat(tmp_path, polygon(0, "Person"), polygon(1, "bag"), box, labels=("bag", "Person"))
    for given in (source, tmp_path):
        assigned = import_outlines(given, scenes())
        assert list(assigned.outlines) == [0]
        assert sorted(codes(assigned, "info")) == ["no-segmentation", "other-category"]
        assert assigned.outlines[0].bounds.tolist() == BOXES[0].tolist()


def test_a_group_is_one_person_and_an_attribute_its_identity(tmp_path: Path) -> None:
    top, low = ring(1).copy(), ring(1).copy()
    top[2:, 1], low[:2, 1] = 15, 20
    identity = '<attribute name="person_id">p2</attribute>'
    shapes = [
        f'<polygon label="person" points="{points(part)}" group_id="4">{identity}</polygon>'
        for part in (top, low)
    ]
    assigned = import_outlines(
        cvat(tmp_path, *shapes, polygon(0, group_id=0), polygon(2, group_id=0)), scenes()
    )
    assert sorted(assigned.outlines) == [0, 1, 2]
    assert (assigned.named, assigned.fitted) == (1, 2)
    assert assigned.outlines[1].area == 14 * 12 + 14 * 17


def test_a_group_of_two_persons_is_not_used(tmp_path: Path) -> None:
    both = [polygon(0, group_id=1), polygon(1, group_id=1)]
    assert codes(import_outlines(cvat(tmp_path, *both), scenes())) == ["mask-of-several"]
    identities = [
        polygon(box, group_id=1, inner=f'<attribute name="person_id">p{box}</attribute>') for box in (0, 1)
    ]
    assert codes(import_outlines(cvat(tmp_path, *identities), scenes())) == ["annotation-unusable"]


def test_a_mask_counts_its_pixels_row_by_row_in_its_own_box(tmp_path: Path) -> None:
    pixels = np.zeros((H, W), dtype=np.bool_)
    pixels[4:36, 2:14] = True
    pixels[4, 2] = pixels[10:20, 5:9] = False
    flat = pixels[4:36, 2:14].ravel()
    changes = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    assert not flat[0]
    shape = f'<mask label="person" rle="{str(runs)[1:-1]}" left="2" top="4" width="12" height="32"/>'
    (outline,) = import_outlines(cvat(tmp_path, shape), scenes()).outlines.values()
    np.testing.assert_array_equal(outline_to_mask(outline, W, H), pixels)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="person" points="1,2;3"/>', "x,y;x,y"),
        ('<polygon label="person"/>', "x,y;x,y"),
        ('<polygon label="person" points="0,0;9,9;9,0;0,9"/>', "crossing at"),
        ('<mask label="person" rle="3" left="2" top="4" width="12" height="32"/>', "adds up to"),
        ('<mask label="person" rle="-1, 385" left="2" top="4" width="12" height="32"/>', "adds up to"),
        ('<mask label="person" rle="x" left="2" top="4" width="1" height="1"/>', "adds up to"),
        ('<mask label="person" rle="0, 4" left="59" top="4" width="2" height="2"/>', "within the image"),
        ('<mask label="person" rle="0, 4" left="1" top="4" width="2"/>', "height in pixels"),
    ],
)
def test_a_bad_shape_is_a_finding_and_the_others_are_read(tmp_path: Path, shape: str, message: str) -> None:
    assigned = import_outlines(cvat(tmp_path, shape, polygon(1)), scenes())
    assert (list(assigned.outlines), codes(assigned)) == ([1], ["annotation-unusable"])
    assert message in text(assigned)


def test_an_image_of_another_size_is_an_error(tmp_path: Path) -> None:
    source = cvat(tmp_path, polygon(0))
    source.write_text(source.read_text().replace(f'width="{W}"', f'width="{W + 1}"'))
    assert "61 x 40" in text(import_outlines(source, scenes()))


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><annotations><image>&i;</image></annotations>"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTITIES.encode(), "document type"),
        (ENTITIES.replace('"1.0"?', '"1.0" encoding="utf-16"?').encode("utf-16"), "document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        (b"", "no element found"),
        (b"<annotations><image", "unclosed token"),
        (b'<?xml version="1.0" encoding="nonsense"?><annotations/>', "encoding"),
        (b"<annotation><object/></annotation>", "Pascal VOC"),
        (b'<annotations><track id="0"/></annotations>', "of a video"),
        (b"<html></html>", "<html>"),
        (b"<annotations></annotations>", "another kind"),
    ],
)
def test_other_xml_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "annotations.xml").write_bytes(content)
    with pytest.raises(InputFileError, match=message) as caught:
        import_outlines(tmp_path / "annotations.xml", scenes())
    assert caught.value.hint


# --- names of images -------------------------------------------------------------------------------------


def named(tmp_path: Path, *names: str) -> Path:
    """A COCO file with a mask of the first person of each image."""
    path = tmp_path / "source.json"
    images = [{"id": key, "file_name": name} for key, name in enumerate(names)]
    annotations = [{"image_id": key, "segmentation": [ring(0).ravel().tolist()]} for key in range(len(names))]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.mark.parametrize(
    ("name", "train", "test", "expected"),
    [
        ("1.jpg", "1.jpg", "", None),
        ("x/1.jpg", "1.jpg", "", None),
        ("1.jpg", "cam2/1.jpg", "", None),
        ("images\\cam2\\1.jpg", "cam2/1.jpg", "", None),
        ("./cam2/1.jpg", "/data/cam2/1.jpg", "", None),
        ("cam1/1.jpg", "cam2/1.jpg", "", "unknown-image"),
        ("cam1/1.jpg", "cam2/1.jpg", "cam1/1.jpg", "test-image"),
        ("set/cam1/1.jpg", "cam2/1.jpg", "cam1/1.jpg", "test-image"),
        ("1.jpg", "cam2/1.jpg", "cam1/1.jpg", "ambiguous-image"),
        ("cam1/1.jpg", "1.jpg", "cam1/1.jpg", "test-image"),
        ("cam2/1.jpg", "cam2/1.jpg", "1.jpg", None),
        ("1.jpg", "1.jpg", "cam1/1.jpg", None),
        ("am2/1.jpg", "cam2/1.jpg", "", "unknown-image"),
        ("1.png", "1.jpg", "", "unknown-image"),
        ("", "1.jpg", "", "unknown-image"),
    ],
)
def test_folders_that_contradict_are_no_match(
    tmp_path: Path, name: str, train: str, test: str, expected: str | None
) -> None:
    assigned = import_outlines(named(tmp_path, name), scenes(train, test=(test,) if test else ()))
    assert list(assigned.outlines) == ([0] if expected is None else [])
    assert codes(assigned, "warning") == ([] if expected is None else [expected])


def test_files_of_labels_and_masks_follow_the_same_rule(tmp_path: Path) -> None:
    known = scenes("cam2/1.jpg", "images/train/2.jpg", test=("cam1/1.jpg",))
    yolo(tmp_path / "labels", line(ring(0)), name="cam1/1.txt")
    yolo(tmp_path / "labels", line(ring(0)), name="1.txt")
    yolo(tmp_path / "labels", line(ring(1)), name="train/2.txt")
    assigned = import_outlines(tmp_path, known)
    assert list(assigned.outlines) == [4]
    assert sorted(codes(assigned, "warning")) == ["ambiguous-image", "test-image"]


def test_two_training_images_of_one_name_need_their_folders(tmp_path: Path) -> None:
    known = scenes("cam1/1.jpg", "cam2/1.jpg")
    assert list(import_outlines(named(tmp_path, "cam2/1.jpg"), known).outlines) == [3]
    assert codes(import_outlines(named(tmp_path, "1.jpg"), known), "warning") == ["ambiguous-image"]


# --- COCO: categories, scores ----------------------------------------------------------------------------


def categorised(tmp_path: Path, categories: Any, *ids: Any, **keys: Any) -> AssignedMasks:
    """The masks of persons 0, 1, ... with these category ids."""
    annotations = [
        {"image_id": 1, "segmentation": [ring(row).ravel().tolist()], "category_id": key} | keys
        for row, key in enumerate(ids)
    ]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations}
    (tmp_path / "c.json").write_text(json.dumps(content | {"categories": categories}))
    return import_outlines(tmp_path / "c.json", scenes(), min_score=0.5)


def test_categories_of_other_things_are_not_persons(tmp_path: Path) -> None:
    two = [{"id": 1, "name": "PERSON"}, {"id": 2, "name": "Clothes"}]
    assigned = categorised(tmp_path, two, 1, 2, "1")
    assert (sorted(assigned.outlines), codes(assigned, "info")) == ([0, 2], ["other-category"])
    assigned = categorised(tmp_path, two[:1], 1, 2)
    assert (list(assigned.outlines), codes(assigned, "warning")) == ([0], ["undeclared-category"])
    assigned = categorised(tmp_path, [{"id": 1, "name": "bag"}, {"id": 2, "name": "Clothes"}], 1, 2)
    assert (dict(assigned.outlines), codes(assigned)) == ({}, ["categories"])
    assigned = categorised(tmp_path, [{"id": 1, "name": "pedestrian"}], 1)
    assert (list(assigned.outlines), codes(assigned, "warning")) == ([0], ["category-name"])


def test_the_only_label_or_class_of_another_name_is_named_as_the_only_category_is(tmp_path: Path) -> None:
    for name in ("cvat", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels/classes.txt").write_text("clothes\n")
    for source in (
        cvat(tmp_path / "cvat", polygon(0, "clothes"), labels=("clothes",)),
        cvat(tmp_path / "cvat", polygon(0, "clothes"), labels=()),
        yolo(tmp_path / "labels", line(ring(0))),
    ):
        assigned = import_outlines(source, scenes())
        assert (list(assigned.outlines), codes(assigned, "warning")) == ([0], ["category-name"])
        assert "'clothes'" in text(assigned)


def test_annotations_of_an_image_of_another_size_are_not_those_of_an_image_outside_the_subset(
    tmp_path: Path,
) -> None:
    shapes = [{"image_id": 1, "segmentation": [ring(row).ravel().tolist()]} for row in (0, 1)]
    images = [{"id": 1, "file_name": "a.jpg", "width": 2 * W, "height": 2 * H}]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": shapes}))
    assigned = import_outlines(tmp_path / "c.json", scenes())
    assert codes(assigned) == ["image-unusable", "image-unusable"]
    assert "2 annotations of images that cannot be used" in text(assigned)
    assert codes(assigned, "info") == []


@pytest.mark.parametrize(("score", "used"), [(0.5, True), (1, True), (None, True), (0.4999, False)])
def test_masks_of_a_low_score_are_counted(tmp_path: Path, score: Any, used: bool) -> None:
    assigned = categorised(tmp_path, None, 1, score=score)
    assert (len(assigned.outlines), assigned.low_scores) == ((1, 0) if used else (0, 1))


@pytest.mark.parametrize("score", [99, -0.1, "0.9", float("nan"), True, [1]])
def test_a_score_outside_0_to_1_is_an_error(tmp_path: Path, score: Any) -> None:
    assigned = categorised(tmp_path, None, 1, score=score)
    assert (dict(assigned.outlines), codes(assigned)) == ({}, ["annotation-unusable"])
    assert "from 0 to 1" in text(assigned)


def test_coordinates_from_0_to_1_are_an_error(tmp_path: Path) -> None:
    shares = (ring(0) / (W, H)).ravel().tolist()
    assigned = categorised(tmp_path, None, 1, segmentation=[shares])
    assert codes(assigned) == ["annotation-unusable"]
    assert "polygons in pixels" in text(assigned)
    corner = [0.0, 0.0, 1.5, 0.0, 1.0, 1.0]
    assert codes(categorised(tmp_path, None, 1, segmentation=[corner])) == []


# --- files of other tools --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "tool"),
    [
        ({"images": [], "annotations": [{"image_id": 1, "segments_info": []}]}, "panoptic"),
        ({"shapes": [], "imagePath": "a.jpg"}, "LabelMe"),
        ({"_via_settings": {}, "_via_img_metadata": {}}, "VIA"),
        ({"a.jpg123": {"filename": "a.jpg", "regions": []}}, "VIA"),
        ({"info": {}, "categories": {"label": {}}, "items": []}, "Datumaro"),
        ({"size": {}, "objects": []}, "Supervisely"),
        ([{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}], "Label Studio"),
        ([{"image": "a.jpg", "label": []}], "Label Studio"),
    ],
)
def test_a_file_of_another_tool_is_named_with_the_export_that_works(
    tmp_path: Path, content: Any, tool: str
) -> None:
    (tmp_path / "masks.json").write_text(json.dumps(content))
    with pytest.raises(InputFileError, match=tool) as caught:
        import_outlines(tmp_path / "masks.json", scenes())
    assert "docs/from_your_tool.md" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("masks.zip", "unpack it"),
        ("a.jpg", "save them as PNG"),
        ("folder/a.jpg", "save them as PNG"),
        ("folder/a.json", "build-subset --labelme"),
        ("folder/a.npy", "from_your_tool"),
    ],
)
def test_files_of_another_kind_are_one_clear_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputFileError, match=message):
        import_outlines(tmp_path / name.split("/")[0], scenes())


@pytest.mark.parametrize("ending", ["txt", "xml", "json", "png"])
def test_a_file_of_any_bytes_is_a_finding_or_one_clear_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    for content in (b"", b"\x00" * 99, b"\xff\xfe\x00", os.urandom(300), b"<" * 99, b"0 " * 99, b"[" * 99999):
        path.write_bytes(content)
        try:
            import_outlines(path, scenes())
        except InputFileError as error:
            assert error.hint


@pytest.mark.parametrize("ending", ["txt", "xml", "json", "png"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_pipe_is_never_waited_for(tmp_path: Path, ending: str, is_folder: bool) -> None:
    os.mkfifo(tmp_path / f"a.{ending}")
    source = tmp_path if is_folder else tmp_path / f"a.{ending}"
    try:
        assert codes(import_outlines(source, scenes()))
    except InputFileError as error:
        assert error.hint


def test_every_code_of_a_finding_is_documented_with_its_level() -> None:
    repository = Path(__file__).resolve().parents[2]
    table = (repository / "docs" / "masks.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|info) \|", table, re.MULTILINE))
    modules = [*(repository / "maskps" / "masks" / "imports").glob("*.py")]
    modules += [
        repository / "maskps" / "masks" / "assignment.py",
        repository / "maskps/subset/import_masks.py",
    ]
    source = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    written = dict(re.findall(r'Finding\(\s*"([a-z-]+)",\s*"(error|warning|info)"', source))
    written |= dict(re.findall(r'"([a-z-]+)": \("(error|warning|info)", ', source))
    written |= dict.fromkeys(re.findall(r'of_error\(\s*"([a-z-]+)"', source), "error")
    written["nothing-used"] = "error"
    assert written == documented
