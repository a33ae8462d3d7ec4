"""From LabelMe files to outlines of the right persons."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps.errors import AnnotationError, InputFileError
from maskps.findings import Finding
from maskps.masks import LabelMeFile, LabelMeShape, Outline, read_labelme, write_labelme
from maskps.masks.rasterising import outline_to_mask
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import open_subset, select_subset
from maskps_annotation import (
    build_subset_from_labelme,
    outlines_from_labelme,
    person_outlines_from_labelme,
)

BOXES = np.array([[0, 0, 10, 30], [20, 0, 30, 30], [23, 1, 33, 31], [50, 50, 60, 80]], dtype=np.float32)
PIDS = np.array([3, 7, -1, 7], dtype=np.int64)
IDS = np.array([f"p{100 + pid}" for pid in range(1, 8)])
ALL = np.array([0, 1], dtype=np.int64)


def table() -> SceneTable:
    """Scene a.jpg: pids 3, 7 and an unlabeled person who stands before 7. Scene b.jpg: pid 7."""
    return SceneTable(
        names=np.array(["a.jpg", "b.jpg"]),
        offsets=np.array([0, 3, 4], dtype=np.int64),
        boxes=BOXES.copy(),
        pids=PIDS.copy(),
        is_hard=np.zeros(4, dtype=np.bool_),
    )


EVERY = select_subset(table(), portion_size=1)


def rectangle(box: list[float] | np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = np.asarray(box, dtype=np.float64)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def drawn(row: int, label: str, **more: object) -> LabelMeShape:
    """The box of person `row`, drawn as a polygon."""
    return LabelMeShape(label, rectangle(BOXES[row]), **more)  # type: ignore[arg-type]


def collect(
    folder: Path, *shapes: LabelMeShape, ids: np.ndarray | None = None
) -> tuple[dict[int, Outline], list[Finding]]:
    """Scene a.jpg with these shapes."""
    write_labelme(folder / "a.json", LabelMeFile("a.jpg", 100, 100, shapes))
    return outlines_from_labelme(folder, table(), scene_rows=np.array([0]), ids=ids)


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def test_the_private_box_names_the_person_whatever_the_label(tmp_path: Path) -> None:
    """Pid 7 is drawn where the unlabeled person stands."""
    shapes = [
        drawn(0, "p7", extra={"maskps_box": [0, 0, 10, 30]}),
        drawn(2, "x", extra={"maskps_box": [20, 0, 10, 30]}),
    ]
    outlines, findings = collect(tmp_path, *shapes)
    assert {row: outline.bounds.tolist() for row, outline in outlines.items()} == {
        0: [0, 0, 10, 30],
        1: [23, 1, 33, 31],
    }
    assert findings == []


@pytest.mark.parametrize("label", ["7", "p7"])
def test_a_label_that_is_a_pid_names_the_person(tmp_path: Path, label: str) -> None:
    outlines, _ = collect(tmp_path, drawn(2, label))
    assert outlines[1].bounds.tolist() == [23, 1, 33, 31]


def test_a_label_that_is_the_data_sets_identity_names_the_person(tmp_path: Path) -> None:
    outlines, _ = collect(tmp_path, drawn(2, "p107"), ids=IDS)
    assert list(outlines) == [1]


def test_a_drawing_named_after_a_person_whose_box_it_does_not_touch_is_an_error(tmp_path: Path) -> None:
    outlines, findings = collect(tmp_path, drawn(0, "p7"))
    assert outlines == {}
    assert (findings[0].code, findings[0].level) == ("mask-off-box", "error")
    assert findings[0].where == "a.json 'p7' (shape 0)"


def test_two_drawings_of_one_identity_without_a_group_are_united_with_a_warning(tmp_path: Path) -> None:
    parts = [LabelMeShape("p3", rectangle([0, 0, 10, 12])), LabelMeShape("p3", rectangle([0, 20, 10, 30]))]
    outlines, findings = collect(tmp_path, *parts, drawn(1, "p7"))
    assert outlines[0].area == 220
    assert [(finding.code, finding.level) for finding in findings] == [("slot-twice", "warning")]


def test_a_hole_outside_its_person_is_an_error(tmp_path: Path) -> None:
    hole = LabelMeShape("p3", rectangle([40, 40, 50, 50]), flags={"hole": True})
    outlines, findings = collect(tmp_path, drawn(0, "p3"), hole, drawn(1, "p7"))
    assert list(outlines) == [1]
    assert (findings[0].code, findings[0].level) == ("hole-outside-person", "error")


def test_one_shape_that_makes_no_sense_does_not_hide_the_others(tmp_path: Path) -> None:
    collect(tmp_path, drawn(0, "p3"), drawn(1, "p7"))
    content = json.loads((tmp_path / "a.json").read_text())
    content["shapes"][0]["points"][0] = [1, None]
    (tmp_path / "a.json").write_text(json.dumps(content))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert list(outlines) == [1]
    assert [(finding.code, finding.level) for finding in findings] == [
        ("shape-invalid", "error"),
        ("person-missing", "warning"),
    ]


def test_otherwise_the_boxes_decide(tmp_path: Path) -> None:
    outlines, findings = collect(tmp_path, drawn(1, "person"), drawn(0, "person"))
    assert {row: outline.bounds.tolist() for row, outline in outlines.items()} == {
        0: [0, 0, 10, 30],
        1: [20, 0, 30, 30],
    }
    assert [(one.code, one.found) for one in findings] == [
        ("label-used", "2 shapes labeled 'person' used as persons")
    ]


def test_the_fit_is_the_best_of_all_together_not_one_after_the_other(tmp_path: Path) -> None:
    """The first outline fits box 1 better (IoU 0.82) than box 2 (0.65), but the second fits only box 1."""
    between = LabelMeShape("person", rectangle([21, 0, 31, 30]))
    own = LabelMeShape("person", rectangle([19.5, 0, 29.5, 30]))
    outlines, _ = collect(tmp_path, between, own)
    assert outlines[1].bounds.tolist() == [19.5, 0, 29.5, 30]


def test_the_outline_of_an_unlabeled_person_is_ignored_and_not_given_to_a_neighbour(tmp_path: Path) -> None:
    """The unlabeled person's box overlaps that of pid 7 with IoU 0.51."""
    outlines, findings = collect(tmp_path, drawn(0, "person"), drawn(2, "person"))
    assert list(outlines) == [0]
    assert [finding.found for finding in findings][:-1] == ["no outline of box 1 (pid 7)"]


