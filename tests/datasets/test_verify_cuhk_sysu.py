"""`verify` on CUHK-SYSU: damaged copies of a small data set, each with its finding and no other."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuhk_sysu_files import (
    IMAGES,
    POOL,
    TRAIN,
    TRAIN_TEST,
    Box,
    Persons,
    Scenes,
    write_images,
    write_pool,
    write_train,
)

from maskps.datasets import read_cuhk_sysu
from maskps.datasets.cuhk_sysu.writer import protocol_chunks
from maskps.datasets.verify import verify
from maskps.errors import AnnotationError, MaskpsError
from maskps.findings import Finding
from maskps.io.matlab import write_mat
from maskps.protocols import read_protocol

SUBSET = "annotation/test/subset"

SCENES: Scenes = [
    ("s1.jpg", [(10, 20, 30, 90), (300, 20, 100, 500)]),
    ("s10.jpg", [(138, 15, 73, 180), (5, 6, 20, 60)]),
    ("s2.jpg", [(1, 1, 7, 20)]),
    ("s3.jpg", []),
    ("s9.jpg", [(10, 20, 30, 90), (100, 20, 30, 90)]),
    ("s8.jpg", [(400, 20, 130, 390)]),
    ("s7.jpg", [(50, 60, 40, 100)]),
    ("s6.jpg", [(51, 61, 41, 101)]),
]
"""The scenes of the small data set; s10's box is moved so that it fits 8 bits."""

PERSONS: Persons = [
    ("p7", [("s1.jpg", (10, 20, 30, 90)), ("s10.jpg", (5, 6, 20, 60))]),
    ("p12", [("s10.jpg", (138, 15, 73, 180))]),
]


def changed(scenes: Scenes, name: str, change: Callable[[list[Box]], list[Box]]) -> Scenes:
    return [(one, change(boxes) if one == name else boxes) for one, boxes in scenes]


def codes(findings: list[Finding]) -> dict[str, int]:
    """How often each code is there; that of every data set of one's own is left out."""
    return dict(Counter(one.code for one in findings if one.code != "counts-not-compared"))


def only(findings: list[Finding], code: str) -> Finding:
    """The one finding of this code."""
    (finding,) = (one for one in findings if one.code == code)
    return finding


@pytest.fixture
def clean(root: Path) -> Path:
    """The small data set with boxes that fit their integers."""
    write_images(root, SCENES)
    write_train(root, PERSONS)
    return root


def test_a_clean_data_set_gets_a_remark_only(clean: Path) -> None:
    (finding,) = verify(clean)
    assert (finding.code, finding.level, finding.where) == ("counts-not-compared", "info", str(clean))
    assert finding.found.startswith("8 scenes")


@pytest.mark.parametrize("name", ["../s4.jpg", "/s4.jpg", "s" * 300 + ".jpg"])
def test_a_scene_that_leaves_the_folder_is_reported_and_refused(clean: Path, name: str) -> None:
    write_images(clean, [*SCENES, (name, [])])
    assert only(verify(clean), "scene-name").level == "error"
    with pytest.raises(AnnotationError, match="below the folder of images"):
        read_cuhk_sysu(clean)


def test_images_of_a_part_are_counted_where_the_scenes_are_unknown(clean: Path) -> None:
    (clean / IMAGES).unlink()
    (clean / "Image/SSM").mkdir(parents=True)
    (clean / "Image/SSM/s6.jpg").write_bytes(b"")
    finding = only(verify(clean, images=True), "images-not-checked")
    assert "1 of the 4 images that its other files name are there" in finding.found


def test_a_synthetic_data_set_is_clean(few_scenes: Path) -> None:
    assert codes(verify(few_scenes, images=True)) == {}


def test_the_released_types_overflow_which_is_a_warning(root: Path) -> None:
    findings = verify(root)
    assert codes(findings) == {"box-overflow": 2}
    assert {one.level for one in findings} == {"warning", "info"}
    assert findings[0].where == str(root / IMAGES)
    assert "in 1 of 10 boxes" in findings[0].found


