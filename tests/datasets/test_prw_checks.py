"""The checks of PRW find every fault in one run, and none in a sound data set."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from maskps.datasets.prw.checks import check_prw
from maskps.datasets.prw.reader import read_prw, read_prw_protocol
from maskps.errors import MaskpsError
from maskps.findings import Finding
from maskps.io.matlab import cell_matrix, char_matrix, write_mat
from maskps.io.matlab.numbers import numbers_file

SOUND = {"line-ends", "counts-not-compared", "id-in-both-splits"}
"""Codes of the findings on a sound part of PRW; all of level "info"."""

FRAMES = {
    "c1s1_000151": [[1, 10, 20, 30, 90], [-2, 100, 20, 30, 90]],
    "c6s1_000476": [[3, 5, 5, 20, 60]],
    "c2s3_071096": [[1, 10, 20, 30, 90], [932, 200, 20, 30, 90]],
    "c3s1_000300": [[932, 60, 20, 30, 90], [-2, 100, 20, 30, 90]],
}
TRAIN, TEST = list(FRAMES)[:2], list(FRAMES)[2:]


def write_frames(root: Path, split: str, frames: list[str]) -> None:
    cells = [char_matrix(frame) for frame in frames]
    write_mat(root / f"frame_{split}.mat", [cell_matrix(cells, name=f"img_index_{split}")])


def file_of(root: Path, frame: str) -> Path:
    return root / "annotations" / f"{frame}.jpg.mat"


def write_persons(root: Path, frame: str, rows: list[list[float]]) -> None:
    file_of(root, frame).write_bytes(numbers_file(np.array(rows, float), "box_new"))


def write_queries(root: Path, *lines: str) -> None:
    (root / "query_info.txt").write_bytes("".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    write_frames(tmp_path, "train", TRAIN)
    write_frames(tmp_path, "test", TEST)
    for frame, rows in FRAMES.items():
        write_persons(tmp_path, frame, rows)
    write_queries(tmp_path, "932 60.4 20 30 90.3 c3s1_000300")
    return tmp_path


def found(root: Path) -> dict[str, Finding]:
    """The findings by code, without those of a sound set; of several with a code the last."""
    return {finding.code: finding for finding in check_prw(root) if finding.code not in SOUND}


def test_a_sound_set_has_only_remarks(root: Path) -> None:
    findings = check_prw(root)
    assert {finding.code for finding in findings} == SOUND
    assert {finding.level for finding in findings} == {"info"}


def test_a_missing_file_is_found_and_the_others_are_checked_all_the_same(root: Path) -> None:
    (root / "query_info.txt").unlink()
    file_of(root, TRAIN[0]).unlink()
    (root / "frame_test.mat").rename(root / "frame_test (1).mat")
    missing = [finding for finding in check_prw(root) if finding.code == "file-missing"]
    assert [Path(finding.where).name for finding in missing] == [
        "frame_test.mat",
        f"{TRAIN[0]}.jpg.mat",
        "query_info.txt",
    ]
    assert "frame_test (1).mat" in missing[0].hint


def test_many_missing_annotation_files_are_one_finding(root: Path) -> None:
    write_frames(root, "train", [f"c1s1_{number:06}" for number in range(100)])
    finding = found(root)["annotation-missing"]
    assert "100 of 102" in finding.found
    assert "c1s1_000000.jpg.mat" in finding.found


def test_a_missing_annotation_folder_is_one_finding(root: Path) -> None:
    (root / "annotations").rename(root / "other")
    assert found(root)["annotation-missing"].found == "no such folder"


def test_a_file_of_no_listed_image_is_reported(root: Path) -> None:
    os.link(file_of(root, TRAIN[0]), root / "annotations" / "Thumbs.db")
    assert "Thumbs.db" in found(root)["annotation-extra"].found


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 432\n", "file-lfs-pointer"),
        (b"<!DOCTYPE html>", "file-web-page"),
        (b"", "file-empty"),
        (numbers_file(np.ones((2, 5)), "box_new")[:150], "file-truncated"),
        (numbers_file(np.ones((2, 5)), "box_new")[:140] + bytes(60), "file-damaged"),
        (numbers_file(np.ones((2, 5)), "boxes"), "variable-missing"),
        (numbers_file(np.ones((2, 4)), "box_new"), "entry-invalid"),
    ],
)
@pytest.mark.parametrize("frame", [TRAIN[0], TEST[0]])
def test_a_bad_annotation_file_is_found_with_its_name(
    root: Path, content: bytes, code: str, frame: str
) -> None:
    file_of(root, frame).write_bytes(content)
    finding = found(root)[code]
    assert frame in finding.where
    assert finding.level == "error"
    assert finding.hint


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ([4, 10, 20, 30, 0], "box-empty"),
        ([4, 10, 20, 90, 30], "box-wide"),
        ([4, -10, 20, 30, 90], "box-leaves-image"),
        ([-2, 10, 20, 30, 90], "box-doubled"),
        ([1, 20, 20, 30, 90], "id-twice-in-image"),
        ([4, np.nan, 20, 30, 90], "box-not-finite"),
        ([4, 1e8, 20, 30, 90], "box-impossible"),
        ([4.5, 20, 20, 30, 90], "id-invalid"),
        ([-7, 20, 20, 30, 90], "id-invalid"),
        ([-1, 20, 20, 30, 90], "unlabeled-mixed"),
    ],
)
def test_an_odd_person_is_found(root: Path, row: list[float], code: str) -> None:
    write_persons(root, TRAIN[0], [*FRAMES[TRAIN[0]], row])
    findings = found(root)
    assert set(findings) == {code}
    if code != "unlabeled-mixed":
        assert findings[code].where.endswith(f"{TRAIN[0]}.jpg.mat, person 2")


def test_an_image_listed_twice_is_found_once(root: Path) -> None:
    write_frames(root, "train", [*TRAIN, TRAIN[0]])
    assert [finding.code for finding in check_prw(root) if finding.level != "info"] == ["scene-doubled"]


def test_an_image_of_both_sets_is_found(root: Path) -> None:
    write_frames(root, "train", [*TRAIN, TEST[0]])
    assert found(root)["scene-in-both-splits"].level == "error"


def test_an_empty_list_is_found(root: Path) -> None:
    write_frames(root, "train", [])
    assert "frame_train.mat" in found(root)["image-list-empty"].where


@pytest.mark.parametrize(
    ("line", "code", "level"),
    [
        ("932 60 20 30 90", "query-line-invalid", "error"),
        ("932 60 20 30 90 c9s9_000000", "query-outside-test", "error"),
        ("1 10 20 30 90 c1s1_000151", "query-outside-test", "error"),
        ("7 60 20 30 90 c3s1_000300", "query-id-not-in-image", "error"),
        ("932 160 20 30 90 c2s3_071096", "query-box-differs", "warning"),
        ("932 60 20 30 90 c3s1_000300", "query-doubled", "warning"),
        ("1 10 20 30 90 c2s3_071096", "query-id-in-training", "warning"),
        ("1 10 20 30 90 c2s3_071096", "query-without-match", "error"),
    ],
)
def test_a_query_that_does_not_fit_is_found_with_its_line(
    root: Path, line: str, code: str, level: str
) -> None:
    write_queries(root, "932 60 20 30 90 c3s1_000300", line)
    finding = found(root)[code]
    assert finding.where.endswith("query_info.txt, line 2")
    assert finding.level == level


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("a\r\nb\r\n", "CRLF, as released"),
        ("a\nb\n", "end with LF"),
        ("a\r\nb\n", "1 lines end with CRLF and 1 with LF"),
        ("a\r\nb", "the last one has no end"),
    ],
)
def test_line_ends_are_reported(root: Path, end: str, text: str) -> None:
    (root / "query_info.txt").write_bytes(end.encode())
    (finding,) = [finding for finding in check_prw(root) if finding.code == "line-ends"]
    assert text in finding.found
    assert finding.level == "info"


def test_the_counts_of_nearly_all_of_prw_are_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskps_manifest.prw.IMAGES", 4)
    findings = [finding for finding in check_prw(root) if finding.code == "count-differs"]
    assert "2 training images" in [finding.found for finding in findings]
    assert "5,704, as published for PRW" in [finding.expected for finding in findings]


def test_a_list_of_another_kind_is_reported_and_the_other_set_is_checked(root: Path) -> None:
    savemat(root / "frame_train.mat", {"img_index_train": [1]})
    write_persons(root, TEST[0], [[1, 10, 20, 30, 0]])
    assert {"file-damaged", "box-empty"} <= set(found(root))


def test_an_empty_folder_is_reported_not_raised(tmp_path: Path) -> None:
    missing = {Path(finding.where).name for finding in check_prw(tmp_path) if finding.level == "error"}
    assert {"frame_train.mat", "frame_test.mat", "query_info.txt"} <= missing


FILES = ["frame_train.mat", "frame_test.mat", "query_info.txt", f"annotations/{TEST[0]}.jpg.mat"]


@given(
    which=st.sampled_from(FILES),
    unpack=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    kept=st.floats(0, 1),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_always_checked(
    root: Path, which: str, unpack: bool, changes: list[tuple[int, int]], kept: float
) -> None:
    path = root / which
    sound = path.read_bytes()
    data = bytearray(sound)
    if unpack and which.endswith(".mat"):
        data[128:] = zlib.decompress(data[136:])
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data[: round(kept * len(data))] if kept < 0.5 else data)
    try:
        assert isinstance(check_prw(root), list)
        try:
            dataset = read_prw(root)
            protocol = read_prw_protocol(dataset)
            assert protocol.gallery_size == max(0, len(dataset.test) - 1)
        except MaskpsError as error:
            assert error.where
    finally:
        path.write_bytes(sound)
