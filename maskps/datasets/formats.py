"""The table of data set formats. A new format is one folder and one row here: docs/extend/dataset.md."""

from __future__ import annotations

from pathlib import Path

from maskps.datasets.coco.format import COCO
from maskps.datasets.cuhk_sysu.format import CUHK_SYSU
from maskps.datasets.dataset_format import DatasetFormat
from maskps.datasets.prw.format import PRW

FORMATS: dict[str, DatasetFormat] = {
    CUHK_SYSU.kind: CUHK_SYSU,
    PRW.kind: PRW,
    COCO.kind: COCO,
}
"""By kind. A folder that two formats recognise is the first one's."""


def find_format(path: Path) -> DatasetFormat | None:
    """Returns the format of the data set at this path, or None.

    If no format can read the folder, the first one that has some file there is returned, unless a folder
    inside holds a whole data set: then that one is meant.
    """
    whole = format_of_root(path)
    if whole is not None or data_sets_in(path):
        return whole
    return next((one for one in FORMATS.values() if one.is_part(path)), None)


def format_of_root(root: Path) -> DatasetFormat | None:
    """Returns the format that can read this folder, or None."""
    return next((one for one in FORMATS.values() if one.is_there(root)), None)


def data_sets_in(path: Path) -> list[str]:
    """Returns the names of the folders in this one that are data sets."""
    if not path.is_dir():
        return []
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and format_of_root(entry))


def known_formats() -> str:
    """Returns all formats and their main files, for messages."""
    rows = [f"{one.name} ({one.main_file.as_posix()})" for one in FORMATS.values()]
    return f"{', '.join(rows[:-1])} or {rows[-1]}"