@pytest.mark.parametrize("file", [IMAGES, POOL, TRAIN])
@pytest.mark.parametrize("damage", ["missing", "truncated", "pointer", "page"])
def test_a_damaged_file_is_one_finding_and_the_others_are_still_checked(
    clean: Path, file: str, damage: str
) -> None:
    """Every other file has a fault of its own, which must be found as well."""
    if file != IMAGES:
        write_images(clean, changed(SCENES, "s3.jpg", lambda boxes: [(5, 5, 9, 0)]))
    if file != POOL:
        write_pool(clean, ["s9.jpg", "s8.jpg", "s7.jpg", "s6.jpg", "s6.jpg"])
    if file != TRAIN:
        write_train(clean, [*PERSONS, ("p12", [])])
    path = clean / file
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[:-20])
    elif damage == "pointer":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 7\n")
    elif damage == "page":
        path.write_bytes(b"<html>404 not found</html>")
    expected = {
        "missing": "file-missing",
        "truncated": "file-truncated",
        "pointer": "file-lfs-pointer",
        "page": "file-web-page",
    }
    findings = verify(clean)
    wanted = {expected[damage]: 1, "box-empty": 1, "pool-scene-doubled": 1, "id-doubled": 1}
    del wanted[{IMAGES: "box-empty", POOL: "pool-scene-doubled", TRAIN: "id-doubled"}[file]]
    assert codes(findings) == wanted
    assert only(findings, expected[damage]).where == str(path)
    assert only(findings, expected[damage]).level == "error"


def test_the_right_name_of_a_missing_file_is_proposed(clean: Path) -> None:
    (clean / TRAIN).rename(clean / TRAIN_TEST / "train.mat")
    finding = only(verify(clean), "file-missing")
    assert f"'{TRAIN_TEST}/train.mat'" in finding.hint


def test_without_any_test_protocol_that_is_an_error(clean: Path) -> None:
    for path in (clean / TRAIN_TEST).glob("TestG*"):
        path.unlink()
    findings = verify(clean)
    assert codes(findings) == {"file-missing": 1}
    assert only(findings, "file-missing").where == str(clean / TRAIN_TEST / "TestG50.mat")


def test_a_damaged_protocol_does_not_hide_the_others(clean: Path) -> None:
    (clean / TRAIN_TEST / "TestG2.mat").write_bytes(b"PK\x03\x04")
    findings = verify(clean)
    assert codes(findings) == {"file-archive": 1}
    assert read_cuhk_sysu(shutil.copytree(clean, clean.parent / "copy", ignore=_without("TestG2.mat")))


def _without(name: str) -> Callable[[Any, list[str]], set[str]]:
    return lambda folder, names: {name} & set(names)


def test_a_protocol_under_another_name_is_reported(clean: Path) -> None:
    shutil.copy(clean / TRAIN_TEST / "TestG2.mat", clean / TRAIN_TEST / "TestG100.mat")
    finding = only(verify(clean), "variable-missing")
    assert finding.where == str(clean / TRAIN_TEST / "TestG100.mat")
    assert finding.found == "the variables TestG2"


def test_a_pointer_in_place_of_a_file_that_is_not_needed_is_reported(clean: Path) -> None:
    (clean / "annotation/Person.mat").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert codes(verify(clean)) == {"file-lfs-pointer": 1}


def test_impossible_entries_are_all_reported_and_the_rest_is_checked(clean: Path) -> None:
    """Two boxes of three and of no numbers; the box without width beside them is found as well."""
    write_images(clean, changed(SCENES, "s3.jpg", lambda boxes: [(1, 2, 3), (5, 5, 0, 9), ()]))
    findings = verify(clean)
    assert codes(findings) == {"entry-invalid": 2, "box-empty": 1}
    places = [one.where for one in findings if one.code == "entry-invalid"]
    assert places == [f"{clean / IMAGES}, s3.jpg, box 0", f"{clean / IMAGES}, s3.jpg, box 2"]


