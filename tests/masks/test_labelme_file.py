"""The LabelMe codec: tolerant in, strict out, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.masks import LabelMeFile, LabelMeShape, read_labelme, write_labelme
from maskps.masks.labelme_file import LABELME_VERSION

TRIANGLE = [[0.5, 1.25], [10.0, 2.0], [1 / 3, 8.0]]


def file_with(tmp_path: Path, *shapes: dict[str, Any], **top: Any) -> Path:
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "s1.jpg",
        "imageData": None,
        "imageHeight": 100,
        "imageWidth": 200,
    }
    path = tmp_path / "s1.json"
    path.write_text(json.dumps(content | top), encoding="utf-8")
    return path


def shape(**changes: Any) -> dict[str, Any]:
    return {
        "label": "p1",
        "points": TRIANGLE,
        "shape_type": "polygon",
        "group_id": None,
        "flags": {},
    } | changes


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


def test_reading_back_gives_what_was_written(tmp_path: Path) -> None:
    written = LabelMeFile(
        image_path="bild ä.jpg",
        width=200,
        height=100,
        shapes=(
            LabelMeShape(
                "p1", np.array(TRIANGLE), "polygon", 3, {"hole": True}, {"maskps_box": [1, 2, 3.5, 4]}
            ),
            LabelMeShape("p2", np.array([[1.0, 2.0], [3.0, 4.0]]), "rectangle", extra={"description": "bag"}),
        ),
        flags={"done": True},
        extra={"maskps_sha256": "ab"},
    )
    write_labelme(tmp_path / "a.json", written)
    read = read_labelme(tmp_path / "a.json")
    assert (read.image_path, read.width, read.height) == ("bild ä.jpg", 200, 100)
    assert (read.flags, read.extra, read.notes) == ({"done": True}, {"maskps_sha256": "ab"}, ())
    for one, other in zip(written.shapes, read.shapes, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        assert (one.label, one.shape_type, one.group_id) == (other.label, other.shape_type, other.group_id)
        assert (one.flags, one.extra) == (other.flags, other.extra)


def test_a_written_file_has_every_key_that_labelme_6_and_7_ask_for(tmp_path: Path) -> None:
    """LabelMe wants imageData to exist, and shape_type from 5.9 on."""
    triangle = LabelMeShape("p1", np.array(TRIANGLE))
    write_labelme(tmp_path / "a.json", LabelMeFile("s1.jpg", 200, 100, (triangle,)))
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert set(content) == {
        "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth",
    }  # fmt: skip
    assert set(content["shapes"][0]) == {
        "label", "points", "group_id", "description", "shape_type", "flags", "mask",
    }  # fmt: skip
    assert content["version"] == LABELME_VERSION
    assert content["imageData"] is None
    assert content["shapes"][0]["points"] == TRIANGLE


def test_unknown_keys_survive(tmp_path: Path) -> None:
    path = file_with(tmp_path, shape(locked=True, score=0.5), lineColor=[0, 255, 0, 128])
    write_labelme(tmp_path / "again.json", read_labelme(path))
    content = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert content["lineColor"] == [0, 255, 0, 128]
    assert (content["shapes"][0]["locked"], content["shapes"][0]["score"]) == (True, 0.5)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = file_with(tmp_path, shape())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_labelme(path).shapes) == 1


@pytest.mark.parametrize("key", ["version", "flags", "imagePath", "imageData", "imageHeight", "imageWidth"])
def test_missing_top_level_keys_are_accepted(tmp_path: Path, key: str) -> None:
    path = file_with(tmp_path, shape())
    path.write_text(json.dumps(without(json.loads(path.read_text(encoding="utf-8")), key)), encoding="utf-8")
    assert len(read_labelme(path).shapes) == 1


def test_null_flags_are_none(tmp_path: Path) -> None:
    file = read_labelme(file_with(tmp_path, shape(flags=None), flags=None))
    assert file.flags == {}
    assert file.shapes[0].flags == {}


def test_embedded_pixels_are_not_kept(tmp_path: Path) -> None:
    assert "imageData" not in read_labelme(file_with(tmp_path, imageData="aGVsbG8=")).extra


def test_a_shape_without_type_is_a_polygon_with_a_note(tmp_path: Path) -> None:
    file = read_labelme(file_with(tmp_path, without(shape(), "shape_type")))
    assert file.shapes[0].shape_type == "polygon"
    assert "shape 0" in file.notes[0]


def test_a_number_as_label_becomes_text_with_a_note(tmp_path: Path) -> None:
    file = read_labelme(file_with(tmp_path, shape(label=12)))
    assert file.shapes[0].label == "12"
    assert len(file.notes) == 1


@pytest.mark.parametrize("group", ["3", 3.0])
def test_a_group_that_means_a_whole_number_is_taken_with_a_note(tmp_path: Path, group: object) -> None:
    file = read_labelme(file_with(tmp_path, shape(group_id=group)))
    assert file.shapes[0].group_id == 3
    assert len(file.notes) == 1


def test_an_upright_rectangle_of_four_points_becomes_two_corners(tmp_path: Path) -> None:
    """X-AnyLabeling since 2.2."""
    corners = [[10, 20], [30, 20], [30, 60], [10, 60]]
    file = read_labelme(file_with(tmp_path, shape(shape_type="rectangle", points=corners)))
    assert file.shapes[0].points.tolist() == [[10, 20], [30, 60]]
    assert len(file.notes) == 1


@pytest.mark.parametrize(
    "corners",
    [
        [[10, 20], [30, 20], [30, 60], [12, 60]],
        [[10, 20], [30, 25], [28, 60], [10, 58]],
        [[10, 20], [30, 20], [25, 20], [15, 20]],
        [[10, 20], [30, 60], [30, 20], [10, 60]],
    ],
    ids=["slanted side", "turned", "to and fro on a line", "crossed"],
)
def test_a_rectangle_of_four_points_that_is_not_upright_is_an_error(
    tmp_path: Path, corners: list[list[int]]
) -> None:
    with pytest.raises(AnnotationError, match="four corners of an upright rectangle"):
        read_labelme(file_with(tmp_path, shape(shape_type="rectangle", points=corners)))


X_ANYLABELING = {
    "version": "3.3.0",
    "checked": True,
    "shapes": [
        shape(score=0.5, difficult=True, attributes={"pose": "side"}, kie_linking=[[0, 1]]),
        shape(shape_type="rectangle", points=[[1, 2], [30, 2], [30, 60], [1, 60]], score=None),
        shape(shape_type="rotation", points=[[20, 1], [40, 11], [30, 31], [10, 21]], direction=0.46),
        shape(shape_type="quadrilateral", points=[[20, 1], [40, 11], [30, 31], [10, 21]]),
    ],
    "description": "a street",
}


def test_the_dialect_of_x_anylabeling_is_read_with_a_note_for_each_of_its_types(tmp_path: Path) -> None:
    file = read_labelme(file_with(tmp_path, **X_ANYLABELING))
    assert [one.shape_type for one in file.shapes] == ["polygon", "rectangle", "polygon", "polygon"]
    assert [len(one.points) for one in file.shapes] == [3, 2, 4, 4]
    assert [note.partition(": ")[2] for note in file.notes] == [
        "a rectangle of four points, read as two corners",
        "a rotation, read as a polygon",
        "a quadrilateral, read as a polygon",
    ]


def test_the_keys_of_x_anylabeling_survive(tmp_path: Path) -> None:
    write_labelme(tmp_path / "again.json", read_labelme(file_with(tmp_path, **X_ANYLABELING)))
    content = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert (content["checked"], content["description"]) == (True, "a street")
    first, second, third, _ = content["shapes"]
    assert {key: first[key] for key in ("score", "difficult", "attributes", "kie_linking")} == {
        "score": 0.5, "difficult": True, "attributes": {"pose": "side"}, "kie_linking": [[0, 1]],
    }  # fmt: skip
    assert second["score"] is None
    assert third["direction"] == 0.46


def test_a_cuboid_is_refused_with_what_to_draw_instead(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="'cuboid'") as caught:
        read_labelme(file_with(tmp_path, shape(shape_type="cuboid", points=[[1, 1]] * 8)))
    assert "polygon" in caught.value.hint


@pytest.mark.parametrize("path", ["../../secret.jpg", "/etc/passwd", "C:\\Users\\a\\s1.jpg", "link.jpg"])
def test_the_image_path_is_kept_as_it_is_and_never_followed(tmp_path: Path, path: str) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    write_labelme(tmp_path / "again.json", read_labelme(file_with(tmp_path, imagePath=path)))
    assert read_labelme(tmp_path / "again.json").image_path == path


@pytest.mark.parametrize("key", ["label", "description", "x\ud800"])
def test_half_a_surrogate_pair_is_refused_since_it_could_not_be_written(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputFileError, match="surrogates not allowed") as caught:
        read_labelme(file_with(tmp_path, shape(**{key: "a\ud800"})))
    assert caught.value.hint


def test_a_whole_surrogate_pair_is_text(tmp_path: Path) -> None:
    path = file_with(tmp_path, shape(label="\N{DOG}"))
    assert "\\ud83d" in path.read_text(encoding="utf-8")
    assert read_labelme(path).shapes[0].label == "\N{DOG}"


@pytest.mark.parametrize("depth", range(700, 1100, 25))
def test_a_value_however_deep_is_an_error_in_words(tmp_path: Path, depth: int) -> None:
    whole = file_with(tmp_path, flags="deep").read_text(encoding="utf-8")
    (tmp_path / "deep.json").write_text(whole.replace('"deep"', "[" * depth + "]" * depth), encoding="utf-8")
    with pytest.raises(MaskpsError) as caught:
        read_labelme(tmp_path / "deep.json")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "bad",
    [
        shape(points=[]),
        shape(points=None),
        shape(points=TRIANGLE[:2]),
        shape(points=[[0, 0], [1, 0], [float("nan"), 1]]),
        shape(points=[[0, 0], [1, 0], [float("inf"), 1]]),
        shape(points=[[0, 0], [1, 0], [10**400, 1]]),
        shape(points=[[0, 0], [1, 0], ["2", 1]]),
        shape(points=[[0, 0], [1, 0], [2, 1, 3]]),
        shape(points=[[0, 0], [1, 0], 7]),
        shape(shape_type="rectangle", points=TRIANGLE),
        shape(shape_type="rectangle", points=[[10, 20], [30, 25], [25, 60], [5, 55]]),
        shape(shape_type="rectangle", points=[[10, 20], [30, 60], [30, 20], [10, 60]]),
        shape(shape_type="blob"),
        shape(shape_type=["polygon"]),
        shape(shape_type="rotation"),
        shape(shape_type="quadrilateral", points=[*TRIANGLE, [3, 3], [4, 4]]),
        shape(shape_type="mask", points=[[1, 2], [3, 4]]),
        shape(shape_type="mask", points=[[1, 2], [3, 4]], mask=""),
        shape(group_id=True),
        shape(group_id="three"),
        shape(group_id=1.5),
        shape(label=None),
        shape(label=True),
        shape(flags=["hole"]),
        shape(flags={"hole": "yes"}),
        without(shape(), "label"),
        without(shape(), "points"),
        "polygon",
    ],
    ids=repr,
)
def test_a_shape_that_makes_no_sense_is_an_error_with_its_index(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(AnnotationError, match="shape 1"):
        read_labelme(file_with(tmp_path, shape(), bad))


@pytest.mark.parametrize(
    "top",
    [{"flags": ["done"]}, {"imageWidth": "200"}, {"imageHeight": 0}, {"imageWidth": True}, {"imagePath": 3}],
)
def test_a_top_level_value_of_the_wrong_kind_is_an_error(tmp_path: Path, top: dict[str, Any]) -> None:
    with pytest.raises(AnnotationError):
        read_labelme(file_with(tmp_path, **top))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shapes": {}}', "3", '{"shapes": [', "\x00"])
def test_what_is_no_labelme_file_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "s1.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match=r"s1\.json"):
        read_labelme(tmp_path / "s1.json")


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_labelme(tmp_path / "s1.json")


@pytest.mark.parametrize(
    "bad",
    [
        LabelMeShape("p1", np.array(TRIANGLE[:2])),
        LabelMeShape("p1", np.array(TRIANGLE), "rectangle"),
        LabelMeShape("p1", np.array([[0, 0], [1, 0], [np.nan, 1]])),
        LabelMeShape("p1", np.array(TRIANGLE), "blob"),
    ],
)
def test_nothing_is_written_that_labelme_would_misread(tmp_path: Path, bad: LabelMeShape) -> None:
    with pytest.raises(AnnotationError, match="shape 0"):
        write_labelme(tmp_path / "a.json", LabelMeFile("s1.jpg", 200, 100, (bad,)))
    assert not list(tmp_path.iterdir())


def test_a_file_without_size_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="width"):
        write_labelme(tmp_path / "a.json", LabelMeFile("s1.jpg", None, None, ()))


def test_every_cut_of_a_file_is_an_error_or_a_result(tmp_path: Path) -> None:
    whole = file_with(tmp_path, shape(), shape(label="p2")).read_text(encoding="utf-8")
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.json").write_text(whole[:length], encoding="utf-8")
        with pytest.raises(MaskpsError):
            read_labelme(tmp_path / "cut.json")


@pytest.mark.real_data
def test_the_historical_files_of_labelme_are_all_read(real_data: Path) -> None:
    """36 files of 2016 to 2026, of LabelMe without a version key to 5.7, every shape of each."""
    paths = sorted((real_data / "labelme_history").glob("*.json"))
    assert len(paths) == 36
    for path in paths:
        assert len(read_labelme(path).shapes) == len(json.loads(path.read_text(encoding="utf-8"))["shapes"])


@pytest.mark.real_data
def test_labelmes_examples_survive_reading_and_writing(real_data: Path, tmp_path: Path) -> None:
    paths = sorted((real_data / "labelme").rglob("*.json"))
    assert len(paths) == 7
    for path in paths:
        file = read_labelme(path)
        write_labelme(tmp_path / "again.json", file)
        before = json.loads(path.read_text(encoding="utf-8"))
        after = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
        for key in ("flags", "imagePath", "imageHeight", "imageWidth"):
            assert after[key] == before[key]
        for one, other in zip(before["shapes"], after["shapes"], strict=True):
            assert all(
                other[key] == one[key] for key in ("label", "points", "group_id", "shape_type", "flags")
            )
