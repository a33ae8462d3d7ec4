"""Opens the data set in a folder, whatever its format: from the cache, if it was parsed before."""

from __future__ import annotations

import logging
from pathlib import Path

from maskps.datasets.formats import find_format, format_of_root, known_formats
from maskps.datasets.parsed import cached_dataset
from maskps.errors import InputFileError
from maskps.structures import PersonSearchDataset

_SHOWN = 8
_log = logging.getLogger(__name__)


def open_dataset(path: Path) -> PersonSearchDataset:
    """Returns the data set in this folder; the images themselves are not opened.

    A folder with `annotation/Images.mat` is CUHK-SYSU, one with `frame_train.mat` or `frame_test.mat` is PRW,
    one with `train.json` or `train_pid.json` (or test) is COCO-style. `maskps.datasets.cache` keeps what the
    reader of the format returns in the user's cache folder. The data set's warnings are logged.

    Raises:
        InputFileError: the folder is missing, or holds no data set in a known format.
        AnnotationError: as the reader of the format.
    """
    try:
        one = format_of_root(path)
        if one is None:
            raise _no_dataset(path)
    except OSError as error:  # a folder that may not be entered
        raise InputFileError(
            path,
            expected=_wanted(),
            found=error.strerror or str(error),
            hint="give a folder that you may read",
        ) from error
    dataset = cached_dataset(one.kind, path, one.files(path), lambda: one.read(path))
    for warning in dataset.warnings:
        _log.warning("%s: %s", path, warning)
    # The images may have been copied to another place since the data set was cached.
    return dataset if one.find_images is None else one.find_images(dataset)


def _wanted() -> str:
    return f"a data set: {known_formats()}"


def _no_dataset(path: Path) -> InputFileError:
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        return InputFileError(path, expected=_wanted(), found=found, hint="give the data set's root folder")
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    found = f"a folder with {', '.join(names[:_SHOWN])}{more}" if names else "an empty folder"
    part = find_format(path)
    if part is not None:
        return InputFileError(
            path / part.main_file,
            expected=f"the main file of a {part.name} data set",
            found=f"no such file; the root is {found}",
            hint="copy the data set's annotation files there, or give another root folder",
        )
    return InputFileError(
        path,
        expected=_wanted(),
        found=found,
        hint="give the data set's root folder: for CUHK-SYSU the one that holds 'annotation' and 'Image'",
    )