def test_the_private_box_of_an_unlabeled_person_is_ignored(tmp_path: Path) -> None:
    bow_tie = np.array([(23, 1), (33, 1), (23, 31), (33, 31)])
    outlines, findings = collect(tmp_path, LabelMeShape("u", bow_tie, extra={"maskps_box": [23, 1, 10, 30]}))
    assert outlines == {}
    assert levels(findings) == ["warning", "warning"]


@pytest.mark.parametrize("label", ["p3", "person"])
def test_shapes_of_one_label_and_group_are_one_person(tmp_path: Path, label: str) -> None:
    parts = [
        LabelMeShape(label, rectangle([0, 0, 10, 12]), group_id=4),
        LabelMeShape(label, rectangle([0, 20, 10, 30]), group_id=4),
    ]
    outlines, _ = collect(tmp_path, *parts)
    assert list(outlines) == [0]
    assert outlines[0].area == 220
    assert len(outlines[0].rings) == 2


@pytest.mark.parametrize("label", ["person", "p3"])
def test_a_group_over_the_boxes_of_several_persons_is_an_error_that_names_them(
    tmp_path: Path, label: str
) -> None:
    outlines, findings = collect(tmp_path, *(drawn(row, label, group_id=0) for row in (0, 1)))
    assert outlines == {}
    assert [one.code for one in findings if one.level == "error"] == ["mask-of-several"]
    assert "a.jpg box 0 (pid 3)" in findings[0].found
    assert "a.jpg box 1 (pid 7)" in findings[0].found


def test_one_group_number_under_two_labels_is_two_persons(tmp_path: Path) -> None:
    outlines, _ = collect(tmp_path, drawn(0, "man", group_id=1), drawn(1, "woman", group_id=1))
    assert sorted(outlines) == [0, 1]


def test_a_shape_with_the_flag_hole_is_cut_out(tmp_path: Path) -> None:
    hole = LabelMeShape("p3", rectangle([2, 2, 4, 4]), flags={"hole": True})
    outlines, _ = collect(tmp_path, hole, drawn(0, "p3", flags={"hole": False}))
    assert outlines[0].area == 300 - 4


