"""Every rule of the check, on files that break it and on files that do not."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.findings import Finding
from maskps.masks import LabelMeShape, Outline, write_labelme
from maskps_annotation.checks import check_packs, checked_file
from maskps_annotation.pack_files import prefilled
from maskps_annotation.pack_images import pack_image
from maskps_annotation.pack_record import Pack, PackedScene, PackSet, Slot

BOXES = [(10.0, 10.0, 30.0, 70.0), (50.0, 10.0, 70.0, 70.0), (60.0, 20.0, 90.0, 90.0)]


def polygon(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Eight corners: a rectangle with its corners cut off."""
    dx, dy = (x1 - x0) / 8, (y1 - y0) / 8
    return np.array(
        [
            (x0 + dx, y0),
            (x1 - dx, y0),
            (x1, y0 + dy),
            (x1, y1 - dy),
            (x1 - dx, y1),
            (x0 + dx, y1),
            (x0, y1 - dy),
            (x0, y0 + dy),
        ]
    )


P1, P2 = polygon(12, 11, 28, 69), polygon(51, 11, 59.5, 69)
P3 = polygon(62, 21, 88, 89)


def drawn(label: str, points: Any, **more: Any) -> LabelMeShape:
    return LabelMeShape(label, np.asarray(points, dtype=np.float64), **more)


GOOD = (drawn("p1", P1), drawn("p2", P2), drawn("p3", P3))


@pytest.fixture
def packs(tmp_path: Path) -> PackSet:
    """Annotators ann (a.jpg, b.jpg) and bob (a.jpg, c.jpg), 100 x 100 pixels, three persons each."""
    made = []
    for annotator, scenes in (("ann", "ab"), ("bob", "ac")):
        folder = tmp_path / "packs" / annotator
        folder.mkdir(parents=True)
        packed = []
        for stem in scenes:
            pixels = np.full((100, 100, 3), ord(stem), dtype=np.uint8)
            source = tmp_path / f"{stem}.jpg"
            Image.fromarray(pixels).save(source)
            sha256, size = pack_image(source, folder / f"{stem}.jpg")
            slots = tuple(Slot(f"p{i + 1}", i, f"id{i}", box) for i, box in enumerate(BOXES))
            packed.append(PackedScene(f"{stem}.jpg", f"{stem}.jpg", sha256, size, slots))
        made.append(Pack(annotator, folder, tuple(packed)))
    return PackSet("f1", 0, tuple(made), frozenset({"a.jpg"}))


Annotate = Callable[..., tuple[dict[int, Outline], list[Finding]]]


@pytest.fixture
def annotate(packs: PackSet) -> Annotate:
    """Writes the file of ann's scene a.jpg with these shapes beside the pre-filled ones, and checks it."""

    def check(
        *shapes: LabelMeShape,
        flags: dict[str, bool] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda content: None,
    ) -> tuple[dict[int, Outline], list[Finding]]:
        path = draw(packs, 0, 0, shapes, {"done": True} if flags is None else flags)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        scene = packs.packs[0].scenes[0]
        checked = checked_file(scene, path)
        persons = {slot.name: slot.person for slot in scene.slots}
        return {persons[name]: one for name, one in checked.outlines.items()}, list(checked.findings)

    return check


def draw(
    packs: PackSet, pack: int, scene: int, shapes: tuple[LabelMeShape, ...], flags: dict[str, bool]
) -> Path:
    packed = packs.packs[pack].scenes[scene]
    file = prefilled(packed, "f1")
    path = packs.packs[pack].folder / packed.file_name
    write_labelme(path, replace(file, shapes=(*file.shapes, *shapes), flags=flags))
    return path


def codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.code) for finding in findings]


def test_good_drawings_pass_without_a_word(annotate: Annotate) -> None:
    outlines, findings = annotate(*GOOD)
    assert sorted(outlines) == [0, 1, 2]
    assert findings == []
    assert outlines[0].rings[0].tolist() in (P1.tolist(), P1[::-1].tolist())


