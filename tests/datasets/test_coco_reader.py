"""COCO-style files of other code bases: what is read, what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.datasets import open_dataset
from maskps.datasets.coco.reader import is_coco, read_coco
from maskps.datasets.convert import convert
from maskps.datasets.verify import verify
from maskps.errors import AnnotationError, InputFileError
from maskps.structures import PersonSearchDataset

EMPTY: dict[str, Any] = {"images": [], "annotations": []}


def image(key: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "file_name": name, "width": 800, "height": 600} | more


def person(key: int, image_id: Any, box: Any, **more: Any) -> dict[str, Any]:
    return {"id": key, "image_id": image_id, "category_id": 1, "bbox": box} | more


def write(root: Path, train: Any, test: Any = EMPTY, *, names: tuple[str, str] | None = None) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in zip(names or ("train.json", "test.json"), (train, test), strict=True):
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def ids_of(dataset: PersonSearchDataset) -> list[str]:
    """The identity of every training person, "" for the unlabeled."""
    return ["" if pid < 0 else str(dataset.train_ids[pid - 1]) for pid in dataset.train.pids]


def file_of(*person_ids: Any, absent: int = 0) -> dict[str, Any]:
    """A file with one image for each of these person_ids, and for as many persons without the key."""
    count = len(person_ids) + absent
    persons = [
        person(index, index, [10, 20, 30, 90], person_id=value) for index, value in enumerate(person_ids)
    ]
    persons += [person(index, index, [10, 20, 30, 90]) for index in range(len(person_ids), count)]
    return {"images": [image(index, f"{index}.jpg") for index in range(count)], "annotations": persons}


def test_persons_stand_with_their_image_whatever_their_order_in_the_file(tmp_path: Path) -> None:
    content = {
        "images": [image(7, "b.jpg"), image(3, "a.jpg"), image(5, "c.jpg")],
        "annotations": [
            person(0, 3, [1, 2, 3, 4], person_id=1),
            person(1, 7, [5, 6, 7, 8], person_id=2),
            person(2, 3, [9, 10, 11.5, 12], person_id=-1),
        ],
    }
    train = read_coco(write(tmp_path, content)).train
    assert train.names.tolist() == ["b.jpg", "a.jpg", "c.jpg"]
    assert train.offsets.tolist() == [0, 1, 3, 3]
    assert train.boxes.tolist() == [[5, 6, 12, 14], [1, 2, 4, 6], [9, 10, 20.5, 22]]
    assert train.pids.tolist() == [2, 1, -1]
    assert train.size is not None and train.size.tolist() == [[800, 600]] * 3


def test_the_files_of_other_code_bases_are_found(tmp_path: Path) -> None:
    root = write(tmp_path, file_of(4), names=("train_pid.json", "test_pid.json"))
    assert is_coco(root) and ids_of(read_coco(root)) == ["4"]


def test_a_folder_without_these_files_is_none(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text("{}")
    assert not is_coco(tmp_path)


@pytest.mark.parametrize("mark", [-1, -2, None, "-1", "", -1.0, "-1.0", " -1 ", "-2.", " "])
def test_persons_without_identity_are_unlabeled_however_they_are_marked(tmp_path: Path, mark: Any) -> None:
    dataset = read_coco(write(tmp_path, file_of(3, mark, absent=1)))
    assert dataset.train.pids.tolist() == [1, -1, -1]


def test_identities_are_renumbered_without_holes_numbers_by_size_then_texts(tmp_path: Path) -> None:
    dataset = read_coco(write(tmp_path, file_of("b7", 932, 5, "40", "a", 5.0, -1)))
    assert dataset.train_ids.tolist() == ["5", "40", "932", "a", "b7"]
    assert dataset.train.pids.tolist() == [5, 3, 1, 2, 4, 1, -1]


def test_zero_is_an_identity_where_another_person_is_unlabeled(tmp_path: Path) -> None:
    assert ids_of(read_coco(write(tmp_path, file_of(0, 0, 1, -1)))) == ["0", "0", "1", ""]


def test_zero_is_an_identity_where_nobody_is_unlabeled_and_images_hold_it_once(tmp_path: Path) -> None:
    assert ids_of(read_coco(write(tmp_path, file_of(0, 0, 0, 1)))) == ["0", "0", "0", "1"]


def test_zero_is_no_identity_where_it_is_the_only_mark_and_images_hold_several(tmp_path: Path) -> None:
    content = file_of(0, 0, 1, 0)
    content["annotations"][1]["image_id"] = 0  # images with a 0: number 0 with two, number 3 with one
    dataset = read_coco(write(tmp_path, content))
    assert ids_of(dataset) == ["", "", "1", ""]
    (warning,) = dataset.warnings
    assert warning.startswith("train.json, annotation 0: person_id 0, taken as unlabeled")


def test_the_same_number_in_both_files_is_two_identities(tmp_path: Path) -> None:
    test = {"images": [image(0, "t.jpg")], "annotations": [person(0, 0, [1, 1, 5, 9], person_id=8)]}
    dataset = read_coco(write(tmp_path, file_of(3, 8), test))
    assert dataset.train_ids.tolist() == ["3", "8"] and dataset.test_ids.tolist() == ["8"]
    assert dataset.test.pids.tolist() == [1]


def test_other_categories_and_groups_are_left_out_with_a_warning(tmp_path: Path) -> None:
    content = file_of(1, 2, 3)
    content["categories"] = [{"id": 3, "name": "Person"}, {"id": 5, "name": "car"}]
    for entry, category in zip(content["annotations"], (3, 5, 3), strict=True):
        entry["category_id"] = category
    content["annotations"][2]["iscrowd"] = 1
    dataset = read_coco(write(tmp_path, content))
    assert ids_of(dataset) == ["1"]
    category, crowd = dataset.warnings
    assert "category_id 5, left out" in category and "iscrowd 1, left out" in crowd


def test_boxes_without_width_or_height_are_left_out_with_a_warning(tmp_path: Path) -> None:
    content = file_of(1, 2, 3)
    content["annotations"][0]["bbox"] = [5, 5, 0, 9]
    content["annotations"][1]["bbox"] = [1000, 5, 1e-7, 9]  # too narrow for float32
    dataset = read_coco(write(tmp_path, content))
    assert ids_of(dataset) == ["3"] and dataset.train.offsets.tolist() == [0, 0, 0, 1]
    (warning,) = dataset.warnings
    assert warning.startswith("train.json, annotation 0 (0.jpg): ") and "; 2 such boxes" in warning


def test_sizes_and_cameras_are_read_where_every_image_states_them(tmp_path: Path) -> None:
    content: dict[str, Any] = {"images": [image(0, "a.jpg", camera=4), image(1, "b.jpg", camera=6)]}
    train = read_coco(write(tmp_path, content | {"annotations": []})).train
    assert train.camera is not None and train.camera.tolist() == [4, 6]
    del content["images"][1]["camera"], content["images"][0]["width"], content["images"][0]["height"]
    train = read_coco(write(tmp_path, content | {"annotations": []})).train
    assert train.camera is None and train.size is None


def test_images_lie_where_the_names_lead(tmp_path: Path) -> None:
    root = write(tmp_path, file_of(1))
    assert read_coco(root).image_dir == root / "images"
    (root / "frames").mkdir()
    (root / "frames" / "0.jpg").touch()
    assert read_coco(root).image_dir == root / "frames"


def test_a_file_without_persons_is_read(tmp_path: Path) -> None:
    dataset = read_coco(write(tmp_path, EMPTY))
    assert len(dataset.train) == len(dataset.test) == dataset.num_train_ids == 0


def changed(place: str, key: str, value: Any) -> dict[str, Any]:
    content = file_of(1, 2)
    content[place][1][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "a list"),
        ({"images": []}, "no 'annotations'"),
        ("", "an empty file"),
        ("version https://git-lfs.github.com/spec/v1\nsize 12\n", "Git-LFS pointer"),
        ("<!DOCTYPE html><html></html>", "a web page"),
        ('{"images": [', "line 1"),
        ("[" * 100_000, "recursion"),
        (changed("images", "file_name", 5), "file_name 5"),
        (changed("images", "file_name", "a\0b.jpg"), "file_name 'a"),
        (changed("images", "file_name", "\ud800.jpg"), "surrogates"),
        (changed("images", "file_name", "x" * 1001), "file_name"),
        (changed("images", "file_name", "x" * 252 + ".jpg"), "file_name"),
        (changed("images", "file_name", "../0.jpg"), "file_name '../0.jpg', in 1 of 2 images"),
        (changed("images", "file_name", "/etc/0.jpg"), "file_name '/etc/0.jpg', in 1 of 2 images"),
        (changed("images", "file_name", "0.jpg"), "'0.jpg' 2 times"),
        (changed("images", "id", [1]), r"id \[1\]"),
        (changed("images", "id", 0), "id 0, which an earlier image has, in 1 of 2 images"),
        (changed("annotations", "image_id", 77), "image_id 77, which no image has"),
        (changed("annotations", "image_id", "1"), "differ in type"),
        (changed("annotations", "bbox", ["1", "2", "3", "4"]), "text, in 1 of 2 annotations"),
        (changed("annotations", "bbox", [1, 2, 3]), r"bbox \[1, 2, 3\]"),
        (changed("annotations", "bbox", [1, 2, 3, None]), "bbox"),
        (changed("annotations", "bbox", [1, 2, 3, float("nan")]), "bbox"),
        (changed("annotations", "bbox", [1, 2, 3, 1e300]), "bbox"),
        (changed("annotations", "bbox", [1, 2, 3, 10**400]), "bbox"),
        (changed("annotations", "person_id", [3]), "person_id"),
        (changed("annotations", "person_id", 2.5), "person_id 2.5"),
        ('{"images": [], "annotations": [{"person_id": ' + 900 * "[" + 900 * "]" + "}]}", "2 more errors"),
        (changed("annotations", "person_id", True), "person_id True"),
        (changed("annotations", "person_id", "x" * 101), "person_id"),
        (changed("annotations", "ishard", "yes"), "ishard 'yes'"),
        (file_of(1) | {"annotations": [7]}, "annotation 0"),
        (file_of(1) | {"categories": [{"name": "dog"}, {"name": "cat"}]}, r"\['dog', 'cat'\]"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_the_file_and_what_to_do(
    tmp_path: Path, content: Any, words: str
) -> None:
    with pytest.raises((InputFileError, AnnotationError), match=words) as caught:
        read_coco(write(tmp_path, content))
    assert "train.json" in caught.value.where and caught.value.hint


@pytest.mark.parametrize(
    "word",
    ["None", "nan", float("nan"), "NULL", "unknown", "n/a", "<NA>", "No id", "no_id", "un-labeled", "?", "-"]
    + [4294967295, "4294967295.0", 18446744073709551615, " none "],
)
def test_words_that_mean_nobody_are_unlabeled_and_named_in_a_warning(tmp_path: Path, word: Any) -> None:
    dataset = read_coco(write(tmp_path, file_of(3, word, word)))
    assert dataset.train_ids.tolist() == ["3"]
    assert dataset.train.pids.tolist() == [1, -1, -1]
    assert len(dataset.warnings) == 1
    assert "read as unlabeled, in 2 of 3 annotations" in dataset.warnings[0]


@pytest.mark.parametrize("name", ["Nadia", "nana", "p0", "65535", "n", "Ann", "ID-card", "-p1"])
def test_other_words_are_identities(tmp_path: Path, name: str) -> None:
    dataset = read_coco(write(tmp_path, file_of(3, name)))
    assert sorted(dataset.train_ids.tolist()) == sorted(["3", name]) and not dataset.warnings


def test_a_number_is_one_identity_however_it_is_written(tmp_path: Path) -> None:
    dataset = read_coco(write(tmp_path, file_of(5, "5", 5.0, "5.0", "5.00", 6, "6.")))
    assert dataset.train_ids.tolist() == ["5", "6"]
    assert not dataset.warnings


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("7", "007", "8"), "'007', '7'"),
        (("P1", "p1"), "'P1', 'p1'"),
        (("p1", "p1 ", "p01"), "'p01', 'p1', 'p1 '"),
        (("cam 1", "cam1", "b", "B"), "'B', 'b', and 1 such groups more"),
    ],
)
def test_identities_that_differ_only_in_spelling_are_reported_and_kept(
    tmp_path: Path, ids: tuple[str, ...], words: str
) -> None:
    dataset = read_coco(write(tmp_path, file_of(*ids)))
    assert set(dataset.train_ids.tolist()) == {str(int(i)) if i == "7" else i for i in ids}
    assert len(dataset.warnings) == 1 and words in dataset.warnings[0]


def with_categories(categories: Any, *used: Any) -> dict[str, Any]:
    """A file of as many persons as `used` has category ids; "missing" leaves the key out."""
    content = file_of(*range(1, len(used) + 1)) | {"categories": categories}
    for entry, category in zip(content["annotations"], used, strict=True):
        entry["category_id"] = category
        if category == "missing":
            del entry["category_id"]
    return content


PERSON_AND_CAR = [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]


@pytest.mark.parametrize(
    ("categories", "used", "persons"),
    [
        ([{"id": "1", "name": "person"}, {"id": "2", "name": "car"}], (1, 2, 1.0), 2),
        ([{"id": 1.0, "name": " PERSON "}, {"id": 2, "name": "car"}], ("1", "2", 1), 2),
        ([{"id": "p", "name": "person"}, {"id": "c", "name": "car"}], ("p", "c"), 1),
        ([{"id": 0, "name": "person"}, {"id": 1, "name": "Person"}, {"id": 2, "name": 7}], (0, 1, 2), 2),
        ([{"id": 1, "name": "person"}], (1, "missing"), 2),
        ([{"id": 7, "name": "pedestrian"}], (7, 7), 2),
        ([], (1, 2, "missing"), 3),
        (None, (1, 2), 2),
    ],
)
def test_persons_are_the_category_named_person_with_ids_compared_as_numbers(
    tmp_path: Path, categories: Any, used: tuple[Any, ...], persons: int
) -> None:
    dataset = read_coco(write(tmp_path, with_categories(categories, *used)))
    assert dataset.train.num_persons == persons
    assert any("the only category is 'pedestrian'" in text for text in dataset.warnings) == (used == (7, 7))


@pytest.mark.parametrize(
    ("categories", "used", "words"),
    [
        ([{"id": 1, "name": "person"}], (1, 2, 1), "category_id 2, which 'categories' does not list"),
        (PERSON_AND_CAR, (1, "missing"), "category_id None, which"),
        (PERSON_AND_CAR, (1, True), "category_id True, which"),
        (PERSON_AND_CAR, (1, [1]), r"category_id \[1\], which"),
        (PERSON_AND_CAR, (2, 2), "none in 2 annotations"),
        (
            [{"id": 1, "name": "person"}, {"id": "1", "name": "car"}],
            (1,),
            "id 1 for 'person' and for",
        ),
        ([{"name": "person"}], (1,), "an id"),
        ([{"id": 1, "name": "person"}, 7], (1,), "an id"),
        ({"1": "person"}, (1,), "a list of objects"),
    ],
)
def test_categories_that_leave_open_who_is_a_person_are_refused(
    tmp_path: Path, categories: Any, used: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(AnnotationError, match=words):
        read_coco(write(tmp_path, with_categories(categories, *used)))


def test_the_first_error_tells_how_many_others_there_are(tmp_path: Path) -> None:
    content = changed("annotations", "person_id", 2.5)
    content["annotations"][0]["bbox"] = "?"
    content["images"][1]["id"] = None
    with pytest.raises(AnnotationError, match="and 3 more errors"):
        read_coco(write(tmp_path, content))


def test_boxes_that_make_sense_only_as_corners_are_refused(tmp_path: Path) -> None:
    content = file_of(1, 2)
    for entry, box in zip(content["annotations"], ([700, 500, 750, 590], [3, 4, 30, 90]), strict=True):
        entry["bbox"] = box
    with pytest.raises(
        AnnotationError, match=r"1 of 2 boxes reach far out.*as x0, y0, x1, y1 all of them fit"
    ):
        read_coco(write(tmp_path, content))


def test_boxes_a_little_over_the_border_are_not_taken_for_corners(tmp_path: Path) -> None:
    content = file_of(1)
    content["annotations"][0]["bbox"] = [400, 300, 410, 310]  # ends at 810 x 610; 410 x 310 would be inside
    assert read_coco(write(tmp_path, content)).train.boxes.tolist() == [[400, 300, 810, 610]]


def test_a_missing_second_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path, file_of(1)) / "test.json").unlink()
    with pytest.raises(InputFileError, match=r"test\.json\n.*beside train\.json"):
        read_coco(tmp_path)


def test_an_image_in_both_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"'0\.jpg', one of 1 images"):
        read_coco(write(tmp_path, file_of(1), file_of(2)))


@pytest.mark.real_data
def test_the_real_prw_files_hold_what_is_published(real_data: Path) -> None:
    dataset = read_coco(real_data / "prw")
    train, test = dataset.train, dataset.test
    assert (len(train), train.num_persons, np.count_nonzero(train.is_labeled)) == (5704, 18048, 14907)
    assert (len(test), test.num_persons, np.count_nonzero(test.is_labeled)) == (6112, 25062, 19127)
    assert dataset.train_ids.tolist() == [str(number) for number in range(483)]
    assert len(dataset.test_ids) == 544 and dataset.test_ids[-1] == "933"
    assert train.size is not None and np.count_nonzero(train.size[:, 0] == 720) == 1246


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("gallery_x1_cam2.json", "id 3, which an earlier image has, in 43 of 1,237 images"),
        ("query.json", "text, in 772 of 772 annotations"),
        ("query_x1_cam2.json", "id 1, which an earlier image has, in 41 of 65 images"),
        ("test_new1.json", "an empty file"),
    ],
)
def test_a_careless_file_is_one_clear_error(real_data: Path, tmp_path: Path, file: str, words: str) -> None:
    content = (real_data / "careless_coco" / file).read_text()
    with pytest.raises((InputFileError, AnnotationError), match=words) as caught:
        read_coco(write(tmp_path, content))
    assert caught.value.hint


def images_at(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")


def two_splits(root: Path, train: str = "train.json", test: str = "test.json") -> Path:
    """Training images 0.jpg to 3.jpg, test images 7.jpg and 8.jpg, in files of these names."""
    for name, content in ((train, file_of(1, 2, 3, -1)), (test, file_of(1, 2))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        for row, image in enumerate(content["images"] if name == test else ()):
            image["file_name"] = f"{7 + row}.jpg"
        (root / name).write_text(json.dumps(content))
    return root


def test_images_are_in_the_folder_that_holds_most_of_them(tmp_path: Path) -> None:
    two_splits(tmp_path)
    assert read_coco(tmp_path).image_dir == tmp_path / "images"
    images_at(tmp_path, "images/0.jpg", "frames/1.jpg", "frames/2.jpg", "frames/8.jpg")
    dataset = open_dataset(tmp_path)
    assert dataset.image_dir == dataset.test_folder == tmp_path / "frames"
    images_at(tmp_path, "images/1.jpg", "images/7.jpg", "images/8.jpg")
    dataset = open_dataset(tmp_path)  # from the cache; the images are looked for again
    assert dataset.image_dir == dataset.test_folder == tmp_path / "images"


@pytest.mark.parametrize(
    ("train", "test", "train_dir", "test_dir"),
    [
        (
            "annotations/instances_train2017.json",
            "annotations/instances_val2017.json",
            "train2017",
            "val2017",
        ),
        ("annotations/train.json", "annotations/val.json", "images/train", "images/val"),
        ("train.json", "val.json", "train", "val"),
        ("train_pid.json", "test_pid.json", "images/train", "test"),
        ("train.json", "test.json", "images", "images/test"),
    ],
)
def test_each_split_may_have_a_folder_of_its_own(
    tmp_path: Path, train: str, test: str, train_dir: str, test_dir: str
) -> None:
    two_splits(tmp_path, train, test)
    images_at(tmp_path, *(f"{train_dir}/{row}.jpg" for row in range(4)))
    images_at(tmp_path, f"{test_dir}/7.jpg", f"{test_dir}/8.jpg")
    dataset = open_dataset(tmp_path)
    assert dataset.image_path("3.jpg") == tmp_path / train_dir / "3.jpg"
    assert dataset.image_path("7.jpg") == tmp_path / test_dir / "7.jpg"
    assert [one.code for one in verify(tmp_path, images=True) if one.level == "error"] == ["file-empty"] * 6
    (tmp_path / test_dir / "8.jpg").unlink()
    (missing,) = (one for one in verify(tmp_path, images=True) if one.code == "image-missing")
    assert missing.where == str(tmp_path / test_dir / "8.jpg") and "1 of 2 images" in missing.found


def test_images_in_two_folders_are_copied_into_one_and_not_linked(tmp_path: Path) -> None:
    two_splits(tmp_path / "set")
    images_at(tmp_path / "set", *(f"train/{row}.jpg" for row in range(4)), "val/7.jpg", "val/8.jpg")
    dataset = open_dataset(tmp_path / "set")
    with pytest.raises(InputFileError, match="in two folders"):
        convert(dataset, "coco", tmp_path / "linked", images="link")
    convert(dataset, "coco", tmp_path / "copied", images="copy")
    assert len(list((tmp_path / "copied/images").iterdir())) == 6


def test_an_image_behind_a_link_out_of_the_data_set_is_neither_opened_nor_copied(tmp_path: Path) -> None:
    root = two_splits(tmp_path / "set")
    images_at(root, *(f"images/{row}.jpg" for row in (1, 2, 3, 7, 8)))
    images_at(tmp_path, "secret.jpg")
    (root / "images/0.jpg").symlink_to(tmp_path / "secret.jpg")
    dataset = open_dataset(root)
    with pytest.raises(InputFileError, match=r"a link to .*secret\.jpg"):
        dataset.image_path("0.jpg")
    with pytest.raises(InputFileError, match="a link to"):
        convert(dataset, "coco", tmp_path / "copied", images="copy")
    assert not (tmp_path / "copied").exists()
    assert "image-outside" in {one.code for one in verify(root, images=True)}


def test_a_split_without_images_belongs_to_the_folder_of_the_other(tmp_path: Path) -> None:
    images_at(two_splits(tmp_path), "frames/8.jpg")
    dataset = read_coco(tmp_path)
    assert (dataset.image_dir, dataset.test_image_dir) == (tmp_path / "frames", None)


def test_of_two_pairs_of_files_the_whole_one_is_read(tmp_path: Path) -> None:
    two_splits(tmp_path, "train_pid.json", "test_pid.json")
    (tmp_path / "train.json").write_text("not read")
    assert len(read_coco(tmp_path).train) == 4