def test_a_hole_without_its_person_is_an_error(tmp_path: Path) -> None:
    outlines, findings = collect(tmp_path, drawn(0, "person", flags={"hole": True}))
    assert outlines == {}
    assert levels(findings) == ["error", "warning", "warning", "info"]


def test_a_rectangle_is_taken_as_a_polygon_in_any_order_of_its_corners(tmp_path: Path) -> None:
    corners = LabelMeShape("p3", np.array([[10.0, 0.0], [0.0, 30.0]]), "rectangle")
    outlines, _ = collect(tmp_path, corners)
    assert outlines[0].area == 300


def mask_of(bitmap: np.ndarray) -> str:
    """A bitmap as LabelMe keeps it: a PNG of 0 and 1 in base64."""
    stream = io.BytesIO()
    Image.fromarray(bitmap.astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def masked(label: str, bitmap: np.ndarray, x: float, y: float, **more: object) -> LabelMeShape:
    height, width = bitmap.shape
    corners = np.array([[x, y], [x + width - 1, y + height - 1]])
    return LabelMeShape(label, corners, "mask", extra={"mask": mask_of(bitmap)}, **more)  # type: ignore[arg-type]


def test_a_mask_shape_is_an_outline_of_exactly_its_pixels(tmp_path: Path) -> None:
    """Its two points are its first and its last pixel."""
    bitmap = np.ones((30, 10), dtype=bool)
    bitmap[0, 0] = bitmap[10:12, 4] = False
    outlines, findings = collect(tmp_path, masked("p3", bitmap, 0, 0), drawn(1, "p7"))
    assert findings == []
    assert outlines[0].bounds.tolist() == [0, 0, 10, 30]
    np.testing.assert_array_equal(outline_to_mask(outlines[0], 10, 30), bitmap)


def test_parts_of_one_group_may_be_of_different_types(tmp_path: Path) -> None:
    parts = [
        LabelMeShape("person", rectangle([0, 0, 10, 10]), group_id=2),
        LabelMeShape("person", np.array([[0.0, 10.0], [10.0, 20.0]]), "rectangle", group_id=2),
        masked("person", np.ones((10, 10), dtype=bool), 0, 20, group_id=2),
        masked("person", np.ones((3, 2), dtype=bool), 4, 5, group_id=2, flags={"hole": True}),
    ]
    outlines, _ = collect(tmp_path, *parts)
    assert outlines[0].area == 300 - 6


@pytest.mark.parametrize(
    "mask",
    [
        mask_of(np.zeros((30, 10))),
        mask_of(np.ones((30, 11))),
        mask_of(np.ones((30, 10, 3))),
        mask_of(np.ones((30, 10)))[:40],
        "no PNG",
        "é",
    ],
    ids=["empty", "other size", "colours", "cut off", "no PNG", "no base64"],
)
def test_a_mask_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path, mask: str) -> None:
    shape = LabelMeShape("p3", np.array([[0.0, 0.0], [9.0, 29.0]]), "mask", extra={"mask": mask})
    outlines, findings = collect(tmp_path, shape, drawn(1, "p7"))
    assert list(outlines) == [1]
    assert (findings[0].code, findings[0].level) == ("mask-unreadable", "error")
    assert findings[0].hint


def test_files_of_a_pack_are_refused_since_their_rectangles_are_boxes(tmp_path: Path) -> None:
    boxes = LabelMeShape("p3", BOXES[0].reshape(2, 2).astype(float), "rectangle")
    write_labelme(tmp_path / "a.json", LabelMeFile("a.jpg", 100, 100, (boxes,), extra={"maskps": {}}))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert outlines == {}
    assert [(finding.code, finding.level) for finding in findings] == [("pack-file", "error")]
    assert "annotate collect" in findings[0].hint


def test_shapes_that_are_no_area_are_reported_and_not_used(tmp_path: Path) -> None:
    line = LabelMeShape("p3", np.array([[0.0, 0.0], [5.0, 5.0]]), "line")
    outlines, findings = collect(tmp_path, drawn(0, "p3"), drawn(1, "p7"), line)
    assert sorted(outlines) == [0, 1]
    assert [finding.where for finding in findings] == ["a.json 'p3' (shape 2)"]