def test_an_untouched_file_is_not_begun(annotate: Annotate) -> None:
    outlines, findings = annotate(flags={})
    assert outlines == {}
    assert codes(findings) == [("info", "not-begun")]


CASES: list[tuple[str, tuple[LabelMeShape, ...], str, str, list[int]]] = [
    ("a missing person", GOOD[:2], "error", "person-missing", [0, 1]),
    (
        "a name without a slot, in p3's place",
        (*GOOD, drawn("p9", P3 + 0.1)),
        "error",
        "label-unknown",
        [0, 1, 2],
    ),
    (
        "a mask for a person who needs none",
        (*GOOD, drawn("p9", polygon(2, 80, 8, 99))),
        "error",
        "person-needs-none",
        [0, 1, 2],
    ),
    ("a slot twice", (*GOOD, drawn("p1", polygon(14, 20, 20, 30))), "error", "slot-twice", [1, 2]),
    (
        "somebody else under a name that is taken",
        (*GOOD, drawn("p1", polygon(60, 92, 99, 99))),
        "error",
        "slot-twice",
        [1, 2],
    ),
    (
        "a hole that is not marked",
        (drawn("p1", P1, group_id=1), drawn("p1", polygon(16, 20, 22, 30), group_id=1), *GOOD[1:]),
        "warning",
        "part-within-part",
        [0, 1, 2],
    ),
    (
        "a neighbour drawn twice",
        (GOOD[0], drawn("p2", P1 + 0.3), GOOD[2]),
        "error",
        "fits-other-slot",
        [0, 2],
    ),
    (
        "a crossing in the larger of two parts",
        (
            drawn("p1", [(12, 12), (28, 12), (12, 68), (28, 68)], group_id=1),
            drawn("p1", polygon(12, 66, 14, 68), group_id=1),
            *GOOD[1:],
        ),
        "error",
        "self-crossing",
        [1, 2],
    ),
    (
        "a slot's polygon in another one's place",
        (drawn("p2", P1), drawn("p1", P2), GOOD[2]),
        "error",
        "fits-other-slot",
        [2],
    ),
    (
        "a polygon that crosses itself",
        (*GOOD[1:], drawn("p1", [(12, 12), (28, 12), (12, 68), (28, 68)])),
        "error",
        "self-crossing",
        [1, 2],
    ),
    (
        "points on a line",
        (*GOOD[1:], drawn("p1", [(12, 12), (28, 28), (20, 20)])),
        "error",
        "no-area",
        [1, 2],
    ),
    (
        "a polygon of two places",
        (*GOOD[1:], drawn("p1", [(12, 12), (28, 28), (12, 12)])),
        "error",
        "too-few-points",
        [1, 2],
    ),
    (
        "a point outside the image",
        (*GOOD[:2], drawn("p3", polygon(66, 21, 88, 101))),
        "warning",
        "outside-image",
        [0, 1, 2],
    ),
    (
        "all outside the image",
        (*GOOD[:2], drawn("p3", P3 + 100)),
        "error",
        "all-outside-image",
        [0, 1],
    ),
    ("a tiny one", (*GOOD[1:], drawn("p1", polygon(12, 12, 14, 14))), "error", "area-tiny", [1, 2]),
    ("a small one", (*GOOD[1:], drawn("p1", polygon(12, 12, 18, 20))), "warning", "area-small", [0, 1, 2]),
    (
        "the box in place of the person",
        (*GOOD[1:], drawn("p1", [(10, 10), (30, 10), (30, 70), (10, 69.9)])),
        "warning",
        "area-large",
        [0, 1, 2],
    ),
    (
        "one far outside its box",
        (*GOOD[1:], drawn("p1", polygon(12, 65, 28, 99))),
        "error",
        "far-outside-box",
        [1, 2],
    ),
    (
        "one that sticks out",
        (*GOOD[1:], drawn("p1", polygon(12, 30, 28, 99))),
        "warning",
        "sticks-out",
        [0, 1, 2],
    ),
    (
        "persons that overlap a little",
        (GOOD[0], drawn("p2", polygon(51, 11, 66, 69)), GOOD[2]),
        "warning",
        "persons-overlap",
        [0, 1, 2],
    ),
    (
        "persons that overlap by far",
        (GOOD[0], drawn("p2", polygon(55, 15, 70, 70)), drawn("p3", polygon(60, 20, 74, 89))),
        "error",
        "persons-overlap",
        [0],
    ),
    (
        "a child drawn again as part of the adult behind it",
        (GOOD[0], drawn("p2", polygon(60, 30, 68, 55)), drawn("p3", polygon(60, 25, 87, 85))),
        "error",
        "persons-overlap",
        [0],
    ),
    (
        "a hole outside its person",
        (*GOOD, drawn("p1", polygon(32, 40, 40, 50), flags={"hole": True})),
        "error",
        "hole-outside-person",
        [1, 2],
    ),
    (
        "a hole that leaves its person",
        (*GOOD, drawn("p1", polygon(20, 40, 31, 50), flags={"hole": True})),
        "warning",
        "hole-outside-person",
        [0, 1, 2],
    ),
    ("a hole alone", (*GOOD[1:], drawn("p1", P1, flags={"hole": True})), "error", "part-alone", [1, 2]),
    ("an unsure one", (*GOOD[1:], drawn("p1", P1, flags={"unsure": True})), "info", "unsure", [0, 1, 2]),
    (
        "a rectangle as outline",
        (*GOOD[1:], drawn("p1", [(12, 12), (28, 66)], shape_type="rectangle")),
        "warning",
        "rectangle-drawn",
        [0, 1, 2],
    ),
    (
        "a line",
        (*GOOD, drawn("p1", [(12, 12), (28, 66)], shape_type="line")),
        "warning",
        "shape-without-area",
        [0, 1, 2],
    ),
    (
        "a mask that is not a picture",
        (*GOOD[1:], drawn("p1", [(12, 12), (27, 66)], shape_type="mask", extra={"mask": "AAAA"})),
        "error",
        "mask-unreadable",
        [1, 2],
    ),
]


