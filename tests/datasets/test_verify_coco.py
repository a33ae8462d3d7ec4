"""`verify` on COCO-style files: every fault of a file in one run, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.datasets.coco.checks import check_coco
from maskps.datasets.coco.protocols import write_protocols
from maskps.findings import Finding
from maskps.protocols import SearchProtocol


def content_of(*persons: Any, first: int = 0) -> dict[str, Any]:
    """A file with one image of 800 x 600 for each of these persons: person_id, or person_id and box."""
    pairs = [person if isinstance(person, tuple) else (person, [10, 20, 30, 90]) for person in persons]
    return {
        "images": [
            {"id": row, "file_name": f"{first + row}.jpg", "width": 800, "height": 600}
            for row in range(len(pairs))
        ],
        "annotations": [
            {"id": row, "image_id": row, "category_id": 1, "bbox": box, "person_id": value}
            for row, (value, box) in enumerate(pairs)
        ],
    }


def write(root: Path, train: Any, test: Any) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in (("train.json", train), ("test.json", test)):
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def codes(findings: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.level for finding in findings}


def test_a_good_data_set_has_no_findings(tmp_path: Path) -> None:
    assert check_coco(write(tmp_path, content_of(1, 2, -1), content_of(3, -1, first=9))) == []


def test_all_faults_of_both_files_are_reported_in_one_run(tmp_path: Path) -> None:
    train = content_of(1, (2, ["1", "2", "3", "40"]), (3, [5, 5, 0, 9]), (4, [790, 5, 20, 90]), 2.5)
    train["annotations"][0]["image_id"] = 77
    test = content_of(1, -2, -1, first=4)
    test["annotations"][1]["id"] = 0
    test["annotations"][2]["area"] = 5
    assert codes(check_coco(write(tmp_path, train, test))) == {
        "coco-image-missing": "error",
        "coco-box-text": "error",
        "coco-person-id": "error",
        "box-empty": "warning",
        "box-leaves-image": "warning",
        "coco-annotation-id-repeated": "warning",
        "coco-area": "warning",
        "unlabeled-mixed": "warning",
        "scene-in-both-splits": "error",
    }


def test_a_set_without_an_annotation_is_an_error_one_empty_file_is_not(tmp_path: Path) -> None:
    empty = content_of(1, first=9) | {"annotations": []}
    assert codes(check_coco(write(tmp_path, content_of(1, 2), empty))) == {}
    train = content_of(1) | {"annotations": []}
    assert codes(check_coco(write(tmp_path, train, empty))) == {"coco-empty": "error"}


def test_a_name_that_leaves_the_folder_is_one_finding_among_the_others(tmp_path: Path) -> None:
    train = content_of(1, 2.5, 3)
    for row, name in enumerate(("../0.jpg", "x" * 252 + ".jpg")):
        train["images"][row]["file_name"] = name
    found = codes(check_coco(write(tmp_path, train, content_of(1, first=9))))
    assert found == {"coco-image-name": "error", "coco-person-id": "error"}


def test_a_file_that_cannot_be_read_does_not_hide_the_other(tmp_path: Path) -> None:
    found = codes(check_coco(write(tmp_path, "", content_of((1, [1, 2, 50, 9])))))
    assert found == {"file-empty": "error", "box-wide": "warning"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path, content_of(1), content_of(2)) / "test.json").unlink()
    (finding,) = check_coco(tmp_path)
    assert finding.code == "file-missing" and finding.where.endswith("test.json")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("[]", "file-other-kind"),
        ('{"images": []}', "file-other-kind"),
        ('{"images": [', "file-damaged"),
        ("<html>", "file-web-page"),
    ],
)
def test_a_single_file_of_another_kind_is_one_finding(tmp_path: Path, content: str, code: str) -> None:
    (tmp_path / "x.json").write_text(content)
    (finding,) = check_coco(tmp_path / "x.json")
    assert (finding.code, finding.level) == (code, "error") and finding.hint


def test_corners_are_reported_once_and_the_boxes_checked_as_what_they_are(tmp_path: Path) -> None:
    corners = [(1, [700, 500, 750, 590]), (2, [3, 4, 30, 90]), (3, [600, 4, 700, 90])]
    found = check_coco(write(tmp_path, content_of(*corners), content_of(7, first=9)))
    assert codes(found) == {"coco-box-corners": "error", "box-wide": "warning"}
    assert "2 of 3 boxes reach far out" in found[0].found and "subtract" in found[0].hint
    assert "[600, 4, 100, 86]" in found[1].found


def test_identities_in_both_files_are_a_warning(tmp_path: Path) -> None:
    (finding,) = check_coco(write(tmp_path, content_of(1, 2, 10), content_of(10, 2, first=9)))
    assert finding.code == "coco-id-in-both-files" and "2 identities (2, 10)" in finding.found


def test_a_damaged_file_of_protocols_is_a_finding(tmp_path: Path) -> None:
    (write(tmp_path, content_of(1), content_of(2, first=9)) / "protocols.npz").write_bytes(b"PK\x03\x04")
    (finding,) = check_coco(tmp_path)
    assert finding.code == "coco-protocols" and finding.hint


def with_query(root: Path, identity: str, *, box: list[float], image: int = 0) -> Path:
    """Persons 3 and 7 side by side in 9.jpg, 3 again in 10.jpg; one protocol with one query of person 3."""
    test = content_of(3, 3, first=9)
    test["annotations"].append(
        {"id": 2, "image_id": 0, "category_id": 1, "bbox": [100, 20, 30, 90], "person_id": 7}
    )
    write(root, content_of(1), test)
    protocol = SearchProtocol(
        image_names=np.array(["10.jpg", "9.jpg"]),
        query_scenes=np.array([1 - image], np.int32),
        query_boxes=np.array([box], np.float32),
        query_ids=np.array([identity]),
        query_hard=np.zeros(1, bool),
        galleries=np.array([[image]], np.int32),
        truth_offsets=np.array([0, 1]),
        truth_positions=np.zeros(1, np.int32),
        truth_boxes=np.array([[10, 20, 40, 110]], np.float32),
        truth_hard=np.zeros(1, bool),
    )
    write_protocols(root / "protocols.npz", {"mine": protocol})
    return root


def test_a_query_with_the_box_of_its_person_has_no_findings(tmp_path: Path) -> None:
    assert check_coco(with_query(tmp_path, "3", box=[10, 20, 40, 110.4])) == []


@pytest.mark.parametrize(
    ("identity", "image", "found"),
    [("7", 1, "no box of '10.jpg' has id 7"), ("nobody", 0, "no box of '9.jpg' has id nobody")],
)
def test_a_query_of_a_person_who_is_not_in_its_image_is_an_error(
    tmp_path: Path, identity: str, image: int, found: str
) -> None:
    (finding,) = check_coco(with_query(tmp_path, identity, box=[10, 20, 40, 110], image=image))
    assert (finding.code, finding.level) == ("query-id-not-in-image", "error")
    assert (finding.where, finding.found) == ("protocol mine, query 0", found)


def test_a_query_with_the_box_of_somebody_else_is_reported_with_its_own(tmp_path: Path) -> None:
    (finding,) = check_coco(with_query(tmp_path, "7", box=[10, 20, 40, 110]))
    assert (finding.code, finding.level) == ("query-box-differs", "warning")
    assert "[10, 20, 30, 90]" in finding.found
    assert finding.expected == "[100, 20, 30, 90], the box of id 7 in '9.jpg'"


@pytest.mark.real_data
def test_the_real_prw_files_have_only_the_known_oddities(real_data: Path) -> None:
    found = check_coco(real_data / "prw")
    counts = {code: sum(finding.code == code for finding in found) for code in codes(found)}
    assert counts == {
        "box-wide": 7,
        "box-doubled": 1,
        "id-twice-in-image": 13,
        "box-leaves-image": 192,
        "unlabeled-mixed": 1,
        "coco-id-in-both-files": 1,
    }
    assert {finding.level for finding in found} == {"warning"}


@pytest.mark.real_data
def test_the_real_careless_files_get_findings_that_say_what_to_do(real_data: Path) -> None:
    folder = real_data / "careless_coco"
    found = {path.stem: check_coco(path) for path in sorted(folder.glob("*.json"))}
    errors = {
        stem: [finding.code for finding in findings if finding.level == "error"]
        for stem, findings in found.items()
    }
    broken = ["coco-image-id-repeated", "coco-image-missing", "coco-box-text", "coco-box-corners"]
    assert errors == {
        "gallery_x1_cam2": broken,
        "query": ["coco-box-text", "coco-box-corners"],
        "query_x1_cam2": broken,
        "test_new1": ["file-empty"],
    }
    assert all(finding.hint for findings in found.values() for finding in findings)