def test_a_polygon_that_crosses_itself_is_an_error_that_names_the_crossing(tmp_path: Path) -> None:
    bow_tie = LabelMeShape("p3", np.array([(0, 0), (10, 0), (0, 30), (10, 30)]))
    outlines, findings = collect(tmp_path, bow_tie, drawn(1, "p7"))
    assert list(outlines) == [1]
    assert findings[0].level == "error"
    assert "(5.0, 15.0)" in findings[0].found
    assert findings[0].where == "a.json 'p3' (shape 0)"


def test_an_outline_that_fits_nobody_is_reported(tmp_path: Path) -> None:
    stray = LabelMeShape("person", rectangle([70, 70, 90, 90]))
    outlines, findings = collect(tmp_path, drawn(0, "p3"), drawn(1, "p7"), stray)
    assert sorted(outlines) == [0, 1]
    assert levels(findings) == ["warning", "info"]
    assert "fits" in findings[0].found


@pytest.mark.parametrize("overlap", [0.29, 0.31])
def test_an_outline_must_fit_by_three_tenths(tmp_path: Path, overlap: float) -> None:
    """A strip of the box of this share of its area has this IoU with it."""
    strip = LabelMeShape("person", rectangle([0, 0, 10, 30 * overlap]))
    outlines, _ = collect(tmp_path, strip)
    assert len(outlines) == (overlap > 0.3)


@pytest.mark.parametrize("box", [[0, 0, 10, 29], [1, 2, 3], "0 0 10 30", None, [0, 0, 10, None]])
def test_a_private_box_that_the_scene_has_not_is_an_error(tmp_path: Path, box: object) -> None:
    outlines, findings = collect(tmp_path, drawn(0, "p3", extra={"maskps_box": box}))
    assert outlines == {}
    assert findings[0].level == "error"
    assert "maskps_box" in findings[0].expected


def test_an_identity_twice_in_a_scene_is_resolved_by_the_boxes(tmp_path: Path) -> None:
    twice = table()
    twice.pids[2] = 7
    write_labelme(tmp_path / "a.json", LabelMeFile("a.jpg", 100, 100, (drawn(2, "p7"), drawn(1, "p7"))))
    outlines, _ = outlines_from_labelme(tmp_path, twice, scene_rows=np.array([0]))
    assert {row: outline.bounds[0] for row, outline in outlines.items()} == {1: 20, 2: 23}


def test_a_missing_file_and_a_missing_person_are_warnings(tmp_path: Path) -> None:
    write_labelme(tmp_path / "a.json", LabelMeFile("a.jpg", 100, 100, (drawn(0, "p3"),)))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=ALL)
    assert list(outlines) == [0]
    assert [(finding.level, finding.where) for finding in findings] == [
        ("warning", "a.json"),
        ("warning", "b.jpg"),
    ]


def test_a_broken_file_is_an_error_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"shapes": [')
    write_labelme(tmp_path / "b.json", LabelMeFile("b.jpg", 100, 100, (drawn(3, "p7"),)))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=ALL)
    assert list(outlines) == [3]
    assert levels(findings) == ["error"]


def test_what_the_reader_put_right_is_reported(tmp_path: Path) -> None:
    collect(tmp_path, drawn(0, "p3"), drawn(1, "p7"))
    content = json.loads((tmp_path / "a.json").read_text())
    del content["shapes"][0]["shape_type"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    _, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert levels(findings) == ["info"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="folder"):
        outlines_from_labelme(tmp_path / "none", table(), scene_rows=ALL)


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputFileError) as caught:
        outlines_from_labelme(tmp_path / "a.json", table(), scene_rows=ALL)
    assert caught.value.found == "a file"
    assert str(tmp_path) in caught.value.hint


@pytest.mark.parametrize("box", ["1 2 3 4", [1, 2, 3], None, {}, [10**400, 0, 1, 1], [1e300, 0, 1, 1]])
def test_a_private_box_that_is_none_is_an_error_with_a_hint(tmp_path: Path, box: object) -> None:
    _, findings = collect(tmp_path, drawn(0, "x", extra={"maskps_box": box}))
    (error,) = (finding for finding in findings if finding.level == "error")
    assert error.code == "box-unknown"
    assert error.hint


def test_no_scenes_give_no_outlines(tmp_path: Path) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert outlines_from_labelme(tmp_path, table(), scene_rows=nothing) == ({}, [])


