"""The detections record and its file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from maskps import AnnotationError, InputFileError, OutputError
from maskps.evaluation.detections_file import Detections, read_detections, write_detections


@pytest.fixture
def detections() -> Detections:
    rng = np.random.default_rng(0)
    return Detections.from_images(
        ["s1.jpg", "s2.jpg", "s3.jpg"],
        [np.array([[0, 0, 5, 9], [1, 2, 4, 8]]), np.zeros((0, 4)), np.array([[3, 3, 7.5, 9]])],
        [np.array([0.9, 0.4]), np.zeros(0), np.array([0.7])],
        [rng.random((2, 4)), np.zeros((0, 4)), rng.random((1, 4))],
        rng.random((2, 4)),
    )


def arrays_of(detections: Detections) -> dict[str, np.ndarray]:
    arrays = {field.name: getattr(detections, field.name) for field in dataclasses.fields(detections)}
    return {name: array for name, array in arrays.items() if array is not None}


def with_named_queries(detections: Detections) -> Detections:
    return dataclasses.replace(
        detections,
        query_names=np.array(["s1.jpg", "s9.jpg"]),
        query_boxes=np.array([[0, 0, 5, 9], [1, 2, 3, 4]], np.float32),
    )


def test_images_become_columns(detections: Detections) -> None:
    assert detections.offsets.tolist() == [0, 2, 2, 3]
    assert len(detections) == 3 and detections.num_images == 3


def test_no_image_and_no_detection_are_allowed() -> None:
    empty = Detections.from_images([], [], [], [], np.zeros((0, 4)))
    assert empty.embeddings.shape == (0, 4) and empty.offsets.tolist() == [0]


def test_round_trip_keeps_every_array_and_dtype(detections: Detections, tmp_path: Path) -> None:
    write_detections(tmp_path / "dets.npz", detections)
    again = arrays_of(read_detections(tmp_path / "dets.npz"))
    assert again.keys() == arrays_of(detections).keys()
    for name, array in arrays_of(detections).items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


def test_round_trip_keeps_the_names_of_queries(detections: Detections, tmp_path: Path) -> None:
    named = with_named_queries(detections)
    write_detections(tmp_path / "dets.npz", named)
    again = arrays_of(read_detections(tmp_path / "dets.npz"))
    assert again.keys() == arrays_of(named).keys() and len(again) == 8
    assert again["query_names"].tolist() == ["s1.jpg", "s9.jpg"]
    np.testing.assert_array_equal(again["query_boxes"], named.query_boxes)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"query_names": None}, "query_names"),
        ({"query_boxes": None}, "query_boxes"),
        ({"query_names": np.array(["s1.jpg"])}, "query_names"),
        ({"query_boxes": np.zeros((2, 3), np.float32)}, "query_boxes"),
        ({"query_boxes": np.full((2, 4), np.nan, np.float32)}, "query_boxes"),
    ],
)
def test_names_of_queries_that_do_not_fit_are_refused(
    detections: Detections, change: dict, where: str
) -> None:
    with pytest.raises(AnnotationError, match=f"detections, {where}"):
        dataclasses.replace(with_named_queries(detections), **change)


def test_normalised_embeddings_have_length_one(detections: Detections) -> None:
    found = detections.normalized()
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.query_embeddings, axis=1), 1, rtol=1e-6)


def test_an_embedding_of_length_zero_cannot_be_normalised(detections: Detections) -> None:
    embeddings = detections.embeddings.copy()
    embeddings[1] = 0
    with pytest.raises(AnnotationError, match=r"embeddings row 1[\s\S]*length 0 in 1 of 3"):
        dataclasses.replace(detections, embeddings=embeddings).normalized()


def test_same_detections_give_the_same_bytes(detections: Detections, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_detections(tmp_path / name, detections)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_plain_savez_of_another_code_base_is_read(detections: Detections, tmp_path: Path) -> None:
    """No format entry, float64 and int32: all that another code base would write."""
    arrays = {
        name: array.astype({"f": np.float64, "i": np.int32}.get(array.dtype.kind, array.dtype))
        for name, array in arrays_of(detections).items()
    }
    np.savez_compressed(tmp_path / "theirs.npz", **arrays)
    read = read_detections(tmp_path / "theirs.npz")
    np.testing.assert_array_equal(read.boxes, detections.boxes)
    assert read.embeddings.dtype == np.float32 and read.offsets.dtype == np.int64


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"boxes": np.zeros((3, 5), np.float32)}, "boxes"),
        ({"scores": np.zeros((3, 1), np.float32)}, "scores"),
        ({"embeddings": np.zeros((3, 5), np.float32)}, "embeddings"),
        ({"embeddings": np.full((3, 4), np.nan, np.float32)}, "embeddings of 's1.jpg', row 0"),
        ({"query_embeddings": np.full((2, 4), np.inf, np.float32)}, "query_embeddings row 0"),
        ({"scores": np.array([0.5, 0.5, np.nan], np.float32)}, "scores of 's3.jpg', row 2"),
        ({"offsets": np.array([0, 2, 1, 3])}, "offsets"),
        ({"offsets": np.array([0, 2, 2, 4])}, "offsets"),
        ({"offsets": np.array([0, 3])}, "offsets"),
        ({"image_names": np.array(["s1.jpg", "s1.jpg", "s3.jpg"])}, "image_names"),
    ],
)
def test_contradicting_columns_are_refused(detections: Detections, change: dict, where: str) -> None:
    with pytest.raises(AnnotationError, match=where):
        dataclasses.replace(detections, **change)


def test_boxes_given_as_width_and_height_are_recognised(detections: Detections) -> None:
    boxes = detections.boxes.copy()
    boxes[2] = [400, 100, 80, 250]
    with pytest.raises(AnnotationError, match=r"'s3.jpg', row 2[\s\S]*width, height"):
        dataclasses.replace(detections, boxes=boxes)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_detections(tmp_path / "none.npz")


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_truncated_file_is_refused(detections: Detections, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "dets.npz"
    write_detections(path, detections)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputFileError, match=r"dets.npz"):
        read_detections(path)


def test_damaged_content_is_refused(detections: Detections, tmp_path: Path) -> None:
    path = tmp_path / "dets.npz"
    np.savez_compressed(path, **arrays_of(detections))
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputFileError, match=r"dets.npz"):
        read_detections(path)


def test_pickled_objects_are_never_loaded(detections: Detections, tmp_path: Path) -> None:
    arrays = arrays_of(detections) | {"image_names": np.array(["s1.jpg", "s2.jpg", None], dtype=object)}
    np.savez(tmp_path / "dets.npz", **arrays)
    with pytest.raises(InputFileError, match="pickled"):
        read_detections(tmp_path / "dets.npz")


def test_pickle_file_is_never_loaded(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "dets.npz").write_bytes(pickle.dumps({"boxes": [1, 2]}))
    with pytest.raises(InputFileError, match="pickled"):
        read_detections(tmp_path / "dets.npz")


def test_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "dets.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputFileError, match=r"dets\.npz"):
        read_detections(tmp_path / "dets.npz")


def test_missing_array_is_named_with_what_is_there(detections: Detections, tmp_path: Path) -> None:
    arrays = arrays_of(detections)
    arrays["features"] = arrays.pop("embeddings")
    np.savez(tmp_path / "dets.npz", **arrays)
    with pytest.raises(InputFileError, match=r"no embeddings; there are: .*features"):
        read_detections(tmp_path / "dets.npz")


@pytest.mark.parametrize("entry", [{"format": np.array("maskps-subset")}, {"version": np.array(2)}])
def test_other_format_or_version_is_refused(detections: Detections, tmp_path: Path, entry: dict) -> None:
    np.savez(tmp_path / "dets.npz", **arrays_of(detections), **entry)
    with pytest.raises(InputFileError, match="format"):
        read_detections(tmp_path / "dets.npz")


def test_wrong_kind_of_array_is_refused(detections: Detections, tmp_path: Path) -> None:
    arrays = arrays_of(detections) | {"scores": np.array(["0.9", "0.8", "0.7"])}
    np.savez(tmp_path / "dets.npz", **arrays)
    with pytest.raises(InputFileError, match="scores as float32"):
        read_detections(tmp_path / "dets.npz")


def test_error_in_a_file_names_the_file(detections: Detections, tmp_path: Path) -> None:
    arrays = arrays_of(detections) | {"scores": np.array([0.5, np.nan, 0.5])}
    np.savez(tmp_path / "dets.npz", **arrays)
    with pytest.raises(AnnotationError, match=r"dets.npz: detections, scores of 's1.jpg'"):
        read_detections(tmp_path / "dets.npz")


def test_failed_write_leaves_the_old_file(
    detections: Detections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dets.npz"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OutputError, match="disk full"):
        write_detections(path, detections)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("score", "is_valid"), [(0.0, True), (1.00009, True), (1.00011, False), (-1e-6, False)]
)
def test_scores_are_from_0_to_1_but_for_the_rounding(
    detections: Detections, score: float, is_valid: bool
) -> None:
    scores = np.array([score, 0.4, 0.7], np.float32)
    if is_valid:
        assert dataclasses.replace(detections, scores=scores).num_images == 3
    else:
        with pytest.raises(AnnotationError, match="confidences from 0 to 1"):
            dataclasses.replace(detections, scores=scores)