@pytest.mark.parametrize(
    ("shapes", "level", "code", "passing"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_rule_has_its_code_and_only_errors_block(
    annotate: Annotate, shapes: tuple[LabelMeShape, ...], level: str, code: str, passing: list[int]
) -> None:
    outlines, findings = annotate(*shapes)
    assert set(codes(findings)) == {(level, code)}
    assert sorted(outlines) == passing
    assert all(finding.where.startswith("ann/a.json") for finding in findings)


def box_shape(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


LIMITS: list[tuple[str, list[tuple[str, list[tuple[float, float]]]], set[tuple[str, str]]]] = [
    ("outside 24.9%", [("p1", box_shape(12, 30.06, 28, 83.24))], set()),
    ("outside 25%", [("p1", box_shape(12, 40, 28, 80))], {("warning", "sticks-out")}),
    ("outside 69.9%", [("p1", box_shape(12, 57.96, 28, 97.96))], {("warning", "sticks-out")}),
    ("outside 70%", [("p1", box_shape(12, 58, 28, 98))], {("error", "far-outside-box")}),
    ("0.49% of the box", [("p1", box_shape(12, 12, 15, 13.96))], {("error", "area-tiny")}),
    ("0.5% of the box", [("p1", box_shape(12, 12, 15, 14))], {("warning", "area-small")}),
    ("7.9% of the box", [("p1", box_shape(12, 12, 20, 23.85))], {("warning", "area-small")}),
    ("8% of the box", [("p1", box_shape(12, 12, 20, 24))], set()),
    ("90% of the box", [("p1", box_shape(10, 12, 30, 66))], set()),
    ("90.1% of the box", [("p1", box_shape(10, 12, 30, 66.06))], {("warning", "area-large")}),
    ("9.9% shared", [("p2", box_shape(52, 20, 62, 60)), ("p3", box_shape(61.01, 20, 80, 85))], set()),
    (
        "10% shared",
        [("p2", box_shape(52, 20, 62, 60)), ("p3", box_shape(61, 20, 80, 85))],
        {("warning", "persons-overlap")},
    ),
    (
        "49.9% shared",
        [("p2", box_shape(60, 20, 70, 60)), ("p3", box_shape(65.01, 20, 85, 85))],
        {("warning", "persons-overlap")},
    ),
    (
        "50% shared",
        [("p2", box_shape(60, 20, 70, 60)), ("p3", box_shape(65, 20, 85, 85))],
        {("error", "persons-overlap")},
    ),
    ("half a pixel outside", [("p3", box_shape(70, 40, 85, 100.5))], set()),
    ("more than half a pixel", [("p3", box_shape(70, 40, 85, 100.51))], {("warning", "outside-image")}),
    ("an IoU of 0.31 with a box", [("p9", box_shape(10, 10, 30, 28.6))], {("error", "label-unknown")}),
    (
        "an IoU of 0.29 with all boxes",
        [("p9", box_shape(10, 10, 30, 27.4))],
        {("error", "person-needs-none")},
    ),
]


@pytest.mark.parametrize(
    ("shapes", "expected"), [case[1:] for case in LIMITS], ids=[case[0] for case in LIMITS]
)
def test_both_sides_of_a_limit(
    annotate: Annotate,
    shapes: list[tuple[str, list[tuple[float, float]]]],
    expected: set[tuple[str, str]],
) -> None:
    names = {name for name, _ in shapes}
    others = [shape for shape in GOOD if shape.label not in names]
    _, findings = annotate(*others, *(drawn(name, points) for name, points in shapes))
    assert set(codes(findings)) == expected


def test_of_two_nearly_equal_parts_the_smaller_adds_nothing(annotate: Annotate) -> None:
    parts = [drawn("p1", P1, group_id=1), drawn("p1", polygon(12.5, 12, 27.5, 68), group_id=1)]
    _, findings = annotate(*parts, *GOOD[1:])
    assert [(finding.code, finding.where) for finding in findings] == [
        ("part-within-part", "ann/a.json p1 (shape 4)")
    ]


def test_a_hole_in_a_broken_drawing_is_not_reported_as_alone(annotate: Annotate) -> None:
    crossing = drawn("p1", [(12, 12), (28, 12), (12, 68), (28, 68)])
    _, findings = annotate(crossing, drawn("p1", polygon(14, 14, 18, 20), flags={"hole": True}), *GOOD[1:])
    assert codes(findings) == [("error", "self-crossing")]


def test_a_hole_may_be_in_an_accessory(annotate: Annotate) -> None:
    bag = drawn("p1", polygon(25, 40, 45, 60.3), flags={"accessory": True})
    _, findings = annotate(*GOOD, bag, drawn("p1", polygon(35, 45, 42, 55), flags={"hole": True}))
    assert findings == []


def test_a_person_drawn_as_a_line_only_has_no_outline(annotate: Annotate) -> None:
    outlines, findings = annotate(*GOOD[1:], drawn("p1", [(12, 12), (28, 66)], shape_type="line"))
    assert sorted(outlines) == [1, 2]
    assert codes(findings) == [("warning", "shape-without-area")]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (21.9, set()),
        (22, {("warning", "hole-outside-person")}),
        (23.9, {("warning", "hole-outside-person")}),
        (24, {("error", "hole-outside-person")}),
    ],
)
def test_a_hole_may_be_a_quarter_outside_and_must_be_half_inside(
    annotate: Annotate, left: float, expected: set[tuple[str, str]]
) -> None:
    person = drawn("p1", box_shape(12, 11, 28, 69))
    hole = drawn("p1", box_shape(left, 40, left + 8, 50), flags={"hole": True})
    assert set(codes(annotate(*GOOD[1:], person, hole)[1])) == expected


@pytest.mark.parametrize(("left", "expected"), [(19, {("warning", "part-within-part")}), (19.1, set())])
def test_a_part_that_is_nine_tenths_within_another_is_named(
    annotate: Annotate, left: float, expected: set[tuple[str, str]]
) -> None:
    parts = [box_shape(12, 11, 28, 69), box_shape(left, 40, left + 10, 50)]
    _, findings = annotate(*GOOD[1:], *(drawn("p1", part, group_id=1) for part in parts))
    assert set(codes(findings)) == expected


@pytest.mark.parametrize(
    ("points", "is_of_another"),
    [(box_shape(64, 25, 90, 60), True), (box_shape(60, 25, 89.6, 55), False)],
    ids=["77% outside its box", "66% outside its box"],
)
def test_a_drawing_far_outside_its_box_belongs_to_another_slot_by_a_smaller_fit(
    annotate: Annotate, points: list[tuple[float, float]], is_of_another: bool
) -> None:
    """Both have an IoU of 0.43 with the box of p3, and at least 0.25 less with that of p2."""
    _, findings = annotate(GOOD[0], drawn("p2", points), GOOD[2])
    assert (("error", "fits-other-slot") in codes(findings)) == is_of_another


@pytest.mark.parametrize(
    ("last", "expected"), [((14, 68.5), [("warning", "ai-polygon-shifted")]), ((14, 68), [])]
)
def test_one_corner_that_is_not_halfway_shows_a_hand(
    annotate: Annotate, last: tuple[float, float], expected: list[tuple[str, str]]
) -> None:
    corners = [(12.5, 20), (13, 19.5), (14, 11.5), (26, 11.5), (27.5, 13), (27.5, 60), (26, 68.5), last]
    _, findings = annotate(drawn("p1", corners), *GOOD[1:])
    assert codes(findings) == expected


def test_parts_without_their_person_are_named_by_the_first_shape(annotate: Annotate) -> None:
    parts = [drawn("p1", P1, flags={flag: True}) for flag in ("hole", "accessory")]
    _, findings = annotate(*parts, *GOOD[1:])
    assert [(finding.code, finding.where) for finding in findings] == [
        ("part-alone", "ann/a.json p1 (shape 3)")
    ]


def test_an_outline_is_cut_at_all_borders_of_the_image(annotate: Annotate) -> None:
    left, right = box_shape(-2, -1, 28, 66), box_shape(62, 30, 102, 101)
    outlines, _ = annotate(drawn("p1", left), GOOD[1], drawn("p3", right))
    assert outlines[0].bounds.tolist() == [0, 0, 28, 66]
    assert outlines[2].bounds.tolist() == [62, 30, 100, 100]


def test_a_crossing_is_named_by_slot_and_place(annotate: Annotate) -> None:
    _, findings = annotate(*GOOD[1:], drawn("p1", [(12, 12), (28, 12), (12, 68), (28, 68)]))
    assert findings[0].where == "ann/a.json p1 (shape 5)"
    assert "(20.0, 40.0)" in findings[0].found
    assert findings[0].hint


def test_both_of_two_swapped_slots_are_reported_by_how_they_fit(annotate: Annotate) -> None:
    _, findings = annotate(drawn("p1", P3), GOOD[1], drawn("p3", P1))
    assert codes(findings).count(("error", "fits-other-slot")) == 2
    assert "of p3's box and 0% of its own" in findings[0].found


def test_parts_of_one_group_are_one_person(annotate: Annotate) -> None:
    parts = [drawn("p1", polygon(12, 11, 28, low), group_id=3) for low in (30.0,)]
    parts.append(drawn("p1", polygon(12, 40, 28, 69), group_id=3))
    outlines, findings = annotate(*parts, *GOOD[1:])
    assert findings == []
    assert len(outlines[0].rings) == 2


def test_one_group_over_two_persons_is_an_error_that_names_them(annotate: Annotate) -> None:
    parts = [drawn("p1", points, group_id=1) for points in (P1, P2)]
    outlines, findings = annotate(*parts, GOOD[2])
    assert list(outlines) == [2]
    assert codes(findings) == [("error", "drawing-of-several"), ("error", "person-missing")]
    assert "over the boxes of p1 and p2" in findings[0].found


def test_an_accessory_is_added_and_may_stick_out(annotate: Annotate) -> None:
    bag = drawn("p1", polygon(25, 40, 45, 60.3), flags={"accessory": True})
    outlines, findings = annotate(*GOOD, bag)
    assert findings == []
    assert outlines[0].bounds.tolist() == [12, 11, 45, 69]


def test_a_hole_is_cut_out(annotate: Annotate) -> None:
    outlines, findings = annotate(*GOOD, drawn("p1", polygon(18, 30, 22, 40), flags={"hole": True}))
    assert findings == []
    assert len(outlines[0].rings) == 2


def test_a_mask_shape_becomes_an_outline_of_its_pixels(annotate: Annotate) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((50, 16), 255, dtype=np.uint8)).save(buffer, "PNG")
    mask = drawn(
        "p1",
        [(12, 12), (27, 61)],
        shape_type="mask",
        extra={"mask": base64.b64encode(buffer.getvalue()).decode()},
    )
    outlines, findings = annotate(*GOOD[1:], mask)
    assert findings == []
    assert outlines[0].bounds.tolist() == [12, 12, 28, 62]