def test_progress_counts_the_scenes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    outlines_from_labelme(
        tmp_path, table(), scene_rows=ALL, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return PersonSearchDataset(
        root=tmp_path / "data",
        kind="test",
        image_dir=tmp_path / "data",
        train=table(),
        test=table().select([]),
        train_ids=IDS,
        test_ids=np.array([], dtype=np.str_),
        fingerprint="f1",
    )


def test_a_subset_is_built_from_labelme_files_by_the_data_sets_identities(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    shapes = (drawn(0, "p103"), drawn(1, "p107"))
    (tmp_path / "labelme").mkdir()
    write_labelme(tmp_path / "labelme" / "a.json", LabelMeFile("a.jpg", 100, 100, shapes))
    record, findings = build_subset_from_labelme(dataset, tmp_path / "out", tmp_path / "labelme", EVERY)
    assert record.counts["masks_present"] == 2
    assert record.counts["masks_missing"] == 1
    assert levels(findings) == ["warning"]
    assert sorted(open_subset(tmp_path / "out", dataset).masks.outlines) == [0, 1]


def test_a_drawing_that_cannot_be_used_stops_the_build(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    bow_tie = np.array([(0, 0), (10, 0), (0, 30), (10, 30)])
    (tmp_path / "labelme").mkdir()
    shapes = (LabelMeShape("p103", bow_tie), LabelMeShape("p107", bow_tie + 20))
    write_labelme(tmp_path / "labelme" / "a.json", LabelMeFile("a.jpg", 100, 100, shapes))
    with pytest.raises(AnnotationError, match="1 more") as caught:
        build_subset_from_labelme(dataset, tmp_path / "out", tmp_path / "labelme", EVERY)
    assert caught.value.where == "a.json 'p103' (shape 0)"
    assert "draw the parts" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_without_a_labelme_folder_every_mask_is_missing(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    record, findings = build_subset_from_labelme(dataset, tmp_path / "out", None, EVERY)
    assert (record.counts["masks_present"], record.counts["masks_missing"]) == (0, 3)
    assert findings == []


@pytest.mark.parametrize(
    "label", ["person", "Person", " PERSON ", "person-2", "person_13", "Person 4", "pedestrian", "man", "12"]
)
def test_a_shape_labeled_as_a_person_is_used_and_the_label_is_said(tmp_path: Path, label: str) -> None:
    outlines, findings = collect(tmp_path, drawn(0, label), ids=IDS)
    assert list(outlines) == [0]
    assert findings[-1] == Finding(
        "label-used", "info", str(tmp_path), f"1 shape labeled {label!r} used as persons"
    )


@pytest.mark.parametrize(
    "label", ["clothes", "car", "ignore", "__ignore__", "", "personal bag", "no person", "人"]
)
def test_a_shape_labeled_as_something_else_is_not_an_outline(tmp_path: Path, label: str) -> None:
    outlines, findings = collect(tmp_path, drawn(0, label), drawn(1, label, group_id=1), drawn(1, "person"))
    assert list(outlines) == [1]
    assert [(one.code, one.level) for one in findings] == [
        ("person-missing", "warning"),
        ("label-used", "info"),
        ("label-not-person", "warning"),
    ]
    assert findings[-1].found == f"2 shapes labeled {label!r} not used"
    assert "--label" in findings[-1].hint


def test_labels_of_persons_can_be_added(tmp_path: Path) -> None:
    shapes = (drawn(0, "Passant 1"), drawn(1, "passant-2"))
    write_labelme(tmp_path / "a.json", LabelMeFile("a.jpg", 100, 100, shapes))
    outlines, _ = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]), labels=["PASSANT"])
    assert list(outlines) == [0, 1]


def test_a_shape_of_something_else_may_be_broken(tmp_path: Path) -> None:
    collect(tmp_path, drawn(0, "p3"), drawn(1, "car"))
    content = json.loads((tmp_path / "a.json").read_text())
    content["shapes"][1]["shape_type"] = "cuboid"
    (tmp_path / "a.json").write_text(json.dumps(content))
    _, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert [one.code for one in findings] == ["person-missing", "label-not-person"]


def test_a_drawing_named_after_a_person_of_other_images_is_an_error(tmp_path: Path) -> None:
    outlines, findings = collect(tmp_path, drawn(0, "p101"), ids=IDS)
    assert outlines == {}
    assert (findings[0].code, findings[0].level) == ("identity-elsewhere", "error")


def coded(findings: list[Finding], level: str = "error") -> list[str]:
    return [finding.code for finding in findings if finding.level == level]


@pytest.mark.parametrize(
    "path",
    [
        "b.jpg",
        "../images/b.jpg",
        "C:\\images\\ab.jpg",
        "a.jpg/b.jpg",
        "a.jpg.jpg",
        "/data/cam1/b.png",
        "x" * 300,
    ],
)
def test_the_file_of_another_image_is_not_used(tmp_path: Path, path: str) -> None:
    write_labelme(tmp_path / "a.json", LabelMeFile(path, 100, 100, (drawn(0, "p3"), drawn(1, "p7"))))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert outlines == {}
    assert [(one.code, one.where) for one in findings] == [("wrong-image", "a.json")]


@pytest.mark.parametrize(
    "path", ["", "a.jpg", "A.JPG", "a.png", "../images/a.jpg", "D:\\photos\\a.jpg", "a.json", "/cam1/a.jpg"]
)
def test_a_path_of_the_image_on_any_system_is_accepted(tmp_path: Path, path: str) -> None:
    write_labelme(tmp_path / "a.json", LabelMeFile(path, 100, 100, (drawn(0, "p3"), drawn(1, "p7"))))
    outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert (sorted(outlines), findings) == ([0, 1], [])


def streets(*names: str) -> SceneTable:
    """Two scenes of one person each, in the same place."""
    return SceneTable(
        names=np.array(names),
        offsets=np.array([0, 1, 2], dtype=np.int64),
        boxes=BOXES[[0, 0]].copy(),
        pids=np.array([3, 7]),
        is_hard=np.zeros(2, dtype=np.bool_),
    )


@pytest.mark.parametrize(
    ("path", "persons", "errors"),
    [
        ("../images/cam1/1.jpg", [0], []),
        ("cam2\\1.jpg", [1], []),
        ("1.jpg", [], ["file-ambiguous", "file-ambiguous"]),
        ("", [], ["file-ambiguous", "file-ambiguous"]),
        ("cam3/1.jpg", [], ["file-ambiguous", "file-ambiguous"]),
    ],
)
def test_of_images_with_the_same_name_the_folder_in_image_path_decides(
    tmp_path: Path, path: str, persons: list[int], errors: list[str]
) -> None:
    write_labelme(tmp_path / "1.json", LabelMeFile(path, 100, 100, (drawn(0, "person"),)))
    outlines, findings = outlines_from_labelme(tmp_path, streets("cam1/1.jpg", "cam2/1.jpg"), scene_rows=ALL)
    assert list(outlines) == persons
    assert coded(findings) == errors


def test_a_test_image_of_the_same_name_makes_a_file_ambiguous(tmp_path: Path) -> None:
    write_labelme(tmp_path / "1.json", LabelMeFile("1.jpg", 100, 100, (drawn(0, "person"),)))
    train = streets("cam1/1.jpg", "cam1/2.jpg")
    names = ["cam2/1.jpg"]
    outlines, findings = outlines_from_labelme(tmp_path, train, scene_rows=ALL, other_names=names)
    assert outlines == {}
    assert coded(findings) == ["file-ambiguous"]


def test_files_may_lie_in_folders_as_the_images_do(tmp_path: Path) -> None:
    for folder, path in (("cam1", "1.jpg"), ("cam2", "../../images/cam2/1.jpg")):
        (tmp_path / folder).mkdir()
        write_labelme(tmp_path / folder / "1.json", LabelMeFile(path, 100, 100, (drawn(0, "person"),)))
    outlines, _ = outlines_from_labelme(tmp_path, streets("cam1/1.jpg", "cam2/1.jpg"), scene_rows=ALL)
    assert list(outlines) == [0, 1]


@pytest.mark.parametrize(
    "name", ["../1.jpg", "/cam1/1.jpg", "x" * 251 + ".jpg", "cam1/" + "x" * 300 + ".jpg"]
)
def test_no_file_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "1.json").write_text("not opened")
    _, findings = outlines_from_labelme(tmp_path / "in", streets(name, "2.jpg"), scene_rows=ALL)
    assert {one.code for one in findings} == {"file-missing"}


