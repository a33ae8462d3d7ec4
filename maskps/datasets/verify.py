"""verify(root): finds out what lies there, and runs all checks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskps.datasets.checks.images import check_images
from maskps.datasets.checks.tables import RawScenes, check_boxes_in_images
from maskps.datasets.coco.reader import is_coco, read_coco
from maskps.datasets.cuhk_sysu import layout as cuhk_sysu_layout
from maskps.datasets.cuhk_sysu.checks import check_cuhk_sysu
from maskps.datasets.prw.reader import is_prw, read_prw
from maskps.errors import MaskpsError
from maskps.findings import LEVELS, Finding
from maskps.structures import PersonSearchDataset

Progress = Callable[[int, int], None]

_PRW_ENTRIES = ("query_info.txt", "frames")


def verify(
    root: Path, *, images: bool = False, jobs: int = 1, progress: Progress | None = None
) -> list[Finding]:
    """Returns everything that is wrong or odd in a data set: errors first, then warnings, then remarks.

    Nothing is written, and no fault ends it: a file that cannot be read is a finding, and the checks that
    do not need it still run.

    Args:
        root: folder of a data set (CUHK-SYSU, PRW, COCO-style), or one COCO-style JSON file.
        images: look at the image files as well: each is decoded.
        jobs: images decoded at a time.
        progress: called with (images done, images in all).
    """
    kind = find_kind(root)
    if kind == "cuhk-sysu":
        check = check_cuhk_sysu(root)
        findings = check.findings
        if images and check.scenes is not None:
            folder = root / cuhk_sysu_layout.IMAGE_DIR
            findings += _check_scene_images(folder, check.scenes, jobs, progress)
    elif kind == "prw":
        from maskps.datasets.prw.checks import check_prw

        findings = check_prw(root)
        if images:
            findings += _check_dataset_images(root, read_prw, jobs, progress)
    elif kind == "coco":
        from maskps.datasets.coco.checks import check_coco

        findings = check_coco(root)
        if images:
            findings += _check_dataset_images(root, read_coco, jobs, progress)
    else:
        findings = [_no_dataset(root)]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def find_kind(path: Path) -> str | None:
    """Returns the format whose files lie there, "cuhk-sysu", "prw" or "coco", None if none does.

    More lenient than `open_dataset`: the main file may be the one that is missing.
    """
    if path.is_file():
        return "coco" if path.suffix.lower() == ".json" else None
    if (path / cuhk_sysu_layout.IMAGES_FILE.parent).is_dir() or (path / cuhk_sysu_layout.IMAGE_DIR).is_dir():
        return "cuhk-sysu"
    if is_prw(path):
        return "prw"
    if is_coco(path):  # may have PRW's query_info.txt beside its files
        return "coco"
    if any((path / entry).exists() for entry in _PRW_ENTRIES):
        return "prw"
    if path.is_dir() and any(path.glob("*.json")) and not _data_sets_in(path):
        return "coco"
    return None


def _data_sets_in(path: Path) -> list[str]:
    """Returns the names of the folders in this one that are data sets."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and find_kind(entry))


def _check_scene_images(
    folder: Path, scenes: RawScenes, jobs: int, progress: Progress | None
) -> list[Finding]:
    """Checks the images, and the boxes against their sizes, as far as the annotation did not tell these."""
    findings, sizes = check_images(folder, scenes.names, sizes=scenes.sizes, jobs=jobs, progress=progress)
    told = {finding.where for finding in check_boxes_in_images(scenes)}
    boxes = check_boxes_in_images(replace(scenes, sizes=sizes))
    return findings + [finding for finding in boxes if finding.where not in told]


def _check_dataset_images(
    root: Path, read: Callable[[Path], PersonSearchDataset], jobs: int, progress: Progress | None
) -> list[Finding]:
    try:
        dataset = read(root)
    except MaskpsError as error:
        hint = "correct the errors first"
        return [Finding("images-not-checked", "info", error.where, "the data set cannot be read", hint=hint)]
    return _check_scene_images(dataset.image_dir, _scenes_of(dataset), jobs, progress)


def _scenes_of(dataset: PersonSearchDataset) -> RawScenes:
    """Returns the scenes of both splits, which share a folder of images."""
    tables = (dataset.train, dataset.test)
    names = np.concatenate([table.names for table in tables]).tolist()
    offsets = np.concatenate([dataset.train.offsets, dataset.train.offsets[-1] + dataset.test.offsets[1:]])
    boxes = np.concatenate([table.boxes for table in tables]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    sizes = [np.zeros((len(table), 2), np.int64) if table.size is None else table.size for table in tables]

    def where(row: int) -> str:
        scene = int(np.searchsorted(offsets, row, side="right")) - 1
        return f"{dataset.image_path(names[scene])}, box {row - int(offsets[scene])}"

    nobody = np.full(len(boxes), None, dtype=object)
    return RawScenes(names, offsets, boxes, nobody, where, np.concatenate(sizes))


def _no_dataset(path: Path) -> Finding:
    if path.exists() and not path.is_dir():  # a device too
        found, hint = "a file that is no JSON", "give the data set's root folder, or a COCO-style .json file"
    elif not path.exists():
        found, hint = "no such folder", "check the path"
    else:
        inside = _data_sets_in(path)
        above = find_kind(path.resolve().parent)
        found = "a folder with none of their files"
        if inside:
            hint = f"did you mean {path / inside[0]}?"
        elif above:
            hint = f"did you mean the folder above, {path.resolve().parent}?"
        else:
            hint = "give the data set's root folder"
    return Finding(
        "not-a-data-set",
        "error",
        str(path),
        found,
        "CUHK-SYSU (annotation/Images.mat), PRW (frame_train.mat) or COCO-style (train.json)",
        hint,
    )