def test_two_points_are_reported_and_the_other_shapes_are_checked(annotate: Annotate) -> None:
    def cut(content: dict[str, Any]) -> None:
        content["shapes"][3]["points"] = [[1, 2], [3, 4]]
        content["shapes"][4]["points"][0][0] = None

    outlines, findings = annotate(*GOOD, change=cut)
    assert [finding.code for finding in findings] == ["too-few-points", "shape-invalid"]
    assert sorted(outlines) == [2]
    assert findings[0].where == "ann/a.json p1"


def test_a_moved_renamed_or_deleted_rectangle_is_reported_and_the_record_stays(annotate: Annotate) -> None:
    def change(content: dict[str, Any]) -> None:
        content["shapes"][0]["points"][0][0] += 5
        content["shapes"][1]["label"] = "p1"
        del content["shapes"][2]

    outlines, findings = annotate(*GOOD, change=change)
    assert codes(findings) == [("warning", "box-moved"), ("warning", "box-renamed"), ("info", "box-deleted")]
    assert sorted(outlines) == [0, 1, 2]


def test_rectangles_that_lost_their_keys_are_known_by_their_place(annotate: Annotate) -> None:
    def strip(content: dict[str, Any]) -> None:
        for shape in content["shapes"][:3]:
            del shape["maskps_slot"]

    assert annotate(*GOOD, change=strip)[1] == []