def test_impossible_appearances_are_all_reported(clean: Path) -> None:
    write_train(
        clean, [*PERSONS, ("p1", [("s1.jpg", ()), ("s1.jpg", (300, 20, 100, 500)), ("s1.jpg", (1,))])]
    )
    findings = verify(clean)
    assert codes(findings) == {"entry-invalid": 2}
    assert [one.where for one in findings if one.code == "entry-invalid"] == [
        f"{clean / TRAIN}, p1, scene 0",
        f"{clean / TRAIN}, p1, scene 2",
    ]


def test_many_impossible_entries_leave_the_others(clean: Path) -> None:
    boxes: list[Box] = [(5, 5, 9, 9 + index) if index % 3 else (index,) for index in range(60)]
    write_images(clean, changed(SCENES, "s3.jpg", lambda _: boxes))
    findings = verify(clean)
    assert codes(findings) == {"entry-invalid": 20}
    assert "box 57" in [one.where for one in findings if one.code == "entry-invalid"][-1]


def test_the_checks_of_boxes_see_every_split(clean: Path) -> None:
    scenes = changed(SCENES, "s2.jpg", lambda boxes: [*boxes, (5, 5, 30, 20), (1, 1, 7, 20)])
    scenes = changed(scenes, "s7.jpg", lambda boxes: [*boxes, (5, 5, 30, 0)])
    write_images(clean, scenes)
    findings = verify(clean)
    assert codes(findings) == {"box-wide": 1, "box-doubled": 1, "box-empty": 1}
    assert only(findings, "box-doubled").where == f"{clean / IMAGES}, s2.jpg, box 2"


def test_a_scene_listed_twice_is_reported(clean: Path) -> None:
    write_images(clean, [*SCENES, SCENES[0]])
    finding = only(verify(clean), "scene-doubled")
    assert (finding.level, finding.where) == ("error", "s1.jpg")


def test_one_id_twice_in_an_image_is_reported_in_both_splits(clean: Path, small: Any) -> None:
    persons = [("p7", [*PERSONS[0][1], ("s1.jpg", (300, 20, 100, 500))]), PERSONS[1]]
    write_train(clean, persons)
    findings = verify(clean)
    assert codes(findings) == {"id-twice-in-image": 1}
    assert only(findings, "id-twice-in-image").where == f"{clean / IMAGES}, s1.jpg, box 1"


def test_an_appearance_that_matches_no_box_is_reported_with_the_nearest(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("p1", [("s1.jpg", (301, 20, 100, 499)), ("s3.jpg", (1, 1, 5, 9))])])
    findings = [one for one in verify(clean) if one.code == "appearance-unmatched"]
    assert [one.where for one in findings] == [f"{clean / TRAIN}, p1, s1.jpg", f"{clean / TRAIN}, p1, s3.jpg"]
    assert "[301, 20, 100, 499]" in findings[0].found
    assert "the nearest there is [300, 20, 100, 500]" in findings[0].found
    assert "that scene has no box" in findings[1].found
    assert {one.level for one in findings} == {"warning"}


def test_an_appearance_of_an_empty_box_matches_nothing(clean: Path) -> None:
    write_images(clean, changed(SCENES, "s3.jpg", lambda boxes: [(5, 5, 9, 0)]))
    write_train(clean, [*PERSONS, ("p1", [("s3.jpg", (5, 5, 9, 0))])])
    assert codes(verify(clean)) == {"box-empty": 1, "appearance-unmatched": 1}


