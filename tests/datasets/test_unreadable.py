"""What is said of a file that cannot be read, and which file is proposed for a missing one."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from maskps.datasets.unreadable import file_finding, missing_file, similar_file
from maskps.errors import AnnotationError, InputFileError
from maskps.io.matlab import char_matrix, open_mat, write_mat
from maskps.io.matlab.writer import cell_matrix


def finding_of(path: Path) -> tuple[str, str]:
    """Code and text of what is the matter with a file that should be a MATLAB file with 'pool'."""
    with pytest.raises(InputFileError) as error:
        variable = open_mat(path, "pool")
        list(variable.chunks())
    finding = file_finding(path, error.value, root=path.parent)
    assert finding.level == "error"
    assert finding.where == str(path)
    assert finding.hint
    return finding.code, finding.found


def tar_bytes() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pool.mat"))
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "code", "found"),
    [
        (b"", "file-empty", "an empty file"),
        (b" \n", "file-empty", "an empty file"),
        (POINTER, "file-lfs-pointer", "a Git-LFS pointer to 12,345 bytes"),
        (b"\n<!DOCTYPE html><html>", "file-web-page", "a web page (HTML or XML)"),
        (b"PK\x03\x04rest", "file-archive", "a zip archive"),
        (gzip.compress(b"x", mtime=0), "file-archive", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1crest", "file-archive", "a 7z archive"),
        (tar_bytes(), "file-archive", "a tar archive"),
        (b"\xff\xd8\xff\xe0", "file-other-kind", "a JPEG picture"),
        (b"MATLAB 7.3 MAT-file", "file-other-kind", "a MATLAB 7.3 (HDF5) file"),
        (b"what is this", "file-damaged", "something else, beginning with b'what is this'"),
    ],
)
def test_the_kind_of_a_wrong_file_is_reported(tmp_path: Path, content: bytes, code: str, found: str) -> None:
    path = tmp_path / "pool.mat"
    path.write_bytes(content)
    assert finding_of(path) == (code, found)


def test_a_truncated_file_and_one_of_another_variable_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "pool.mat"
    write_mat(path, [cell_matrix([char_matrix("s1.jpg")] * 50, name="pool")])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 40])
    assert finding_of(path)[0] == "file-truncated"
    path.write_bytes(whole[:140] + b"\x99" * 20 + whole[160:])
    assert finding_of(path)[0] == "file-damaged"
    write_mat(path, [cell_matrix([], name="Train")])
    assert finding_of(path) == ("variable-missing", "the variables Train")


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pool.mat").mkdir()
    assert finding_of(tmp_path / "pool.mat") == ("file-unreadable", "a folder")


def test_an_impossible_entry_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "pool.mat"
    path.write_bytes(b"MATLAB 5.0")
    error = AnnotationError(f"{path}, scene 3", expected="a text", found="2 numbers")
    finding = file_finding(path, error, root=tmp_path)
    assert (finding.code, finding.where, finding.found) == ("entry-invalid", f"{path}, scene 3", "2 numbers")


@pytest.mark.parametrize(
    "name",
    [
        "images.mat",
        "Images.MAT",
        "Images (1).mat",
        "Images.mat.part",
        "Images.mat.1",
        "Images copy.mat",
        "Image.mat",
        "elsewhere/Images.mat",
        "elsewhere/images.mat",
    ],
)
def test_a_similar_file_is_proposed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).touch()
    assert similar_file(tmp_path / "Images.mat", tmp_path) == name
    finding = missing_file(tmp_path / "Images.mat", what="the scenes", root=tmp_path)
    assert (finding.code, finding.expected) == ("file-missing", "the scenes")
    assert f"'{name}'" in finding.hint


def test_another_file_of_the_data_set_is_not_proposed(tmp_path: Path) -> None:
    (tmp_path / "TestG1000.mat").touch()
    wanted = tmp_path / "TestG100.mat"
    assert similar_file(wanted, tmp_path, known=["TestG1000.mat"]) is None
    assert similar_file(wanted, tmp_path) == "TestG1000.mat"
    finding = missing_file(wanted, what="a protocol", root=tmp_path, known=["TestG1000.mat"])
    assert finding.hint == "copy the data set's annotation files again"


def test_a_picture_is_proposed_for_a_picture_only_by_its_own_name(tmp_path: Path) -> None:
    for name in ("s18.jpg", "s19.JPEG", "s17.txt"):
        (tmp_path / name).touch()
    assert similar_file(tmp_path / "s17.jpg", tmp_path, pictures=True) is None
    assert similar_file(tmp_path / "s19.jpg", tmp_path, pictures=True) == "s19.JPEG"
