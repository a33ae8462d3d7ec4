"""Finds out which data set lies in a folder, and reads it."""

from __future__ import annotations

from pathlib import Path

from maskps.datasets import cuhk_sysu_layout
from maskps.datasets.cuhk_sysu import read_cuhk_sysu
from maskps.errors import InputFileError
from maskps.structures import PersonSearchDataset

_SHOWN = 8


def open_dataset(path: Path) -> PersonSearchDataset:
    """Returns the data set in this folder; the images themselves are not opened.

    A folder with `annotation/Images.mat` is CUHK-SYSU.

    Raises:
        InputFileError: the folder is missing, or holds no data set that we know.
        AnnotationError: as the reader of the format.
    """
    if (path / cuhk_sysu_layout.IMAGES_FILE).is_file():
        return read_cuhk_sysu(path)
    wanted = f"a data set: CUHK-SYSU has {cuhk_sysu_layout.IMAGES_FILE.as_posix()}"
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise InputFileError(path, expected=wanted, found=found, hint="give the data set's root folder")
    if (path / cuhk_sysu_layout.IMAGES_FILE).parent.is_dir():
        raise InputFileError(
            path / cuhk_sysu_layout.IMAGES_FILE,
            expected="the scenes and boxes of CUHK-SYSU",
            found="no such file",
            hint="copy the data set's annotation files again",
        )
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise InputFileError(
        path,
        expected=wanted,
        found=f"a folder with {', '.join(names[:_SHOWN])}{more}" if names else "an empty folder",
        hint="give the data set's root folder: the one that holds 'annotation' and 'Image'",
    )