def test_a_true_box_that_matches_no_box_is_reported(clean: Path) -> None:
    write_images(clean, changed(SCENES, "s8.jpg", lambda boxes: [(401, 20, 130, 390)]))
    findings = verify(clean)
    assert codes(findings) == {"appearance-unmatched": 1}
    assert findings[0].where == f"{clean / TRAIN_TEST / 'TestG2.mat'}, p44, s8.jpg"


def test_a_box_with_two_identities_is_reported_with_both(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("p1", [("s1.jpg", (10, 20, 30, 90))])])
    finding = only(verify(clean), "box-two-ids")
    assert finding.where == f"{clean / TRAIN}, p1, s1.jpg"
    assert "also belongs to p7" in finding.found


def test_an_appearance_listed_twice_is_reported(clean: Path) -> None:
    write_train(clean, [("p7", [*PERSONS[0][1], PERSONS[0][1][0]]), PERSONS[1]])
    assert codes(verify(clean)) == {"appearance-doubled": 1}


def test_an_identity_listed_twice_is_reported(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("p7", [])])
    assert only(verify(clean), "id-doubled").found == "identity 'p7' is listed 2 times"


def test_identities_of_both_splits_are_reported(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("p3", [])])
    finding = only(verify(clean), "id-in-both-splits")
    assert (finding.level, finding.where) == ("error", str(clean / TRAIN))
    assert "p3" in finding.found


def test_identities_that_mean_nobody_are_reported_and_mixed_marks_too(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("-1", []), ("unlabeled", []), ("p11", [])])
    assert codes(verify(clean)) == {"id-means-nobody": 2, "unlabeled-mixed": 1}


def test_identities_that_differ_only_in_spelling_are_reported(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("P7", []), ("p012", [])])
    assert "'P7', 'p7', and 1 such groups more" in only(verify(clean), "ids-similar").found


def test_scenes_that_images_mat_lacks_are_reported_file_by_file(clean: Path) -> None:
    write_images(clean, [one for one in SCENES if one[0] not in ("s1.jpg", "s6.jpg")])
    findings = [one for one in verify(clean) if one.code == "scene-unknown"]
    assert [one.where for one in findings] == [
        str(clean / file)
        for file in (
            POOL,
            TRAIN,
            f"{TRAIN_TEST}/TestG2.mat",
            f"{TRAIN_TEST}/TestG3.mat",
            f"{SUBSET}/Occlusion.mat",
            f"{SUBSET}/Resolution.mat",
        )
    ]
    assert findings[0].found == "1 test scenes that Images.mat does not have: s6.jpg"


def test_a_protocol_with_training_scenes_is_reported(clean: Path) -> None:
    write_pool(clean, ["s9.jpg", "s8.jpg", "s7.jpg"])
    findings = verify(clean)
    assert codes(findings) == {"protocol-scene-not-in-pool": 4}
    assert "1 scenes that are not in pool.mat: s6.jpg" in findings[0].found


def test_training_persons_in_test_scenes_are_reported(clean: Path) -> None:
    write_train(clean, [*PERSONS, ("p1", [("s9.jpg", (100, 20, 30, 90))])])
    finding = only(verify(clean), "train-scene-in-pool")
    assert (finding.level, finding.where) == ("warning", str(clean / TRAIN))


def rewritten(small: Any, root: Path, name: str, **columns: Any) -> None:
    """Replaces columns of a protocol and writes it again."""
    protocol = replace(small.protocols[name], **columns)
    folder = SUBSET if name in ("Occlusion", "Resolution") else TRAIN_TEST
    write_mat(root / folder / f"{name}.mat", protocol_chunks(name, protocol))


def test_doubled_and_own_images_in_galleries_are_reported(clean: Path, small: Any) -> None:
    rewritten(small, clean, "TestG3", galleries=np.array([[2, 1, 1], [3, 1, 2]], np.int32))
    findings = verify(clean)
    assert codes(findings) == {"gallery-image-doubled": 1, "own-image-in-gallery": 1}
    assert {one.level for one in findings} == {"warning", "info"}
    assert "query 0 (p3): s8.jpg is 2 times in the gallery" in findings[0].found