def test_a_polygon_of_the_ai_tool_is_reported_for_the_versions_that_shift_it(annotate: Annotate) -> None:
    corners = [(12.5, 20), (13, 19.5), (14, 11.5), (26, 11.5), (27.5, 13), (27.5, 60), (26, 68.5), (14, 68.5)]
    _, findings = annotate(drawn("p1", corners), *GOOD[1:])
    assert codes(findings) == [("warning", "ai-polygon-shifted")]
    _, findings = annotate(
        drawn("p1", corners), *GOOD[1:], change=lambda content: content.update(version="7.9.1")
    )
    assert findings == []


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"imagePath": "b.jpg"}, "wrong-image", "error"),
        ({"maskps": {"scene": "b.jpg"}}, "wrong-image", "error"),
        ({"maskps": {"scene": "a.jpg", "sha256": "0"}}, "wrong-image", "error"),
        ({"maskps": None}, "record-lost", "warning"),
        ({"imageWidth": 200}, "size-differs", "error"),
        ({"imageData": base64.b64encode(b"other").decode()}, "image-embedded", "warning"),
        ({"flags": {"done": True, "problem": True}}, "problem-marked", "warning"),
        ({"flags": {}}, "not-done", "info"),
        ({"flags": []}, "file-unreadable", "error"),
        ({"shapes": {}}, "file-unreadable", "error"),
    ],
)
def test_the_heading_is_checked(annotate: Annotate, change: dict[str, Any], code: str, level: str) -> None:
    outlines, findings = annotate(*GOOD, change=lambda content: content.update(change))
    assert codes(findings) == [(level, code)]
    assert len(outlines) == (0 if level == "error" else 3)