def test_a_drawing_on_an_image_of_another_size_is_an_error(tmp_path: Path) -> None:
    write_labelme(tmp_path / "a.json", LabelMeFile("a.jpg", 100, 200, (drawn(0, "p3"), drawn(1, "p7"))))
    for sizes, errors in (({0: (200, 100)}, ["size-differs"]), ({0: (100, 200)}, []), ({}, [])):
        outlines, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]), sizes=sizes)
        assert coded(findings) == errors
        assert len(outlines) == (0 if errors else 2)


@pytest.mark.parametrize("name", ["a.JSON", "A.json", "a (1).json", "a.json.txt"])
def test_a_file_under_another_name_is_named(tmp_path: Path, name: str) -> None:
    write_labelme(tmp_path / name, LabelMeFile("a.jpg", 100, 100, (drawn(0, "p3"),)))
    _, findings = outlines_from_labelme(tmp_path, table(), scene_rows=np.array([0]))
    assert repr(name) in findings[0].found
    assert findings[0].hint == "rename it to a.json if it is the drawing"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("annotations.xml", "<annotations/>", "1 .xml (CVAT or Pascal VOC?)"),
        ("a.txt", "0 0.1 0.2 0.3 0.4 0.5 0.6", "1 .txt (YOLO labels?)"),
        ("all.json", "{}", "1 .json"),
        ("all.json", "not JSON", "1 .json"),
        ("all.json", '{"images": []}', "1 .json (a COCO file?)"),
        ("all.json", '[{"data": {"image": "a.jpg"}}]', "1 .json (a Label Studio file)"),
        ("all.json", '{"_via_img_metadata": {}}', "1 .json (a file of VIA (VGG Image Annotator))"),
        ("", "", "nothing"),
        ("a.json", '{"shapes": []}', "1 of them, without the outline of a labeled person"),
    ],
)
def test_a_folder_without_an_outline_is_an_error_and_nothing_is_written(
    dataset: PersonSearchDataset, tmp_path: Path, name: str, content: str, found: str
) -> None:
    (tmp_path / "labelme").mkdir()
    if name:
        (tmp_path / "labelme" / name).write_text(content)
    with pytest.raises(AnnotationError) as caught:
        build_subset_from_labelme(dataset, tmp_path / "out", tmp_path / "labelme", EVERY)
    assert found in caught.value.found
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_folder_of_folders_names_them(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    """As scenes/truth, whose files lie in labelme and labelme_test."""
    (tmp_path / "truth" / "labelme").mkdir(parents=True)
    with pytest.raises(AnnotationError, match="the folder holds the folder 'labelme'"):
        person_outlines_from_labelme(tmp_path / "truth", dataset)


def test_a_folder_of_other_labels_is_an_error_that_counts_them(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    (tmp_path / "labelme").mkdir()
    shapes = (drawn(0, "clothes"), drawn(1, "clothes"))
    write_labelme(tmp_path / "labelme" / "a.json", LabelMeFile("a.jpg", 100, 100, shapes))
    with pytest.raises(AnnotationError, match="2 shapes labeled 'clothes' not used") as caught:
        build_subset_from_labelme(dataset, tmp_path / "out", tmp_path / "labelme", EVERY)
    assert "--label" in caught.value.hint


@pytest.mark.real_data
def test_labelmes_own_persons_are_found_by_their_boxes(real_data: Path) -> None:
    """2011_000006.jpg: persons as grouped polygons; the boxes are those of its bounding-box example."""
    boxes = read_labelme(real_data / "labelme" / "bbox_detection" / "2011_000006.json")
    corners = np.array([shape.points for shape in boxes.shapes if shape.label == "person"])
    scene = SceneTable(
        names=np.array(["2011_000006.jpg"]),
        offsets=np.array([0, len(corners)], dtype=np.int64),
        boxes=np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32),
        pids=np.arange(1, len(corners) + 1, dtype=np.int64),
        is_hard=np.zeros(len(corners), dtype=np.bool_),
    )
    folder = real_data / "labelme" / "instance_segmentation"
    outlines, _ = outlines_from_labelme(folder, scene, scene_rows=np.array([0]))
    assert len(outlines) == len(corners)
    for row, outline in outlines.items():
        assert np.abs(outline.bounds - scene.boxes[row]).max() < 12