def test_a_gallery_of_another_size_than_the_name_says_is_reported(clean: Path, small: Any) -> None:
    rewritten(small, clean, "TestG3", galleries=np.array([[2, 1, -1], [3, 0, 2]], np.int32))
    finding = only(verify(clean), "gallery-size-differs")
    assert "1 of 2 galleries" in finding.found
    assert "query 0 with 2 entries" in finding.found


def test_gallery_sizes_with_different_queries_are_reported(clean: Path, small: Any) -> None:
    boxes = small.protocols["TestG3"].query_boxes.copy()
    boxes[1] = small.protocols["TestG3"].query_boxes[0]
    rewritten(small, clean, "TestG3", query_boxes=boxes)
    finding = only(verify(clean), "queries-differ")
    assert finding.where == str(clean / TRAIN_TEST / "TestG3.mat")
    assert "the first is query 1: p44 in s8.jpg" in finding.found


def test_a_true_box_without_area_is_reported_with_its_query(clean: Path, small: Any) -> None:
    boxes = small.protocols["TestG3"].truth_boxes.copy()
    boxes[1, 3] = boxes[1, 1]
    rewritten(small, clean, "TestG3", truth_boxes=boxes)
    finding = only(verify(clean), "query-box-empty")
    assert finding.found == "query 1 (p44): a true box without area"


def test_a_query_without_a_true_box_and_one_without_area_are_reported(clean: Path, small: Any) -> None:
    protocol = small.protocols["TestG3"]
    boxes = protocol.query_boxes.copy()
    boxes[0, 2] = boxes[0, 0]
    rewritten(
        small,
        clean,
        "TestG3",
        query_boxes=boxes,
        truth_offsets=np.array([0, 1, 1]),
        truth_positions=protocol.truth_positions[:1],
        truth_boxes=protocol.truth_boxes[:1],
        truth_hard=protocol.truth_hard[:1],
    )
    findings = verify(clean)
    assert codes(findings) == {"query-without-match": 1, "query-box-empty": 1, "queries-differ": 1}
    assert only(findings, "query-box-empty").level == "error"
    assert only(findings, "query-without-match").level == "error"  # as 'score' and 'eval' refuse it


def test_a_subset_with_unknown_persons_is_reported(clean: Path, small: Any) -> None:
    rewritten(small, clean, "Occlusion", query_ids=np.array(["p99"]))
    finding = only(verify(clean), "subset-id-unknown")
    assert finding.found == "1 persons who are in no TestG file: p99"


def test_errors_come_first_then_warnings_then_remarks(clean: Path) -> None:
    write_images(clean, changed([*SCENES, SCENES[0]], "s2.jpg", lambda boxes: [(5, 5, 30, 20)]))
    assert [one.level for one in verify(clean)] == ["error", "warning", "info"]


def test_what_the_reader_refuses_is_an_error_here(clean: Path) -> None:
    """A data set without errors can be read; one that cannot be read has some."""

    def check(is_readable: bool) -> None:
        try:
            read_cuhk_sysu(clean)
        except MaskpsError:
            assert not is_readable
        else:
            assert is_readable
        assert any(one.level == "error" for one in verify(clean)) is not is_readable

    check(True)
    for change in (
        lambda: write_images(clean, [*SCENES, SCENES[0]]),
        lambda: write_images(clean, SCENES[:-1]),
        lambda: write_images(clean, changed(SCENES, "s3.jpg", lambda _: [(1, 2)])),
        lambda: write_images(clean, changed(SCENES, "s3.jpg", lambda _: [(np.nan, 1, 2, 3)])),
        lambda: write_images(clean, changed(SCENES, "s3.jpg", lambda _: [(1e300, 1, 2, 3)])),
        lambda: write_images(clean, changed(SCENES, "s3.jpg", lambda _: [(2.1e38, 1, 2.1e38, 3)])),
        lambda: write_pool(clean, ["s9.jpg", "s9.jpg", "s8.jpg", "s7.jpg", "s6.jpg"]),
        lambda: write_train(clean, [*PERSONS, ("p7", [])]),
        lambda: write_train(clean, [("p7", [("s77.jpg", (1, 2, 3, 4))])]),
    ):
        change()
        check(False)
        write_images(clean, SCENES)
        write_pool(clean, ["s9.jpg", "s8.jpg", "s7.jpg", "s6.jpg"])
        write_train(clean, PERSONS)
    check(True)


