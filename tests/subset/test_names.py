"""Subsets by name: lists in files, stems of LabelMe files, and what is said of names that are unknown."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from maskps.errors import AnnotationError, ConfigError, InputFileError
from maskps.structures import PersonSearchDataset
from maskps.subset import labelme_name_list, read_name_list, select_named
from maskps.subset.names import NameList, nearest_name


def names(*given: str) -> NameList:
    return NameList("names", "names.txt", given, tuple(f"line {i}" for i in range(1, len(given) + 1)))


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_list_has_one_name_a_line_and_comments(tmp_path: Path) -> None:
    text = "# the paper's\n\n  s001.jpg \ns 2.jpg # a space within\n#s003\ns#4\n"
    listed = read_name_list(write(tmp_path / "names.txt", text))
    assert listed.names == ("s001.jpg", "s 2.jpg", "s#4")
    assert listed.places == ("line 3", "line 4", "line 6")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_and_a_byte_order_mark_are_read(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "names.txt", f"s001{ending}s002.jpg{ending}", "utf-8-sig")
    assert read_name_list(path).names == ("s001", "s002.jpg")


@pytest.mark.parametrize("content", [b"", b"\n# nothing\n\n", b"\xff\xfe\x00\x01", b"s001\xe9"])
def test_a_file_without_names_is_an_error_with_a_hint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputFileError, match="try:"):
        read_name_list(tmp_path / "names.txt")


def test_a_missing_list_and_a_folder_have_errors_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_name_list(tmp_path / "names.txt")
    with pytest.raises(InputFileError, match=r"a folder(.|\n)*--from-labelme"):
        read_name_list(tmp_path)


def test_names_are_found_with_and_without_ending(street: PersonSearchDataset) -> None:
    selection = select_named(street, names("s003", "s001.jpg"))
    assert selection.drawn.tolist() == selection.kept.tolist() == [0, 2]
    assert (selection.source, selection.portion_size, selection.portions) == ("names", None, ())


def test_an_ending_decides_between_images_of_one_stem(street: PersonSearchDataset) -> None:
    names_of = street.train.names.astype("<U8")
    names_of[:3] = ["a.jpg", "a.png", "a"]
    both = replace(street, train=replace(street.train, names=names_of))
    assert select_named(both, names("a.png")).drawn.tolist() == [1]
    assert select_named(both, names("a")).drawn.tolist() == [2]  # a name as it stands comes first
    names_of[2] = "b.jpg"
    with pytest.raises(AnnotationError, match="several images"):
        select_named(both, names("a"))


def test_images_in_folders_are_named_with_their_folder(street: PersonSearchDataset) -> None:
    names_of = np.array([f"cam{row % 2}/{row // 2}.jpg" for row in range(40)])
    folders = replace(street, train=replace(street.train, names=names_of))
    assert select_named(folders, names("cam1/0", "cam0/1.jpg")).drawn.tolist() == [1, 2]


def test_images_with_only_unlabeled_persons_are_warned_of_and_not_kept(
    street: PersonSearchDataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        selection = select_named(street, names("s007", "s008", "s016"))
    assert (selection.drawn.tolist(), selection.kept.tolist()) == ([6, 7, 15], [6])
    assert "2 images with only unlabeled persons; not kept: s008.jpg, s016.jpg" in caplog.text


def test_a_name_given_twice_counts_once_with_a_warning(
    street: PersonSearchDataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        selection = select_named(street, names("s001", "s002.jpg", "s001.jpg"))
    assert selection.drawn.tolist() == [0, 1]
    assert "1 image given twice; it counts once: s001.jpg" in caplog.text


def test_all_unknown_names_are_listed_each_with_the_nearest(street: PersonSearchDataset) -> None:
    listed = names("s001", "s0011.jpg", "S012.JPG", "t2", *(f"x{i}" for i in range(30)))
    with pytest.raises(AnnotationError, match=r"names\.txt") as caught:
        select_named(street, listed)
    lines = caught.value.found.splitlines()
    assert lines[0] == "33 of 34 names that no training image has"
    assert lines[1].split() == ["line", "2", "'s0011.jpg':", "the", "nearest", "is", "'s001.jpg'"]
    assert lines[2].endswith("'S012.JPG': the nearest is 's012.jpg'")
    assert lines[3].endswith("'t2': a test image")
    assert len(lines) == 34
    assert caught.value.hint
    assert str(caught.value).count("\n    line ") == 33


@pytest.mark.parametrize("name", ["x" * 100_000, "\ud800", "\x1b[2J", "ß" * 255])
def test_a_strange_name_is_an_error_that_can_be_printed(street: PersonSearchDataset, name: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        select_named(street, names(name))
    text = str(caught.value)
    assert len(text) < 1000
    assert "\x1b" not in text
    text.encode("utf-8")


def test_a_list_for_a_data_set_without_images_is_an_error(street: PersonSearchDataset) -> None:
    with pytest.raises(AnnotationError, match="0 training images"):
        select_named(replace(street, train=street.train.select([])), names("s001"))


def test_a_negative_seed_is_an_error(street: PersonSearchDataset) -> None:
    with pytest.raises(ConfigError):
        select_named(street, names("s001"), seed=-1)


def test_the_stems_of_labelme_files_are_the_images(street: PersonSearchDataset, tmp_path: Path) -> None:
    for name in ("s003.json", "s001.json", ".hidden.json", "s002.txt"):
        (tmp_path / name).write_text("not opened")
    listed = labelme_name_list(tmp_path)
    assert (listed.source, listed.names, listed.places) == (
        "labelme", ("s001", "s003"), ("s001.json", "s003.json"),
    )  # fmt: skip
    assert select_named(street, listed).drawn.tolist() == [0, 2]


def test_a_labelme_file_with_a_capital_ending_counts(tmp_path: Path) -> None:
    (tmp_path / "s001.JSON").write_text("not opened")
    assert labelme_name_list(tmp_path).names == ("s001",)


def test_a_folder_of_other_files_is_described(tmp_path: Path) -> None:
    for name in ("s001.txt", "s002.TXT", "classes", "all.xml"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputFileError) as caught:
        labelme_name_list(tmp_path)
    assert "2 .txt, 1 .xml, 1 without ending (YOLO labels? or CVAT or Pascal VOC?)" in caught.value.found
    assert "import-masks" in caught.value.hint


def test_a_labelme_file_of_no_image_is_named(street: PersonSearchDataset, tmp_path: Path) -> None:
    for name in ("s003.json", "s0O1.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(AnnotationError, match=r"s0O1\.json  's0O1': the nearest is 's001\.jpg'"):
        select_named(street, labelme_name_list(tmp_path))


@pytest.mark.parametrize(
    ("make", "found"),
    [("nothing", "no such folder"), ("file", "a file"), ("empty", "no such file in it: nothing")],
)
def test_what_is_no_folder_of_labelme_files_is_an_error_with_a_hint(
    tmp_path: Path, make: str, found: str
) -> None:
    path = tmp_path / "labelme"
    if make == "file":
        path.write_text("{}")
    elif make == "empty":
        path.mkdir()
    with pytest.raises(InputFileError) as caught:
        labelme_name_list(path)
    assert caught.value.found == found
    assert caught.value.hint


def test_the_nearest_name_has_the_fewest_edits() -> None:
    """Against the textbook recursion, on random words over three letters."""

    def distance(one: str, other: str) -> int:
        @cache
        def of(i: int, j: int) -> int:
            if i == 0 or j == 0:
                return i + j
            return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (one[i - 1] != other[j - 1]))

        return of(len(one), len(other))

    rng = np.random.default_rng(1)
    for _ in range(60):
        word, *others = ("".join(rng.choice(list("ab1"), rng.integers(1, 8))) for _ in range(6))
        distances = [distance(word, other) for other in others]
        assert nearest_name(word, np.array(others)) == int(np.argmin(distances))
