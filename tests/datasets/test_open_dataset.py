"""Finding the data set in a folder, and its test protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskps.datasets import available_protocols, open_dataset
from maskps.errors import InputFileError


def test_cuhk_sysu_is_recognised(root: Path) -> None:
    assert open_dataset(root).kind == "cuhk-sysu"


def test_a_missing_folder_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such folder"):
        open_dataset(tmp_path / "none")


def test_a_file_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputFileError) as error:
        open_dataset(tmp_path / "file")
    assert error.value.found == "a file"


def test_another_folder_is_described(root: Path) -> None:
    with pytest.raises(InputFileError) as error:
        open_dataset(root / "annotation")
    assert error.value.found == "a folder with Images.mat, Person.mat, pool.mat, test/"
    assert "annotation/Images.mat" in error.value.expected


def test_a_data_set_without_its_main_file_names_that(root: Path) -> None:
    (root / "annotation" / "Images.mat").unlink()
    with pytest.raises(InputFileError, match=r"Images\.mat") as error:
        open_dataset(root)
    assert error.value.found.startswith("no such file")


def test_a_folder_of_many_files_is_described_briefly(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}").touch()
    with pytest.raises(InputFileError, match="and 12 more"):
        open_dataset(tmp_path)


def test_protocols_are_listed_by_size_and_then_the_subsets(root: Path) -> None:
    assert available_protocols(root) == ("TestG2", "TestG3", "Occlusion", "Resolution")