def test_a_path_of_another_system_is_accepted(annotate: Annotate) -> None:
    change = {"imagePath": "..\\pack\\a.jpg"}
    assert annotate(*GOOD, change=lambda content: content.update(change))[1] == []


def test_missing_persons_are_errors_only_where_the_annotator_says_done(annotate: Annotate) -> None:
    _, findings = annotate(GOOD[0], flags={})
    assert codes(findings) == [("warning", "person-missing")] * 2


def test_all_packs_are_checked(packs: PackSet) -> None:
    draw(packs, 0, 0, GOOD, {"done": True})
    draw(packs, 0, 1, GOOD[:1], {"done": True})
    (packs.packs[1].folder / "b.json").write_text("{}")
    seen: list[tuple[int, int]] = []
    findings = check_packs(packs, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    listed = {(finding.where, finding.code) for finding in findings}
    assert listed == {
        ("bob/b.json", "file-extra"),
        ("bob/a.json", "file-missing"),
        ("bob/c.json", "file-missing"),
        ("ann/b.json p2", "person-missing"),
        ("ann/b.json p3", "person-missing"),
        ("ann/a.json p1", "polygon-copied"),
        ("ann/b.json p1", "polygon-copied"),
    }


def test_a_folder_in_place_of_a_file_is_a_missing_file(packs: PackSet) -> None:
    for pack in (0, 1):
        for scene in (0, 1):
            draw(packs, pack, scene, (), {})
    path = packs.packs[0].folder / "a.json"
    path.unlink()
    path.mkdir()
    listed = [(finding.where, finding.code) for finding in check_packs(packs) if finding.level != "info"]
    assert listed == [("ann/a.json", "file-missing")]


def test_a_file_of_another_image_is_one_finding_and_leaves_the_other_alone(packs: PackSet) -> None:
    path = draw(packs, 0, 0, GOOD, {"done": True})
    (packs.packs[0].folder / "b.json").write_bytes(path.read_bytes())  # LabelMe saved it there
    draw(packs, 1, 0, (), {})
    draw(packs, 1, 1, (), {})
    listed = [(finding.where, finding.code) for finding in check_packs(packs) if finding.level != "info"]
    assert listed == [("ann/b.json", "wrong-image")]


def test_a_copy_that_is_wrong_anyway_leaves_its_original_alone(packs: PackSet) -> None:
    draw(packs, 0, 0, GOOD, {"done": True})
    draw(packs, 0, 1, (drawn("p1", P2 + 0.2), drawn("p2", P1), drawn("p3", P3 + 0.2)), {"done": True})
    draw(packs, 1, 0, (), {})
    draw(packs, 1, 1, (), {})
    listed = {(finding.where, finding.code) for finding in check_packs(packs) if finding.level == "error"}
    assert listed == {
        ("ann/b.json p1", "fits-other-slot"),
        ("ann/b.json p2", "fits-other-slot"),
        ("ann/b.json p2", "polygon-copied"),
    }


def test_two_annotators_with_the_same_polygon_of_one_scene_are_reported(packs: PackSet) -> None:
    draw(packs, 0, 0, (GOOD[0], drawn("p2", P2 + 0.1), drawn("p3", P3 + 0.1)), {"done": True})
    draw(packs, 1, 0, GOOD, {"done": True})
    draw(packs, 0, 1, (), {})
    draw(packs, 1, 1, (), {})
    findings = [finding for finding in check_packs(packs) if finding.level != "info"]
    assert [(finding.where, finding.code) for finding in findings] == [
        ("ann/a.json p1", "polygon-shared"),
        ("bob/a.json p1", "polygon-shared"),
    ]


@pytest.mark.parametrize(
    ("pixels", "turned", "code"),
    [((100, 100), 1, "image-differs"), ((100, 100), 6, "image-turned"), ((100, 90), 1, "image-size-differs")],
)
def test_the_image_of_the_pack_must_be_the_one_of_the_record(
    packs: PackSet, pixels: tuple[int, int], turned: int, code: str
) -> None:
    draw(packs, 0, 0, GOOD, {"done": True})
    exif = Image.Exif()
    exif[0x0112] = turned
    path = packs.packs[0].folder / "a.jpg"
    path.unlink()
    Image.new("RGB", pixels).save(path, exif=exif)
    findings = [one for one in check_packs(packs) if one.where.startswith("ann/a") and one.level == "error"]
    assert codes(findings) == [("error", code)]


def test_a_missing_or_broken_image_and_a_missing_pack_are_reported(packs: PackSet) -> None:
    for scene in (0, 1):
        draw(packs, 0, scene, (), {})
    (packs.packs[0].folder / "a.jpg").unlink()
    (packs.packs[0].folder / "b.jpg").unlink()
    (packs.packs[0].folder / "b.jpg").write_text("no image")
    for path in packs.packs[1].folder.iterdir():
        path.unlink()
    packs.packs[1].folder.rmdir()
    listed = {finding.code for finding in check_packs(packs) if finding.level == "error"}
    assert listed == {"image-missing", "image-unreadable", "pack-missing"}


def test_a_changed_image_that_is_a_hard_link_means_that_the_data_set_changed_too(packs: PackSet) -> None:
    """Packs of earlier versions hold links."""
    draw(packs, 0, 0, (), {})
    path = packs.packs[0].folder / "a.jpg"
    (path.parent / "of_the_data_set.jpg").hardlink_to(path)
    with path.open("ab") as file:
        file.write(b"edited in place")
    (finding,) = (one for one in check_packs(packs) if one.code == "image-differs")
    assert "the data set's own image has changed as well" in finding.hint


@pytest.mark.parametrize(("codec", "name"), [("utf-16", "UTF-16"), ("gb18030", "GB18030")])
def test_a_drawing_saved_in_another_encoding_is_saved_again_and_not_restored(
    packs: PackSet, codec: str, name: str
) -> None:
    path = draw(packs, 0, 0, (drawn("p1", P1, extra={"description": "背包"}),), {})
    path.write_bytes(path.read_text("utf-8").encode(codec))
    (finding,) = (one for one in check_packs(packs) if one.code == "file-unreadable")
    assert name in finding.found
    assert "save it as UTF-8" in finding.hint
    assert "restore" not in finding.hint


def test_a_file_that_is_cut_off_is_restored(packs: PackSet) -> None:
    path = draw(packs, 0, 0, GOOD, {})
    path.write_bytes(path.read_bytes()[:100])
    (finding,) = (one for one in check_packs(packs) if one.code == "file-unreadable")
    assert "'restore'" in finding.hint


@pytest.mark.parametrize("name", ["a.JSON", "A.json", "a.json.txt", "a (1).json", "a - Copy.json"])
def test_a_drawing_under_another_name_is_renamed_and_not_restored(packs: PackSet, name: str) -> None:
    path = draw(packs, 0, 0, GOOD, {})
    path.rename(path.with_name(name))
    found = [one for one in check_packs(packs) if one.where == "ann/a.json"]
    assert [(one.code, one.found) for one in found] == [("file-missing", f"no such file, but '{name}'")]
    assert "rename it to a.json" in found[0].hint
    assert "restore" not in found[0].hint


def test_the_file_of_another_image_is_not_called_a_copy(packs: PackSet) -> None:
    path = draw(packs, 0, 0, GOOD, {})
    path.rename(path.with_name("a2.json"))
    (finding,) = (one for one in check_packs(packs) if one.where == "ann/a.json")
    assert "'restore'" in finding.hint
