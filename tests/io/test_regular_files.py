"""Every reader opens regular files only, and none waits for a pipe."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from maskps import InputFileError, MaskpsError
from maskps.config import load_config
from maskps.io import files
from maskps.io.files import read_json
from maskps.io.images import check_image, image_orientation, image_size, read_image
from maskps.io.matlab import open_mat
from maskps.io.matlab.numbers import read_numbers
from maskps.io.npz import read_npz
from maskps.masks.imports.png import read_numbers as read_png_numbers
from maskps.model.tensor_files import read_tensors
from maskps.subset.names import read_name_list

READERS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: read_json(path, what="a record"),
    "npz": lambda path: read_npz(path, what="an archive", hint=""),
    "mat": open_mat,
    "mat numbers": lambda path: read_numbers(path, ("box_new",)),
    "toml": load_config,
    "names": read_name_list,
    "picture": read_image,
    "size": image_size,
    "orientation": image_orientation,
    "whole picture": check_image,
    "png mask": read_png_numbers,
    "tensors": lambda path: read_tensors(path, what="weights", if_missing="", if_broken=""),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_what_may_never_end(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    os.mkfifo(path)
    with pytest.raises(InputFileError, match="named pipe, not a regular file"):
        READERS[name](path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(InputFileError, match="a device, not a regular file"):
        READERS[name](path)
    path.unlink()
    path.symlink_to("/proc/kmsg")  # a regular file of 0 bytes, whose reading waits
    with nullcontext() if name == "toml" else pytest.raises(MaskpsError):  # an empty TOML file is valid
        READERS[name](path)


def test_a_file_that_does_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST_READ", 9)
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert read_json(tmp_path / "a.json", what="a list") == [1, 2, 3]
    (tmp_path / "a.json").write_text("[1, 2, 34]")
    with pytest.raises(InputFileError, match="a file of 10 bytes"):
        read_json(tmp_path / "a.json", what="a list")


SOURCES = [
    path
    for folder in ("maskps", "annotation/maskps_annotation", "cli/maskps_cli")
    for path in (Path(__file__).parents[2] / folder).rglob("*.py")
]
OPENING = re.compile(
    r"Image\.open\((?!file|io\.)|ET\.(?:iter)?parse\((?!file)|np\.load\(path|[a-z]\.read_bytes\(\)|open\([^)\n]*\"r?b\""
)
OURS = ("files.py", "folders.py", "build.py", "launch.py")  # files that they wrote; the program LabelMe


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_opens_a_users_file_in_another_way(path: Path) -> None:
    if path.name not in OURS:
        assert OPENING.findall(path.read_text(encoding="utf-8")) == []