@pytest.mark.parametrize("file", [IMAGES, POOL, TRAIN, f"{TRAIN_TEST}/TestG2.mat"])
def test_no_damage_ends_the_check_and_what_cannot_be_read_is_an_error(clean: Path, file: str) -> None:
    """Bytes of the unpacked variable are changed at random: names, numbers, sizes, types."""
    rng = np.random.default_rng(7)
    whole = (clean / file).read_bytes()
    variable = zlib.decompress(whole[136:])
    outcomes = Counter()
    for _ in range(25):
        damaged = bytearray(variable)
        for place in rng.integers(0, len(damaged), rng.integers(1, 4)).tolist():
            damaged[place] = int(rng.integers(48, 58) if 48 <= damaged[place] < 58 else rng.integers(256))
        packed = zlib.compress(bytes(damaged))
        (clean / file).write_bytes(whole[:128] + struct.pack("<II", 15, len(packed)) + packed)
        has_errors = any(one.level == "error" for one in verify(clean))
        try:
            read_cuhk_sysu(clean)
        except MaskpsError:
            assert has_errors
            outcomes["refused"] += 1
    assert outcomes["refused"] > 5


def test_nothing_in_the_folder_is_changed(clean: Path) -> None:
    def snapshot() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in clean.rglob("*") if path.is_file()}

    before = snapshot()
    verify(clean, images=True)
    assert snapshot() == before


def test_the_real_protocol_has_its_oddities_as_warnings(real_data: Path, tmp_path: Path) -> None:
    """The released TestG100.mat in a data set that has its scenes and labeled boxes, and nothing else."""
    (tmp_path / TRAIN_TEST).mkdir(parents=True)
    shutil.copy(real_data / "cuhk_sysu" / "TestG100.mat", tmp_path / TRAIN_TEST)
    protocol = read_protocol(real_data / "cuhk_sysu" / "TestG100.mat")
    names = protocol.image_names[np.concatenate([protocol.query_scenes, protocol.truth_scenes])]
    corners = np.concatenate([protocol.query_boxes, protocol.truth_boxes])
    boxes: dict[str, set[Box]] = {name: set() for name in protocol.image_names.tolist()}
    for name, (x, y, right, bottom) in zip(names.tolist(), corners.tolist(), strict=True):
        boxes[name].add((x, y, right - x, bottom - y))
    train = (real_data / "cuhk_sysu" / "train_names.txt").read_text().split()
    write_images(
        tmp_path, [*((name, sorted(of)) for name, of in boxes.items()), *((name, []) for name in train)]
    )
    write_pool(tmp_path, list(boxes))
    write_train(tmp_path, [])

    findings = verify(tmp_path)
    assert codes(findings) == {
        "count-differs": 6,  # of Train.mat and of persons without identity, who are not in this copy
        "protocol-missing": 7,
        "gallery-image-doubled": 4,
        "own-image-in-gallery": 2,
        "id-twice-in-image": 4,  # in three of the doubled images, and in one of the own images
        "box-overflow": 2,
    }
    overflow = [one for one in findings if one.code == "box-overflow"][-1]
    assert "in 1,205 of 8,347 boxes" in overflow.found
    assert {one.level for one in findings if one.code != "count-differs"} == {"warning"}
