"""Finds out which data set lies in a folder, and opens it: from the cache, if it was parsed before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskps.datasets.cuhk_sysu import layout as cuhk_sysu_layout
from maskps.datasets.parsed import cached_dataset
from maskps.errors import InputFileError
from maskps.structures import PersonSearchDataset

_SHOWN = 8
_WANTED = (
    f"a data set: CUHK-SYSU has {cuhk_sysu_layout.IMAGES_FILE.as_posix()}, PRW frame_train.mat, "
    "a COCO-style one train.json"
)


def open_dataset(path: Path) -> PersonSearchDataset:
    """Returns the data set in this folder; the images themselves are not opened.

    A folder with `annotation/Images.mat` is CUHK-SYSU, one with `frame_train.mat` or `frame_test.mat` is PRW,
    one with `train.json` or `train_pid.json` (or test) is COCO-style. What the reader of the format returns
    is kept in the user's cache folder (see `maskps.datasets.cache`).

    Raises:
        InputFileError: the folder is missing, or holds no data set that we know.
        AnnotationError: as the reader of the format.
    """
    try:
        opened = _opener(path)
    except OSError as error:  # a folder that may not be entered
        raise InputFileError(
            path,
            expected=_WANTED,
            found=error.strerror or str(error),
            hint="give a folder that you may read",
        ) from error
    return opened(path)


def _opener(path: Path) -> Callable[[Path], PersonSearchDataset]:
    """Returns the function that opens the format of this folder."""
    if (path / cuhk_sysu_layout.IMAGES_FILE).is_file():
        return _open_cuhk_sysu
    from maskps.datasets.prw.reader import is_prw  # the other formats are imported when they are met

    if is_prw(path):
        return _open_prw
    from maskps.datasets.coco.reader import is_coco

    if is_coco(path):
        return _open_coco
    raise _no_dataset(path)


def _open_cuhk_sysu(root: Path) -> PersonSearchDataset:
    from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu

    galleries = [
        name for name in cuhk_sysu_layout.available_protocols(root) if name.startswith("TestG")
    ]  # the reader takes the test identities from the smallest ones
    files = (
        cuhk_sysu_layout.IMAGES_FILE,
        cuhk_sysu_layout.POOL_FILE,
        cuhk_sysu_layout.TRAIN_FILE,
        *map(cuhk_sysu_layout.protocol_file, galleries[:1]),
    )
    return cached_dataset("cuhk-sysu", root, [root / file for file in files], lambda: read_cuhk_sysu(root))


def _open_prw(root: Path) -> PersonSearchDataset:
    from maskps.datasets.prw.files import ANNOTATION_DIR, TEST_FILE, TRAIN_FILE
    from maskps.datasets.prw.reader import read_prw

    files = [root / TRAIN_FILE, root / TEST_FILE, *sorted((root / ANNOTATION_DIR).glob("*.mat"))]
    return cached_dataset("prw", root, files, lambda: read_prw(root))


def _open_coco(root: Path) -> PersonSearchDataset:
    from maskps.datasets.coco.reader import coco_files, coco_image_dir, read_coco

    dataset = cached_dataset("coco", root, coco_files(root), lambda: read_coco(root))
    # Where the images are is looked up each time: they may have been copied since.
    return replace(
        dataset, image_dir=coco_image_dir(root, dataset.train if len(dataset.train) else dataset.test)
    )


def _no_dataset(path: Path) -> InputFileError:
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        return InputFileError(path, expected=_WANTED, found=found, hint="give the data set's root folder")
    if (path / cuhk_sysu_layout.IMAGES_FILE).parent.is_dir():
        return InputFileError(
            path / cuhk_sysu_layout.IMAGES_FILE,
            expected="the scenes and boxes of CUHK-SYSU",
            found="no such file",
            hint="copy the data set's annotation files again",
        )
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return InputFileError(
        path,
        expected=_WANTED,
        found=f"a folder with {', '.join(names[:_SHOWN])}{more}" if names else "an empty folder",
        hint="give the data set's root folder: for CUHK-SYSU the one that holds 'annotation' and 'Image'",
    )
