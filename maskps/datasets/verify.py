"""verify(root): finds the format of a data set, and runs all its checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskps.datasets.checks.images import check_images
from maskps.datasets.checks.tables import RawScenes, check_boxes_in_images, scenes_of_dataset
from maskps.datasets.formats import data_sets_in, find_format, known_formats
from maskps.errors import MaskpsError
from maskps.findings import LEVELS, Finding

Progress = Callable[[int, int], None]


def verify(
    root: Path, *, images: bool = False, jobs: int = 1, progress: Progress | None = None
) -> list[Finding]:
    """Returns everything that is wrong or odd in a data set: errors first, then warnings, then remarks.

    Nothing is written, and no fault ends the run: a file that cannot be read is a finding, and the checks
    that do not need it still run.

    Args:
        root: folder of a data set, or one COCO-style JSON file.
        images: check the image files as well; each is decoded.
        jobs: images decoded at a time.
        progress: called with (images done, images in all).
    """
    one = find_format(root)
    if one is None:
        return [_no_dataset(root)]
    checked = one.check(root)
    findings = list(checked.findings)
    if images and checked.scenes is not None:
        findings += _check_scene_images(root, root / one.image_dir, checked.scenes, jobs, progress)
    elif images:
        try:
            dataset = one.read(root)
        except MaskpsError as error:
            there = sum(os.path.isfile(root / one.image_dir / name) for name in checked.names)
            known = f"; {there:,} of the {len(checked.names):,} images that its other files name are there"
            found = "the data set cannot be read" + known * bool(checked.names)
            hint = "correct the errors first"
            findings.append(Finding("images-not-checked", "info", error.where, found, hint=hint))
        else:
            for folder in dict.fromkeys((dataset.image_dir, dataset.test_folder)):
                scenes = scenes_of_dataset(dataset, folder)
                findings += _check_scene_images(root, folder, scenes, jobs, progress)
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _check_scene_images(
    root: Path, folder: Path, scenes: RawScenes, jobs: int, progress: Progress | None
) -> list[Finding]:
    """Checks the images, and the boxes against image sizes that the annotation does not state."""
    findings, sizes = check_images(
        folder, scenes.names, root=root, sizes=scenes.sizes, jobs=jobs, progress=progress
    )
    reported = {finding.where for finding in check_boxes_in_images(scenes)}
    boxes = check_boxes_in_images(replace(scenes, sizes=sizes))
    return findings + [finding for finding in boxes if finding.where not in reported]


def _no_dataset(path: Path) -> Finding:
    above = path.resolve().parent
    if path.exists() and not path.is_dir():  # a device too
        found, hint = "a file that is not JSON", "give the data set's root folder, or a COCO-style .json file"
    elif not path.exists():
        found, hint = "no such folder", "check the path"
    else:
        found, hint = "a folder with none of their files", "give the data set's root folder"
        if inside := data_sets_in(path):
            hint = f"did you mean {path / inside[0]}?"
        elif find_format(above):
            hint = f"did you mean the folder above, {above}?"
    return Finding("not-a-data-set", "error", str(path), found, known_formats(), hint)
